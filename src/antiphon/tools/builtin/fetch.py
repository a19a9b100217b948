"""Reading pages of the hosts that the operator named, and never anything of the operator's own network.

A name is resolved once, every address of it is looked at, and the connection goes to the one that was looked at: a name
that points elsewhere a moment later gains nothing. Each redirect is a new address and is treated as one. Only GET, no
cookies, no compression, no proxy; what a page does when it is read is not known here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from html.parser import HTMLParser
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import httpcore
from msgspec import Struct

from antiphon.errors import ConfigError
from antiphon.tools.api import Conduct, ServerTool, ToolError
from antiphon.tools.function import FunctionTool
from antiphon.tools.threads import in_thread

LARGEST_PAGE_BYTES = 1_000_000
MOST_REDIRECTS = 5
DEADLINE_S = 15.0
CONNECT_S = 5.0
READABLE = re.compile(r"text/.+|application/(.+\+)?(json|xml)|application/javascript")
HOST = re.compile(r"(\*\.)?[a-z0-9.-]+(:\d{1,5})?|\*")
CONDUCT = Conduct(reads_only=True, resource="web", cache_s=300.0, deadline_s=DEADLINE_S)
NAT64 = ipaddress.ip_network("64:ff9b::/96")

Resolve = Callable[[str, int], Awaitable[Iterable[str]]]
"""Addresses of a host and port, as text."""


def is_public(address: str) -> bool:
    """Whether this address is one of the open Internet, also if it carries another one inside."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if found in NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast and not found.is_reserved and not found.is_unspecified


async def _resolved(host: str, port: int) -> Iterable[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)  # 1 is SOCK_STREAM
    return [str(address[0]) for *_, address in found]


class PublicNetwork(httpcore.AsyncNetworkBackend):
    """Connects to public addresses only."""

    def __init__(self, resolve: Resolve = _resolved, allows: Callable[[str], bool] = is_public) -> None:
        self._inner = httpcore.AnyIOBackend()
        self._resolve = resolve
        self._allows = allows

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = list(await self._resolve(host, port))
        except OSError:
            raise ToolError(f"there is no host {host}.") from None
        if not addresses or not all(self._allows(address) for address in addresses):
            raise ToolError(f"{host} is not on the open Internet.")
        return await self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - as above
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise ToolError("only hosts can be asked.")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class Page(Struct, frozen=True):
    """What a host answered."""

    url: str
    status: int
    kind: str
    body: bytes
    is_whole: bool
    location: str = ""


class Fetch:
    """See the module."""

    def __init__(self, hosts: Sequence[str], network: httpcore.AsyncNetworkBackend | None = None) -> None:
        """`hosts` are names such as "example.org", "*.example.org" for all below it, or "*"; with ":8080", that port
        in place of the usual two. Raises `ConfigError`."""
        for host in hosts:
            if not HOST.fullmatch(host):
                raise ConfigError(f"tools.fetch: {host!r} is no host", 'Write "example.org" or "*.example.org".')
        self._hosts = tuple(hosts)
        self._network = network or PublicNetwork()
        self._trust = ssl.create_default_context()  # reads files, so not in the middle of a conversation

    async def fetch_page(self, url: str) -> dict[str, Any]:
        """Read a page of the web.

        Args:
            url: Its whole address, with https://.
        """
        async with httpcore.AsyncConnectionPool(ssl_context=self._trust, network_backend=self._network) as pool:
            for _ in range(MOST_REDIRECTS + 1):
                page = await self._get(pool, self._checked(url))
                if not page.location:
                    return await in_thread(_told, {"page": page})  # taking a large page apart takes long
                url = urljoin(url, page.location)
        raise ToolError("the page leads from one address to another and never ends.")

    def _checked(self, url: str) -> SplitResult:
        """The address in its parts. Raises `ToolError` for one that may not be asked."""
        try:
            found = urlsplit(url.strip())
            port = found.port
        except ValueError:
            raise ToolError(f"{url[:100]} is no address.") from None
        host = (found.hostname or "").rstrip(".")
        if found.scheme not in ("http", "https") or not host or found.username or found.password:
            raise ToolError(f"{url[:100]} is no address of a page; it has to begin with https:// and a host.")
        if not host.isascii():
            host = host.encode("idna").decode()
        if not any(_matches(host, port, allowed) for allowed in self._hosts):
            raise ToolError(f"{host} may not be read here; these may: {', '.join(self._hosts)}.")
        return found

    async def _get(self, pool: httpcore.AsyncConnectionPool, url: SplitResult) -> Page:
        headers = [("User-Agent", "antiphon"), ("Accept", "text/html, text/*, application/json"),
                   ("Accept-Encoding", "identity")]  # fmt: skip
        timeout = {"connect": CONNECT_S, "read": DEADLINE_S, "write": CONNECT_S, "pool": CONNECT_S}
        try:
            async with pool.stream(
                "GET", url._replace(fragment="").geturl(), headers=headers, extensions={"timeout": timeout}
            ) as response:
                return await _read(response, url.geturl())
        except (httpcore.TimeoutException, TimeoutError):
            raise ToolError(f"{url.hostname} did not answer in time.") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError):
            raise ToolError(f"{url.hostname} cannot be reached.") from None


