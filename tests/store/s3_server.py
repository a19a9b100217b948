"""A small S3 server on loopback: whole objects, objects in parts, listing and deleting; each signature is checked.

By Amazon's description of Signature Version 4 and of the requests, and independent of any client. It keeps all in
memory, and can be told to be away.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

KEY_ID, SECRET_KEY, REGION, BUCKET = "AKIDEXAMPLE", "a/secret+key-of-nobody", "eu-test-1", "calls"
LEAST_PART_BYTES = 5 << 20  # of all parts but the last
SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})")


Answer = tuple[int, bytes, dict[str, str]]
"""Status, body, headers."""


class S3:
    """What it holds, and what it was asked."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        """Parts that were sent, of objects that are not whole, by upload and number."""
        self.requests: list[str] = []
        self.is_away = False
        self.refuses = ""
        """Objects with this in their name."""
        self.url = ""

    def answer(self, method: str, key: str, query: dict[str, str], body: bytes) -> Answer:
        match method:
            case "POST" if "uploads" in query:
                name = f"upload-{len(self.requests)}"
                self.uploads[name] = {}
                return _xml(
                    f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
                )
            case "PUT" if "uploadId" in query:
                self.uploads[query["uploadId"]][int(query["partNumber"])] = body
                return 200, b"", {"ETag": _etag(body)}
            case "POST" if "uploadId" in query:
                return self._complete(key, self.uploads.pop(query["uploadId"]), body.decode())
            case "PUT" if self.refuses and self.refuses in key:
                return 403, b"<Error><Code>AccessDenied</Code></Error>", {}
            case "PUT":
                self.objects[key] = body
                return 200, b"", {"ETag": _etag(body)}
            case "GET" if not key:
                return self._listed(query.get("prefix", ""))
            case "GET" if key in self.objects:
                return (
                    200,
                    self.objects[key],
                    {"ETag": _etag(self.objects[key]), "Last-Modified": formatdate(usegmt=True)},
                )
            case "POST" if "delete" in query:
                return self._deleted(re.findall("<Key>(.*?)</Key>", body.decode()))
            case _:
                return 404, b"<Error><Code>NoSuchKey</Code></Error>", {}

    def _complete(self, key: str, parts: dict[int, bytes], wish: str) -> Answer:
        numbers = [int(number) for number in re.findall(r"<PartNumber>(\d+)</PartNumber>", wish)]
        if any(len(parts[number]) < LEAST_PART_BYTES for number in numbers[:-1]):
            return 400, b"<Error><Code>EntityTooSmall</Code></Error>", {}
        self.objects[key] = b"".join(parts[number] for number in numbers)
        return _xml(
            f"<CompleteMultipartUploadResult><ETag>{_etag(self.objects[key])}</ETag></CompleteMultipartUploadResult>"
        )

    def _deleted(self, keys: list[str]) -> Answer:
        for key in keys:
            self.objects.pop(key, None)
        rows = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        return _xml(f"<DeleteResult>{rows}</DeleteResult>")

    def _listed(self, prefix: str) -> Answer:
        moment = "2020-01-01T00:00:00.000Z"
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{moment}</LastModified><Size>{len(data)}</Size></Contents>"
            for key, data in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        return _xml(f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>")


@contextmanager
def s3_server() -> Iterator[S3]:
    """One that serves until the block is left."""
    s3 = S3()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            url = urlsplit(self.path)
            s3.requests.append(f"{self.command} {self.path}")
            status, told, headers = self.answer(url, body)
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(told))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told)

        def answer(self, url: SplitResult, body: bytes) -> Answer:
            if s3.is_away:
                return 503, b"<Error><Code>SlowDown</Code></Error>", {}
            if not is_signed(self.command, self.path, dict(self.headers.items()), body):
                return 403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>", {}
            bucket, _, key = unquote(url.path).lstrip("/").partition("/")
            if bucket != BUCKET:
                return 404, b"<Error><Code>NoSuchBucket</Code></Error>", {}
            return s3.answer(self.command, key, dict(parse_qsl(url.query, keep_blank_values=True)), body)

        do_GET = do_PUT = do_POST = respond  # noqa: N815 - as the base class calls them

        def log_message(self, format: str, *args: object) -> None:
            """Not in the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    s3.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield s3
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def is_signed(method: str, path: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether a request carries the signature that its sender's secret key makes."""
    given = {name.lower(): value for name, value in headers.items()}
    found = SIGNED.fullmatch(given.get("authorization", ""))
    if found is None:
        return False
    credential, signed, signature = found.groups()
    key_id, day, region, service, ending = credential.split("/")
    stated = given["x-amz-content-sha256"]
    if stated != "UNSIGNED-PAYLOAD" and stated != hashlib.sha256(body).hexdigest():
        return False
    url = urlsplit(path)
    query = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(url.query, keep_blank_values=True)
    )
    lines = [method, url.path, "&".join(f"{name}={value}" for name, value in query)]
    lines += [f"{name}:{' '.join(given[name].split())}" for name in signed.split(";")]
    request = "\n".join([*lines, "", signed, stated])
    scope = f"{day}/{region}/{service}/{ending}"
    text = "\n".join(["AWS4-HMAC-SHA256", given["x-amz-date"], scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{SECRET_KEY}".encode()
    for piece in (day, region, service, ending, text):
        key = hmac.new(key, piece.encode(), hashlib.sha256).digest()
    return (key_id, region, service) == (KEY_ID, REGION, "s3") and hmac.compare_digest(key.hex(), signature)


def _xml(body: str) -> Answer:
    return 200, f'<?xml version="1.0" encoding="UTF-8"?>{body}'.encode(), {"Content-Type": "application/xml"}


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
