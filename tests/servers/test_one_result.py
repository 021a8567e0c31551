"""One result: the same traffic through `scan`, and through Kafka, two workers of which one is killed, and Elasticsearch.

The traffic is every simulated system, and every generic format's own samples, of whose records a rule each tells.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch
from tests.command import KEY, XMSEC, called, xmsec
from tests.command import environment as surroundings
from tests.servers import real
from tests.traffic import SCENARIOS, Same, Traffic, home_of, own_rules, same, samples, scanned, send, simulated

pytestmark = [pytest.mark.servers, pytest.mark.faults]

PARTITIONS = 3


@pytest.fixture(scope="module", params=[16_000, pytest.param(100_000, marks=pytest.mark.long)])
def systems(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    """Two weeks of every simulated system; in a short run they share the lines."""
    each = request.param if request.param > 16_000 else max(request.param // len(SCENARIOS), 4_000)
    return simulated(tmp_path_factory.mktemp("traffic"), each, sorted(SCENARIOS))


def indexed(client: Elasticsearch) -> dict[str, Same]:
    """The findings that are final in the index, by document id."""
    client.indices.refresh(index="xmsec-findings")
    answer = client.search(index="xmsec-findings", size=10_000, query={"term": {"state": "final"}})
    return {hit["_id"]: same(hit["_source"]) for hit in answer["hits"]["hits"]}


def worker(home: Path, streams: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [*XMSEC, "worker", "all", "--streams", streams, "--idle", "10", "--home", str(home)]
    with (home / "worker.log").open("ab") as log:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env=surroundings(environment))


def test_scan_and_two_workers_of_which_one_is_killed_find_the_same(
    systems: Traffic, tmp_path: Path, kafka_bootstrap: str, es_url: str
) -> None:
    formats = samples(tmp_path, 25)
    traffic = systems + formats
    content = {"XMSEC_CONTENT_DIRS": str(own_rules(tmp_path / "content", formats))}
    learned = home_of(tmp_path / "learning", systems, tmp_path)
    scanned(learned, systems)
    assert xmsec("detectors", "train", "all", "--home", learned).returncode == 0
    # apart: for a scan the files end, and a silent system would count while other files go on; for workers they are idle, and
    # what only a whole window shows is not told while more may come
    ended = scanned(home_of(tmp_path / "formats", formats, learned), formats, content)
    once = scanned(home_of(tmp_path / "scanning", systems, learned), systems)
    expected = sorted(map(same, [*once, *(one for one in ended if one["kind"] != "anomaly")]))
    told = {one[0] for one in expected}
    assert len({one for one in told if not one.startswith("every-")}) >= 6, "the traffic must make several detectors speak"
    assert told >= {f"every-{log.stream.partition('.')[2]}" for log in formats.logs}
    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    environment = {"XMSEC_KAFKA_BOOTSTRAP": kafka_bootstrap, "XMSEC_ES_URL": es_url, "XMSEC_KEY_FILE": str(key), **content}
    ensured = called("topics", "ensure", "--partitions", str(PARTITIONS), "--streams", traffic.names, env=environment)
    assert ensured.returncode == 0, ensured.stderr
    assert called("index", "ensure", env=environment).returncode == 0
    send(kafka_bootstrap, traffic, PARTITIONS)

    homes = [home_of(tmp_path / name, traffic, learned) for name in ("one", "two")]
    running = [worker(home, traffic.names, environment) for home in homes]
    try:
        with Elasticsearch(es_url) as client:
            real.until(lambda: client.count(index="xmsec-findings")["count"] >= 3)
            running[0].kill()
            running.append(worker(homes[0], traffic.names, environment))
            real.until(lambda: sorted(indexed(client).values()) == expected)
            found = indexed(client)
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert sorted(found.values()) == expected
