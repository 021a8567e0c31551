"""An object store that speaks as much of S3 as pyarrow's client asks for, on loopback, in this process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class Bucket:
    """Objects by key. broken: how many of the next requests that write are answered with an error."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.parts: dict[tuple[str, int], bytes] = {}
        self.broken = 0


@contextmanager
def bucket() -> Iterator[tuple[Bucket, str]]:
    """A bucket, and the URI of a prefix in it."""
    held = Bucket()
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: _Answer(held, *given))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        query = f"region=x&scheme=http&endpoint_override=127.0.0.1:{server.server_port}"
        yield held, f"s3://name:secret@bucket/recordings?{query}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, held: Bucket, *given: Any) -> None:
        self.held = held
        super().__init__(*given)

    def log_message(self, *_: Any) -> None:
        pass

    @property
    def key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/bucket").lstrip("/")

    @property
    def asked(self) -> dict[str, str]:
        found = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        return {name: values[0] for name, values in found.items()}

    def _say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return _unwrapped(body) if "aws-chunked" in self.headers.get("Content-Encoding", "") else body

    def do_HEAD(self) -> None:
        content = self.held.objects.get(self.key)
        if not self.key:
            self._say(200)
        elif content is None:
            self._say(404)
        else:
            self._say(200, Content_Length=str(len(content)), ETag='"x"', Last_Modified="Mon, 02 Mar 2026 00:00:00 GMT")

    def do_GET(self) -> None:
        if "list-type" in self.asked:
            self._list()
            return
        content = self.held.objects.get(self.key)
        if content is None:
            self._say(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        first, last = (int(wanted[1]), min(int(wanted[2]), len(content) - 1)) if wanted else (0, len(content) - 1)
        self._say(206 if wanted else 200, content[first : last + 1], Content_Range=f"bytes {first}-{last}/{len(content)}")

    def _list(self) -> None:
        prefix, delimiter = self.asked.get("prefix", ""), self.asked.get("delimiter", "")
        keys = sorted(key for key in self.held.objects if key.startswith(prefix))
        told, folders = [], set()
        for key in keys:
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter)[0] + delimiter)
            else:
                told.append(key)
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.held.objects[key])}</Size>"
            "<LastModified>2026-03-02T00:00:00.000Z</LastModified></Contents>"
            for key in told
        )
        common = "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(folders))
        count = len(told) + len(folders)
        head = f"<KeyCount>{count}</KeyCount><IsTruncated>false</IsTruncated>"
        body = f"<ListBucketResult>{head}{contents}{common}</ListBucketResult>"
        self._say(200, body.encode(), Content_Type="application/xml")

    def _refused(self) -> bool:
        if not self.held.broken:
            return False
        self.held.broken -= 1
        self._say(403, b"<Error><Code>AccessDenied</Code></Error>", Content_Type="application/xml")
        return True

    def do_PUT(self) -> None:
        body = self._body()
        if self._refused():
            return
        if "partNumber" in self.asked:
            self.held.parts[self.key, int(self.asked["partNumber"])] = body
        else:
            self.held.objects[self.key] = body
        self._say(200, ETag='"x"')

    def do_POST(self) -> None:
        self._body()
        if self._refused():
            return
        if "uploads" in self.asked:
            told = f"<Key>{escape(self.key)}</Key><UploadId>u</UploadId>"
            body = f"<InitiateMultipartUploadResult>{told}</InitiateMultipartUploadResult>"
        else:
            found = sorted(part for part in self.held.parts if part[0] == self.key)
            self.held.objects[self.key] = b"".join(self.held.parts.pop(part) for part in found)
            body = "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"
        self._say(200, body.encode(), Content_Type="application/xml")

    def do_DELETE(self) -> None:
        self.held.objects.pop(self.key, None)
        self._say(204)


def _unwrapped(body: bytes) -> bytes:
    """Take the client's own chunks apart: size in hexadecimal, perhaps a signature, then so many bytes; checksums trail."""
    found = b""
    while True:
        head, _, rest = body.partition(b"\r\n")
        size = int(head.split(b";")[0], 16)
        if not size:
            return found
        found, body = found + rest[:size], rest[size + 2 :]
