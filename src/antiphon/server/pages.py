"""Serves the playground, one page and its assets, and the client library for other pages, from the installed package.

It does not know sessions or keys. The files are small and few, so they are read once and answered from memory; each
asset has a hash in its name and may be kept for ever. The page and the library, whose addresses stay the same, are
asked for anew each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files
from importlib.resources.abc import Traversable

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}
"""Nothing from elsewhere, nobody's frame, no type but the one that is said."""

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOR_EVER, EACH_TIME = "public, max-age=31536000, immutable", "no-cache"


class Page(Struct, frozen=True):
    """One file as it is answered."""

    body: bytes
    kind: str
    tag: str
    caching: str


def routes() -> list[Route]:
    """One route for the page, one for each asset and each script of the library. Reads the files: call it before
    anybody is served."""
    folder = files("antiphon") / "web"
    found = [Route("/", _answer(_read(folder / "index.html", EACH_TIME)))]
    assets = sorted((folder / "assets").iterdir(), key=lambda file: file.name)
    found += [Route(f"/assets/{file.name}", _answer(_read(file, FOR_EVER))) for file in assets]
    scripts = sorted(file.name for file in (folder / "client").iterdir() if file.name.endswith(".js"))
    found += [Route(f"/client/{name}", _answer(_read(folder / "client" / name, EACH_TIME))) for name in scripts]
    return found


def _read(file: Traversable, caching: str) -> Page:
    body = file.read_bytes()
    suffix = "." + file.name.rpartition(".")[2]
    return Page(body, TYPES[suffix], f'"{hashlib.sha256(body).hexdigest()[:24]}"', caching)


def _answer(page: Page) -> Callable[[Request], Awaitable[Response]]:
    headers = HEADERS | {"Cache-Control": page.caching, "ETag": page.tag}

    async def answer(request: Request) -> Response:
        if request.headers.get("if-none-match") == page.tag:
            return Response(status_code=304, headers=headers)
        return Response(page.body, headers=headers | {"Content-Type": page.kind})

    return answer
