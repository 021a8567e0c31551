"""Use as workers' files tell it, summed into Elasticsearch: each record once, though frames and files may hold it twice.

A file is durable before it is summed; a worker that dies in between leaves it to whoever has its partition next. A record that
was sent again after a crash is known by its position, as it is to detectors; a producer's own id within its file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xmsec.store.archive import Archive
from xmsec.store.elastic_uses import ElasticUses, Mark
from xmsec.store.sealed import FRAME, Sealed, opened
from xmsec.store.usage import COLUMNS, summed
from xmsec.store.uses import DayUse

_SOURCE = ("stream", "partition")
_PLACE = ("offset", "part")
_READ = (FRAME, "kind", *_SOURCE, *_PLACE, "given_id", *COLUMNS)


class Threads:
    """Sums the files of an archive, those of a partition in their order."""

    def __init__(self, archive: Archive, uses: ElasticUses) -> None:
        self._archive, self._uses = archive, uses
        self._followed: set[str] = set()

    def settle(self, path: str) -> None:
        """Sum a file that was just written, and at first what lies before it. Raises OSError, ServiceError, ConfigError."""
        written = Sealed.of(path)
        assert written is not None
        thread = _thread(written)
        files = [written]
        if thread not in self._followed:
            files = [one for one in self._archive.files() if _thread(one) == thread]
        mark = self._uses.mark(thread)
        self._followed.discard(thread)  # until all of it is summed
        for one in files:
            if one.last > mark.upto:
                uses, mark = used(self._archive, one, mark)
                self._uses.add(thread, uses, mark)
        self._followed.add(thread)

    def forget(self) -> None:
        """Let partitions go: others may write to them meanwhile."""
        self._followed.clear()


def used(archive: Archive, file: Sealed, mark: Mark) -> tuple[Sequence[DayUse], Mark]:
    """Sum what a file holds beyond a mark; return where the mark is then."""
    with archive.open(file.path) as source, opened(source, file.path) as parquet:
        rows = parquet.read(columns=list(_READ))
    rows = rows.filter(pc.and_(pc.equal(rows["kind"], "event"), pc.greater(rows[FRAME], mark.upto)))
    rows = _once(_once(rows, (*_SOURCE, *_PLACE)), (*_SOURCE, "given_id"))
    ends = {**mark.sources}
    for one in rows.select(_SOURCE).group_by(list(_SOURCE)).aggregate([]).to_pylist():
        place = (one["stream"], one["partition"])
        rows = rows.filter(pc.invert(_known(rows, place, mark.sources.get(place, (-1, -1)))))
        ends[place] = max(ends.get(place, (-1, -1)), _end(rows, place))
    return summed(rows), Mark(file.last, ends)


def _thread(file: Sealed) -> str:
    return f"{file.origin}-{file.partition:05d}"


def _once(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """Keep the first of rows that are alike in some columns; those that lack the last of them are like no other."""
    number = pa.array(np.arange(rows.num_rows))
    marked = pc.is_valid(rows[names[-1]])
    some = rows.append_column("row", number).filter(marked)
    firsts = some.group_by(list(names)).aggregate([("row", "min")])["row_min"]
    return rows.filter(pc.or_(pc.invert(marked), pc.is_in(number, value_set=firsts.combine_chunks())))


def _of(rows: pa.Table, source: tuple[str, str]) -> pa.ChunkedArray:
    return pc.and_(*(pc.equal(rows[name], value) for name, value in zip(_SOURCE, source, strict=True)))


def _known(rows: pa.Table, source: tuple[str, str], place: tuple[int, int]) -> pa.ChunkedArray:
    offset, part = place
    before = pc.and_(pc.equal(rows["offset"], offset), pc.less_equal(rows["part"], part))
    return pc.and_(_of(rows, source), pc.or_(pc.less(rows["offset"], offset), before))


def _end(rows: pa.Table, source: tuple[str, str]) -> tuple[int, int]:
    mine = rows.filter(_of(rows, source))
    if not mine.num_rows:
        return (-1, -1)
    offset = pc.max(mine["offset"]).as_py()
    return offset, pc.max(mine.filter(pc.equal(mine["offset"], offset))["part"]).as_py()