async def _read(response: httpcore.Response, url: str) -> Page:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    location = headers.get("location", "") if response.status in (301, 302, 303, 307, 308) else ""
    kind = headers.get("content-type", "text/plain")
    body = bytearray()
    if not location and headers.get("content-encoding", "identity") == "identity":
        async for chunk in response.aiter_stream():
            body += chunk
            if len(body) > LARGEST_PAGE_BYTES:
                break
    is_whole = len(body) <= LARGEST_PAGE_BYTES
    return Page(url, response.status, kind, bytes(body[:LARGEST_PAGE_BYTES]), is_whole, location)


def _told(page: Page) -> dict[str, Any]:
    """What the model reads of it. Raises `ToolError` for what cannot be read."""
    kind, _, rest = page.kind.partition(";")
    if page.status >= 400:
        raise ToolError(f"the host answered with status {page.status}.")
    if not READABLE.fullmatch(kind.strip().lower()):
        raise ToolError(f"the page is {kind.strip()[:60]}, which cannot be read.")
    charset = rest.partition("charset=")[2].partition(";")[0].strip(" \"'") or "utf-8"
    try:
        text = page.body.decode(charset, "replace")
    except LookupError:
        text = page.body.decode("utf-8", "replace")
    if "html" in kind:
        title, text = words_of(text)
        return {"url": page.url, "title": title, "text": text, **({} if page.is_whole else {"stopped_early": True})}
    return {"url": page.url, "text": text, **({} if page.is_whole else {"stopped_early": True})}


class _Words(HTMLParser):
    """Collects what a reader would see, a line for each block."""

    SILENT = frozenset({"script", "style", "noscript", "template", "svg", "head"})
    BLOCKS = frozenset({"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "td"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.words: list[str] = []
        self._silent = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in self.SILENT
        self._in_title = tag == "title"
        if tag == "body":
            self._silent = 0  # also where nothing closed what was before
        if tag in self.BLOCKS:
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.SILENT:
            self._silent = max(0, self._silent - 1)
        self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif not self._silent:
            self.words.append(data)


def words_of(html: str) -> tuple[str, str]:
    """The title and the words of a page."""
    parser = _Words()
    parser.feed(html)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.words).split("\n"))
    return " ".join(parser.title.split()), "\n".join(line for line in lines if line)


def _matches(host: str, port: int | None, allowed: str) -> bool:
    name, _, wanted = allowed.partition(":")
    if port not in ((int(wanted),) if wanted else (None, 80, 443)):
        return False
    return name == "*" or host == name or (name.startswith("*.") and host.endswith(name[1:]))


def fetch_tool(hosts: Sequence[str]) -> ServerTool:
    """Raises `ConfigError`: see `Fetch`."""
    return FunctionTool(Fetch(hosts).fetch_page, "fetch_page", CONDUCT, f"Hosts: {', '.join(hosts)}.")
