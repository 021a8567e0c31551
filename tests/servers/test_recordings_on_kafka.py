"""What workers record, one of them killed: replay, training and sums of use are what the live run and one process gave."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic
from tests.command import KEY, XMSEC, called, rows, xmsec
from tests.command import environment as surroundings
from tests.servers import real
from tests.traffic import Same, finals, home_of, same, scanned, send, simulated

from xmsec.model.ports import Use, UseQuery
from xmsec.model.types import Finding, Position, Tick
from xmsec.runtime.faust import frames
from xmsec.store.archive import Archive
from xmsec.store.elastic_read import ElasticReader
from xmsec.store.read import SqliteReader
from xmsec.store.rows import finding_row
from xmsec.store.sqlite import SqliteStore

pytestmark = [pytest.mark.servers, pytest.mark.faults]

EVENTS = 8_000
PARTITIONS = 3
ROLES = ("classify", "detect", "record")


class Told:
    """The last word on each finding, off the topic that detect writes."""

    def __init__(self, bootstrap: str) -> None:
        self._consumer = KafkaConsumer("xmsec.findings", bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        self._last: dict[str, Finding] = {}
        self.close = self._consumer.close

    def finals(self) -> list[Same]:
        for messages in self._consumer.poll(timeout_ms=500).values():
            for message in messages:
                self._last.update((one.id, one) for one in frames.unpack(message.value, frames.Findings).findings)
        return finals([finding_row(finding) for finding in self._last.values()])


def recorded(bootstrap: str) -> bool:
    """Whether every frame was acknowledged by the workers that record."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        ends = consumer.end_offsets([TopicPartition("xmsec.tokened", number) for number in range(PARTITIONS)])
        committed = admin.list_group_offsets("xmsec-record")["xmsec-record"]
        return all(not end or (part in committed and committed[part].offset >= end) for part, end in ends.items())
    finally:
        consumer.close()
        admin.close()


def holes_and_twins(archive: Archive) -> list[tuple[str, str]]:
    """Neighbouring files of a partition of which the second does not begin with the frame behind the first."""
    files = archive.files()
    return [
        (one.path, behind.path)
        for one, behind in pairwise(files)
        if one.partition == behind.partition and behind.first != one.last + 1
    ]


def events_in(bootstrap: str, topic: str) -> list[Position]:
    """Positions of the events in a topic of frames."""
    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=5_000)
    items = [item for message in consumer for item in frames.unpack(message.value, frames.Tokened).items]
    consumer.close()
    return [item[0].position for item in items if not isinstance(item, Tick)]


def worker(home: Path, names: str, given: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [*XMSEC, "worker", *ROLES, "--streams", names, "--idle", "10", "--seal-after", "2", "--home", str(home)]
    with (home / "worker.log").open("ab") as log:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env=surroundings(given))


def used(home: Path) -> Sequence[Use]:
    """The sums of one process."""
    with closing(SqliteStore(home / "store.sqlite", {})) as store:
        return SqliteReader(store.connection).uses(UseQuery(limit=10_000))


def test_replay_of_what_workers_recorded_gives_what_they_found(tmp_path: Path, kafka_bootstrap: str, es_url: str) -> None:
    traffic = simulated(tmp_path / "traffic", EVENTS)
    once = home_of(tmp_path / "once", traffic, tmp_path)
    expected = finals(scanned(once, traffic))
    assert len({one[0] for one in expected}) >= 4, "the traffic must make several detectors speak"

    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    shelf = tmp_path / "recordings"
    given = {"XMSEC_KAFKA_BOOTSTRAP": kafka_bootstrap, "XMSEC_KEY_FILE": str(key), "XMSEC_RECORDINGS": f"file://{shelf}"}
    given["XMSEC_ES_URL"] = es_url
    indexed = called("index", "ensure", env=given)
    assert indexed.returncode == 0, indexed.stderr
    ensured = called("topics", "ensure", "--partitions", str(PARTITIONS), "--streams", traffic.names, env=given)
    assert ensured.returncode == 0, ensured.stderr
    send(kafka_bootstrap, traffic, PARTITIONS, 0)
    homes = [home_of(tmp_path / name, traffic, once) for name in ("one", "two")]
    with ExitStack() as stack:
        running = [worker(home, traffic.names, given) for home in homes]
        stack.callback(lambda: [(process.kill(), process.wait()) for process in running])
        archive = Archive(str(shelf))
        real.until(lambda: len(archive.files()) >= 2)
        running[0].kill()
        running.append(worker(homes[0], traffic.names, given))
        send(kafka_bootstrap, traffic, PARTITIONS, 1)
        told = Told(kafka_bootstrap)
        stack.callback(told.close)
        real.until(lambda: told.finals() == expected)
        assert told.finals() == expected
        expected_use, reader = used(once), ElasticReader(stack.enter_context(Elasticsearch(es_url)))
        assert len(expected_use) > 20
        real.until(lambda: reader.uses(UseQuery(limit=10_000)) == expected_use)
        real.until(
            lambda: recorded(kafka_bootstrap)
        )  # ticks go on: it holds for a moment, and the replay says what was missing

    assert holes_and_twins(archive) == []
    fresh = home_of(tmp_path / "fresh", traffic, once)
    replayed = xmsec("replay", "--home", fresh, "--format", "jsonl", env=given)
    assert replayed.returncode == 0, replayed.stderr
    assert finals(rows(replayed.stdout)) == expected
    tried = xmsec("detectors", "backtest", "mass-lookup", "--home", fresh, "--format", "jsonl", env=given)
    (report,) = rows(tried.stdout)
    told = [one for one in expected if one[0] == "mass-lookup"]
    assert (report["findings"], {same(one) for one in report["gravest"]}) == (len(told), {*told})
    admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    admin.create_topics([NewTopic("copy", 2, 1)], wait_for_metadata=True)
    admin.close()
    copied = xmsec("replay", "--to-topic", "copy", "--home", fresh, env=given)
    assert copied.returncode == 0, copied.stderr
    written = events_in(kafka_bootstrap, "copy")
    # a classify that is killed says records again in another frame, and whoever reads them knows them by their position
    assert len(set(written)) == sum(len(log.records) for log in traffic.logs)
    own = xmsec("replay", "--to-topic", "xmsec.tokened", "--home", fresh, env=given)
    assert (own.returncode, b"in use" in own.stderr) == (1, True)
    trained = [
        sorted(
            (one["model"], one["version"]) for one in rows(xmsec("detectors", "train", "all", "--home", home, env=env).stdout)
        )
        for home, env in ((once, {}), (fresh, given))
    ]
    assert trained[0] == trained[1] != []
    key.write_text("6c" * 32)
    refused = xmsec("replay", "--home", fresh, env=given)
    assert refused.returncode == 2
    assert b"made with another key" in refused.stderr
