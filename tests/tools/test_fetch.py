"""Pages of named hosts can be read; nothing of the operator's own network can, whatever it is called."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpcore
import pytest

from antiphon.errors import ConfigError
from antiphon.tools.api import ToolContext, ToolError
from antiphon.tools.builtin.fetch import Fetch, PublicNetwork, fetch_tool, is_public, words_of

CONTEXT = ToolContext(datetime(2026, 1, 2, tzinfo=UTC), "en-US", "s", lambda text: None)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "2002:0a00:0001::",
        "64:ff9b::a00:1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1",
    ],
)  # fmt: skip
def test_what_is_no_address_of_the_open_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_what_is_one(address: str) -> None:
    assert is_public(address)


Answer = tuple[int, str, bytes]


class Web:
    """What hosts answer, over a real connection's bytes but without a network."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def _resolve(self, host: str, port: int) -> Iterable[str]:
        if host == "gone.test":
            raise OSError
        return ["10.0.0.1"] if host.startswith("inner") else ["93.184.215.14"]

    def network(self) -> httpcore.AsyncNetworkBackend:
        web = self

        class Scripted(PublicNetwork):
            def __init__(self) -> None:
                super().__init__(web._resolve)
                self._inner = Wire()  # type: ignore[assignment]

        class Wire(httpcore.AsyncMockBackend):
            def __init__(self) -> None:
                super().__init__([])

            async def connect_tcp(self, host: str, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
                assert is_public(host)
                return Stream()

        class Stream(httpcore.AsyncMockStream):
            def __init__(self) -> None:
                super().__init__([])

            async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
                if not buffer.startswith(b"GET"):
                    return
                lines = buffer.decode().split("\r\n")
                host = next(line[6:] for line in lines if line.lower().startswith("host: "))
                path = lines[0].split()[1]
                web.asked.append(f"{host}{path}")
                status, kind, body = web.answers[f"{host}{path}"]
                head = f"HTTP/1.1 {status} X\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
                self._buffer = [head.encode() + body]

            async def start_tls(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
                return self

        return Scripted()

    def fetch(self, url: str, hosts: tuple[str, ...] = ("*",)) -> Any:
        return asyncio.run(Fetch(hosts, self.network()).fetch_page(url))


HTML = "Content-Type: text/html; charset=utf-8"
PAGE = """<html><head><title>The  news</title><script>evil()</script></head><body><style>x</style>
<h1>Today</h1><p>It&nbsp;rained in <b>Wien</b> &amp; Graz.<li>one<li>two<script>if (a < b) {}</script></body>"""


def test_a_page_becomes_its_words() -> None:
    web = Web({"news.test/a?b=c": (200, HTML, PAGE.encode())})
    found = web.fetch("https://news.test/a?b=c#part")
    assert found == {"url": "https://news.test/a?b=c#part", "title": "The news",
                     "text": "Today\nIt rained in Wien & Graz.\none\ntwo"}  # fmt: skip


def test_other_texts_are_as_they_are() -> None:
    web = Web({"api.test/": (200, "Content-Type: application/problem+json", b'{"a":1}'),
               "old.test/": (200, "Content-Type: text/plain; charset=latin-1", "über".encode("latin-1")),
               "odd.test/": (200, "Content-Type: text/plain; charset=none", "über".encode())})  # fmt: skip
    assert web.fetch("https://api.test/")["text"] == '{"a":1}'
    assert web.fetch("https://old.test/")["text"] == "über"
    assert web.fetch("https://odd.test/")["text"] == "über"


def told(act: Callable[[], object]) -> str:
    with pytest.raises(ToolError) as caught:
        act()
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://inner.test/", "is not on the open Internet"),
        ("https://gone.test/", "there is no host"),
        ("http://127.0.0.1/", "is not on the open Internet"),
        ("http://2130706433/", "is not on the open Internet"),
        ("http://[::ffff:127.0.0.1]/", "is not on the open Internet"),
        ("file:///etc/passwd", "no address of a page"),
        ("https://user:word@news.test/", "no address of a page"),
        ("https://", "no address of a page"),
        ("http://[", "is no address"),
        ("https://news.test:22/", "may not be read here"),
        ("https://news.test/missing", "status 404"),
        ("https://news.test/song", "audio/mpeg, which cannot be read"),
        ("https://news.test/circle", "never ends"),
        ("https://news.test/inside", "is not on the open Internet"),
        ("https://news.test/away", "no address of a page"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(url: str, sentence: str) -> None:
    web = Web({
        "news.test/missing": (404, HTML, b""), "news.test/song": (200, "Content-Type: audio/mpeg", b""),
        "news.test/circle": (302, "Location: /circle", b""), "news.test/inside": (301, "Location: //inner.test/", b""),
        "news.test/away": (307, "Location: file:///etc/passwd", b""),
    })  # fmt: skip

    async def numbers(host: str, port: int) -> Iterable[str]:
        return ["127.0.0.1"]

    if "127" in url or "2130706433" in url:  # as the system's resolver understands them
        assert sentence in told(lambda: asyncio.run(Fetch(("*",), PublicNetwork(numbers)).fetch_page(url)))
    else:
        assert sentence in told(lambda: web.fetch(url))


def test_only_named_hosts_are_asked_also_after_a_redirect() -> None:
    web = Web({"a.news.test/": (302, "Location: https://other.test/", b""), "news.test/": (200, HTML, b"x")})
    hosts = ("*.news.test", "news.test")
    assert web.fetch("https://news.test", hosts)["text"] == "x"
    assert "other.test may not be read here; these may: *.news.test, news.test." in told(
        lambda: web.fetch("https://a.news.test/", hosts)
    )
    for url in ("https://badnews.test/", "https://news.test.evil/", "https://news.test:8080/"):
        assert "may not be read" in told(partial(web.fetch, url, hosts))
    assert web.asked == ["news.test/", "a.news.test/"]


def test_a_port_of_its_own_can_be_named() -> None:
    web = Web({"news.test:8080/": (200, HTML, b"x")})
    assert web.fetch("http://news.test:8080/", ("news.test:8080",))["text"] == "x"
    assert "may not" in told(lambda: web.fetch("http://news.test/", ("news.test:8080",)))


def test_a_flood_is_read_so_far() -> None:
    web = Web({"news.test/": (200, "Content-Type: text/plain", b"x" * 3_000_000)})
    found = web.fetch("https://news.test/")
    assert (len(found["text"]), found["stopped_early"]) == (1_000_000, True)


def test_a_broken_page_has_words_too() -> None:
    assert words_of("<title>a<body>b</script></p>c") == ("a", "bc")
    assert words_of("") == ("", "")
    assert words_of("<script>never closed <p>text") == ("", "")


def test_hosts_are_checked_when_the_server_starts() -> None:
    for host in ("https://news.test", "", "news test", "*news.test", "news.test:port"):
        with pytest.raises(ConfigError, match=r"tools\.fetch"):
            Fetch((host,))
    tool = fetch_tool(("news.test",))
    assert tool.spec.description == "Read a page of the web. Hosts: news.test."
    with pytest.raises(ToolError, match="may not be read"):
        json.loads(asyncio.run(tool.call({"url": "https://x.test"}, CONTEXT)))
