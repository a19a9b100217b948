"""A small hub on loopback: the hub's two addresses, with files of the test's making and faults of its choosing."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class SmallHub:
    """What it serves, and how badly."""

    def __init__(self, files: Mapping[str, bytes], repository: str) -> None:
        self.files = dict(files)
        self.repository = repository
        self.requests: list[tuple[str, str | None]] = []
        """Path and Range of each."""
        self.tokens: list[str | None] = []
        """What each showed to be let in."""
        self.break_after: list[int] = []
        """Bytes after which the next answers break off, one for each."""
        self.lie = False
        """Whether contents differ from what is said of them."""
        self.status = 200
        self.proxied = ""
        """The address that it stands before, if it is a proxy."""
        self.url = ""

    def about(self) -> bytes:
        siblings = []
        for name, data in self.files.items():
            sibling: dict[str, object] = {"rfilename": name, "size": len(data)}
            sibling["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            if name.endswith(".bin"):
                sibling["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            siblings.append(sibling)
        return json.dumps({"sha": "0123abc", "siblings": siblings}).encode()


@contextmanager
def serving(hub: SmallHub) -> Iterator[SmallHub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            hub.requests.append((self.path, asked))
            hub.tokens.append(self.headers.get("Authorization"))
            self.path = self.path.removeprefix(hub.proxied)
            if hub.status != 200:
                self.send_error(hub.status)
                return
            if self.path.startswith(f"/api/models/{hub.repository}"):
                self._answer(hub.about(), 200)
                return
            data = hub.files[self.path.removeprefix(f"/{hub.repository}/resolve/0123abc/")]
            data = data[::-1] if hub.lie else data
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            self._answer(data[start:], 206 if asked else 200)

        def _answer(self, data: bytes, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if status != 200 or not self.path.startswith("/api"):
                limit = hub.break_after.pop(0) if hub.break_after else len(data)
                data = data[:limit]
            self.wfile.write(data)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
