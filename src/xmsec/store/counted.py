"""A home's recording, and the store that sums the use it tells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xmsec.store.frames import frames
from xmsec.store.recording import ENTRY, Recording, open_part
from xmsec.store.sqlite import SqliteStore
from xmsec.store.usage import COLUMNS, Usage

_NUMBERED = re.compile(r"(\d{8})\.parquet")


def recording_into(store: SqliteStore, folder: Path, key_check: str) -> Recording:
    """Open a store's recording, whose use the store counts. Raises ConfigError."""
    committed = store.meta().get(ENTRY)
    usage = Usage(store)
    recording = Recording(folder, committed, key_check, usage=usage)
    usage.catch_up(_parts(folder, committed, usage.number))
    return recording


def _parts(folder: Path, committed: str | None, first: int) -> Iterator[tuple[int, Iterator[pa.Table]]]:
    """Yield the parts from a number on, in their order, with their rows."""
    for path in sorted(folder.glob("*.parquet")):
        if (found := _NUMBERED.fullmatch(path.name)) and int(found[1]) >= first:
            yield int(found[1]), _groups(path)
    if part := open_part(folder, committed):
        path, length = part
        yield int(path.stem), frames(path, length)


def _groups(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for number in range(file.metadata.num_row_groups):
            yield file.read_row_group(number, columns=list(COLUMNS))
