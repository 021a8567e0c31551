"""What passed, kept for replay, backtest and training: tokened events, their spans, and ticks, in the order of the road.

The open part is `<number>.open`, framed rows whose length is committed with the positions and cut back to it after a crash;
it is sealed to `<number>.parquet` when it is full. Sealing writes beside, syncs, renames, and only then removes the open part:
a number whose Parquet file is there is sealed, whatever else lies about.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from xmsec.model.errors import ConfigError
from xmsec.model.ports import Outcome
from xmsec.model.types import Context, Tick
from xmsec.store.claim import agrees
from xmsec.store.durable import sync_folder

if TYPE_CHECKING:
    import pyarrow as pa

    from xmsec.store.columns import Row
    from xmsec.store.usage import Usage

ENTRY = "recording"  # the store's entry that says which part is open and how long it is
SEAL_BYTES = 128 << 20  # some 200,000 events; Parquet makes a tenth of it
SEAL_AFTER = timedelta(hours=1)  # of `received`
GROUP_ROWS = 20_000  # a row group: what a reader holds at once, some 20 MB
READ_ROWS = 4_000


class Recording:
    """The one writer of a folder of recordings.

    committed: the store's entry, None in a new home; key_check: of the key that made the tokens. Each `append` follows the
    commit of the one before. usage: who sums what it takes in. Raises ConfigError when the folder's tokens were made with
    another key.
    """

    def __init__(
        self,
        folder: Path,
        committed: str | None,
        key_check: str = "",
        seal_bytes: int = SEAL_BYTES,
        usage: Usage | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._seal_bytes, self._usage = folder, seal_bytes, usage
        before = _kept(folder / "key_check", key_check)
        self._key_check = before or key_check
        number, self._length = _entry(committed)
        if _sealed(folder, number).exists():
            number, self._length = number + 1, 0
        self._number = number
        self._clean()
        self._first: datetime | None = None
        self._last: datetime | None = None
        if before and before != key_check:
            self.seal()  # the keys were rotated: what a file says of its keys is true of each of its rows
        self._key_check = key_check
        if self._length:
            self._note(next(_open_rows(self._path, self._length)))
        if key_check and before != key_check:
            _claim(folder / "key_check", key_check)

    @property
    def _path(self) -> Path:
        return _open(self._folder, self._number)

    def _clean(self) -> None:
        """Remove what no commit knows, and cut the open part back to its committed length."""
        for left in sorted(self._folder.glob("????????.part")):  # not those of who rewrites a sealed file beside this writer
            left.unlink()
        for left in sorted(self._folder.glob("*.open")):
            if left != self._path:
                left.unlink()
        present = self._path.stat().st_size if self._path.exists() else 0
        if present < self._length:
            raise ConfigError(
                f"the recording holds {present} bytes, {self._length} were committed",
                where=str(self._path),
                remedy="restore home and recordings from the same backup",
            )
        with self._path.open("ab") as file:
            file.truncate(self._length)

    def append(self, outcomes: Sequence[Outcome]) -> Mapping[str, str]:
        """Write what batches carried, safe against a power cut; return the entry that their commit must hold."""
        if self._length and (self._length >= self._seal_bytes or self._span() >= SEAL_AFTER):
            self.seal()
        if self._usage is not None and self._last is not None and self._usage.ripe(self._last):
            self._usage.settle()
        written = b"".join(map(self._frame, outcomes))
        with self._path.open("ab", buffering=0) as file:
            file.write(written)
            os.fdatasync(file.fileno())
        self._length += len(written)
        return {ENTRY: f"{self._number} {self._length}"}

    def _frame(self, outcome: Outcome) -> bytes:
        """Write what a batch carried; nothing when it carried nothing."""
        from xmsec.store.frames import frame_of, rows_of  # pyarrow, which only who records or reads needs

        if not outcome.passed:
            return b""
        self._note(outcome.passed)
        rows = rows_of(outcome)
        if self._usage is not None:
            self._usage.note(self._number, rows)
        return frame_of(rows)

    def seal(self) -> Path | None:
        """Turn the open part, all of it committed, into Parquet; killed anywhere, no row is lost or there twice."""
        if not self._length:
            return None
        if self._usage is not None:
            self._usage.settle()
        path = _sealed(self._folder, self._number)
        part = path.with_suffix(".part")
        _write_parquet(part, self._path, self._length, self._key_check)
        part.rename(path)
        sync_folder(self._folder)
        self._path.unlink()
        self._number, self._length = self._number + 1, 0
        self._first = self._last = None
        return path

    def _span(self) -> timedelta:
        return self._last - self._first if self._first is not None and self._last is not None else timedelta(0)

    def _note(self, passed: Sequence[Context | Row]) -> None:
        """Remember when the part began and ends; records come in the order in which they were received."""
        if passed:
            self._first = self._first or _received(passed[0])
            self._last = _received(passed[-1])


def read(
    folder: Path, committed: str | None, start: datetime | None = None, end: datetime | None = None
) -> Iterator[Sequence[Row]]:
    """Yield what was recorded, in its order: events whose time is in [start, end), and every tick.

    committed: the store's entry; what stands beyond it was never committed.
    """
    number, length = _entry(committed)
    sealed = sorted(folder.glob("*.parquet"))
    for path in sealed:
        yield from _read_parquet(path, start, end)
    if length and _sealed(folder, number) not in sealed:
        try:
            yield from _read_open(_open(folder, number), length, start, end)
        except FileNotFoundError:  # a writer has sealed it meanwhile
            yield from _read_parquet(_sealed(folder, number), start, end)


def open_part(folder: Path, committed: str | None) -> tuple[Path, int] | None:
    """Return the part that is not sealed and its committed length; None when there is none."""
    number, length = _entry(committed)
    return (_open(folder, number), length) if length and not _sealed(folder, number).exists() else None


def _read_open(path: Path, length: int, start: datetime | None, end: datetime | None) -> Iterator[Sequence[Row]]:
    for carried in _open_rows(path, length):
        kept = [row for row in carried if isinstance(row, Tick) or _within(row[0].time, start, end)]
        if kept:
            yield kept


def _open_rows(path: Path, length: int) -> Iterator[Sequence[Row]]:
    from xmsec.store.columns import rows
    from xmsec.store.frames import frames

    for frame in frames(path, length):
        yield [row for batch in frame.to_batches() for row in rows(batch)]


def _within(time: datetime, start: datetime | None, end: datetime | None) -> bool:
    return (start is None or time >= start) and (end is None or time < end)


def _read_parquet(path: Path, start: datetime | None, end: datetime | None) -> Iterator[Sequence[Row]]:
    import pyarrow.compute as pc  # heavy: only who replays or trains needs it
    import pyarrow.parquet as pq

    from xmsec.store.columns import rows

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(READ_ROWS):
            kept = batch
            for bound, inside in ((start, pc.greater_equal), (end, pc.less)):
                if bound is not None:
                    kept = kept.filter(pc.or_(pc.not_equal(kept["kind"], "event"), inside(kept["time"], bound)))
            if kept.num_rows:
                yield list(rows(kept))


def _write_parquet(part: Path, path: Path, length: int, key_check: str) -> None:
    import pyarrow.parquet as pq

    from xmsec.store.columns import REPEATED, SCHEMA
    from xmsec.store.terms import Terms

    terms = Terms()
    with part.open("wb") as file:
        with pq.ParquetWriter(file, SCHEMA, compression="zstd", use_dictionary=list(REPEATED)) as writer:
            for group in _groups(path, length):
                terms.add(group)
                writer.write_table(group)
            writer.add_key_value_metadata({"xmsec.key_check": key_check, **terms.entry()})
        file.flush()
        os.fsync(file.fileno())


def _groups(path: Path, length: int) -> Iterator[pa.Table]:
    """Yield the rows of an open part as row groups."""
    import pyarrow as pa

    from xmsec.store.frames import frames

    waiting: list[pa.Table] = []
    waiting_rows = 0
    for frame in frames(path, length):
        waiting.append(frame)
        waiting_rows += frame.num_rows
        if waiting_rows >= GROUP_ROWS:
            yield pa.concat_tables(waiting)
            waiting, waiting_rows = [], 0
    if waiting:
        yield pa.concat_tables(waiting)


def _received(item: Context | Row) -> datetime:
    if isinstance(item, Tick):
        return item.received
    return item.event.received if isinstance(item, Context) else item[0].received


def _kept(path: Path, key_check: str) -> str:
    """Return the check values that a folder has; empty when it has none. Raises ConfigError when they are other keys'."""
    present = path.read_text() if key_check and path.exists() else ""
    if present:
        agrees(present, key_check, str(path.parent))
    return present


def _claim(path: Path, key_check: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(key_check)
    part.replace(path)


def _entry(committed: str | None) -> tuple[int, int]:
    number, length = (committed or "1 0").split()
    return int(number), int(length)


def _open(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}.open"


def _sealed(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}.parquet"
