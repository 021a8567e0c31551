"""Dead letters on Kafka, and their records sent again: to the same raw partition, under the name of their old place.

A record goes out between two marks in the topic of dead letters: `sending`, with where the raw partition ended then, and
`sent`. Killed in between, the next retry looks behind that end for the name, and sends only what is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from xmsec.model.errors import ConfigError, ServiceError
from xmsec.model.types import Position, Raw, Rejected
from xmsec.pipeline.road import Road
from xmsec.runtime.faust import hops
from xmsec.runtime.faust.frames import MESSAGE_BYTES
from xmsec.runtime.faust.letters import Group, Letter, Totals
from xmsec.runtime.faust.talk import NOT_ALLOWED, RIGHTS, admin, talking
from xmsec.runtime.faust.topics import Cluster
from xmsec.runtime.refused import AT_ONCE, LEGS, RECEIVE, Fate, is_taken, name_of
from xmsec.sources.records import records_of

if TYPE_CHECKING:
    from kafka import KafkaConsumer, KafkaProducer

MARK = "retry"  # the leg of a mark
SENT, SENDING = "sent", "sending:"
ANSWER_MS = 10_000
_decode = msgspec.json.Decoder(Letter).decode


class Letters(msgspec.Struct, frozen=True):
    """What lies in the topic. kept: the first letters of each stream, leg and reason that wait; totals, sent: how many in all.

    begun: of letters whose sending was begun and not finished, where the raw partition ended before.
    """

    kept: Sequence[Rejected]
    totals: Mapping[Group, int]
    sent: Mapping[Group, int]
    begun: Mapping[Position, int]


def letters(cluster: Cluster, stream: str | None = None) -> Letters:
    """Read the dead letters, of one stream or of all. Raises ServiceError."""
    marks = {one.position: one.reason for one in _read(cluster) if one.leg == MARK}
    found = Totals()
    for one in _read(cluster):
        if one.leg != MARK and stream in (None, one.position.stream):
            found.hear(one, sent=not one.more and one.leg in LEGS and marks.get(one.position) == SENT)
    begun = {at: int(reason.removeprefix(SENDING)) for at, reason in marks.items() if reason.startswith(SENDING)}
    return Letters(list(found.kept.values()), found.counts, +found.sent, begun)


def present(cluster: Cluster, letters: Sequence[Rejected]) -> Iterator[bool]:
    """Say of each letter whether its record may still be read: Kafka keeps raw records for a time only."""
    from kafka import TopicPartition

    starts: dict[Any, int | None] = {}
    with talking(cluster.bootstrap, cluster.access) as access, closing(_consumer(access)) as consumer:
        topics = consumer.topics()
        waiting = [one for one in letters if one.leg in LEGS and one.position.offset >= 0]
        for topic in sorted({cluster.raw(one.position.stream) for one in waiting} - topics):
            _say_if_hidden(cluster, topic)
        for one in letters:
            if one.leg not in LEGS or one.position.offset < 0 or cluster.raw(one.position.stream) not in topics:
                yield False
                continue
            tp = TopicPartition(cluster.raw(one.position.stream), int(one.position.partition))
            if tp not in starts:
                starts[tp] = consumer.beginning_offsets([tp])[tp]
            yield one.position.offset >= (starts[tp] or 0)


def retry(cluster: Cluster, road: Road, found: Letters) -> Iterator[tuple[Rejected, Fate]]:
    """Send refused records again that the road takes now; says of each what became of it. Raises ServiceError."""
    from kafka import KafkaProducer

    with talking(cluster.bootstrap, cluster.access) as access, closing(_consumer(access)) as consumer:
        producer = KafkaProducer(acks="all", max_request_size=MESSAGE_BYTES, **access)
        with closing(producer):
            there = list(present(cluster, found.kept))
            waiting = [one for one, is_there in zip(found.kept, there, strict=True) if is_there]
            yield from (
                (one, "gone") for one, is_there in zip(found.kept, there, strict=True) if not is_there and one.leg in LEGS
            )
            waiting.sort(key=lambda one: one.position)
            for start in range(0, len(waiting), AT_ONCE):
                yield from _again(cluster, road, (consumer, producer), waiting[start : start + AT_ONCE], found.begun)


def _again(
    cluster: Cluster,
    road: Road,
    ways: tuple[KafkaConsumer, KafkaProducer],
    letters: Sequence[Rejected],
    begun: Mapping[Position, int],
) -> Iterator[tuple[Rejected, Fate]]:
    consumer, producer = ways
    ready: list[tuple[Rejected, bytes, bytes]] = []
    for letter in letters:
        record = _record(cluster, consumer, letter)
        if record is None:
            yield letter, "gone"
        elif not is_taken(record.raws, road):
            yield letter, "failed"
        elif letter.position in begun and _is_behind(cluster, consumer, letter.position, begun[letter.position], record.name):
            _mark(cluster, producer, [(letter.position, SENT)])
            yield letter, "retried"
        else:
            ready.append((letter, record.name, record.value))
    ends = {
        one: _end(cluster, consumer, one) for one in {letter.position.source: letter.position for letter, *_ in ready}.values()
    }
    by_source = {position.source: end for position, end in ends.items()}
    _mark(cluster, producer, [(one.position, f"{SENDING}{by_source[one.position.source]}") for one, *_ in ready])
    sending = [
        producer.send(
            cluster.raw(one.position.stream), value, partition=int(one.position.partition), headers=[(hops.ID_HEADER, name)]
        )
        for one, name, value in ready
    ]
    for future in sending:
        future.get(timeout=ANSWER_MS / 1000)
    _mark(cluster, producer, [(one.position, SENT) for one, *_ in ready])
    yield from ((one, "retried") for one, *_ in ready)


class Record(msgspec.Struct, frozen=True):
    """A record to be sent again. name: its producer's own, or that of its old place."""

    name: bytes
    value: bytes
    raws: Sequence[Raw]

    def __repr__(self) -> str:
        return f"Record({len(self.value)} bytes)"


