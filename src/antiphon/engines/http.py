"""Asking an OpenAI-compatible server: one request, its streamed answer, and each failure as an `EngineError`.

It does not know what is asked or answered: paths and bodies belong to the engines. Addresses and keys come
from the operator's configuration alone, and neither a key nor anything that was said is ever part of an
error.
"""

from __future__ import annotations

import asyncio
import functools
import re
import socket
import ssl
import time
import urllib.request
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx
import msgspec
from msgspec import Struct, field

from antiphon.engines.deadlines import Deadlines
from antiphon.engines.sse import EventStream
from antiphon.errors import ConfigError, EngineError

__all__ = ["Answer", "Call", "Deadlines", "Traffic", "Upstream", "UpstreamError", "open_client", "retry_after_s"]

KEEP_ALIVE_S = 300.0  # people pause for minutes between two questions; servers that close earlier are noticed
UNLIMITED = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEP_ALIVE_S)
LANES = 32  # 10 connections each for 300 callers
LONGEST_BODY_BYTES = 4 << 20  # of an answer that is read whole; an hour's transcript is 60 kB
LONGEST_QUOTE_BYTES = 8 << 10  # of an error's body: enough for its message
QUOTE_CHARACTERS = 300
QUOTE_WAIT_S = 2.0  # the status has said what matters; its explanation must not hold up a spoken apology
LONGEST_RETRY_AFTER_S = 86_400.0  # whoever means longer, or nothing of the kind, is asked again after a day
LAST_BYTES_WAIT_S = 0.1  # after the last event only the end of the body is due, mostly in the same packet

T = TypeVar("T")


class UpstreamError(EngineError):
    """A server that we depend on failed; with what a failover needs to choose the next step."""

    def __init__(
        self, message: str, hint: str, *, code: str, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, hint, code=code)
        self.status = status
        """Of its HTTP answer, if there was one."""
        self.retry_after_s = retry_after_s
        """How long it asked to be left alone, if it did."""


class Traffic(Struct):
    """How the requests to one server have gone so far."""

    requests: int = 0
    retries: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    """By `UpstreamError.code`: our own words, so there are few."""


class Call(Struct, frozen=True):
    """One request to make: a JSON body, or else a form with a file."""

    path: str
    """Below the base URL, such as "/chat/completions"."""
    json: Mapping[str, Any] | None = None
    fields: Mapping[str, str] = {}
    file: tuple[str, bytes, str] | None = None
    """The form's `file`: its name, content and media type."""


