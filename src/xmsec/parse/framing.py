"""Records out of lines, where one may span several (a CSV cell with a line end in it, an XML element) or hold several.

A line comes and a record goes as (offset of its first byte, bytes, whether it was cut); a record stands where its first line
stands, and is given once it is finished, so that no committed position passes an unfinished one. Whoever begins again at a
record's offset gets the same records. Nothing is left out: what belongs to no record is given as it is, for the parser to
refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from xmsec.content.streams import Framing

RECORD_BYTES = 1 << 20  # as much as one line may have
RECORD_LINES = 4_096  # what is longer is rather a quote that was never closed; a held line costs 100 bytes beside its own
_CELL = rb'(?:"(?:[^"]|"")*+"|[^",]*+)'
_ROW = re.compile(rb"%b(?:,%b)*+" % (_CELL, _CELL))
_BETWEEN = re.compile(rb"[\s,\[]*")
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])

Found = tuple[int, bytes, bool]


class Joiner(Protocol):
    """Holds the lines of one unfinished record. start: where that begins, None when there is none."""

    @property
    def start(self) -> int | None:
        """Where the unfinished record begins."""
        ...

    def feed(self, lines: Iterable[Found]) -> list[Found]:
        """Take the next lines; return the records that they finish."""
        ...

    def settle(self) -> list[Found]:
        """Return what is held, for an input that ended or has long been quiet."""
        ...


def joiner(framing: Framing) -> Joiner:
    """Make what joins lines as a stream's file says."""
    if framing.array:
        return _ByElement()
    return _ByQuotes() if framing.quotes else _ByBeginning(framing)


def joined(framing: Framing | None, lines: Iterable[Found]) -> Sequence[Found]:
    r"""Join all lines of a text, such as a message that is whole.

    >>> joined(Framing(quotes=True), [(0, b'a,"b', False), (5, b'c"', False), (8, b"d", False)])
    [(0, b'a,"b\nc"', False), (8, b'd', False)]
    """
    if framing is None:
        return list(lines)
    one = joiner(framing)
    return [*one.feed(lines), *one.settle()]


def elements(line: bytes) -> list[tuple[int, bytes]]:
    """Return what a JSON array holds, each with its place in the line; a line that is none holds itself.

    So is the rest of one that begins at an element, where a reading may have been killed.

    >>> elements(b'[{"a":1}, {"a":2}]')
    [(1, b'{"a":1}'), (10, b'{"a":2}')]
    >>> elements(b'{"a":2}]')
    [(0, b'{"a":2}')]
    """
    begun = line[:1] == b"["
    if not begun and not (line[:1] == b"{" and line.rstrip()[-1:] == b"]"):
        return [(0, line)]
    try:
        found = _ARRAY.decode(line if begun else b"[" + line)
    except (msgspec.MsgspecError, RecursionError):
        found = []
    places: list[tuple[int, bytes]] = []
    at = 0
    for one in map(bytes, found):
        match = _BETWEEN.match(line, at)
        start = match.end() if match else at
        places.append((start, one))
        at = start + len(one)
    return places or [(0, line)]


class _ByElement:
    """A record is an object of an array; nothing is held. Its offset is that of its first byte."""

    start = None

    def feed(self, lines: Iterable[Found]) -> list[Found]:
        return [(offset + place, one, cut) for offset, line, cut in lines for place, one in elements(line)]

    def settle(self) -> list[Found]:
        return []


class _Held:
    def __init__(self) -> None:
        self._held: list[Found] = []
        self._size_bytes = 0

    @property
    def start(self) -> int | None:
        return self._held[0][0] if self._held else None

    def _hold(self, line: Found) -> None:
        self._held.append(line)
        self._size_bytes += len(line[1]) + 1

    def _over(self) -> bool:
        return self._size_bytes > RECORD_BYTES + 1 or len(self._held) > RECORD_LINES

    def _release(self) -> list[Found]:
        held, self._held, self._size_bytes = self._held, [], 0
        return held


class _ByBeginning(_Held):
    """A record goes on until the next one begins. One that grows too long is cut there; the lines behind it stand alone."""

    def __init__(self, framing: Framing) -> None:
        super().__init__()
        self._begins = re.compile((framing.begins or "").encode()).match
        self._ends = re.compile(framing.ends.encode()).search if framing.ends else None

    def feed(self, lines: Iterable[Found]) -> list[Found]:
        given: list[Found] = []
        for line in lines:
            if self._begins(line[1]) is not None:
                given += self.settle()
            elif not self._held:
                given.append(line)
                continue
            self._hold(line)
            if self._over() or (self._ends is not None and self._ends(line[1].rstrip())):
                given += self.settle()
        return given

    def settle(self) -> list[Found]:
        cut = self._over()
        held = self._release()
        if len(held) < 2:
            return held
        whole = b"\n".join([line for _, line, _ in held])
        return [(held[0][0], whole[:RECORD_BYTES], cut or any(part for _, _, part in held))]


class _ByQuotes(_Held):
    """A record is a row of CSV (RFC 4180): it goes on while a double quote is open.

    A quote that never closes (a crash in mid-record) would turn all that follows inside out. So when what was joined is no CSV,
    grows too long, or the input ends, its first line is given alone and reading begins again at the second: no other is lost.
    """

    def __init__(self) -> None:
        super().__init__()
        self._open = False

    def feed(self, lines: Iterable[Found]) -> list[Found]:
        given: list[Found] = []
        for line in lines:
            self._open ^= line[1].count(b'"') % 2 == 1
            if not self._open and not self._held:
                given.append(line)
                continue
            self._hold(line)
            if not self._open:
                given += self._close()
            elif self._over():
                given += self._begin_again()
        return given

    def _close(self) -> list[Found]:
        whole = b"\n".join([line for _, line, _ in self._held])
        cut = self._over() or any(part for *_, part in self._held)
        if not cut and _ROW.fullmatch(whole) is None:
            return self._begin_again(cut=False)
        return [(self._release()[0][0], whole[:RECORD_BYTES], cut)]

    def settle(self) -> list[Found]:
        given: list[Found] = []
        while self._held:
            given += self._begin_again(cut=self._held[0][2])
        return given

    def _begin_again(self, *, cut: bool = True) -> list[Found]:
        (offset, first, _), *rest = self._release()
        self._open = False
        return [(offset, first, cut), *self.feed(rest)]
