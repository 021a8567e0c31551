"""Records on their way once more: recordings to a topic, as classify would have written them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from xmsec.model.errors import ConfigError, PolicyError
from xmsec.model.types import Tick
from xmsec.pipeline.road import Road, Taken
from xmsec.runtime.faust import frames, hops
from xmsec.runtime.faust.talk import talking
from xmsec.runtime.faust.topics import Cluster, describe


def publish(cluster: Cluster, topic: str, batches: Iterable[Taken], road: Road) -> int:
    """Write recorded events and ticks to a topic as tokened frames, each source in its order; return how many events.

    Raises ConfigError when there is no such topic, PolicyError when the deployment itself reads it and it is in use.
    """
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    count = 0
    with talking(cluster.bootstrap, cluster.access) as access:
        consumer = KafkaConsumer(enable_auto_commit=False, **access)
        try:
            numbers = consumer.partitions_for_topic(topic) if topic in consumer.topics() else None
            if not numbers:
                where, remedy = cluster.access.at(cluster.bootstrap), "create it first, with the right to write it"
                raise ConfigError(f'no topic "{topic}" that this login sees', where=where, remedy=remedy)
            ends = consumer.end_offsets([TopicPartition(topic, number) for number in numbers])
        finally:
            consumer.close()
        if topic in describe(cluster) and (topic != cluster.topic("tokened") or any(ends.values())):
            raise PolicyError(f'topic "{topic}" is the deployment\'s own and in use', where="--to-topic", remedy="name another")
        producer = KafkaProducer(acks="all", linger_ms=20, **access)
        try:
            sent: list[Any] = []
            for taken in batches:
                for frame in hops.by_source(taken, road):
                    place = frames.partition_of_source(frame.source, len(numbers))
                    sent += (producer.send(topic, value, partition=place) for value in frames.packs(frame))
                    count += sum(not isinstance(item, Tick) for item in frame.items)
                for future in sent:
                    future.get(timeout=60)
                sent = []
        finally:
            producer.close()
    return count
