"""What a role does with which topics: looked at before a worker starts, and what docs/kafka.md grants."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xmsec.model.errors import ConfigError
from xmsec.model.types import Source
from xmsec.runtime.faust.talk import NOT_ALLOWED, RIGHTS, admin
from xmsec.runtime.faust.topics import HOPS, TABLES, Cluster

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

ROLES = ("classify", "detect", "index", "notify", "record", "respond")
Needs = Mapping[str, frozenset[str]]  # topic → operations, as Kafka's ACLs name them
_TRIES = 20  # the first group of a new cluster has no coordinator for a moment


def needs(cluster: Cluster, role: str) -> Needs:
    """Return what a role's login must be allowed, and nothing more; and to read its consumer group."""
    tokened, events, findings, cases = map(cluster.topic, HOPS)
    raw, tables = [cluster.raw(stream) for stream in cluster.streams], [cluster.changelog(name) for name in TABLES]
    reads, writes, looks = {
        "classify": (raw, [tokened], []),
        "detect": ([tokened, events, findings, *tables], [events, findings, cases, *tables], raw),
        "record": ([tokened], [], raw),
        "index": ([cases], [], []),
        "respond": ([cases], [], []),
        "notify": ([cases], [], []),
    }[role]
    found: dict[str, set[str]] = {}
    for operation, names in (
        ("READ", [*reads, cluster.topic("control")]),
        ("WRITE", [*writes, cluster.topic("dead")]),
        ("DESCRIBE", looks),
    ):
        for name in names:
            found.setdefault(name, set()).add(operation)
    return {name: frozenset(operations) for name, operations in found.items()}


def survey(cluster: Cluster, roles: Collection[str]) -> tuple[Sequence[Source], int]:
    """Return every partition of the raw topics that these roles see, and how many partitions the topics between hops have.

    Each source takes part in event time from the start. Raises ConfigError when a topic or a right is missing, or the topics
    between hops differ in their partitions.
    """
    wants: dict[str, frozenset[str]] = {}
    for role in roles:
        for name, operations in needs(cluster, role).items():
            wants[name] = wants.get(name, frozenset()) | operations
    with admin(cluster.bootstrap, cluster.access) as client:
        found = {topic["name"]: topic for topic in client.describe_topics(sorted(wants))}
        for lack in (*_lacking(wants, found), *_groups(client, cluster, roles)):
            what, where = f"Kafka does not let this login {lack}", cluster.access.at(cluster.bootstrap)
            raise ConfigError(what, where=where, remedy=RIGHTS)
    return spread(cluster, {name: 0 if topic["error_code"] else len(topic["partitions"]) for name, topic in found.items()})


def spread(cluster: Cluster, found: Mapping[str, int]) -> tuple[Sequence[Source], int]:
    """Say the same of topics by their partitions; 0: it is not there."""
    missing = sorted(name for name, partitions in found.items() if not partitions)
    if missing:
        what = f"topics are missing: {', '.join(missing[:3])}"
        raise ConfigError(what, where=cluster.bootstrap, remedy="run `xmsec topics ensure`")
    counts = {found[name] for name in cluster.between if name in found}
    if len(counts) > 1:
        remedy = f"give {', '.join(cluster.between)} the same number"
        raise ConfigError("topics between hops differ in their partitions", where=cluster.bootstrap, remedy=remedy)
    raw = {stream: found[cluster.raw(stream)] for stream in cluster.streams if cluster.raw(stream) in found}
    return [(stream, str(number)) for stream, partitions in raw.items() for number in range(partitions)], counts.pop()


def _lacking(wants: Needs, found: Mapping[str, Any]) -> Iterator[str]:
    for name, topic in sorted(found.items()):
        if topic["error_code"] == NOT_ALLOWED:
            yield f"{_spoken(wants[name])} topic {name}"
        allowed = topic.get("authorized_operations")
        if allowed and not topic["error_code"] and wants[name] - {*allowed}:
            yield f"{_spoken(wants[name] - {*allowed})} topic {name}"


def _spoken(operations: Collection[str]) -> str:
    return " and ".join(sorted(operations)).lower()


def _groups(client: KafkaAdminClient, cluster: Cluster, roles: Collection[str]) -> Iterator[str]:
    from time import sleep

    from kafka.errors import GroupAuthorizationFailedError, RetriableError

    for role in sorted(roles):
        group = cluster.group(role)
        for last in (*[False] * _TRIES, True):
            try:
                told = client.describe_groups([group])[group]
            except GroupAuthorizationFailedError:
                yield f"read group {group}"
            except RetriableError:
                if last:
                    raise
                sleep(0.2)
                continue
            else:
                if "GroupAuthorizationFailed" in (told["error"] or ""):
                    yield f"read group {group}"
            break
