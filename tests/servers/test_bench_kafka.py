"""`bench kafka` on real servers: what it measures, that nothing in it is empty, and that it leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from elasticsearch import Elasticsearch
from kafka import KafkaConsumer, TopicPartition

from xmsec.bench.kafka.endurance import rows
from xmsec.bench.kafka.load import TOGETHER_BYTES, fill
from xmsec.bench.kafka.measure import Asked, Given, kafka
from xmsec.bench.kafka.site import PARTITIONS
from xmsec.bench.kafka.weight import REGISTERS
from xmsec.content.load import shipped
from xmsec.runtime.faust.access import Access
from xmsec.runtime.faust.talk import admin
from xmsec.runtime.faust.topics import Cluster, ensure

pytestmark = [pytest.mark.servers]

SPEEDS = ["classify", "classify_detect_index", "detect_index"]


@pytest.fixture
def measured(kafka_bootstrap: str, es_url: str, tmp_path: Path) -> Callable[[Asked], Any]:
    connect = partial(Elasticsearch, es_url)
    given = Given(Cluster(kafka_bootstrap, ()), connect, [shipped()], ZoneInfo("Asia/Shanghai"), tmp_path / "cache")

    def measure(asked: Asked) -> Any:
        told = json.loads(msgspec.json.encode(kafka(given, asked, lambda _: None)))
        with admin(kafka_bootstrap, Access()) as client:
            assert not [name for name in client.list_topics() if "bench" in name]
        with connect() as elastic:
            assert not elastic.indices.get(index="xmsec-bench-*").body
        return told

    return measure


def test_a_worker_comes_back_to_its_keys_and_ends_when_it_is_told_to(measured: Callable[[Asked], Any]) -> None:
    told = measured(Asked(events=0, keys=200, restarts=1, memory_events=0))
    assert [(one["keys"], one["records"]) for one in told["recovery"]] == [(200, 200), (200, 600)]
    assert told["restarts"]["times"] == 1
    assert told["restarts"]["hung"] == 0


def test_a_filled_changelog_has_every_row_once_where_its_key_belongs(kafka_bootstrap: str, prefix: str) -> None:
    cluster = Cluster(kafka_bootstrap, (), prefix=prefix)
    ensure(cluster, PARTITIONS)
    keys = TOGETHER_BYTES // REGISTERS + 1_000  # of more than is handed over at once
    fill(cluster, rows(cluster, keys, 0))
    places = [TopicPartition(cluster.changelog("states"), number) for number in range(PARTITIONS)]
    given = {"auto_offset_reset": "earliest", "consumer_timeout_ms": 60_000}
    with closing(KafkaConsumer(bootstrap_servers=kafka_bootstrap, **given)) as consumer:
        consumer.assign(places)
        names = [(record.partition, record.key) for record in islice(consumer, keys)]
        assert sum(consumer.end_offsets(places).values()) == len(set(names)) == keys
    assert all(int.from_bytes(name[:2], "big") == place for place, name in names)


@pytest.mark.long
def test_every_speed_stands_beside_its_limits_and_every_probe_is_found(measured: Callable[[Asked], Any]) -> None:
    told = measured(Asked(events=20_000, keys=0, restarts=20, memory_events=200_000))
    assert sorted(told["limits"]) == ["consumer", "elasticsearch_bulk", "faust_pass_through"]
    assert sorted(told["one_a_message"]) == sorted(told["many_a_message"]) == SPEEDS
    assert all(one["us"] > 0 for part in ("limits", "one_a_message", "many_a_message") for one in told[part].values())
    assert told["open_finding"]["found"] == told["open_finding"]["probes"] > 0
    assert told["restarts"]["hung"] == 0
    assert len(told["memory"]["rss_bytes"]) == 8
