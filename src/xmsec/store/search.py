"""Events of recordings that hold one of some terms: files and row groups that cannot hold them are not read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xmsec.model.types import Event, Span, Tick
from xmsec.store.archive import Archive
from xmsec.store.columns import rows
from xmsec.store.frames import frames
from xmsec.store.recording import open_part
from xmsec.store.rewrite import links
from xmsec.store.sealed import READ_ROWS, Sealed, opened
from xmsec.store.terms import holding

Tokened = tuple[Event, tuple[Span, ...]]
_OWN = re.compile(r"\d{8}\.parquet")
_HOUR = re.compile(r"date=(\d{4}-\d\d-\d\d)/hour=(\d\d)/")
SKEW = timedelta(days=1)  # no event is received so long before it happened; what claims it is `far_future`


class Wanted(msgspec.Struct, frozen=True):
    """What is looked for. column: where the terms stand as texts; start, end: of event time, half open."""

    terms: tuple[str, ...]
    column: Literal["spans", "fields"]
    start: datetime | None = None
    end: datetime | None = None

    @property
    def texts(self) -> list[str]:
        """The terms as they are written in JSON."""
        return [msgspec.json.encode(one).decode()[1:-1] for one in self.terms]

    def within(self, time: datetime) -> bool:
        """Whether a moment is one of those that are asked for."""
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)


def never() -> bool:
    """Say that a search may go on."""
    return False


class Effort:
    """What a search read: files there were and row groups in them, and how many of the groups were read.

    enough: whether it shall end before it has seen all; cut: whether it did.
    """

    def __init__(self, enough: Callable[[], bool] = never) -> None:
        self.files = self.groups = self.read = 0
        self.cut = False
        self._enough = enough

    def spent(self) -> bool:
        """Whether the search ends here."""
        self.cut = self.cut or self._enough()
        return self.cut


def search(archive: Archive, wanted: Wanted, effort: Effort) -> Iterator[Tokened]:
    """Yield the events of an archive's sealed files in which a term stands; a frame that is recorded twice gives them twice."""
    for path, _ in archive.names():
        if not _may_lie(path, wanted):
            continue
        if effort.spent():
            return
        with archive.open(path) as source, opened(source, f"{archive.place} {path}") as file:
            effort.files += 1
            effort.groups += file.metadata.num_row_groups
            for group in holding(file, wanted.terms):
                if effort.spent():
                    return
                if _in_time(file, group, wanted):
                    effort.read += 1
                    yield from _found(file, group, wanted)


def unsealed(folder: Path, committed: str | None, wanted: Wanted) -> Iterator[Tokened]:
    """Yield the events in which a term stands of a home's part that is not sealed; one that is sealed meanwhile is a file."""
    part = open_part(folder, committed)
    if part is None:
        return
    with suppress(FileNotFoundError):
        for frame in frames(*part):
            for batch in frame.to_batches():
                yield from matching(batch, wanted)


def linking(archive: Archive, effort: Effort) -> Iterator[tuple[str, str]]:
    """Yield every token of an archive that was linked to an earlier one, with its sealed link: it reads all texts of spans."""
    for path, _ in archive.names():
        if effort.spent():
            return
        if _OWN.fullmatch(path) or Sealed.of(path) is not None:
            with archive.open(path) as source, opened(source, f"{archive.place} {path}") as file:
                yield from links(file)


def matching(batch: pa.RecordBatch, wanted: Wanted) -> Iterator[Tokened]:
    """Yield the events of a batch in which a term stands."""
    column = batch.column(wanted.column)
    found: Any = None
    for text in wanted.texts:
        one = pc.fill_null(pc.match_substring(column, text), False)
        found = one if found is None else pc.or_(found, one)
    if found is None or not pc.any(found).as_py():
        return
    for row in rows(batch.filter(found)):
        if not isinstance(row, Tick) and wanted.within(row[0].time):
            yield row


def _may_lie(path: str, wanted: Wanted) -> bool:
    """Whether a file is a recording, of an hour that is not too early."""
    if _OWN.fullmatch(path):
        return True
    if Sealed.of(path) is None:
        return False
    hour = _HOUR.search(path)
    if hour is None or wanted.start is None:
        return True
    received = datetime.strptime(f"{hour[1]} {hour[2]}", "%Y-%m-%d %H").replace(tzinfo=UTC)
    return received + timedelta(hours=1) + SKEW > wanted.start


def _in_time(file: pq.ParquetFile, group: int, wanted: Wanted) -> bool:
    """Whether a row group's times, as its statistics say, meet what is asked for."""
    column = file.metadata.row_group(group).column(file.schema_arrow.get_field_index("time"))
    found = column.statistics
    if found is None or not found.has_min_max:
        return True
    return (wanted.start is None or found.max >= wanted.start) and (wanted.end is None or found.min < wanted.end)


def _found(file: pq.ParquetFile, group: int, wanted: Wanted) -> Iterator[Tokened]:
    """Look into the one column first: most batches of a group hold nothing."""
    columns = file.read_row_group(group, columns=[wanted.column]).column(0)
    found = pc.fill_null(pc.match_substring(columns, wanted.texts[0]), False)
    for text in wanted.texts[1:]:
        found = pc.or_(found, pc.fill_null(pc.match_substring(columns, text), False))
    if pc.any(found).as_py():
        for batch in file.read_row_group(group).filter(found).to_batches(READ_ROWS):
            yield from matching(batch, wanted)