def _record(cluster: Cluster, consumer: KafkaConsumer, letter: Rejected) -> Record | None:
    """Read a record at its place; of a message with several, the one that was refused. None when it is not there."""
    at = letter.position
    message = next(_messages(cluster, consumer, at, at.offset), None)
    if message is None or message.offset != at.offset:
        return None
    value = message.value or b""
    own = dict(message.headers).get(hops.ID_HEADER)
    found = records_of(cluster.framing.get(at.stream), value)
    received = datetime.fromtimestamp(message.timestamp / 1000, UTC)
    raws = list(hops.records(at, received, found, None))
    if letter.leg == RECEIVE or len(found) < 2:
        return Record(own or name_of(at).encode(), value, raws)
    if at.part >= len(found):
        return None
    line = found[at.part][1]
    return Record(own + f"#{at.part}".encode() if own else name_of(at).encode(), line, [raws[at.part]])


def _is_behind(cluster: Cluster, consumer: KafkaConsumer, at: Position, start: int, name: bytes) -> bool:
    """Whether a message of this name stands behind a place of its raw partition."""
    return any(dict(one.headers).get(hops.ID_HEADER) == name for one in _messages(cluster, consumer, at, start))


def _messages(cluster: Cluster, consumer: KafkaConsumer, at: Position, start: int) -> Iterator[Any]:
    from kafka import TopicPartition

    return _from(consumer, TopicPartition(cluster.raw(at.stream), int(at.partition)), start)


def _from(consumer: KafkaConsumer, tp: Any, start: int) -> Iterator[Any]:
    """Yield a partition's messages from an offset to where it ends now. Raises ServiceError when they do not come."""
    end = consumer.end_offsets([tp])[tp]
    consumer.assign([tp])
    consumer.seek(tp, start)
    while consumer.position(tp) < end:
        found = consumer.poll(timeout_ms=ANSWER_MS)
        if not found and consumer.position(tp) < end:
            raise ServiceError(
                "Kafka does not give what it has", where=f"{tp.topic}, partition {tp.partition}", remedy="try again"
            )
        for messages in found.values():
            yield from messages


def _end(cluster: Cluster, consumer: KafkaConsumer, at: Position) -> int:
    from kafka import TopicPartition

    tp = TopicPartition(cluster.raw(at.stream), int(at.partition))
    return int(consumer.end_offsets([tp])[tp])


def _mark(cluster: Cluster, producer: KafkaProducer, marks: Iterable[tuple[Position, str]]) -> None:
    """Write marks, certainly."""
    now = datetime.now(UTC)
    sending = [
        producer.send(cluster.topic("dead"), msgspec.json.encode(Rejected(position, MARK, reason, now)), partition=0)
        for position, reason in marks
    ]
    for future in sending:
        future.get(timeout=ANSWER_MS / 1000)


def _read(cluster: Cluster) -> Iterator[Letter]:
    """Yield what the topic of dead letters holds. Raises ConfigError when it is missing, or hidden from this login."""
    from kafka import TopicPartition

    with talking(cluster.bootstrap, cluster.access) as access, closing(_consumer(access)) as consumer:
        topic = cluster.topic("dead")
        if topic not in consumer.topics():
            _say_if_hidden(cluster, topic)
            raise ConfigError(f"topics are missing: {topic}", where=cluster.bootstrap, remedy="run `xmsec topics ensure`")
        for number in sorted(consumer.partitions_for_topic(topic) or ()):
            tp = TopicPartition(topic, number)
            for message in _from(consumer, tp, consumer.beginning_offsets([tp])[tp]):
                yield _decode(message.value)


def _say_if_hidden(cluster: Cluster, topic: str) -> None:
    """Kafka lists only what a login may see: ask for this one by name. Raises ConfigError for what is hidden."""
    with admin(cluster.bootstrap, cluster.access) as client:
        (found,) = client.describe_topics([topic])
    if found["error_code"] == NOT_ALLOWED:
        where = cluster.access.at(cluster.bootstrap)
        raise ConfigError(f"Kafka does not let this login read topic {topic}", where=where, remedy=RIGHTS)


def _consumer(access: Mapping[str, Any]) -> KafkaConsumer:
    from kafka import KafkaConsumer

    return KafkaConsumer(enable_auto_commit=False, max_partition_fetch_bytes=64 << 10, **access)
