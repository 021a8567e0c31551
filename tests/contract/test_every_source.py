"""What holds for every source: all lines in order, each at its byte, and from any position the rest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.every_source import STREAM, Read, every_source

from xmsec.model.types import Position, Raw, Tick

reads = pytest.mark.parametrize("read", every_source(), ids=lambda read: read.__name__)
few = settings(max_examples=20, deadline=None)
texts = st.lists(
    st.sampled_from([b"", b"GET /", b"POST /apply?id=7", "查询".encode(), b"x" * 700]), min_size=1, max_size=40
).map(lambda lines: b"first line\n" + b"\n".join(lines) + b"\n")


def taken(read: Read, text: bytes, after: Mapping[str, Position]) -> tuple[list[Raw], list[str]]:
    with TemporaryDirectory() as folder:
        records = [record for batch in read(Path(folder), text, after) for record in batch]
    ticks = [record.state for record in records if isinstance(record, Tick) and record.state != "idle"]
    return [record for record in records if isinstance(record, Raw)], ticks


@reads
@few
@given(text=texts)
def test_each_line_stands_at_its_byte(read: Read, text: bytes) -> None:
    raws, _ = taken(read, text, {})
    assert [raw.line for raw in raws] == text.split(b"\n")[:-1]
    assert all(text[raw.position.offset :].startswith(raw.line + b"\n") for raw in raws)
    assert len({raw.position.partition for raw in raws}) == 1


@reads
@few
@given(text=texts, data=st.data())
def test_from_any_position_the_rest_follows(read: Read, text: bytes, data: st.DataObject) -> None:
    raws, _ = taken(read, text, {})
    place = data.draw(st.integers(0, len(raws) - 1))
    position = raws[place].position
    rest, _ = taken(read, text, {position.partition: position})
    assert [(raw.position, raw.line) for raw in rest] == [(raw.position, raw.line) for raw in raws[place + 1 :]]


@reads
def test_a_partition_opens_before_its_first_record_and_ends_after_its_last(read: Read, tmp_path: Path) -> None:
    records = [record for batch in read(tmp_path, b"one\ntwo\n", {}) for record in batch]
    kinds = [record.state if isinstance(record, Tick) else "record" for record in records]
    assert [kind for kind in kinds if kind != "idle"] == ["open", "record", "record", "ended"]
    assert {record.source if isinstance(record, Tick) else record.position.source for record in records} == {
        (STREAM, records[0].partition if isinstance(records[0], Tick) else "")
    }


def test_packing_changes_no_position(tmp_path: Path) -> None:
    text = b"".join(b"line %d of some log\n" % number for number in range(20_000))
    ways = [[(raw.position, raw.line) for raw in taken(read, text, {})[0]] for read in every_source()]
    assert all(way == ways[0] for way in ways)
