"""What a Kafka message holds becomes records, and records become frames that a topic takes."""

from __future__ import annotations

import json

import pytest
from tests import toys

from xmsec.content.streams import Framing
from xmsec.model.clock import EPOCH
from xmsec.model.errors import ConfigError
from xmsec.model.types import Key, Position
from xmsec.pipeline.tokenise import tokenise
from xmsec.runtime.faust import frames, hops
from xmsec.runtime.faust.rights import spread
from xmsec.runtime.faust.topics import Cluster
from xmsec.sources.lines import LINE_BYTES
from xmsec.sources.records import records_of

AT = Position("toys.a", "3", 7)
CLUSTER = Cluster("nowhere:1", ("toys.a",))


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        pytest.param(b"one", [b"one"], id="one record"),
        pytest.param(b"one\n", [b"one"], id="a newline at the end"),
        pytest.param(b"one\r\n\ntwo\r\n", [b"one", b"", b"two"], id="several, one of them blank"),
        pytest.param(b"", [b""], id="empty"),
    ],
)
def test_a_message_holds_one_record_or_several(value: bytes, lines: list[bytes]) -> None:
    raws = list(hops.records(AT, EPOCH, records_of(None, value), None))
    assert [raw.line for raw in raws] == lines
    assert [raw.position for raw in raws] == [Position("toys.a", "3", 7, part) for part in range(len(lines))]


def test_a_record_of_several_lines_is_whole() -> None:
    found = records_of(Framing(quotes=True), b'1,"a\nb"\n2')
    assert [raw.line for raw in hops.records(AT, EPOCH, found, None)] == [b'1,"a\nb"', b"2"]


def test_the_id_of_a_message_names_each_of_its_records() -> None:
    assert [raw.given_id for raw in hops.records(AT, EPOCH, records_of(None, b"one"), "x")] == ["x"]
    assert [raw.given_id for raw in hops.records(AT, EPOCH, records_of(None, b"one\ntwo"), "x")] == ["x#0", "x#1"]


def test_a_line_that_is_too_long_is_cut() -> None:
    (raw,) = hops.records(AT, EPOCH, records_of(None, b"a" * (LINE_BYTES + 1)), None)
    assert raw.cut
    assert len(raw.line) == LINE_BYTES


def test_a_big_frame_is_cut_into_several_in_its_order() -> None:
    line = json.dumps({"t": 0, "user": "u" * 100_000, "action": "read"}).encode()
    taken = tokenise(hops.records(AT, EPOCH, records_of(None, b"\n".join([line] * 50)), None), toys.road())
    (frame,) = hops.by_source(taken, toys.road())
    parts = [frames.unpack(value, frames.Tokened) for value in frames.packs(frame)]
    assert len(parts) > 1
    assert tuple(item for part in parts for item in part.items) == frame.items


def test_a_key_has_one_partition_whatever_its_text() -> None:
    assert frames.partition_of_key(Key("user", "\ud800"), 8) in range(8)
    assert {frames.partition_of_key(Key("user", str(n)), 8) for n in range(100)} == set(range(8))


def test_a_missing_topic_is_named() -> None:
    with pytest.raises(ConfigError, match=r"xmsec\.raw\.toys\.a.*topics ensure"):
        spread(CLUSTER, {CLUSTER.raw("toys.a"): 0, CLUSTER.topic("tokened"): 4})


def test_topics_between_hops_must_have_the_same_partitions() -> None:
    found = dict.fromkeys(CLUSTER.topics, 4)
    assert spread(CLUSTER, found) == ([("toys.a", str(number)) for number in range(4)], 4)
    with pytest.raises(ConfigError, match="differ"):
        spread(CLUSTER, {**found, CLUSTER.topic("events"): 5})
