"""The deployment's topics: what they are called and how they should be, made and looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from xmsec.content.streams import Framing
from xmsec.model.errors import ConfigError, PolicyError
from xmsec.runtime.faust.access import Access
from xmsec.runtime.faust.frames import MESSAGE_BYTES
from xmsec.runtime.faust.talk import NOT_ALLOWED, RIGHTS, admin

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

HOPS = ("tokened", "events", "findings", "cases")  # the topics between hops; all have the same partitions
TABLES = ("clocks", "states", "incidents")  # their changelogs have the same, too
ALONE = ("dead", "control")  # one partition each
PARTITIONS = 8
HOUR_MS = 3_600_000
_KEPT_H = {"dead": 30 * 24}
_HOP_H = 7 * 24  # a worker may be down for a long holiday's week


class Cluster(msgspec.Struct, frozen=True):
    """Where a deployment's Kafka is, and what its topics are called.

    streams: those whose raw topics it reads; framing: of those whose records have several lines; raw_hours: how long raw
    topics, which hold values, keep them.
    """

    bootstrap: str
    streams: tuple[str, ...]
    prefix: str = "xmsec"
    framing: Mapping[str, Framing] = {}
    access: Access = Access()
    raw_hours: int = 48

    def topic(self, name: str) -> str:
        """Return the full name of a topic."""
        return f"{self.prefix}.{name}"

    def changelog(self, table: str) -> str:
        """Return the topic that keeps a table's rows, as Faust calls it."""
        return f"{self.group('detect')}-{table}-changelog"

    def group(self, role: str) -> str:
        """Return the consumer group of the workers of a role."""
        return f"{self.prefix}-{role}"

    def raw(self, stream: str) -> str:
        """Return the topic that a stream's records come in by."""
        return f"{self.prefix}.raw.{stream}"

    @property
    def between(self) -> list[str]:
        """The topics whose partitions are the same: between hops, and their changelogs."""
        return [*map(self.topic, HOPS), *map(self.changelog, TABLES)]

    @property
    def topics(self) -> list[str]:
        """All topics."""
        return sorted([*map(self.raw, self.streams), *self.between, *map(self.topic, ALONE)])


class Topic(msgspec.Struct, frozen=True):
    """A topic as it is. partitions: 0 when it is not there, or hidden: this login may not see whether it is.

    settings: those that matter, empty when they may not be read; drift: setting → how it should be.
    """

    name: str
    partitions: int
    replicas: int
    settings: Mapping[str, str]
    drift: Mapping[str, str]
    hidden: bool = False


class Change(msgspec.Struct, frozen=True):
    """What was done to a topic."""

    topic: str
    what: str


def wanted(cluster: Cluster, name: str, replicas: int) -> dict[str, str]:
    """Return the settings that a topic should have."""
    kind = name.removeprefix(cluster.prefix + ".").partition(".")[0]
    settings = {
        "cleanup.policy": "delete",
        "max.message.bytes": str(MESSAGE_BYTES),
        "min.insync.replicas": str(min(2, max(1, replicas - 1))),  # what is acknowledged survives a broker
    }
    if name.endswith("-changelog") or name == cluster.topic("control"):
        return {**settings, "cleanup.policy": "compact"}
    settings["retention.ms"] = str((cluster.raw_hours if kind == "raw" else _KEPT_H.get(kind, _HOP_H)) * HOUR_MS)
    if kind == "raw":  # `received` is when it came to us, not what a producer's clock says
        settings["message.timestamp.type"] = "LogAppendTime"
    return settings


def ensure(cluster: Cluster, partitions: int | None = None, replicas: int = 1) -> Sequence[Change]:
    """Create the topics that are missing, and give the others the settings they should have; return what was changed.

    partitions: of new topics, and of raw topics that have fewer; None: as those that are there. Safe to repeat.
    Raises PolicyError, before anything is changed, when a topic would lose partitions or its states their places.
    """
    with admin(cluster.bootstrap, cluster.access) as client:
        found = {topic.name: topic for topic in _look(client, cluster) if topic.name in cluster.topics}
        there = [topic for topic in found.values() if topic.partitions]
        count = _count(cluster, there, partitions)
        where = cluster.access.at(cluster.bootstrap)
        if any(topic.hidden or (topic.partitions and not topic.settings) for topic in found.values()):
            raise ConfigError("Kafka does not let this login see our topics and their settings", where=where, remedy=RIGHTS)
        grown = _grow(client, cluster, there, partitions)
        altered = _alter(client, cluster, there)
        return [*_create(client, cluster, found, count, replicas), *grown, *altered]


