"""What came over the network, read from the journal as records with positions; ticks speak for streams that fall silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from xmsec.model.types import Position, Raw, Rejected, Tick
from xmsec.sources.file import BATCH_LINES
from xmsec.sources.seen import Seen
from xmsec.sources.spool import PARTITION, Entry, Spool

READ_BYTES = 8 << 20  # of frames at once; then other sources have their turn


class Arrivals:
    """The reading side of the journal.

    idle: of a stream, how long it must bring nothing until time may pass without it. begun: streams that brought something in
    an earlier life; another one takes part from its first record on.
    """

    def __init__(self, spool: Spool, seen: Seen, idle: Callable[[str], timedelta], begun: Mapping[str, datetime]) -> None:
        self.problems: list[Rejected] = []
        self._spool, self._seen, self._idle = spool, seen, idle
        self._heard = dict(begun)
        self._given = self._at = 0
        self._marks: list[bytes] = []

    def batches(self, now: datetime) -> Iterator[Sequence[Raw | Tick]]:
        """Yield what is new, one stream a batch, then who is silent. The next batch is asked for when one was carried."""
        found: dict[str, list[Raw | Tick]] = {}
        marks: list[bytes] = []
        taken = 0
        for offset, end, entry in self._spool.read():
            if entry.stream not in self._heard:
                found[entry.stream] = [Tick(entry.stream, PARTITION, entry.received, "open")]
            self._heard[entry.stream] = now
            found.setdefault(entry.stream, []).extend(_raws(entry, offset))
            marks += entry.marks
            self._at = end
            taken += end - offset
            if taken >= READ_BYTES:
                break
        batches = [records[at : at + BATCH_LINES] for records in found.values() for at in range(0, len(records), BATCH_LINES)]
        for left, batch in enumerate(batches, 1 - len(batches)):
            if not left:
                self._given = self._at
                self._marks += marks
            yield batch
        yield from ([tick] for tick in self._silent(now))

    def _silent(self, now: datetime) -> Iterator[Tick]:
        for stream, since in list(self._heard.items()):
            if now - since >= self._idle(stream):
                self._heard[stream] = now
                yield Tick(stream, PARTITION, now, "idle")

    def settle(self) -> None:
        """What was given is committed: remove it from the journal, keep the marks by which it is known if it comes again."""
        if self._given:
            self._seen.write(self._marks)
            self._marks.clear()
            self._spool.settle(self._given)


def _raws(entry: Entry, offset: int) -> Iterator[Raw]:
    ids, cut, stream, received = entry.ids, entry.cut, entry.stream, entry.received
    for part, line in enumerate(entry.lines):
        place = Position(stream, PARTITION, offset, part)
        yield Raw(place, received, line, ids[part] if ids else None, part in cut)
