"""What `xmsec doctor --production` asks Kafka and Elasticsearch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from xmsec.cli.checks import Said, Verdict

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from xmsec.cli.settings import Settings

APART_S = 5.0  # what a clock that is kept by NTP does not come near
FAR_APART_S = 60.0


def asked(streams: str | None) -> Mapping[str, Callable[[Settings], Said]]:
    """Return the checks. streams: names whose topics there must be, separated by commas; None: all."""
    return {"kafka": lambda given: _kafka(given, streams), "elasticsearch": _elastic}


def _kafka(given: Settings, streams: str | None) -> Said:
    from xmsec.cli.worker import named
    from xmsec.runtime.faust.topics import differing, topics

    cluster = named(given, streams)
    found = topics(cluster)
    wrong = list(differing(cluster, found))
    for topic, what, remedy in wrong:
        yield Verdict("fail", f"{topic}: {what}", remedy)
    single = sorted(name for name, topic in found.items() if topic.replicas == 1)
    if single:
        yield Verdict("warn", f"{len(single)} topics have one replica: a broker that is lost takes them along", "three brokers")
    if not wrong:
        yield Verdict("ok", f"{given.kafka_bootstrap}, {len(found)} topics")


def _elastic(given: Settings) -> Said:
    from xmsec.classify.token import check_value
    from xmsec.cli.elastic import elastic
    from xmsec.cli.key import read_key
    from xmsec.store.elastic_ensure import check, present
    from xmsec.store.elastic_schema import SCHEMA

    with elastic(given) as client:
        yield from _nodes(client)
        check(client, check_value(read_key(given.key_path)), given.es_prefix)
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
