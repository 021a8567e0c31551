"""Topic settings as code: what is missing is made, what drifted is set, what cannot be changed is refused first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from tests.command import called, new_home, rows
from tests.servers import real
from tests.servers.toy_worker import STREAMS

from xmsec.model.errors import PolicyError
from xmsec.runtime.faust.topics import ALONE, Change, Cluster, Topic, ensure, look

pytestmark = pytest.mark.servers


BESIDES = {"segment.ms": "3600000"}  # a setting that is not ours


def shown(cluster: Cluster) -> dict[str, Topic]:
    return {topic.name: topic for topic in look(cluster)}


def alter(cluster: Cluster, name: str, settings: Mapping[str, str]) -> None:
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    told = admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dict(settings))])
    admin.close()
    assert told == {"topic": {name: "OK"}}
    real.until(lambda: settings.items() <= {**shown(cluster)[name].settings, **BESIDES}.items())


def test_what_is_not_there_is_shown_as_missing_and_made(kafka_bootstrap: str, prefix: str) -> None:
    cluster = Cluster(kafka_bootstrap, STREAMS, prefix)
    assert {topic.partitions for topic in look(cluster)} == {0}
    made = ensure(cluster, 3)
    assert [change.topic for change in made] == cluster.topics
    assert not any(topic.drift for topic in look(cluster))
    alone = {*map(cluster.topic, ALONE)}
    assert {topic.partitions for name, topic in shown(cluster).items() if name not in alone} == {3}


def test_a_setting_that_drifted_is_shown_set_and_said_and_others_are_left(kafka_bootstrap: str, prefix: str) -> None:
    cluster = Cluster(kafka_bootstrap, STREAMS, prefix)
    ensure(cluster, 1)
    raw, table = cluster.raw(STREAMS[0]), cluster.changelog("states")
    wrong = {"retention.ms": "1", "cleanup.policy": "compact", "message.timestamp.type": "CreateTime"}
    alter(cluster, raw, {**wrong, **BESIDES})
    alter(cluster, table, {"cleanup.policy": "delete", "max.message.bytes": "1000"})
    assert shown(cluster)[raw].drift == {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": "172800000",
    }
    said = {(change.topic, change.what) for change in ensure(cluster)}
    assert said == {
        (raw, "cleanup.policy compact → delete"),
        (raw, "message.timestamp.type CreateTime → LogAppendTime"),
        (raw, "retention.ms 1 → 172800000"),
        (table, "cleanup.policy delete → compact"),
        (table, "max.message.bytes 1000 → 16777216"),
    }
    real.until(lambda: not any(topic.drift for topic in look(cluster)))  # brokers hear of it a moment later
    assert ensure(cluster) == []


def test_two_deployments_share_a_cluster(kafka_bootstrap: str, tmp_path: Path) -> None:
    home = new_home(tmp_path / "home", Path("/nowhere"))
    for prefix in ("", "other-city."):
        env = {"XMSEC_KAFKA_BOOTSTRAP": kafka_bootstrap, **({"XMSEC_KAFKA_PREFIX": prefix} if prefix else {})}
        made = called("topics", "ensure", "--partitions", "1", "--streams", "generic.web", "--home", home, env=env)
        assert made.returncode == 0, made.stderr
    cluster = Cluster(kafka_bootstrap, ("generic.web",), "other-city")
    told = rows(called("topics", "describe", "--home", home, "--format", "jsonl", env=env).stdout)
    assert {row["topic"] for row in told if row["partitions"]} == {*cluster.topics}
    assert {"other-city.raw.generic.web", "other-city.dead", "other-city-detect-states-changelog"} <= {*cluster.topics}


def test_raw_topics_keep_values_as_long_as_they_are_told(kafka_bootstrap: str, prefix: str) -> None:
    ensure(Cluster(kafka_bootstrap, STREAMS[:1], prefix), 1)
    shorter = Cluster(kafka_bootstrap, STREAMS[:1], prefix, raw_hours=6)
    assert ensure(shorter) == [Change(shorter.raw(STREAMS[0]), "retention.ms 172800000 → 21600000")]


def test_a_stream_that_is_new_gets_the_partitions_of_those_there(kafka_bootstrap: str, prefix: str) -> None:
    ensure(Cluster(kafka_bootstrap, STREAMS[:1], prefix), 5)
    both = Cluster(kafka_bootstrap, STREAMS, prefix)
    assert ensure(both) == [Change(both.raw(STREAMS[1]), "created, partitions 5, replicas 1")]


@pytest.mark.parametrize("partitions", [2, 4])
def test_partitions_between_hops_are_never_changed(partitions: int, kafka_bootstrap: str, prefix: str) -> None:
    ensure(Cluster(kafka_bootstrap, STREAMS[:1], prefix), 3)
    both = Cluster(kafka_bootstrap, STREAMS, prefix)
    alter(both, both.topic("cases"), {"retention.ms": "1"})
    with pytest.raises(PolicyError, match="has 3 partitions: states lie by partition"):
        ensure(both, partitions)
    assert shown(both)[both.raw(STREAMS[1])].partitions == 0, "nothing is changed before it is refused"
    assert shown(both)[both.topic("cases")].drift


def test_a_raw_topic_grows_and_never_shrinks(kafka_bootstrap: str, prefix: str) -> None:
    cluster = Cluster(kafka_bootstrap, STREAMS, prefix)
    admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    admin.create_topics(
        {cluster.raw(STREAMS[0]): {"num_partitions": 1}, cluster.raw(STREAMS[1]): {"num_partitions": 6}}, wait_for_metadata=True
    )
    admin.close()
    with pytest.raises(PolicyError, match="has 6 partitions: Kafka takes no partition away"):
        ensure(cluster, 4)
    changes = ensure(cluster, 6)
    assert Change(cluster.raw(STREAMS[0]), "partitions 1 → 6; restart the workers") in changes
    real.until(lambda: shown(cluster)[cluster.raw(STREAMS[0])].partitions == 6)
    assert shown(cluster)[cluster.raw(STREAMS[0])].partitions == 6
