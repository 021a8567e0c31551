"""Which files a command was given, and whose records they hold."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader, BytesIO
from itertools import islice
from typing import TYPE_CHECKING, cast

from xmsec.model.errors import ConfigError, InputError

if TYPE_CHECKING:
    from xmsec.content.streams import Stream
    from xmsec.sources.file import Content, FileSource

BOM = b"\xef\xbb\xbf"  # of a text that was saved on Windows; no part of its first line
HEAD_LINES = 200  # enough to tell a format by; what does not fit later is a dead letter
HEAD_BYTES = 64 << 10
_BLANK = b"\xef\xbb\xbf\0 \t\r\n"


def sources_of(streams: Mapping[str, Stream], paths: Sequence[str], named: Sequence[str]) -> Sequence[FileSource]:
    """Make one source a stream from paths. Raises ConfigError, InputError.

    named: the streams that were named: one for all paths, one for each, or none, then they are guessed.
    """
    from xmsec.cli.home import now
    from xmsec.sources.file import FileSource
    from xmsec.sources.records import cut_of
    from xmsec.sources.unpack import STDIN

    for name in named:
        if name not in streams:
            raise ConfigError(f'no stream "{name}"', where="--stream", remedy=f"one of {', '.join(sorted(streams))}")
    if len(named) not in (0, 1, len(paths)):
        what = f"{len(named)} streams for {len(paths)} paths"
        raise ConfigError(what, where="--stream", remedy="name one for all paths, or one for each in their order")
    stream_by_path = dict(zip(paths, list(named) * (len(paths) if len(named) == 1 else 1), strict=False))
    by_stream: dict[str, list[str]] = {}
    stdin = None
    for path in dict.fromkeys(paths):
        if path == STDIN:
            if sys.stdin is None:
                raise ConfigError("standard input is closed", where=STDIN, remedy="pipe something in, or name a file")
            stdin = Rewound(cast(BufferedReader, sys.stdin.buffer))
        by_stream.setdefault(stream_by_path.get(path) or _guess(path, stdin, streams), []).append(path)
    cuts = {name: cut_of(streams[name].lines) if name in streams else cut_of(None) for name in by_stream}
    return [FileSource(name, of, now, stdin, cut=cuts[name]) for name, of in sorted(by_stream.items())]


def lines_of(path: str) -> Iterator[bytes]:
    """Return the lines of a file, also .gz and .zst, or of standard input (`-`). Raises ConfigError at once."""
    from xmsec.sources.file import Content
    from xmsec.sources.unpack import STDIN

    return _lines(Content(path, sys.stdin.buffer if path == STDIN else None))


def _lines(content: Content) -> Iterator[bytes]:
    from xmsec.model.errors import InputError
    from xmsec.sources.lines import Lines
    from xmsec.sources.unpack import CHUNK_BYTES

    lines = Lines()
    first = True
    try:
        for chunk in content.chunks(0, CHUNK_BYTES):
            for _, line, _ in lines.feed(chunk.removeprefix(BOM) if first else chunk):
                yield line
            first = False
    except InputError as error:
        yield from (line for _, line, _ in lines.end())
        raise InputError(error.what, where=content.path, remedy=error.remedy or "what stands before was read") from error
    yield from (line for _, line, _ in lines.end())


class Rewound:
    """Standard input whose head was read to guess its format, from its beginning."""

    def __init__(self, inner: BufferedReader) -> None:
        self._inner = inner
        self._head = b""

    def head(self, size: int) -> bytes:
        """Return the first bytes without taking them."""
        while len(self._head) < size and (more := self._inner.read(size - len(self._head))):
            self._head += more
        return self._head

    def read1(self, size: int = -1, /) -> bytes:
        """Read on: what there is, so that a pipe is not waited for."""
        if self._head:
            taken, self._head = (self._head, b"") if size < 0 else (self._head[:size], self._head[size:])
            return taken
        return self._inner.read1(size)

    read = read1


def _guess(path: str, stdin: Rewound | None, streams: Mapping[str, Stream]) -> str:
    """Guess whose records a file holds; one without a line yet is nobody's, and its blank lines count for any stream."""
    from xmsec.parse.guess import guess

    head = _unpacked(stdin.head(HEAD_BYTES)) if stdin is not None and path == "-" else _beginning(path)
    if not head.strip(_BLANK):
        return min(streams, key=lambda name: (not name.startswith("generic."), name), default="generic")
    return guess(list(islice(head.split(b"\n"), HEAD_LINES)), streams)


def _unpacked(head: bytes) -> bytes:
    """Return what the first bytes of a packed input hold."""
    from xmsec.sources.unpack import Counting, unpack

    found = b""
    try:
        for chunk in unpack(Counting(BytesIO(head)), HEAD_BYTES):
            found += chunk
            if len(found) >= HEAD_BYTES:
                break
    except InputError:
        pass  # the rest of it was not asked for
    return found


def _beginning(path: str) -> bytes:
    """Return the first bytes that are not blank: a log that was emptied while it was written begins with megabytes of NULs."""
    from xmsec.sources.file import Content
    from xmsec.sources.unpack import CHUNK_BYTES

    content = Content(path)
    if content.head.strip(_BLANK) or len(content.head) < HEAD_BYTES:
        return content.head
    found = b""
    try:
        for chunk in content.chunks(0, CHUNK_BYTES):
            found = found + chunk if found else chunk.lstrip(_BLANK)
            if len(found) >= HEAD_BYTES:
                break
    except InputError:
        pass  # said when the file is read
    return found
