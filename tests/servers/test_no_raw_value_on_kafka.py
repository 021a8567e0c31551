"""Traffic full of known values goes through Kafka and a worker; then the topics after classify and the index are searched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import cramjam
import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import CoordinatorNotAvailableError
from tests.command import called, new_home, started
from tests.servers import real
from tests.values import leaks, traffic

pytestmark = [pytest.mark.servers, pytest.mark.faults]

STREAMS = {
    "web.log": "generic.web",
    "nginx.log": "generic.web",
    "postgresql.log": "generic.postgresql",
    "syslog.log": "generic.syslog",
    "ecs.log": "generic.ecs",
}
NAMES = ",".join(sorted(set(STREAMS.values())))
ZSTD = b"\x28\xb5\x2f\xfd"


def send(bootstrap: str, folder: Path) -> None:
    """Send each line to its stream; a producer may well name its key and headers after what is in it."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20)
    for path in traffic(folder):
        for line in path.read_bytes().splitlines():
            headers = [("xmsec-id", line[:200]), ("note", line)]
            producer.send(f"xmsec.raw.{STREAMS[path.name]}", line, key=line, headers=headers)
    producer.close()


class Topics(ExitStack):
    """The deployment's topics, read from outside."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__()
        self._admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        self.callback(self._admin.close)
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
        self.callback(self._consumer.close)

    def parts(self, after_classify: bool) -> list[TopicPartition]:
        """Partitions of the topics that hold no raw record, or of those that do."""
        names = [name for name in self._consumer.topics() if name.startswith("xmsec")]
        names = [name for name in names if name.startswith("xmsec.raw.") != after_classify]
        return [TopicPartition(name, number) for name in names for number in self._consumer.partitions_for_topic(name) or ()]

    def carried(self) -> bool:
        """Whether every hop has committed all that the hop before it gave."""
        reads = {
            "classify": self.parts(after_classify=False),
            "detect": [part for part in self.parts(after_classify=True) if part.topic in ("xmsec.tokened", "xmsec.findings")],
            "index": [part for part in self.parts(after_classify=True) if part.topic == "xmsec.cases"],
        }
        for role, parts in reads.items():
            ends = self._consumer.end_offsets(parts)
            try:
                committed = self._admin.list_group_offsets(f"xmsec-{role}")[f"xmsec-{role}"]
            except CoordinatorNotAvailableError:  # a new broker makes its own topics for groups when the first one comes
                return False
            if any(end and (part not in committed or committed[part].offset < end) for part, end in ends.items()):
                return False
        return True

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """Everything in the topics after classify: keys, headers, and values as they are and unpacked."""
        parts = self.parts(after_classify=True)
        self._consumer.assign(parts)
        ends = self._consumer.end_offsets(parts)
        while any(self._consumer.position(part) < ends[part] for part in parts):
            for part, batch in self._consumer.poll(timeout_ms=500).items():
                for message in batch:
                    value = message.value or b""
                    yield part.topic, b"\0".join((message.key or b"", value, *(text for _, text in message.headers)))
                    if value.startswith(ZSTD):
                        yield part.topic, bytes(cramjam.zstd.decompress(value))


def test_no_value_is_in_a_topic_after_classify_or_in_the_index(kafka_bootstrap: str, es_url: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        home = new_home(tmp_path / "home", tmp_path)
        environment = {"XMSEC_KAFKA_BOOTSTRAP": kafka_bootstrap, "XMSEC_ES_URL": es_url, "XMSEC_HOME": str(home)}
        for command in (("topics", "ensure", "--partitions", "1", "--streams", NAMES), ("index", "ensure")):
            ensured = called(*command, env=environment)
            assert ensured.returncode == 0, ensured.stderr
        (tmp_path / "traffic").mkdir()
        send(kafka_bootstrap, tmp_path / "traffic")
        worker = started("worker", "all", "--streams", NAMES, env=environment)
        stack.callback(worker.kill)
        topics = stack.enter_context(Topics(kafka_bootstrap))
        real.until(topics.carried)
        assert topics.carried()
        worker.terminate()
        for said in worker.communicate(timeout=60):
            assert not leaks(said)
        searched = set()
        for topic, content in topics.messages():
            searched.add(topic)
            assert not leaks(content), topic
        assert searched >= {"xmsec.tokened", "xmsec.events", "xmsec.findings", "xmsec.cases", "xmsec.dead"}
        client = stack.enter_context(Elasticsearch(es_url))
        client.indices.refresh(index="_all")
        documents = list(scan(client, index="xmsec-*"))
        assert len(documents) > 3
        counted = {document["_source"]["kind"] for document in documents if document["_index"].startswith("xmsec-counts-")}
        assert counted >= {"records", "refused", "observed", "heard"}
        for document in documents:
            assert not leaks(json.dumps(document, ensure_ascii=False).encode()), document["_id"]
