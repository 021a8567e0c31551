"""What `xmsec doctor --production` asks Kafka and Elasticsearch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from xmsec.cli.checks import Said, Verdict

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from xmsec.cli.settings import Settings
    from xmsec.runtime.faust.topics import Cluster

APART_S = 5.0  # what a clock that is kept by NTP does not come near
FAR_APART_S = 60.0


def asked(streams: str | None) -> Mapping[str, Callable[[Settings], Said]]:
    """Return the checks. streams: names whose topics there must be, separated by commas; None: all."""
    return {"kafka": lambda given: _kafka(given, streams), "elasticsearch": _elastic}


def _kafka(given: Settings, streams: str | None) -> Said:
    from xmsec.cli.kafka import named
    from xmsec.runtime.faust.topics import look

    cluster = named(given, streams)
    found = [topic for topic in look(cluster) if topic.name in cluster.topics]
    missing = [topic.name for topic in found if not topic.partitions and not topic.hidden]
    wrong = [(name, "missing") for name in missing]
    for topic in found:
        wrong += [(topic.name, f"{name} is {topic.settings[name]}, {value} is wanted") for name, value in topic.drift.items()]
    yield from (Verdict("fail", f"{name}: {what}", "run `xmsec topics ensure`") for name, what in wrong)
    single = sorted(topic.name for topic in found if topic.replicas == 1)
    if single:
        yield Verdict("warn", f"{len(single)} topics have one replica: a broker that is lost takes them along", "three brokers")
    able = [] if missing else list(_roles(cluster))
    yield from able
    if not wrong and not any(one.state == "fail" for one in able):
        yield Verdict("ok", f"{given.kafka_bootstrap}, {sum(topic.partitions > 0 for topic in found)} topics")


def _roles(cluster: Cluster) -> Said:
    """Say which roles a worker may take with this login: one login a role is as it should be, so a few are enough."""
    from xmsec.model.errors import ConfigError
    from xmsec.runtime.faust.rights import ROLES, survey

    lacks: dict[str, ConfigError] = {}
    for role in ROLES:
        try:
            survey(cluster, [role])
        except ConfigError as error:
            lacks[role] = error
    for role, lack in lacks.items():
        says = f"no worker {role}: {lack.what}; {lack.where}"
        yield Verdict("fail" if len(lacks) == len(ROLES) else "warn", says, lack.remedy)


def _elastic(given: Settings) -> Said:
    from xmsec.cli.elastic import elastic
    from xmsec.cli.home import key_of
    from xmsec.store.elastic_ensure import check, present
    from xmsec.store.elastic_schema import SCHEMA

    with elastic(given) as client:
        yield from _nodes(client)
        check(client, key_of(given, create=False).check, given.es_prefix)
        older = [one.name for one in present(client, given.es_prefix) if one.schema < SCHEMA]
        if older:
            yield Verdict("fail", f"older mapping: {', '.join(older[:3])}", "run `xmsec index ensure`")
    yield Verdict("ok", f"{given.es_url}, indices {given.es_prefix}-*, this key's check value")


def _nodes(client: Elasticsearch) -> Said:
    health = client.cluster.health(timeout="5s")
    if health["status"] == "red":
        yield Verdict("fail", f"cluster is red, {health['unassigned_shards']} shards unassigned", "see its log and disk")
    elif health["status"] == "yellow":
        yield Verdict("warn", f"cluster is yellow, {health['unassigned_shards']} shards unassigned", "add a node")
    now = datetime.now(UTC).timestamp()
    apart_s = max(abs(node["timestamp"] / 1000 - now) for node in client.nodes.stats(metric="os")["nodes"].values())
    if apart_s > APART_S:
        said = f"its clock and this one are {apart_s:.0f} s apart"
        yield Verdict("fail" if apart_s > FAR_APART_S else "warn", said, "keep both by NTP")
