"""Lets the pages of allowed origins read what the HTTP routes answer, and ask first whether they may.

Starlette's middleware does the talking; which origins are allowed is the door's word, at the time of asking.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

METHODS = ("GET", "POST", "DELETE")
EXPOSED = ("Location", "Retry-After")
"""Browsers hide all but a few headers of an answer: a call's id stands in Location."""


class Cors(CORSMiddleware):
    """No cookies are meant by any of it: keys travel in a header that the page itself writes."""

    def __init__(self, app: ASGIApp, allows_page: Callable[[str], bool]) -> None:
        # With "*" each header that is asked for is allowed by its name, which "*" in an answer would not do for
        # Authorization. The official clients send a dozen of their own, others with every version.
        super().__init__(app, allow_methods=METHODS, allow_headers=["*"], expose_headers=EXPOSED)
        self._allows_page = allows_page

    def is_allowed_origin(self, origin: str) -> bool:
        return self._allows_page(origin)