def open_client() -> httpx.AsyncClient:
    """The HTTP client that all engines of a process share. Whoever opened it closes it, in the same event loop.

    Connections have no cap: admission decides how many sessions there are, and a cap below their number only
    makes them wait for each other where nobody looks. Redirects are refused, because a key must not follow
    one, and loopback never goes through a proxy. Where the environment names a proxy, its connections share one lane.
    """
    behind_proxy = any(urllib.request.getproxies().get(scheme) for scheme in ("http", "https", "all"))
    return httpx.AsyncClient(
        verify=_trusted(),
        limits=UNLIMITED,
        transport=None if behind_proxy else _Lanes(),
        headers={"user-agent": "antiphon", "accept-encoding": "identity"},
        mounts={"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None},
        follow_redirects=False,
    )


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Whom to believe that they are who they say. Reading the certificates takes some 30 ms, so they are read once."""
    return httpx.create_ssl_context()


class _Lanes(httpx.AsyncBaseTransport):
    """Many small pools of connections that look like one.

    httpx's pool looks through all its connections at the start and at the end of each request, several times: with
    300 of them that takes longer than all the rest. A request goes to the first of the least busy lanes, so that a
    few callers meet the same few warm connections.
    """

    def __init__(self) -> None:
        self._lanes = [httpx.AsyncHTTPTransport(verify=_trusted(), limits=UNLIMITED) for _ in range(LANES)]
        self._busy = [0] * LANES

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        lane = self._busy.index(min(self._busy))
        self._busy[lane] += 1
        try:
            response = await self._lanes[lane].handle_async_request(request)
        except BaseException:  # cancelling too: whatever ends the request leaves the lane
            self._busy[lane] -= 1
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _LaneStream(response.stream, functools.partial(self._leave, lane))
        return response

    async def aclose(self) -> None:
        for lane in self._lanes:
            await lane.aclose()

    def _leave(self, lane: int) -> None:
        self._busy[lane] -= 1


class _LaneStream(httpx.AsyncByteStream):
    """A response's body that says when it is closed."""

    def __init__(self, stream: httpx.AsyncByteStream, leave: Callable[[], None]) -> None:
        self._stream = stream
        self._leave: Callable[[], None] | None = leave

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            yield piece

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            if self._leave is not None:
                self._leave()
                self._leave = None


class Upstream:
    """One OpenAI-compatible API: an address, a key, and how patient to be with it."""

    def __init__(self, client: httpx.AsyncClient, base_url: str, key: str | None, deadlines: Deadlines) -> None:
        try:
            self._base = httpx.URL(base_url.rstrip("/"))
        except httpx.InvalidURL as error:
            raise ConfigError(f"{base_url!r} is not a URL", "Write it like http://127.0.0.1:8080/v1") from error
        if self._base.scheme not in ("http", "https") or not self._base.host:
            raise ConfigError(
                f"{base_url!r} is not the address of an HTTP API", "Write it like http://127.0.0.1:8080/v1"
            )
        key = key.strip() if key else None
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            raise ConfigError(
                "the api_key holds a character that no key has", "Was more than the key copied? Only its letters."
            )
        self.origin = f"{self._base.scheme}://{self._base.netloc.decode()}"
        """Scheme, host and port: what errors call it. The rest of a URL may hold secrets."""
        self.traffic = Traffic()
        self._client = client
        self._key = key
        self._deadlines = deadlines

    @property
    def host(self) -> str:
        return self._base.host

    async def warm(self) -> None:
        """Connect and ask for the list of models, so that the first question finds an open connection.

        Raises `UpstreamError` if nobody is there or the key is refused. A server that has no such list is fine.
        """
        patience = _Patience(self._deadlines, self.origin)
        response = await self._send(Call("/models"), patience)
        try:
            if response.status_code in (401, 403):
                raise await self._refusal(response, Call("/models"))
            await Answer(response, patience).body()
        finally:
            await response.aclose()

    @asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[Answer]:
        """Make the call; inside the block, its answer can be read as it arrives.

        Leaving the block before the answer's end closes the connection, which is how a server learns that
        nobody listens; after its end the connection is kept for the next call. Raises `UpstreamError` for
        every status but 2xx, for every broken connection, and for every deadline.
        """
        try:
            patience = _Patience(self._deadlines, self.origin)
            response = await self._send(call, patience)
            try:
                if not response.is_success:
                    raise await self._refusal(response, call)
                yield Answer(response, patience)
            finally:
                await response.aclose()
        except UpstreamError as error:
            self.traffic.errors[error.code or "upstream_failed"] += 1
            raise

    async def _send(self, call: Call, patience: _Patience) -> httpx.Response:
        self.traffic.requests += 1
        try:
            return await patience.first_byte(self._client.send(self._request(call), stream=True))
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # A server closes an idle connection whenever it likes, and that may cross our request on its way.
            # Nothing was answered, so asking once more on a new connection is safe.
            pass
        except httpx.HTTPError as error:
            raise _broken(error, self.origin) from error
        self.traffic.retries += 1
        try:
            return await patience.first_byte(self._client.send(self._request(call), stream=True))
        except httpx.HTTPError as error:
            raise _broken(error, self.origin) from error

    def _request(self, call: Call) -> httpx.Request:
        headers = {"authorization": f"Bearer {self._key}"} if self._key else {}
        url = self._base.copy_with(path=self._base.path.rstrip("/") + call.path)
        timeout = httpx.Timeout(None, connect=self._deadlines.connect_s)  # the others are `_Patience`
        if call.file is not None:
            return self._client.build_request(
                "POST", url, headers=headers, data=call.fields, files={"file": call.file}, timeout=timeout
            )
        if call.json is not None:
            headers["content-type"] = "application/json"
            content = msgspec.json.encode(call.json)
            return self._client.build_request("POST", url, headers=headers, content=content, timeout=timeout)
        return self._client.build_request("GET", url, headers=headers, timeout=timeout)

    async def _refusal(self, response: httpx.Response, call: Call) -> UpstreamError:
        status = response.status_code
        quote = await _quote(response)
        if self._key:
            quote = quote.replace(self._key, "***")
        said = f" ({quote})" if quote else ""
        code, hint = _meaning(response, call.path)
        return UpstreamError(
            f"{self.origin} answered {call.path} with status {status}{said}",
            hint,
            code=code,
            status=status,
            retry_after_s=retry_after_s(response),
        )


class Answer:
    """An answer that is still arriving. Read by one task, within `Upstream.answer`'s block."""

    def __init__(self, response: httpx.Response, patience: _Patience) -> None:
        self.media_type, _, parameters = response.headers.get("content-type", "").lower().partition(";")
        self.media_type = self.media_type.strip()
        """Such as "text/event-stream", in lower case; empty if the server did not say."""
        self.media_parameters = parameters.strip()
        """What followed it, such as "rate=24000"."""
        self._pieces = response.aiter_bytes()
        self._patience = patience
        self._stream = EventStream()
        self._events: deque[str] = deque()
        self._ended = False

    async def piece(self) -> bytes | None:
        """The next bytes, as soon as any are there; None at the end."""
        if self._ended:
            return None
        try:
            piece = await self._patience.piece(anext(self._pieces, None))
        except httpx.HTTPError as error:
            raise _broken(error, self._patience.origin) from error
        self._ended = piece is None
        return piece

    async def body(self) -> bytes:
        """All that is left, at most `LONGEST_BODY_BYTES`."""
        body = bytearray()
        while (piece := await self.piece()) is not None:
            body += piece
            if len(body) > LONGEST_BODY_BYTES:
                raise malformed(f"{self._patience.origin} answered with more than {LONGEST_BODY_BYTES} bytes")
        return bytes(body)

    async def event(self) -> str | None:
        """The data of the next server-sent event; None at the end of the stream."""
        while not self._events:
            piece = await self.piece()
            self._events.extend(self._stream.feed(piece) if piece is not None else self._stream.finish())
            if piece is None and not self._events:
                return None
        return self._events.popleft()

    async def finish(self) -> None:
        """Say that the rest does not matter: wait a moment for the body's end, so that the connection is kept.

        Never raises for the server's sake; one that goes on talking loses the connection instead.
        """
        try:
            async with asyncio.timeout(LAST_BYTES_WAIT_S):
                while await self.piece() is not None:
                    pass
        except (TimeoutError, EngineError):
            pass


class _Patience:
    """What is left of a call's deadlines. Only time spent in here counts."""

    def __init__(self, deadlines: Deadlines, origin: str) -> None:
        self.origin = origin
        self._idle_s = deadlines.idle_s
        self._first_left_s: float | None = deadlines.first_byte_s
        self._total_left_s = deadlines.total_s
        self._deadlines = deadlines

    async def first_byte(self, waiting: Awaitable[T]) -> T:
        """Wait for something that comes before the body's first byte."""
        return await self._wait(waiting)

    async def piece(self, waiting: Awaitable[T]) -> T:
        """Wait for a piece of the body."""
        piece = await self._wait(waiting)
        self._first_left_s = None
        return piece

    async def _wait(self, waiting: Awaitable[T]) -> T:
        now = asyncio.get_running_loop().time
        started = now()
        limit_s = self._idle_s if self._first_left_s is None else self._first_left_s
        try:
            async with asyncio.timeout(min(limit_s, self._total_left_s)):
                return await waiting
        except TimeoutError as error:
            raise self._exhausted() from error
        finally:
            spent_s = now() - started
            self._total_left_s -= spent_s
            if self._first_left_s is not None:
                self._first_left_s -= spent_s

    def _exhausted(self) -> UpstreamError:
        limit_s = self._idle_s if self._first_left_s is None else self._first_left_s
        if self._total_left_s < limit_s:
            problem = f"{self.origin} did not finish within {self._deadlines.total_s:g} s"
            setting = "total_timeout_s"
        elif self._first_left_s is None:
            problem = f"{self.origin} fell silent in the middle of its answer for {self._idle_s:g} s"
            setting = "idle_timeout_s"
        else:
            problem = f"{self.origin} did not begin to answer within {self._deadlines.first_byte_s:g} s"
            setting = "first_byte_timeout_s"
        hint = f"Is the server overloaded, or still loading its model? The limit is {setting}."
        return UpstreamError(problem, hint, code="upstream_timeout")


def malformed(message: str) -> UpstreamError:
    """An answer that is not what the API promises."""
    return UpstreamError(
        message,
        "Check that base_url leads to an OpenAI-compatible API, usually ending in /v1, and that the model fits.",
        code="upstream_malformed",
    )


def reported(origin: str, message: str) -> UpstreamError:
    """An error that the server told of inside an answer that had begun well."""
    return UpstreamError(
        f"{origin} reported an error: {_one_line(message) or 'without a word'}",
        "The words are the server's own; its log may say more.",
        code="upstream_failed",
    )


def cut_short(origin: str) -> UpstreamError:
    """A body that ended as if it were complete, before what it carried was."""
    return UpstreamError(
        f"{origin} ended its answer before it was complete",
        "The server, or a proxy in front of it, gave up; its log may say why.",
        code="upstream_cut",
    )


def error_message(body: bytes) -> str:
    """What an error body says, on one line: the `message` of OpenAI's shape, or of its variants, or the text."""
    text = body.decode(errors="replace")
    try:
        parsed = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return "" if text.lstrip().startswith("<") else _one_line(text)
    while isinstance(parsed, dict):
        inner = next((parsed[name] for name in ("error", "message", "detail") if parsed.get(name)), None)
        if inner is None:
            break
        parsed = inner
    return _one_line(parsed if isinstance(parsed, str) else text)


def _one_line(text: str) -> str:
    plain = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * QUOTE_CHARACTERS]).split())
    # Services quote the key that they refuse, not always masked.
    plain = re.sub(r"\b(sk|pk|key|gsk|xai)-[\w*.-]{6,}", r"\1-***", plain)
    return plain if len(plain) <= QUOTE_CHARACTERS else plain[:QUOTE_CHARACTERS] + "…"


