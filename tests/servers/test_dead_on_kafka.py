"""Refused records on Kafka, sent again when the parser was corrected: each is one record, whoever was killed meanwhile."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from tests import toys
from tests.command import KEY, XMSEC, called, environment, new_home, rows
from tests.servers import real
from tests.servers.test_toys_on_kafka import Reader

from xmsec.classify.token import identity
from xmsec.model.clock import EPOCH
from xmsec.model.ids import event_id
from xmsec.model.types import Event, Parsed, Position, Raw, Rejected, Tick
from xmsec.pipeline.road import Road
from xmsec.runtime.faust import dead, frames
from xmsec.runtime.faust.topics import Cluster, ensure
from xmsec.runtime.refused import name_of

pytestmark = [pytest.mark.servers, pytest.mark.faults]

NAME = "office.hatch"
STREAM = """
id: office.hatch
title: {zh: 舱口, en: Hatches}
format: json
map: {"@timestamp": %s, user.name: who}
identities: [user.name]
samples: [{line: '{"ts":"2025-03-03T09:00:00+08:00","when":"2025-03-03T09:00:00+08:00","who":"lin"}', fields: {user.name: lin}}]
"""


def record(who: str, time: str = "ts") -> bytes:
    return json.dumps({time: "2025-03-03T09:00:00+08:00", "who": who}).encode()


MESSAGES: list[tuple[bytes, str | None]] = [
    (record("a"), None),
    (record("b", "when"), None),
    (b"\n".join((record("c"), record("d", "when"), record("e"))), None),
    (record("f", "when"), "its-own"),
    (b"\n".join((record("g", "when"), record("h"))), "two"),
    (b"{broken", None),
]


class Place:
    """A deployment whose parser is corrected."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self._file = folder / "content/streams/office/hatch.yaml"
        self._file.parent.mkdir(parents=True)
        self.home = new_home(folder / "home", Path("/nowhere"))
        self.env = {"XMSEC_CONTENT_DIRS": str(folder / "content"), "XMSEC_KAFKA_BOOTSTRAP": bootstrap}
        self.reads("ts")

    def reads(self, name: str) -> None:
        self._file.write_text(STREAM % name)

    def dead(self, *arguments: str) -> list[dict[str, Any]]:
        done = called("dead", *arguments, "--stream", NAME, "--home", self.home, "--format", "jsonl", env=self.env)
        assert done.returncode == 0, done.stderr
        return rows(done.stdout)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Let a worker work, which notes how far it came when it is told to end."""
        command = [*XMSEC, "worker", "classify", "--streams", NAME, "--home", str(self.home)]
        with (self.home / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(self.env))
            try:
                yield
            finally:
                process.terminate()
                process.wait(60)


def events(reader: Reader) -> list[Event]:
    """What classify made of the stream: no rejected ones."""
    items = [item for value in reader.values for item in frames.unpack(value, frames.Tokened).items]
    told = {one[0].position: one[0] for one in items if not isinstance(one, Tick) and one[0].stream == NAME}
    return [event for event in told.values() if "rejected" not in event.flags]


def test_what_is_taken_now_is_one_record_under_its_old_name(kafka_bootstrap: str, tmp_path: Path) -> None:
    place = Place(kafka_bootstrap, tmp_path)
    made = called("topics", "ensure", "--partitions", "3", "--streams", NAME, "--home", place.home, env=place.env)
    assert made.returncode == 0, made.stderr
    producer = KafkaProducer(bootstrap_servers=kafka_bootstrap, acks="all")
    for value, own in MESSAGES:
        headers = [] if own is None else [("xmsec-id", own.encode())]
        producer.send(f"xmsec.raw.{NAME}", value, partition=1, headers=headers).get(timeout=30)
    producer.close()
    with Reader(Cluster(kafka_bootstrap, ()), "tokened") as tokened:
        with place.working():
            real.until(lambda: len(place.dead("list")) == 5)
        letters = place.dead("list")
        assert {(one["retry"], one["leg"]) for one in letters} == {("yes", "parse")}
        place.reads("when")
        told = {one["reason"]: one for one in place.dead("retry")}
        assert (told["no-time"]["retried"], told["no-time"]["failed"]) == (4, 0)
        assert (told["bad-json"]["retried"], told["bad-json"]["failed"]) == (0, 1)
        assert [one["reason"] for one in place.dead("retry")] == ["bad-json"]  # nothing else is left
        assert [one["reason"] for one in place.dead("list")] == ["bad-json"]
        with place.working():
            tokened.until(lambda _: len(events(tokened)) == 8)
    found = events(tokened)
    assert Counter(event.fields["user.name"] for event in found) == Counter("abcdefgh")
    by_name = {event.fields["user.name"]: event.id for event in found}
    for who, name in {"b": "dead/1/1/0", "d": "dead/1/2/1", "f": "its-own", "g": "two#0"}.items():
        assert by_name[who] == event_id(Position(NAME, "1", 99), identity(bytes.fromhex(KEY), name))


@pytest.fixture
def cluster(kafka_bootstrap: str, prefix: str) -> Cluster:
    made = Cluster(kafka_bootstrap, ("toys.a",), prefix)
    ensure(made, 2)
    return made


def corrected() -> Road:
    """The toys' road, whose parser takes what it refused."""
    road = toys.road()

    def parse(raw: Raw) -> Parsed | None:
        broken = raw.line.startswith(b"{broken")
        line = json.dumps({"t": 1, "user": raw.line.decode(), "action": "read"}).encode() if broken else raw.line
        return road.parse(msgspec.structs.replace(raw, line=line))

    return msgspec.structs.replace(road, parse=parse)


