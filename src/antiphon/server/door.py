"""Who may come in: keys, Host and Origin, checked on every route before anything else is done.

Any web page in a browser on this machine can reach a server on loopback. So a request with an Origin must come from
a page that is allowed, and its Host must be a name that the server is known by (a page can point its own name at
127.0.0.1). A request without an Origin comes from a program. Keys are compared in constant time, and never logged.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

KEY_PROTOCOL = "openai-insecure-api-key."
"""Prefix of the WebSocket subprotocol by which browsers, which cannot set headers, hand over a key."""

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Refusal(Struct, frozen=True):
    """Why a request is turned away."""

    status: int
    code: str
    message: str


class Door(Struct, frozen=True):
    """The rules. With no key configured everybody who gets as far as here may come in: then the server listens on
    loopback only, which is checked where it is started."""

    keys: tuple[str, ...] = ()
    allowed_hosts: frozenset[str] = frozenset()
    """Names, without ports, beside the loopback ones; "*" allows any."""
    allowed_origins: frozenset[str] = frozenset()
    """Such as "https://example.com"; "*" allows any."""

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

    def key_refusal(self, headers: Mapping[str, str], protocols: Iterable[str] = ()) -> Refusal | None:
        """Why the key does not open, or None. Without configured keys none is asked for."""
        if not self.keys:
            return None
        key = key_from(headers, protocols)
        if key is None:
            return Refusal(
                401,
                "missing_api_key",
                "You didn't provide an API key. Send it as 'Authorization: Bearer KEY', or, from a browser, as the "
                f"WebSocket subprotocol '{KEY_PROTOCOL}KEY'.",
            )
        # Every key is compared, so that the time does not tell how far a guess has got.
        matches = [hmac.compare_digest(key.encode(), known.encode()) for known in self.keys]
        if not any(matches):
            return Refusal(401, "invalid_api_key", "Incorrect API key provided.")
        return None

    def _knows_host(self, host: str) -> bool:
        name = _without_port(host).lower()
        if "*" in self.allowed_hosts or name in LOOPBACK_NAMES or name in self.allowed_hosts:
            return True
        # A bare address cannot be pointed elsewhere by somebody else's name server.
        return _is_address(name) and bool(self.keys)

    def _allows_origin(self, origin: str, host: str) -> bool:
        if "*" in self.allowed_origins or origin.lower() in self.allowed_origins:
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