async def _quote(response: httpx.Response) -> str:
    body = bytearray()
    try:
        async with asyncio.timeout(QUOTE_WAIT_S):
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > LONGEST_QUOTE_BYTES:
                    break
    except (TimeoutError, httpx.HTTPError):
        pass  # what came so far is all the explanation that there is
    return error_message(bytes(body[:LONGEST_QUOTE_BYTES]))


def _meaning(response: httpx.Response, path: str) -> tuple[str, str]:
    """Code and hint for a status that is not a success."""
    match response.status_code:
        case 401 | 403:
            return "upstream_auth", "Check api_key or api_key_env, and that the key may use this model."
        case 404 | 405:
            return "upstream_not_found", (f"Check model, and that base_url ends where {path} begins, usually in /v1.")
        case 429:
            wait_s = retry_after_s(response)
            when = f"It asks to wait {wait_s:g} s. " if wait_s is not None else ""
            return "upstream_rate_limited", f"{when}Raise the limit or the quota with the provider."
        case status if 300 <= status < 400:
            where = response.headers.get("location", "")
            origin = _one_line(where.split("?")[0]) or "elsewhere"
            return "upstream_redirect", f"Set base_url to where it points: {origin}. Keys do not follow redirects."
        case status if status >= 500:
            return "upstream_failed", "The server's own log says why; the next request may work."
        case _:
            return "upstream_rejected", "Check that the model takes this kind of request; see its documentation."


