"""A file server on loopback that behaves as badly as it is told to."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """One file and how it is served.

    Attributes
    ----------
    content
        The bytes.
    cut_after
        Bytes after which the connection breaks, for each request in turn; then it does not.
    statuses
        Answered instead of the file, for each request in turn.
    ranges
        Whether ranges are honoured; "wrong": another range is sent than was asked for.
    length
        Whether the length is said.
    etag, kind
        Headers.
    """

    content: bytes
    cut_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool | str = True
    length: bool = True
    etag: str = '"one"'
    kind: str = "application/octet-stream"


class FileServer:
    """Path → file; keeps what was asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, Served] = {}
        self.requests: list[tuple[str, str | None]] = []

    def serve(self, name: str, content: bytes, **how: object) -> str:
        """Offer a file; returns its URL."""
        self.files[name] = Served(content, **how)  # type: ignore[arg-type]
        return f"{self.url}/{name}"


@contextmanager
def file_server() -> Iterator[FileServer]:
    """A server on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            server.requests.append((self.path.lstrip("/"), asked))
            file = server.files.get(self.path.lstrip("/"))
            if file is None or file.statuses:
                self.send_response(404 if file is None else file.statuses.pop(0))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start, total = 0, len(file.content)
            found = re.fullmatch(r"bytes=(\d+)-", asked or "")
            same = self.headers.get("If-Range") in (None, file.etag)
            if found and file.ranges and same:
                start = int(found[1])
                if start >= total:
                    self.send_response(416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if file.ranges == "wrong":
                    start = max(0, start - 7)
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            else:
                self.send_response(200)
            body = file.content[start:]
            self.send_header("Content-Type", file.kind)
            self.send_header("ETag", file.etag)
            if file.length:
                self.send_header("Content-Length", str(len(body)))
            else:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            cut = file.cut_after.pop(0) if file.cut_after else len(body)
            self.wfile.write(body[:cut])
            if cut < len(body):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    http = Server(("127.0.0.1", 0), Handler)
    server = FileServer(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
