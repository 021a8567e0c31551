"""The toys' road on a real Kafka with two real workers, one killed: what the road says in one process."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic

import msgspec
import pytest
from kafka import KafkaConsumer, KafkaProducer
from tests import toys
from tests.servers import real
from tests.servers.toy_worker import STREAMS

from xmsec.model.clock import EPOCH
from xmsec.model.states import Memory
from xmsec.model.types import Finding, Incident, Intent, Position, Raw, Rejected, Tick
from xmsec.pipeline.batch import process_batch
from xmsec.runtime.faust import frames
from xmsec.runtime.faust.topics import Cluster, describe, ensure
from xmsec.store.archive import Archive
from xmsec.store.merged import read_archive

pytestmark = [pytest.mark.servers, pytest.mark.faults]

PARTITIONS = 4
PATIENCE_S = 120.0
ALL = ("classify", "detect", "index")
Sent = tuple[str, int, bytes, str | None]  # stream, partition, line, the producer's own id
Told = tuple[dict[str, Finding], dict[str, Incident]]


def traffic(records: int, seed: int) -> list[Sent]:
    """Records of two streams in four partitions each, about in the order of time: late ones, repeated ids, broken lines."""
    chance = random.Random(seed)
    sent: list[Sent] = []
    for number in range(records):
        stream, partition = STREAMS[number % 2], number // 2 % PARTITIONS
        back = chance.choice((0, 0, 0, 0, 1, 2, 4, 8, 90))
        said = {
            "t": number / 20 + 0.25 - back,
            "user": f"user-{chance.randrange(40)}",
            "action": chance.choice(("login", "change", "read", "read", "read", "forbidden")),
        }
        line = b"{broken" if chance.random() < 0.01 else json.dumps(said).encode()
        given_id = f"{stream}-{number}" if chance.random() < 0.3 else None
        sent.append((stream, partition, line, given_id))
        if given_id is not None and chance.random() < 0.3:
            sent.append((stream, partition, line, given_id))
    return sent


class Wire(ExitStack):
    """Sends records, and remembers them as the broker has them."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster
        self._producer = KafkaProducer(bootstrap_servers=cluster.bootstrap, acks="all", linger_ms=5)
        self.callback(self._producer.close)
        self.raws: list[Raw] = []

    def send(self, sent: list[Sent]) -> None:
        waiting = []
        for stream, partition, line, given_id in sent:
            headers = [] if given_id is None else [("xmsec-id", given_id.encode())]
            future = self._producer.send(self._cluster.raw(stream), line, partition=partition, headers=headers)
            waiting.append((future, stream, partition, line, given_id))
        for future, stream, partition, line, given_id in waiting:
            offset = future.get(timeout=30).offset
            self.raws.append(Raw(Position(stream, str(partition), offset), EPOCH, line, given_id))


def in_one_process(raws: list[Raw]) -> Told:
    """What the road says of these records in one process, and that all of it is final."""
    ended = [Tick(*source, EPOCH, "ended") for source in sorted({raw.position.source for raw in raws})]
    outcome = process_batch([*raws, *ended], toys.road(), Memory())
    return plain(outcome.findings, outcome.incidents)


def plain(findings: list[Finding] | tuple[Finding, ...], incidents: list[Incident] | tuple[Incident, ...]) -> Told:
    """What was told last under each id, without the moment at which its events were received."""
    return (
        {finding.id: without_received(finding) for finding in findings},
        {incident.id: incident for incident in incidents},
    )


def without_received(finding: Finding) -> Finding:
    evidence = tuple(msgspec.structs.replace(event, received=EPOCH) for event in finding.evidence)
    return msgspec.structs.replace(finding, evidence=evidence)


