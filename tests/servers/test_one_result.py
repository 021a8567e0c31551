"""One result: the same traffic through `scan`, and through Kafka, two workers of which one is killed, and Elasticsearch."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from kafka import KafkaProducer
from tests.command import KEY, XMSEC, new_home, rows, xmsec
from tests.command import environment as surroundings
from tests.servers import real

pytestmark = [pytest.mark.servers, pytest.mark.faults]

PARTITIONS = 3
STREAMS = {
    "gateway.log": "onestop-service.gateway",
    "app-audit.jsonl": "onestop-service.app",
    "auth.jsonl": "onestop-service.auth",
    "postgresql.csv": "onestop-service.db",
}
Same = tuple[str, str, str, str, str, str, int]


def same(finding: Mapping[str, Any]) -> Same:
    """What two runs must agree on (the records of xmsec: detector, entity, window, severity, count)."""
    entity, window = finding["entity"], finding["window"]
    named = (finding["detector"], entity["type"], entity["id"], window["start"], window["end"], finding["severity"])
    return (*named, finding["count"])


@pytest.fixture(scope="module", params=[16_000, pytest.param(100_000, marks=pytest.mark.long)])
def traffic(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks of a simulated system."""
    folder = tmp_path_factory.mktemp("traffic")
    made = xmsec("simulate", "--out", folder, "--scenario", "onestop-service", "--events", request.param, "--seed", 4711)
    assert made.returncode == 0, made.stderr
    return folder


def scanned(home: Path, traffic: Path) -> list[dict[str, Any]]:
    """What one process finds in a home."""
    named = [part for stream in STREAMS.values() for part in ("--stream", stream)]
    found = xmsec("scan", *(traffic / name for name in STREAMS), *named, "--home", home, "--format", "jsonl")
    assert found.returncode == 0, found.stderr
    return rows(found.stdout)


def home_of(folder: Path, traffic: Path, learned: Path) -> Path:
    """A home that knows the traffic's ledger, and the models of another home."""
    home = new_home(folder, learned)
    if (learned / "models").is_dir():
        (home / "models").symlink_to(learned / "models")
    imported = xmsec("ledger", "import", traffic / "ledger.yaml", "--home", home)
    assert imported.returncode == 0, imported.stderr
    return home


def send(bootstrap: str, traffic: Path) -> int:
    """Send every file's lines to its stream's topic, spread over the partitions, some with several lines a message."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20, batch_size=256 << 10)
    count = 0
    for name, stream in STREAMS.items():
        lines = (traffic / name).read_bytes().splitlines()
        count += len(lines)
        for place in range(0, len(lines), 3):
            partition = place // 3 % PARTITIONS
            message = b"\n".join(lines[place : place + 3])
            producer.send(f"xmsec.raw.{stream}", message, partition=partition)
    producer.flush()
    producer.close()
    return count


def indexed(client: Elasticsearch) -> dict[str, Same]:
    """The findings that are final in the index, by document id."""
    client.indices.refresh(index="xmsec-findings")
    answer = client.search(index="xmsec-findings", size=10_000, query={"term": {"state": "final"}})
    return {hit["_id"]: same(hit["_source"]) for hit in answer["hits"]["hits"]}


def worker(home: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    streams = ",".join(STREAMS.values())
    command = [*XMSEC, "worker", "all", "--streams", streams, "--idle", "10", "--home", str(home)]
    with (home / "worker.log").open("ab") as log:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env=surroundings(environment))


def test_scan_and_two_workers_of_which_one_is_killed_find_the_same(
    traffic: Path, tmp_path: Path, kafka_bootstrap: str, es_url: str
) -> None:
    learned = home_of(tmp_path / "learning", traffic, tmp_path)
    scanned(learned, traffic)
    assert xmsec("detectors", "train", "all", "--home", learned).returncode == 0
    expected = sorted(map(same, scanned(home_of(tmp_path / "scanning", traffic, learned), traffic)))
    assert len({one[0] for one in expected}) >= 6, "the traffic must make several detectors speak"
    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    environment = {"XMSEC_KAFKA_BOOTSTRAP": kafka_bootstrap, "XMSEC_ES_URL": es_url, "XMSEC_KEY_FILE": str(key)}
    streams = ",".join(STREAMS.values())
    ensured = xmsec("topics", "ensure", "--partitions", PARTITIONS, "--streams", streams, env=environment)
    assert ensured.returncode == 0, ensured.stderr
    assert xmsec("index", "ensure", env=environment).returncode == 0
    send(kafka_bootstrap, traffic)

    homes = [home_of(tmp_path / name, traffic, learned) for name in ("one", "two")]
    running = [worker(home, environment) for home in homes]
    try:
        with Elasticsearch(es_url) as client:
            real.until(lambda: client.count(index="xmsec-findings")["count"] >= 3)
            running[0].kill()
            running.append(worker(homes[0], environment))
            real.until(lambda: sorted(indexed(client).values()) == expected)
            found = indexed(client)
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert sorted(found.values()) == expected