def _count(cluster: Cluster, there: Iterable[Topic], partitions: int | None) -> int:
    """Return how many partitions a new topic gets."""
    between = {topic.name: topic.partitions for topic in there if topic.name in cluster.between}
    if partitions is not None:
        for topic in there:
            moved = topic.name in between and topic.partitions != partitions
            if moved or (topic.name not in map(cluster.topic, ALONE) and topic.partitions > partitions):
                why = "states lie by partition" if moved else "Kafka takes no partition away"
                remedy = f"--partitions {topic.partitions}, or leave it out"
                raise PolicyError(
                    f"{topic.name} has {topic.partitions} partitions: {why}", where=cluster.bootstrap, remedy=remedy
                )
        return partitions
    return next(iter(between.values()), PARTITIONS)


def _create(
    client: KafkaAdminClient, cluster: Cluster, found: Mapping[str, Topic], count: int, replicas: int
) -> Sequence[Change]:
    from kafka.admin import NewTopic

    alone = {cluster.topic(name): 1 for name in ALONE}
    new = {name: alone.get(name, count) for name in cluster.topics if not found[name].partitions}
    if new:
        made = [NewTopic(name, many, replicas, topic_configs=wanted(cluster, name, replicas)) for name, many in new.items()]
        client.create_topics(made, wait_for_metadata=True)
    return [Change(name, f"created, partitions {many}, replicas {replicas}") for name, many in new.items()]


def _grow(client: KafkaAdminClient, cluster: Cluster, there: Iterable[Topic], partitions: int | None) -> Sequence[Change]:
    raw = [topic for topic in there if topic.name in map(cluster.raw, cluster.streams) and topic.partitions < (partitions or 0)]
    if raw:
        client.create_partitions({topic.name: partitions for topic in raw})
    return [Change(topic.name, f"partitions {topic.partitions} → {partitions}; restart the workers") for topic in raw]


def _alter(client: KafkaAdminClient, cluster: Cluster, there: Iterable[Topic]) -> Sequence[Change]:
    from kafka.admin import ConfigResource, ConfigResourceType

    drifted = [topic for topic in there if topic.drift]
    if drifted:
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic.name, dict(topic.drift)) for topic in drifted]
        told: Mapping[str, str] = client.alter_configs(asked).get("topic", {})
        for name, answer in sorted(told.items()):
            if answer != "OK":
                where = cluster.access.at(cluster.bootstrap)
                raise ConfigError(f"Kafka does not let this login set {name}", where=where, remedy=RIGHTS)
    return [
        Change(topic.name, f"{name} {topic.settings[name]} → {value}")
        for topic in drifted
        for name, value in topic.drift.items()
    ]


def look(cluster: Cluster) -> Sequence[Topic]:
    """Return the deployment's topics, those that are missing too, and others that begin with its prefix.

    Raises ConfigError when the login may see none of them.
    """
    with admin(cluster.bootstrap, cluster.access) as client:
        found = _look(client, cluster)
    if all(topic.hidden for topic in found):
        what, remedy = "Kafka does not let this login see any of our topics", RIGHTS
        raise ConfigError(what, where=cluster.access.at(cluster.bootstrap), remedy=remedy)
    return found


def _look(client: KafkaAdminClient, cluster: Cluster) -> list[Topic]:
    from kafka.admin import ConfigResource, ConfigResourceType

    listed = {name for name in client.list_topics() if name.startswith((cluster.topic(""), cluster.group("detect") + "-"))}
    names = sorted({*listed, *cluster.topics})
    described = {topic["name"]: topic for topic in client.describe_topics(names)}
    found = {name: topic["partitions"] for name, topic in described.items() if not topic["error_code"]}
    hidden = {name for name, topic in described.items() if topic["error_code"] == NOT_ALLOWED}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in found]
    told = client.describe_configs(asked, config_filter="all").get("topic", {}) if asked else {}
    seen = [_topic(cluster, name, found[name], told.get(name, {})) for name in names if name in found]
    return sorted(
        [*seen, *(Topic(name, 0, 0, {}, {}, name in hidden) for name in names if name not in found)], key=lambda one: one.name
    )


def _topic(cluster: Cluster, name: str, partitions: Sequence[Any], told: Mapping[str, Any]) -> Topic:
    replicas = min((len(one["replica_nodes"]) for one in partitions), default=0)
    should = wanted(cluster, name, replicas)
    settings = {key: str(told[key]["value"]) for key in should if key in told}
    drift = {key: value for key, value in should.items() if settings.get(key, value) != value}
    return Topic(name, len(partitions), replicas, settings, drift if name in cluster.topics else {})


def describe(cluster: Cluster) -> Mapping[str, int]:
    """Return those of the deployment's topics that are there and seen by this login, by name, with their partitions."""
    with admin(cluster.bootstrap, cluster.access) as client:
        return {topic.name: topic.partitions for topic in _look(client, cluster) if topic.partitions}


def topic_id(cluster: Cluster, name: str) -> str:
    """Return what tells a topic from one of the same name that was made after it was deleted."""
    with admin(cluster.bootstrap, cluster.access) as client:
        (found,) = client.describe_topics([cluster.topic(name)])
    return str(found["topic_id"])