def refused(cluster: Cluster, count: int) -> list[Rejected]:
    """Raw records that were refused, and their letters, each twice as after a crash."""
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap, acks="all")
    letters = []
    for number in range(count):
        sent = producer.send(cluster.raw("toys.a"), b"{broken %d" % number, partition=number % 2).get(timeout=30)
        letters.append(Rejected(Position("toys.a", str(number % 2), sent.offset), "parse", "bad-json", EPOCH))
    for letter in letters * 2:
        producer.send(cluster.topic("dead"), msgspec.json.encode(letter), partition=0)
    producer.close()
    return letters


def raw(cluster: Cluster) -> list[tuple[bytes, bytes | None]]:
    """What the raw topic holds beyond the refused records, with its names."""
    consumer = KafkaConsumer(bootstrap_servers=cluster.bootstrap, enable_auto_commit=False)
    found = []
    for number in (0, 1):
        tp = TopicPartition(cluster.raw("toys.a"), number)
        found += [
            (one.value, dict(one.headers).get("xmsec-id"))
            for one in dead._from(consumer, tp, consumer.beginning_offsets([tp])[tp])
        ]
    consumer.close()
    return [one for one in found if one[1] is not None]


def fates(cluster: Cluster, road: Callable[[], Road] = corrected) -> Counter[str]:
    return Counter(fate for _, fate in dead.retry(cluster, road(), dead.letters(cluster)))


def test_a_second_retry_adds_nothing(cluster: Cluster) -> None:
    letters = refused(cluster, 40)
    assert fates(cluster, toys.road) == {"failed": 40}
    assert raw(cluster) == []
    assert fates(cluster) == {"retried": 40}
    assert {name for _, name in raw(cluster)} == {name_of(one.position).encode() for one in letters}
    assert fates(cluster) == {}
    assert len(raw(cluster)) == 40
    found = dead.letters(cluster)
    assert (found.kept, sum(found.sent.values())) == ([], 40)


@pytest.mark.parametrize("arrived", [True, False], ids=["after it was sent", "before it was sent"])
def test_a_retry_that_was_killed_is_finished_by_the_next(cluster: Cluster, arrived: bool) -> None:
    (letter,) = refused(cluster, 1)
    producer = KafkaProducer(bootstrap_servers=cluster.bootstrap, acks="all")
    dead._mark(cluster, producer, [(letter.position, "sending:1")])
    if arrived:
        headers = [("xmsec-id", name_of(letter.position).encode())]
        producer.send(cluster.raw("toys.a"), b"{broken 0", partition=0, headers=headers).get(timeout=30)
    producer.close()
    assert fates(cluster) == {"retried": 1}
    assert raw(cluster) == [(b"{broken 0", name_of(letter.position).encode())]
    assert fates(cluster) == {}


def test_what_kafka_no_longer_has_is_gone(cluster: Cluster) -> None:
    letters = refused(cluster, 6)
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    admin.delete_records({TopicPartition(cluster.raw("toys.a"), 0): 2})
    admin.close()
    assert list(dead.present(cluster, letters)) == [
        one.position.partition == "1" or one.position.offset >= 2 for one in letters
    ]
    assert fates(cluster) == {"gone": 2, "retried": 4}
    assert len(dead.letters(cluster).kept) == 2