def retry_after_s(response: httpx.Response) -> float | None:
    """Seconds from now, at most a day; None if it says nothing that can be understood."""
    said = response.headers.get("retry-after", "")
    try:
        seconds = float(said)
    except ValueError:
        until = _seconds_of(said)
        # Measured by the server's own clock, which its other clocks agree with, whatever ours says.
        since = _seconds_of(response.headers.get("date", "")) or time.time()
        seconds = max(0.0, until - since) if until is not None else -1.0
    return min(seconds, LONGEST_RETRY_AFTER_S) if seconds >= 0 else None


def _seconds_of(date: str) -> float | None:
    """Since 1970, of a date as HTTP writes it."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _broken(error: httpx.HTTPError, origin: str) -> UpstreamError:
    """What a failure of the connection means for the operator."""
    roots = list(_causes(error))
    if any(isinstance(root, socket.gaierror) for root in roots):
        return UpstreamError(
            f"the name in {origin} is not known to DNS",
            "Check base_url for a typing error, and the network.",
            code="upstream_unreachable",
        )
    for root in roots:
        if isinstance(root, ssl.SSLError):
            return UpstreamError(
                f"no secure connection to {origin}: {_one_line(root.reason or str(root))}",
                "Check https against http in base_url, and that SSL_CERT_FILE names a private authority.",
                code="upstream_tls",
            )
    if isinstance(error, httpx.ConnectTimeout):
        return UpstreamError(
            f"{origin} did not accept a connection in time",
            "Is the host up, and no firewall between? The limit is connect_timeout_s.",
            code="upstream_timeout",
        )
    if isinstance(error, httpx.ConnectError):
        refused = any(isinstance(root, ConnectionRefusedError) for root in roots)
        return UpstreamError(
            f"nobody listens at {origin}" if refused else f"{origin} cannot be reached",
            "Is the server running, and on this port? Check base_url.",
            code="upstream_unreachable",
        )
    if isinstance(error, httpx.DecodingError | httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return malformed(f"the exchange with {origin} is not valid HTTP: {_one_line(str(error))}")
    return UpstreamError(
        f"{origin} broke the connection off",
        "The server, or a proxy in front of it, went away; its log may say why.",
        code="upstream_reset",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that it was raised from, groups included."""
    pending: list[BaseException] = [error]
    while pending:
        current = pending.pop()
        yield current
        if isinstance(current, BaseExceptionGroup):
            pending.extend(current.exceptions)
        cause = current.__cause__ or current.__context__
        if cause is not None:
            pending.append(cause)
