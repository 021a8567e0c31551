"""The stores that `test_every_store.py` tries, and traffic whose outcomes they keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import msgspec
from tests import toys

from xmsec.findings.incident import Cases
from xmsec.model.clock import EPOCH
from xmsec.model.ports import Outcome, Reader
from xmsec.model.states import Memory
from xmsec.model.types import Position, Raw, Tick
from xmsec.pipeline.batch import process_batch
from xmsec.pipeline.group import INCIDENTS
from xmsec.store.read import SqliteReader
from xmsec.store.sqlite import SqliteStore

SOURCES = (("toys.a", "0"), ("toys.b", "0"))
CODECS: Mapping[str, type[Any]] = {
    **{name: detector.state for name, detector in toys.road().detectors.items()},
    INCIDENTS: Cases,
}


class Kept(Protocol):
    """A store that can also be asked."""

    def commit(self, outcomes: Sequence[Outcome]) -> None: ...
    def positions(self, stream: str) -> Mapping[str, Position]: ...
    def states(self) -> Any: ...
    def counts(self) -> Mapping[tuple[str, str, str], int]: ...
    @property
    def reader(self) -> Reader: ...


class Sqlite(SqliteStore):
    """The embedded store with its reader."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "store.sqlite", CODECS)

    @property
    def reader(self) -> SqliteReader:
        return SqliteReader(self.connection)


Open = Callable[[Path], AbstractContextManager[Kept]]


def sqlite(folder: Path) -> AbstractContextManager[Kept]:
    """Open the store of this folder, again with what it holds."""
    return closing(Sqlite(folder))


def every_store() -> list[Open]:
    """Return each store as something that opens a folder."""
    return [sqlite]


def records(number: int) -> Iterator[list[Raw | Tick]]:
    """Make batches of two partitions: some findings, some broken lines, a blank one; they open first and end last."""
    yield [Tick(*source, EPOCH, "open") for source in SOURCES]
    for start in range(0, number, 5):
        for source in SOURCES:
            yield [_raw(source, offset) for offset in range(start, min(start + 5, number))]
    for source in SOURCES:
        yield [Tick(*source, EPOCH + timedelta(days=1), "ended")]


def _raw(source: tuple[str, str], offset: int) -> Raw:
    said = {"t": 2 * offset, "user": f"user-{offset * 7 % 5}", "action": ("read", "change", "login", "forbidden")[offset % 4]}
    line = {6: b"", 8: b"{"}.get(offset % 11, json.dumps(said).encode())
    return Raw(Position(*source, offset), EPOCH + timedelta(seconds=offset), line)


def brought(reader: Any, datasets: Sequence[str]) -> tuple[Any, Any, Any, Any]:
    """What a store says of streams, of what waits, and of what was observed in these datasets."""
    return (
        msgspec.to_builtins(dict(reader.flows()), str_keys=False),
        list(reader.backlogs()),
        dict(reader.observed(datasets)),
        list(reader.observed_datasets(100)),
    )


def outcomes(number: int) -> list[Outcome]:
    """Return what the toys' road gives for the records, state kept in memory."""
    memory, road, made = Memory(), toys.road(), []
    for batch in records(number):
        made.append(process_batch(batch, road, memory))
        memory.absorb(made[-1].states, made[-1].clocks)
    return made
