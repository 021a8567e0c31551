"""How a stream's bytes are cut: into lines, or into records of several lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from xmsec.content.streams import Framing
from xmsec.parse.framing import joiner
from xmsec.sources.lines import Found, Lines


class Cutter(Protocol):
    """Cuts chunks of bytes; `xmsec.sources.lines.Lines` is the plain one. reached: everything before it was given."""

    @property
    def reached(self) -> int:
        """Where what was not given yet begins."""
        ...

    def feed(self, chunk: bytes) -> Sequence[Found]:
        """Take the next bytes; return what they finish."""
        ...

    def settle(self) -> Sequence[Found]:
        """Return what only waits for whether another line belongs to it, when the input has long been quiet."""
        ...

    def end(self) -> Sequence[Found]:
        """Return the rest."""
        ...


Cut = Callable[[int], Cutter]  # made with the offset at which reading begins


class Records:
    """Lines, joined as a stream's `lines` says; holds one unfinished record of 1 MiB and one unfinished line."""

    def __init__(self, framing: Framing, offset: int = 0) -> None:
        self._lines = Lines(offset)
        self._joiner = joiner(framing)

    @property
    def reached(self) -> int:
        """Where the unfinished record begins."""
        start = self._joiner.start
        return self._lines.reached if start is None else start

    def feed(self, chunk: bytes) -> Sequence[Found]:
        """Take the next bytes; return the records that they finish."""
        return self._joiner.feed(self._lines.feed(chunk))

    def settle(self) -> Sequence[Found]:
        """Return the record that has waited for another line; a line without its end waits on."""
        return self._joiner.settle()

    def end(self) -> Sequence[Found]:
        """Return the unfinished record."""
        return [*self._joiner.feed(self._lines.end()), *self._joiner.settle()]


def cut_of(framing: Framing | None) -> Cut:
    """Return how a stream's files are cut."""
    return Lines if framing is None else partial(Records, framing)


def records_of(framing: Framing | None, message: bytes) -> Sequence[Found]:
    r"""Cut a message that is whole (of Kafka, of a request), each record with the place of its first byte in it.

    >>> records_of(Framing(quotes=True), b'1,"a\nb"\n2')
    [(0, b'1,"a\nb"', False), (8, b'2', False)]
    """
    cutter = cut_of(framing)(0)
    return [*cutter.feed(message), *cutter.end()]
