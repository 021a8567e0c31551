"""The toys' road on a real Kafka with real workers: what the road says in one process. Faults: test_fault_matrix.py."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.servers.toy_scene import (
    ALL,
    PARTITIONS,
    Cases,
    Reader,
    Wire,
    assert_told,
    in_one_process,
    indexed,
    letters,
    running,
    traffic,
)
from tests.servers.toy_worker import STREAMS

from xmsec.model.types import Tick
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


def ticks(value: bytes) -> int:
    return sum(isinstance(item, Tick) for item in frames.unpack(value, frames.Tokened).items)


def test_topics_are_made_once(kafka_bootstrap: str, prefix: str) -> None:
    cluster = Cluster(kafka_bootstrap, STREAMS, prefix)
    made = ensure(cluster, 3)
    assert ensure(cluster) == []  # what is there keeps its partitions
    found = describe(cluster)
    assert {change.topic for change in made} == set(found)
    assert found[cluster.topic("events")] == found[cluster.raw("toys.a")] == 3
