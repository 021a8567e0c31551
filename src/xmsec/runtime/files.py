"""Log files driven along the road up to their end, into a home's store and recordings: what scan, demo and benches share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec

from xmsec.model.ports import Outcome
from xmsec.model.types import Raw, Tick
from xmsec.runtime.assemble import Deployment
from xmsec.runtime.embedded import Embedded, Witness
from xmsec.runtime.summary import Reached, Tally
from xmsec.sources.file import FileSource, merge
from xmsec.store.read import SqliteReader
from xmsec.store.sqlite import SqliteStore


class Rig(msgspec.Struct, frozen=True):
    """A deployment with what it drives into. recordings: a folder; key_check: of the key that makes its tokens."""

    deployment: Deployment
    store: SqliteStore
    recordings: Path
    key_check: str


class FileRun:
    """One run over files: it continues where the store's positions stand, and counts every line."""

    def __init__(self, rig: Rig, sources: Sequence[FileSource], monotonic: Callable[[], float]) -> None:
        self._rig, self._sources, self._monotonic = rig, sources, monotonic
        self.readings = [reading for source in sources for reading in source.open(rig.store.positions(source.stream))]
        meta = rig.store.meta()
        self.tally, self._reached = Tally(meta), Reached(self.readings, meta)
        self.partitions = [reading.source for reading in self.readings]

    def drive(self, until: datetime | None = None) -> Iterator[Sequence[Outcome]]:
        """Carry the input along the road: all of it, or until every partition has reached a moment of event time.

        Yields what was committed, as it is committed; at the end the recording is sealed.
        """
        from xmsec.store.counted import recording_into  # pyarrow, which only who records or reads needs

        rig = self._rig
        recording = recording_into(rig.store, rig.recordings, rig.key_check)
        witnesses: list[Witness] = [self.tally, self._reached, recording]
        embedded = Embedded(rig.deployment.road, rig.store, witnesses, self._monotonic, self.partitions)
        yield from embedded.drive(self._batches(until))
        rig.store.reject(problem for source in self._sources for problem in source.problems)
        recording.seal()

    def findings(self) -> list[dict[str, Any]]:
        """Return the findings of this input, in the order of their windows."""
        return list(SqliteReader(self._rig.store.connection).told(self.partitions))

    def _batches(self, until: datetime | None) -> Iterator[Sequence[Raw | Tick]]:
        clocks = self._rig.store.states().clocks

        def reached(source: tuple[str, str]) -> datetime | None:
            clock = clocks.get(source)
            return clock.maximum if clock else None

        batches = merge(self.readings, reached)
        if until is None:
            return batches
        return takewhile(lambda _: any((reached(one) or until) <= until for one in self.partitions), batches)
