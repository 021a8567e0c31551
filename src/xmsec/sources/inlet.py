"""Where network sources hand over what they received: one writer for all of them, whose syncs are shared.

What is handed over at once by many is written together and synced once, so a sync's milliseconds bound how long a record waits,
not how many come in. There is a bound for what lies there: beyond it nobody is let in, and each source says so in its way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Lock, Thread

import msgspec

from xmsec.model.errors import ServiceError
from xmsec.sources.seen import Seen
from xmsec.sources.spool import Entry, Spool

PENDING_BYTES = 32 << 20  # on their way to the disk, of all sources together

Tally = dict[tuple[str, str], int]  # (what, stream) → how often, since this process began


class Handed(msgspec.Struct, frozen=True):
    """An entry on its way. request: the mark of the whole, when it has one; by_place: marks of single records."""

    entry: Entry
    request: bytes | None = None
    by_place: Mapping[int, bytes] = {}

    @property
    def size_bytes(self) -> int:
        """How much it holds, about."""
        return sum(map(len, self.entry.lines))


Waiting = tuple[Handed, "Future[int]"]


class Inlet:
    """Takes entries in, in any thread. limit_bytes: the most that lies in the journal."""

    def __init__(self, spool: Spool, seen: Seen, limit_bytes: int) -> None:
        self._spool, self._seen, self._limit_bytes = spool, seen, limit_bytes
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
        self._pending_bytes = 0
        self._lock = Lock()
        self._counts: Tally = {}
        self._thread = Thread(target=self._write, daemon=True)

    def __enter__(self) -> Inlet:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()

    @property
    def full(self) -> bool:
        """Whether there is no room now."""
        return self._pending_bytes >= PENDING_BYTES or self._spool.held_bytes >= self._limit_bytes

    def put(self, handed: Handed) -> Future[int]:
        """Hand an entry over; when it is safe on disk, the future says how many of its records were new. Raises ServiceError.

        The future raises it too, when the disk has no room.
        """
        with self._lock:
            if self.full:
                raise no_room()
            self._pending_bytes += handed.size_bytes
        waits: Future[int] = Future()
        waits.set_running_or_notify_cancel()  # whoever waits may go away, what was handed over stays
        self._queue.put((handed, waits))
        return waits

    def count(self, what: str, stream: str, more: int = 1) -> None:
        """Count what happened at a source."""
        if more:
            with self._lock:
                self._counts[what, stream] = self._counts.get((what, stream), 0) + more

    def counts(self) -> Tally:
        """Return what was counted."""
        with self._lock:
            return dict(self._counts)

    def _write(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            ends = False
            while not self._queue.empty():
                more = self._queue.get()
                if more is None:
                    ends = True
                    break
                batch.append(more)
            self._carry(batch)
            if ends:
                return

    def _carry(self, batch: Sequence[Waiting]) -> None:
        """Write what is new; who repeats what is in the same batch waits for its sync too."""
        together: set[bytes] = set()
        new = [self._new(handed, together) for handed, _ in batch]
        entries = [entry for entry in new if entry.lines]
        try:
            if entries:
                self._spool.append(entries)
            self._seen.add(together)
        except OSError:  # the disk is full, or gone: nobody is told that anything arrived
            for _, waits in batch:
                waits.set_exception(no_room())
        else:
            for entry, (handed, waits) in zip(new, batch, strict=True):
                self.count("records", entry.stream, len(entry.lines))
                self.count("duplicates", entry.stream, len(handed.entry.lines) - len(entry.lines))
                waits.set_result(len(entry.lines))
        finally:
            with self._lock:
                self._pending_bytes -= sum(handed.size_bytes for handed, _ in batch)

    def _new(self, handed: Handed, together: set[bytes]) -> Entry:
        """Leave out what was seen already."""
        entry = handed.entry
        if handed.request is not None:
            if handed.request in self._seen or handed.request in together:
                return msgspec.structs.replace(entry, lines=())
            together.add(handed.request)
        known: set[int] = set()
        for place, one in handed.by_place.items():
            if one in self._seen or one in together:
                known.add(place)
            together.add(one)
        marks = [] if handed.request is None else [handed.request]
        marks += [one for place, one in handed.by_place.items() if place not in known]
        if not known:
            return msgspec.structs.replace(entry, marks=tuple(marks))
        kept = [place for place in range(len(entry.lines)) if place not in known]
        return Entry(
            entry.stream,
            entry.received,
            tuple(entry.lines[place] for place in kept),
            tuple(entry.ids[place] for place in kept) if entry.ids else (),
            tuple(at for at, place in enumerate(kept) if place in entry.cut),
            tuple(marks),
        )


def no_room() -> ServiceError:
    """Say that it must come again later."""
    return ServiceError("no room for more now", where="the journal of the network sources", remedy="send it again later")
