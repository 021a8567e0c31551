"""The deployment's topics: made, and looked at, through kafka-python's administration client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from xmsec.content.streams import Framing
from xmsec.model.errors import ConfigError, ServiceError
from xmsec.model.types import Source
from xmsec.runtime.faust.frames import MESSAGE_BYTES

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

HOPS = ("tokened", "events", "findings", "cases")  # the topics between hops; all have the same partitions
TABLES = ("clocks", "states", "incidents")  # their changelogs have the same, too
DAY_MS = 86_400_000
_KEPT_MS = {"dead": 30 * DAY_MS, "control": 7 * DAY_MS, "raw": 2 * DAY_MS}  # raw holds values: no longer than a weekend
_HOP_MS = 7 * DAY_MS  # a worker may be down for a long holiday's week


class Cluster(msgspec.Struct, frozen=True):
    """Where a deployment's Kafka is, and what its topics are called.

    streams: those whose raw topics it reads; framing: of those whose records have several lines.
    """

    bootstrap: str
    streams: tuple[str, ...]
    prefix: str = "xmsec"
    framing: Mapping[str, Framing] = {}

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


class Topic(msgspec.Struct, frozen=True):
    """A topic that is there. settings: those that differ from the broker's."""

    partitions: int
    replicas: int
    settings: Mapping[str, str]


def _wanted(cluster: Cluster, partitions: int) -> dict[str, int]:
    wanted = {cluster.raw(stream): partitions for stream in cluster.streams}
    wanted |= {cluster.topic(name): partitions for name in HOPS}
    wanted |= {cluster.changelog(name): partitions for name in TABLES}
    return wanted | {cluster.topic(name): 1 for name in ("dead", "control")}


def topics(cluster: Cluster) -> Mapping[str, Topic]:
    """Return those of the deployment's topics that are there, by name."""
    from kafka.admin import ConfigResource, ConfigResourceType

    with _admin(cluster) as admin:
        names = sorted(_wanted(cluster, 1).keys() & set(admin.list_topics()))
        if not names:
            return {}
        told = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
        settings = {name: given for by_name in told.values() for name, given in by_name.items()}
        return {
            topic["name"]: Topic(
                len(topic["partitions"]),
                min(len(partition["replica_nodes"]) for partition in topic["partitions"]),
                {name: str(given["value"]) for name, given in settings.get(topic["name"], {}).items()},
            )
            for topic in admin.describe_topics(names)
        }


def differing(cluster: Cluster, found: Mapping[str, Topic]) -> Iterator[tuple[str, str, str]]:
    """Say which topics are not as they must be: topic, what is wrong, what to do."""
    for name in sorted(_wanted(cluster, 1).keys() - found.keys()):
        yield name, "missing", "run `xmsec topics ensure`"
    counts = {found[name].partitions for name in _between(cluster) if name in found}
    if len(counts) > 1:
        yield ", ".join(_between(cluster)), f"{sorted(counts)} partitions", "delete and make them anew with the same number"
    for name in sorted(found):
        for setting, value in _settings(cluster, name).items():
            present = found[name].settings.get(setting, "the broker's own")
            if present != value:
                remedy = f"kafka-configs.sh --alter --topic {name} --add-config {setting}={value}"
                yield name, f"{setting} is {present}, {value} is wanted", remedy


def ensure(cluster: Cluster, partitions: int = 8, replicas: int = 1) -> Sequence[str]:
    """Create the topics that are missing; return their names. Safe to repeat, and changes none that is there."""
    wanted = _wanted(cluster, partitions)
    with _admin(cluster) as admin:
        from kafka.admin import NewTopic

        missing = sorted(set(wanted) - set(admin.list_topics()))
        new = [NewTopic(name, wanted[name], replicas, topic_configs=_settings(cluster, name)) for name in missing]
        if new:
            admin.create_topics(new, wait_for_metadata=True)
    return missing


def _settings(cluster: Cluster, name: str) -> dict[str, str]:
    kind = name.removeprefix(cluster.prefix + ".").partition(".")[0]
    if name.endswith("-changelog"):
        return {"max.message.bytes": str(MESSAGE_BYTES), "cleanup.policy": "compact"}
    settings = {"max.message.bytes": str(MESSAGE_BYTES), "retention.ms": str(_KEPT_MS.get(kind, _HOP_MS))}
    if kind == "raw":  # `received` is when it came to us, not what a producer's clock says
        settings["message.timestamp.type"] = "LogAppendTime"
    return settings


def describe(cluster: Cluster) -> Mapping[str, int]:
    """Return the deployment's topics that are there, by name, with their partitions."""
    with _admin(cluster) as admin:
        names = [name for name in admin.list_topics() if name.startswith((cluster.prefix + ".", cluster.prefix + "-"))]
        found = admin.describe_topics(sorted(names)) if names else []
    return {topic["name"]: len(topic["partitions"]) for topic in found}


def topic_id(cluster: Cluster, name: str) -> str:
    """Return what tells a topic from one of the same name that was made after it was deleted."""
    with _admin(cluster) as admin:
        (found,) = admin.describe_topics([cluster.topic(name)])
    return str(found["topic_id"])


def participants(cluster: Cluster, found: Mapping[str, int]) -> Sequence[Source]:
    """Return every partition of the raw topics: each takes part in event time from the start.

    Raises ConfigError when a topic is missing, or the topics between hops differ in their partitions.
    """
    names = [*(cluster.raw(stream) for stream in cluster.streams), *_between(cluster), cluster.topic("dead")]
    missing = [name for name in names if name not in found]
    if missing:
        raise ConfigError(
            f"topics are missing: {', '.join(missing[:3])}", where=cluster.bootstrap, remedy="run `xmsec topics ensure`"
        )
    if len({found[name] for name in _between(cluster)}) > 1:
        raise ConfigError(
            "topics between hops differ in their partitions",
            where=cluster.bootstrap,
            remedy=f"give {', '.join(_between(cluster))} the same number",
        )
    return [(stream, str(number)) for stream in cluster.streams for number in range(found[cluster.raw(stream)])]


def _between(cluster: Cluster) -> list[str]:
    return [*map(cluster.topic, HOPS), *map(cluster.changelog, TABLES)]


@contextmanager
def _admin(cluster: Cluster) -> Iterator[KafkaAdminClient]:
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    try:
        admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    except KafkaError as error:
        remedy = "start it, or set XMSEC_KAFKA_BOOTSTRAP"
        raise ServiceError("Kafka does not answer", where=cluster.bootstrap, remedy=remedy) from error
    try:
        yield admin
    finally:
        admin.close()
