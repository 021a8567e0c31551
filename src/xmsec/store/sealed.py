"""One file of a worker's recordings: what it is called, what it says of itself, and how it is made in memory.

The name holds the partition and the first and last offset of the frames in it, so that writing them once more gives the same
file, and whoever goes on can see how far the one before it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from xmsec.model.errors import InputError
from xmsec.model.types import Revisions, Source, Tick
from xmsec.store.columns import REPEATED, SCHEMA, Row, rows, table
from xmsec.store.terms import Terms

GROUP_ROWS = 20_000  # a row group: what is held uncompressed, some 20 MB
READ_ROWS = 4_000
FRAME = "frame"
_FRAMED = SCHEMA.append(pa.field(FRAME, pa.int64()))  # the offset of the frame that a row came in
_ABOUT = b"xmsec.about"
_NAME = re.compile(r"(?P<origin>[0-9a-f]{8})-(?P<partition>\d{5})-(?P<first>\d{12})-(?P<last>\d{12})\.parquet")


class Sealed(msgspec.Struct, frozen=True, order=True):
    """A file by its name. origin: which life of the topic, whose offsets start again when it is deleted and made anew."""

    origin: str
    partition: int
    first: int
    last: int
    path: str

    @classmethod
    def of(cls, path: str) -> Sealed | None:
        """Read a path; None when it is none of ours."""
        found = _NAME.fullmatch(path.rpartition("/")[2])
        if found is None:
            return None
        return cls(found["origin"], int(found["partition"]), int(found["first"]), int(found["last"]), path)


class About(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a file says of itself, in its footer.

    received, time: the first and the last moment; participants: the sources that took part in event time when it was written.
    """

    key_check: str
    rows: int
    received: tuple[datetime, datetime]
    time: tuple[datetime, datetime] | None
    revisions: tuple[Revisions, ...]
    participants: tuple[Source, ...] = ()


class Part:
    """What a partition brought since its last file: compressed in memory, durable nowhere."""

    def __init__(self, origin: str, partition: int, first: int) -> None:
        self.first = self.last = first
        self.rows = 0
        self._origin, self._partition = origin, partition
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._sink = pa.BufferOutputStream()
        self._writer = pq.ParquetWriter(self._sink, _FRAMED, compression="zstd", use_dictionary=list(REPEATED))
        self._terms = Terms()
        self._received: list[datetime] = []
        self._times: list[datetime] = []
        self._revisions: dict[Revisions, None] = {}

    @property
    def bytes(self) -> int:
        """How much of it is compressed."""
        size: int = self._sink.tell()
        return size

    @property
    def hour(self) -> datetime:
        """The hour in which its first record was received."""
        return hour_of(self._began)

    def add(self, offset: int, items: Sequence[Row], made_under: Revisions) -> None:
        """Take in a frame."""
        columns = table(items, made_under)
        self._waiting.append(columns.append_column(_FRAMED.field(FRAME), pa.array([offset] * len(items), pa.int64())))
        if not self.rows:
            self._began = received_of(items[0])
        self.last, self.rows, self._waiting_rows = offset, self.rows + len(items), self._waiting_rows + len(items)
        self._revisions[made_under] = None
        self._received = _span(self._received, map(received_of, items))
        self._times = _span(self._times, (item[0].time for item in items if not isinstance(item, Tick)))
        if self._waiting_rows >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            group = pa.concat_tables(self._waiting)
            self._terms.add(group)
            self._writer.write_table(group)
            self._waiting, self._waiting_rows = [], 0

    def seal(self, key_check: str, participants: Sequence[Source]) -> tuple[str, pa.Buffer]:
        """Return path and content of the file that this becomes; nothing can be added any more."""
        self._flush()
        about = About(
            key_check,
            self.rows,
            (self._received[0], self._received[1]),
            (self._times[0], self._times[1]) if self._times else None,
            tuple(self._revisions),
            tuple(participants),
        )
        self._writer.add_key_value_metadata(
            {"xmsec.key_check": key_check, _ABOUT.decode(): msgspec.json.encode(about).decode(), **self._terms.entry()}
        )
        self._writer.close()
        name = f"{self._origin}-{self._partition:05d}-{self.first:012d}-{self.last:012d}.parquet"
        return f"{self.hour:date=%Y-%m-%d/hour=%H}/{name}", self._sink.getvalue()


def hour_of(moment: datetime) -> datetime:
    """Return the hour, in UTC, that a file goes by."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def received_of(row: Row) -> datetime:
    """Return when a row was received."""
    return row.received if isinstance(row, Tick) else row[0].received


def _span(before: list[datetime], moments: Iterator[datetime]) -> list[datetime]:
    found = [*before, *moments]
    return [min(found), max(found)] if found else []


def about(file: pq.ParquetFile, path: str) -> About:
    """Read what a file says of itself. Raises InputError when it says nothing."""
    said: bytes | None = (file.metadata.metadata or {}).get(_ABOUT)
    if said is None:
        raise InputError("damaged-recording", where=path, remedy="restore the file, or move it away")
    return msgspec.json.decode(said, type=About)


def opened(source: Any, path: str) -> pq.ParquetFile:
    """Open a file for reading. Raises InputError when it is no whole Parquet file."""
    try:
        return pq.ParquetFile(source)
    except pa.ArrowInvalid as error:
        raise InputError("damaged-recording", where=path, remedy="restore the file, or move it away") from error


def framed(file: pq.ParquetFile, after: int, start: datetime | None, end: datetime | None) -> Iterator[Row]:
    """Yield the rows of a file's frames after an offset: events whose time is in [start, end), and every tick."""
    import pyarrow.compute as pc

    for batch in file.iter_batches(READ_ROWS):
        kept = batch.filter(pc.greater(batch[FRAME], after))
        for bound, inside in ((start, pc.greater_equal), (end, pc.less)):
            if bound is not None:
                kept = kept.filter(pc.or_(pc.not_equal(kept["kind"], "event"), inside(kept["time"], bound)))
        if kept.num_rows:
            yield from rows(kept)
