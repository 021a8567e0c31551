"""The servers that other tests rest on are real."""

from __future__ import annotations

from pathlib import Path

import pytest
from elasticsearch import Elasticsearch
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from tests.servers import real

pytestmark = pytest.mark.servers


def test_elasticsearch_says_its_version(es_url: str) -> None:
    with Elasticsearch(es_url) as client:
        assert client.info()["version"]["number"].startswith("9.")


@pytest.mark.faults
def test_a_broker_killed_with_9_keeps_what_it_acknowledged(tmp_path: Path, prefix: str) -> None:
    server = real.kafka(tmp_path / "kafka")
    bootstrap = server.start()
    try:
        admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        admin.create_topics([NewTopic(prefix, 1, 1)])
        admin.close()
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
        producer.send(prefix, b"kept").get(timeout=30)
        producer.close()
        server.kill()
        assert server.start() == bootstrap
        consumer = KafkaConsumer(prefix, bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=30_000)
        assert next(iter(consumer)).value == b"kept"
        consumer.close()
    finally:
        server.kill()
