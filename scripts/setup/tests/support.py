"""A small HTTP server that misbehaves on demand, and folders that vanish after a test."""

from __future__ import annotations

import hashlib
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ..pins import Asset, Output, Source


def sha256(data: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(data).hexdigest()


class FolderTest(unittest.TestCase):
    """A test with an empty folder of its own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class FlakyServer:
    """Serves `data` with byte ranges; the first `n_broken` answers end after `cut` bytes."""

    def __init__(self, data: bytes, cut: int = 0, n_broken: int = 0, ranges: bool = True) -> None:
        self.requests: list[str | None] = []
        outer = self
        remaining = [n_broken]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the name that http.server calls
                wanted = self.headers.get("Range")
                outer.requests.append(wanted)
                start = int(wanted[len("bytes=") :].rstrip("-")) if wanted and ranges else 0
                body = data[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if remaining[0] > 0:
                    remaining[0] -= 1
                    body = body[:cut]
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keeps the test output quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """Address of the one file that is served."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/file"

    def __enter__(self) -> FlakyServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def url_source(url: str, data: bytes, file: str = "file.zip") -> Source:
    """A source whose pin is the hash of `data`."""
    return Source(file=file, bytes=len(data), sha256=sha256(data), url=url)


def member_asset(source: Source, member: str, content: bytes, path: str = "lib/thing.so") -> Asset:
    """An asset that copies one member out of an archive."""
    output = Output(path=path, bytes=len(content), sha256=sha256(content), member=member)
    return Asset("thing", "library", "1", "MIT", "members", ("cpu",), (source,), (output,))
