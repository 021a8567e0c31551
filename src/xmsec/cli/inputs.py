"""Which files a command was given, and whose records they hold."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from xmsec.model.errors import ConfigError

if TYPE_CHECKING:
    from xmsec.content.streams import Stream
    from xmsec.sources.file import FileSource

HEAD_LINES = 50  # enough to tell a format by; what does not fit later is a dead letter


def sources_of(streams: Mapping[str, Stream], paths: Sequence[str], stream: str | None) -> Sequence[FileSource]:
    """Make one source a stream from paths whose stream is named or guessed. Raises ConfigError, InputError."""
    from xmsec.cli.home import now
    from xmsec.sources.file import FileSource
    from xmsec.sources.unpack import STDIN

    if stream is not None and stream not in streams:
        raise ConfigError(f'no stream "{stream}"', where="--stream", remedy=f"one of {', '.join(sorted(streams))}")
    by_stream: dict[str, list[str]] = {}
    stdin = None
    for path in paths:
        if path == STDIN:
            stdin = Rewound(sys.stdin.buffer)
        by_stream.setdefault(stream or _guess(path, stdin, streams), []).append(path)
    return [FileSource(name, of, now, stdin) for name, of in sorted(by_stream.items())]


class Rewound:
    """Standard input whose head was read to guess its format, from its beginning."""

    def __init__(self, inner: object) -> None:
        self._inner = inner
        self._head = b""

    def head(self, size: int) -> bytes:
        """Return the first bytes without taking them."""
        while len(self._head) < size and (more := self._inner.read(size - len(self._head))):  # type: ignore[attr-defined]
            self._head += more
        return self._head

    def read(self, size: int = -1, /) -> bytes:
        """Read on."""
        if self._head:
            taken, self._head = (self._head, b"") if size < 0 else (self._head[:size], self._head[size:])
            return taken
        return self._inner.read(size)  # type: ignore[attr-defined, no-any-return]


def _guess(path: str, stdin: Rewound | None, streams: Mapping[str, Stream]) -> str:
    from xmsec.parse.guess import guess
    from xmsec.sources.file import Content

    head = stdin.head(64 << 10) if stdin is not None and path == "-" else Content(path).head
    return guess(list(islice(head.split(b"\n"), HEAD_LINES)), streams)
