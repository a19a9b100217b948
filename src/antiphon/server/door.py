"""Who may come in: keys, Host and Origin, checked on every route before anything else is done.

Any web page in a browser on this machine can reach a server on loopback. So a request with an Origin must come from
a page that is allowed, and its Host must be a name that the server is known by (a page can point its own name at
127.0.0.1). A request without an Origin comes from a program. This is the only place where keys and client secrets are
checked: keys are compared in constant time, and neither is ever logged.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from antiphon.server import tokens
from antiphon.server.refusals import Refusal
from antiphon.server.tokens import Grant, Tokens

KEY_PROTOCOL = "openai-insecure-api-key."
"""Prefix of the WebSocket subprotocol by which browsers, which cannot set headers, hand over a key."""

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


OPEN_PATHS = frozenset({"/health", "/ready", "/"})
"""What a load balancer asks, and the page that asks a person for the key: both come without one."""
OPEN_FOLDERS = ("/assets/", "/client/")
"""What the page is made of, and the library for other pages. They hold nothing that is not in the published package."""
CLIENT_PATHS = frozenset({"/v1/realtime", "/v1/realtime/calls"})
"""All that a client secret opens: it starts sessions, and makes no further secrets."""


class Visitor(Struct, frozen=True):
    """Somebody who was let in."""

    name: str
    """The same for everything that comes with the same key or client secret, and neither of them."""
    owner: str = ""
    """Name of the API key that was shown, or that the client secret was made with."""
    grant: Grant | None = None
    """What the client secret says, if it was one."""


class Door:
    """The rules. With no key configured everybody who gets as far as here may come in: then the server listens on
    loopback only, which is checked where it is started."""

    def __init__(
        self,
        keys: Iterable[str] = (),
        allowed_hosts: Iterable[str] = (),
        allowed_origins: Iterable[str] = (),
        secret: bytes = b"",
        open_paths: Iterable[str] = (),
    ) -> None:
        """Hosts are names without ports, beside the loopback ones; origins such as "https://example.com"; "*" allows
        any. `secret` and `keys` make client secrets: see `Tokens`, which needs one of both.
        `open_paths` need no key, beside those that never do."""
        self.tokens = Tokens(keys, secret)
        self._keys = tuple(keys)
        self._open_paths = OPEN_PATHS | frozenset(open_paths)
        self._hosts = frozenset(name.lower() for name in allowed_hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in allowed_origins)

    def refusal(self, headers: Mapping[str, str]) -> Refusal | None:
        """Why this request may not come in, or None. `headers` has lower-case names."""
        host = headers.get("host", "")
        if not self._knows_host(host):
            return Refusal(
                421,
                "unknown_host",
                f"This server is not known as {host!r}. Add the name to server.allowed_hosts to allow it.",
            )
        origin = headers.get("origin")
        if origin is not None and not self._allows_origin(origin, host):
            return Refusal(
                403,
                "foreign_origin",
                f"Pages from {origin!r} may not use this server. Add it to server.allowed_origins to allow it.",
            )
        return None

    def admit(self, path: str, headers: Mapping[str, str], protocols: Iterable[str], now: float) -> Visitor | Refusal:
        """Who comes with the key or client secret in this request, or why nobody does. `now` is in seconds since 1970.

        Without configured keys none is asked for, but a client secret is read all the same.
        """
        if path in self._open_paths or path.startswith(OPEN_FOLDERS):
            return Visitor("")
        shown = key_from(headers, protocols)
        if shown is not None and shown.startswith(tokens.PREFIX):
            return self._admit_client(shown, path, now)
        if not self._keys:
            return Visitor("", self.tokens.name_of(""))
        if shown is None:
            return Refusal(
                401,
                "missing_api_key",
                "You didn't provide an API key. Send it as 'Authorization: Bearer KEY', or, from a browser, as the "
                f"WebSocket subprotocol '{KEY_PROTOCOL}KEY'.",
            )
        # Every key is compared, so that the time does not tell how far a guess has got.
        matching = [known for known in self._keys if hmac.compare_digest(shown.encode(), known.encode())]
        if not matching:
            return Refusal(401, "invalid_api_key", "Incorrect API key provided.")
        name = self.tokens.name_of(matching[0])
        return Visitor(name, name)

    def _admit_client(self, token: str, path: str, now: float) -> Visitor | Refusal:
        read = self.tokens.read(token)
        if read is None:
            return Refusal(401, "invalid_client_secret", "Incorrect client secret provided.")
        owner, grant = read
        if grant.expires_at <= now:
            return Refusal(
                401,
                "client_secret_expired",
                "The client secret has expired. Make another one with POST /v1/realtime/client_secrets.",
            )
        if path not in CLIENT_PATHS:
            return Refusal(
                403,
                "insufficient_permissions",
                "A client secret only opens sessions. Use an API key for all else.",
            )
        return Visitor(hashlib.sha256(token.encode()).hexdigest(), owner, grant)

    def allows_page(self, origin: str) -> bool:
        """Whether the configuration names the page of another server that a browser says it shows."""
        return "*" in self._origins or origin.lower() in self._origins

    def _knows_host(self, host: str) -> bool:
        name = _without_port(host).lower()
        if "*" in self._hosts or name in LOOPBACK_NAMES or name in self._hosts:
            return True
        # A bare address cannot be pointed elsewhere by somebody else's name server.
        return _is_address(name) and bool(self._keys)

    def _allows_origin(self, origin: str, host: str) -> bool:
        if self.allows_page(origin):
            return True
        parts = urlsplit(origin)
        # Our own page, under the name that it was reached by.
        return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def key_from(headers: Mapping[str, str], protocols: Iterable[str] = ()) -> str | None:
    """The key that a client handed over, by header or by subprotocol."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    for protocol in protocols:
        if protocol.startswith(KEY_PROTOCOL):
            return protocol.removeprefix(KEY_PROTOCOL)
    return None


def is_loopback(host: str) -> bool:
    """Whether listening on this address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
