"""Rows that come back by the batch are what the changelog says, and its last row is left for Faust, however it is read."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import faust
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsec.runtime.faust.restore import put_in

PLACE = TP("app-rows-changelog", 0)


class Record(NamedTuple):
    """What counts of one."""

    offset: int
    key: bytes
    value: bytes | None


@st.composite
def changelogs(draw: st.DrawFn) -> list[Record]:
    """Rows of few keys, some deleted, with holes where compaction took rows."""
    steps = draw(st.lists(st.sampled_from((1, 1, 1, 2, 9)), min_size=1, max_size=30))
    keys, values = st.sampled_from((b"a", b"b", b"c")), st.sampled_from((b"1", b"2", None))
    return [Record(sum(steps[:place]), draw(keys), draw(values)) for place in range(len(steps))]


def recovering(last: int) -> Any:
    """Faust's own recovery, as it stands when a worker has read where its changelog ends."""
    app = faust.App("app", broker="kafka://127.0.0.1:1", store="memory://", key_serializer="raw", value_serializer="raw")
    tables: Any = app.tables
    recovery = tables.recovery
    recovery.add_active(app.Table("rows", key_type=bytes, value_type=bytes, partitions=1), PLACE)
    recovery.active_offsets[PLACE], recovery.active_highwaters[PLACE] = -1, last
    return recovery


def told(log: list[Record]) -> dict[bytes, bytes]:
    """What a changelog says."""
    rows = {record.key: record.value for record in log}
    return {key: value for key, value in rows.items() if value is not None}


async def read(log: list[Record], cuts: list[tuple[int, int]]) -> tuple[Any, list[Record]]:
    """Read in batches; each begins where the one before ended, or some rows before it, as after a seek."""
    recovery = recovering(log[-1].offset)
    left: list[Record] = []
    place = 0
    for again, many in [*cuts, (0, len(log))]:
        start = max(0, place - again)
        place = max(place, start + many)
        left += put_in(recovery, PLACE, log[start : start + many])
    return recovery, left


@settings(deadline=None)  # the first makes an app
@given(changelogs(), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=9))
def test_all_rows_but_the_last_go_in_once_and_in_their_order(log: list[Record], cuts: list[tuple[int, int]]) -> None:
    recovery, left = asyncio.run(read(log, cuts))
    assert set(left) == {log[-1]}
    assert recovery.tp_to_table[PLACE].data.data == told(log[:-1])
    assert PLACE in recovery._active_events_received_at  # or Faust warns that nothing came
    assert recovery.active_remaining_total() > 0  # it is Faust's to see that the last one came


async def stranger() -> None:
    recovery = recovering(7)
    records = [Record(1, b"a", b"1")]
    assert put_in(recovery, TP("another-changelog", 0), records) == records
    assert not recovery.tp_to_table[PLACE].data.data


def test_what_belongs_to_no_table_of_this_worker_goes_fausts_way() -> None:
    asyncio.run(stranger())
