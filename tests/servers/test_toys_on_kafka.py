"""The toys' road on a real Kafka with real workers: what the road says in one process. Faults: test_fault_matrix.py."""

from __future__ import annotations

import random
from contextlib import ExitStack
from pathlib import Path
from string import ascii_letters

import msgspec
import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from tests.servers.toy_scene import (
    ALL,
    PARTITIONS,
    Cases,
    Reader,
    Sent,
    Wire,
    assert_told,
    in_one_process,
    indexed,
    letters,
    running,
    traffic,
)
from tests.servers.toy_worker import STREAMS

from xmsec.model.types import Rejected, Tick
from xmsec.runtime.faust import frames
from xmsec.runtime.faust.topics import Cluster, describe, ensure
from xmsec.store.archive import Archive
from xmsec.store.merged import read_archive

pytestmark = [pytest.mark.servers, pytest.mark.faults]


def test_a_worker_a_role_and_a_store_that_is_away_lose_nothing(kafka_bootstrap: str, prefix: str, tmp_path: Path) -> None:
    cluster = Cluster(kafka_bootstrap, STREAMS, prefix)
    ensure(cluster, PARTITIONS)
    with Wire(cluster) as wire, Cases(cluster) as cases, ExitStack() as stack:
        wire.send(traffic(800, seed=6))
        expected = in_one_process(wire.raws)
        for role in ALL:
            stack.enter_context(running(kafka_bootstrap, prefix, tmp_path / role, [role]))
        broken = {raw.position for raw in wire.raws if raw.line == b"{broken"}
        cases.until(lambda _: indexed(tmp_path) == expected)
        assert_told(expected, indexed(tmp_path), cluster, wire.raws)
        with Reader(cluster, "dead") as dead:
            dead.until(lambda values: letters(values) >= broken)
            assert letters(dead.values) == broken


def test_what_is_not_sealed_yet_is_sealed_when_a_worker_ends(kafka_bootstrap: str, prefix: str, tmp_path: Path) -> None:
    cluster = Cluster(kafka_bootstrap, STREAMS, prefix)
    ensure(cluster, PARTITIONS)
    with Wire(cluster) as wire, running(kafka_bootstrap, prefix, tmp_path / "worker", ["classify", "record"]) as worker:
        wire.send(traffic(800, seed=8))
        with Reader(cluster, "tokened") as tokened:
            tokened.until(lambda values: sum(ticks(value) for value in values) >= 2 * PARTITIONS)  # all was carried, and more
        worker.stop()
    archive = Archive(str(tmp_path / "worker" / "recordings"))
    rows = [row for batch in read_archive(archive, "toys") for row in batch if not isinstance(row, Tick)]
    assert {row[0].position for row in rows} == {raw.position for raw in wire.raws}
    assert len(rows) == len(wire.raws)


def test_what_a_topic_does_not_take_for_its_size_goes_in_parts_or_is_a_dead_letter(
    kafka_bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """As where topics were made by somebody else, or limited later."""
    cluster = Cluster(kafka_bootstrap, STREAMS, prefix)
    ensure(cluster, PARTITIONS)
    for name in ("tokened", "cases"):
        limit(cluster, name, LIMIT_BYTES)
    chance = random.Random(1)
    long = b'{"t":9,"user":"%s","action":"forbidden"}' % bytes(chance.choices(ascii_letters.encode(), k=3 * LIMIT_BYTES))
    with Wire(cluster) as wire, ExitStack() as stack:
        wire.send(traffic(400, seed=7))
        wire.send([Sent(STREAMS[0], 1, long)])
        wire.send(traffic(400, seed=7))
        (large,) = [raw for raw in wire.raws if raw.line == long]
        expected = in_one_process([raw for raw in wire.raws if raw is not large])
        worker = stack.enter_context(running(kafka_bootstrap, prefix, tmp_path / "worker", ALL))
        with Reader(cluster, "dead") as dead:
            dead.until(lambda _: indexed(tmp_path) == expected)
            dead.until(lambda values: large.position in letters(values))
            found = [msgspec.json.decode(value, type=Rejected) for value in dead.values]
        assert_told(expected, indexed(tmp_path), cluster, wire.raws)
        assert {(one.leg, one.reason) for one in found if one.position == large.position} == {("classify", "message-too-large")}
        said = worker.log.read_text()
        assert f"{cluster.topic('tokened')} takes no message of" in said
        assert "run `xmsec topics ensure`" in said


LIMIT_BYTES = 8_000  # less than a frame of these records, and than a batch of cases


def limit(cluster: Cluster, name: str, limit_bytes: int) -> None:
    """Let a topic take no larger messages."""
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    wanted = ConfigResource(ConfigResourceType.TOPIC, cluster.topic(name), {"max.message.bytes": str(limit_bytes)})
    admin.alter_configs([wanted])
    admin.close()


def ticks(value: bytes) -> int:
    return sum(isinstance(item, Tick) for item in frames.unpack(value, frames.Tokened).items)


def test_topics_are_made_once(kafka_bootstrap: str, prefix: str) -> None:
    cluster = Cluster(kafka_bootstrap, STREAMS, prefix)
    made = ensure(cluster, 3)
    assert ensure(cluster) == []  # what is there keeps its partitions
    found = describe(cluster)
    assert {change.topic for change in made} == set(found)
    assert found[cluster.topic("events")] == found[cluster.raw("toys.a")] == 3