@contextmanager
def running(bootstrap: str, prefix: str, folder: Path, roles: Sequence[str] = ALL) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process that ends with the test."""
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.toy_worker", bootstrap, prefix, str(folder), *roles], stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


class Reader(ExitStack):
    """Reads topics from their beginning, as far as it is asked."""

    def __init__(self, cluster: Cluster, *names: str) -> None:
        super().__init__()
        self._consumer = KafkaConsumer(
            *map(cluster.topic, names), bootstrap_servers=cluster.bootstrap, auto_offset_reset="earliest"
        )
        self.callback(self._consumer.close)
        self.values: list[bytes] = []

    def until(self, enough: Callable[[list[bytes]], bool]) -> None:
        """Read on until it is enough, or patience ends."""
        deadline = monotonic() + PATIENCE_S
        while not enough(self.values) and monotonic() < deadline:
            for messages in self._consumer.poll(timeout_ms=500).values():
                self.values += (message.value for message in messages)


def told(values: list[bytes]) -> Told:
    cases = [frames.unpack(value, frames.Cases) for value in values]
    findings = [finding for case in cases for finding in case.findings]
    return plain(findings, [incident for case in cases for incident in case.incidents])


def test_two_workers_one_killed_tell_what_one_process_tells(kafka_bootstrap: str, prefix: str, tmp_path: Path) -> None:
    cluster = Cluster(kafka_bootstrap, STREAMS, prefix)
    ensure(cluster, PARTITIONS)
    sent = traffic(6_000, seed=5)
    with (
        Wire(cluster) as wire,
        Reader(cluster, "cases") as cases,
        Reader(cluster, "dead") as dead,
        running(kafka_bootstrap, prefix, tmp_path / "first") as first,
        running(kafka_bootstrap, prefix, tmp_path / "second"),
    ):
        wire.send(sent[:3_000])
        cases.until(lambda values: len(values) > 20)
        first.kill()
        wire.send(sent[3_000:])
        expected = in_one_process(wire.raws)
        cases.until(lambda values: told(values) == expected)
        findings, incidents = told(cases.values)
        assert findings == expected[0]
        assert incidents == expected[1]
        broken = {raw.position for raw in wire.raws if raw.line == b"{broken"}
        dead.until(lambda values: letters(values) >= broken)
        assert letters(dead.values) == broken


def test_a_worker_a_role_and_a_store_that_is_away_lose_nothing(kafka_bootstrap: str, prefix: str, tmp_path: Path) -> None:
    cluster = Cluster(kafka_bootstrap, STREAMS, prefix)
    ensure(cluster, PARTITIONS)
    with Wire(cluster) as wire, Reader(cluster, "cases") as cases, ExitStack() as stack:
        wire.send(traffic(800, seed=6))
        findings, incidents = in_one_process(wire.raws)
        for role in ALL:
            stack.enter_context(running(kafka_bootstrap, prefix, tmp_path / role, [role]))
        cases.until(lambda values: indexed(tmp_path) == (findings, incidents))
        assert indexed(tmp_path) == (findings, incidents)


def test_a_broker_that_is_killed_is_waited_for(prefix: str, tmp_path: Path) -> None:
    server = real.kafka(tmp_path / "kafka")
    cluster = Cluster(server.start(), STREAMS, prefix)
    try:
        ensure(cluster, PARTITIONS)
        with Wire(cluster) as wire:
            wire.send(traffic(3_000, seed=7))
        with running(cluster.bootstrap, prefix, tmp_path / "worker"):
            with Reader(cluster, "cases") as cases:
                cases.until(lambda values: len(values) > 5)
            server.kill()
            server.start()
            expected = in_one_process(wire.raws)
            with Reader(cluster, "cases") as cases:
                cases.until(lambda values: told(values) == expected)
                assert told(cases.values) == expected
    finally:
        server.kill()


def test_what_is_not_sealed_yet_is_sealed_when_a_worker_ends(kafka_bootstrap: str, prefix: str, tmp_path: Path) -> None:
    cluster = Cluster(kafka_bootstrap, STREAMS, prefix)
    ensure(cluster, PARTITIONS)
    with Wire(cluster) as wire, running(kafka_bootstrap, prefix, tmp_path / "worker", ["classify", "record"]) as process:
        wire.send(traffic(800, seed=8))
        log = tmp_path / "worker" / "log"
        with Reader(cluster, "tokened") as tokened:
            tokened.until(lambda values: sum(ticks(value) for value in values) >= 2 * PARTITIONS)  # all was carried, and more
        process.terminate()
        assert process.wait(60) == 0, log.read_text()
    archive = Archive(str(tmp_path / "worker" / "recordings"))
    rows = [row for batch in read_archive(archive, "toys") for row in batch if not isinstance(row, Tick)]
    assert {row[0].position for row in rows} == {raw.position for raw in wire.raws}
    assert len(rows) == len(wire.raws)


def ticks(value: bytes) -> int:
    return sum(isinstance(item, Tick) for item in frames.unpack(value, frames.Tokened).items)


def indexed(folder: Path) -> Told:
    """What the store was last told under each id."""
    lines = b"".join(path.read_bytes() for path in folder.glob("*/indexed.jsonl")).splitlines()
    told = [msgspec.json.decode(line, type=tuple[list[Finding], list[Incident], list[Intent]]) for line in lines]
    return plain([one for given, _, _ in told for one in given], [one for _, given, _ in told for one in given])


def letters(values: list[bytes]) -> set[Position]:
    return {msgspec.json.decode(value, type=Rejected).position for value in values}


def test_topics_are_made_once(kafka_bootstrap: str, prefix: str) -> None:
    cluster = Cluster(kafka_bootstrap, STREAMS, prefix)
    made = ensure(cluster, 3)
    assert ensure(cluster) == []  # what is there keeps its partitions
    found = describe(cluster)
    assert {change.topic for change in made} == set(found)
    assert found[cluster.topic("events")] == found[cluster.raw("toys.a")] == 3
