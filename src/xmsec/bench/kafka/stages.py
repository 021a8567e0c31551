"""Where the time to a finding goes: what a probe's messages say of when they were handed on, hop after hop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import pairwise
from statistics import quantiles

import msgspec

from xmsec.bench.kafka.site import PARTITIONS, Site, noted
from xmsec.runtime.faust import frames
from xmsec.runtime.faust.talk import talking
from xmsec.runtime.faust.topics import Cluster

POLL_MS = 1_000
Moments = Mapping[str, float]  # of each probe, by the wall clock


class Stage(msgspec.Struct, frozen=True):
    """How long a part of the way took, in seconds."""

    p50_s: float
    p99_s: float


def stages(site: Site, sent: Moments, seen: Moments) -> dict[str, Stage]:
    """Say how long probes took to each topic, then into the index, then until a search saw them."""
    passed = [("sent", sent), *_carried(site.cluster, sent.keys()), ("index", noted(site.folder)), ("search", seen)]
    return {
        name: stage([after[user] - before[user] for user in before.keys() & after.keys()])
        for (_, before), (name, after) in pairwise(passed)
    }


def stage(taken_s: Sequence[float]) -> Stage:
    """Return the median and the 99th of a hundred; nothing took no time.

    >>> stage([0.5, 0.7])
    Stage(p50_s=0.6, p99_s=0.7)
    """
    cuts = quantiles(taken_s, n=100, method="inclusive") if len(taken_s) > 1 else [*taken_s, 0.0][:1] * 99
    return Stage(round(cuts[49], 2), round(cuts[98], 2))


def _carried(cluster: Cluster, users: Collection[str]) -> Iterator[tuple[str, Moments]]:
    for hop, (topic, about) in HOPS.items():
        moments: dict[str, float] = {}
        for moment_s, value in _messages(cluster, topic):
            for user in about(value):
                if user in users:
                    moments.setdefault(user, moment_s)
        yield hop, moments


def _messages(cluster: Cluster, topic: str) -> Iterator[tuple[float, bytes]]:
    """Read a topic from its beginning to where it ends now."""
    from kafka import KafkaConsumer, TopicPartition

    places = [TopicPartition(cluster.topic(topic), number) for number in range(PARTITIONS)]
    with (
        talking(cluster.bootstrap, cluster.access) as access,
        closing(KafkaConsumer(max_partition_fetch_bytes=frames.MESSAGE_BYTES, **access)) as consumer,
    ):
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        consumer.seek_to_beginning()
        while any(consumer.position(place) < ends[place] for place in places):
            for messages in consumer.poll(timeout_ms=POLL_MS).values():
                yield from ((message.timestamp / 1000, message.value) for message in messages)


def _tokened(value: bytes) -> Iterator[str]:
    for item in frames.unpack(value, frames.Tokened).items:
        if isinstance(item, tuple):
            yield str(item[0].fields.get("user.id"))


def _enriched(value: bytes) -> Iterator[str]:
    return (str(copy.event.fields.get("user.id")) for copy in frames.unpack(value, frames.Contexts).copies)


def _detected(value: bytes) -> Iterator[str]:
    return (finding.entity.id for finding in frames.unpack(value, frames.Findings).findings)


def _grouped(value: bytes) -> Iterator[str]:
    return (finding.entity.id for finding in frames.unpack(value, frames.Cases).findings)


HOPS: Mapping[str, tuple[str, Callable[[bytes], Iterator[str]]]] = {
    "classify": ("tokened", _tokened),
    "enrich": ("events", _enriched),
    "detect": ("findings", _detected),
    "group": ("cases", _grouped),
}
