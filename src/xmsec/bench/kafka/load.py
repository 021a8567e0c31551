"""What a bench sends: lines of an audit log that name keys of all seven kinds, one a message or many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from xmsec.runtime.faust.batches import BATCH_BYTES, Parcel, in_batches
from xmsec.runtime.faust.frames import MESSAGE_BYTES
from xmsec.runtime.faust.talk import talking
from xmsec.runtime.faust.topics import Cluster
from xmsec.simulate.values import mix, resident_id

if TYPE_CHECKING:
    from kafka import KafkaProducer

STREAM = "bench.audit"
SEED = 20261125
START = datetime(2026, 10, 12, tzinfo=UTC)
PER_S = 5_000  # events in a second of event time
USERS, HOSTS, ADDRESSES, SUBJECTS = 2_000, 500, 2_000, 50_000
ACTIONS = ("person-lookup", "firm-lookup", "certificate-verify", "case-show")
SUBJECT_PCT = 30  # events that name a person
TOGETHER_BYTES = 16 << 20  # several full batches a partition: the next is filled while one is on its way
PATIENCE_S = 300.0


class Lines:
    """The lines of a load. newcomers: every line comes from a new user, host and address, and names a new person."""

    def __init__(self, *, newcomers: bool = False, start: datetime = START, per_s: float = PER_S) -> None:
        self._newcomers, self._start, self._per_s = newcomers, start, per_s

    def line(self, number: int) -> bytes:
        """Return one line, some 300 bytes."""
        bits = mix(SEED, number)
        moment = self._start + timedelta(seconds=number / self._per_s)
        user, host = self._pick(number, bits, USERS), self._pick(number, bits >> 9, HOSTS)
        address = self._pick(number, bits >> 18, ADDRESSES)
        action = ACTIONS[bits >> 27 & 3]
        subject = ""
        if self._newcomers or bits % 100 < SUBJECT_PCT:
            subject = f',"subject_id":"{resident_id(mix(SEED, self._pick(number, bits >> 30, SUBJECTS)))}"'
        return (
            f'{{"ts":"{moment.isoformat(timespec="milliseconds")}","user":"w{user:07}","role":"clerk","host":"pc{host:07}",'
            f'"ip":"10.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}","action":"{action}","result":"success",'
            f'"case_no":"XM2026{number:011}","target":"/desk/{action}?page={bits >> 40 & 63}",'
            f'"agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"{subject}}}'
        ).encode()

    def probe(self, number: int) -> bytes:
        """Return a line that a rule of the bench finds, of a user that nobody else is."""
        moment = self._start + timedelta(seconds=number / self._per_s)
        return f'{{"ts":"{moment.isoformat(timespec="milliseconds")}","user":"p{number}","action":"probe"}}'.encode()

    def _pick(self, number: int, bits: int, pool: int) -> int:
        """Return one of a pool; three times of four one of its first fifth."""
        if self._newcomers:
            return number
        return bits % (pool // 5 if bits >> 20 & 3 else pool)


def messages(lines: Callable[[int], bytes], numbers: Sequence[int], each: int) -> Iterator[bytes]:
    """Put so many lines into a message."""
    waiting = iter(numbers)
    while some := list(islice(waiting, each)):
        yield b"\n".join(map(lines, some))


@contextmanager
def producing(cluster: Cluster) -> Iterator[KafkaProducer]:
    """Connect as a producer that gathers for 20 ms."""
    from kafka import KafkaProducer

    with talking(cluster.bootstrap, cluster.access) as access:
        producer = KafkaProducer(acks=1, linger_ms=20, batch_size=256 << 10, **access)
        try:
            yield producer
        finally:
            producer.close()


def fill(cluster: Cluster, parcels: Iterator[Parcel]) -> int:
    """Write these in full batches, ten times as many a second as `producing` does; return how many bytes they were."""

    async def write() -> int:
        from aiokafka import AIOKafkaProducer

        producer = AIOKafkaProducer(acks=1, max_batch_size=BATCH_BYTES, max_request_size=MESSAGE_BYTES, **given)
        await producer.start()
        try:
            size_bytes = 0
            for some in _together(parcels):
                await in_batches(producer, some, PATIENCE_S, set())
                size_bytes += sum(parcel.size for parcel in some)
            return size_bytes
        finally:
            await producer.stop()

    with talking(cluster.bootstrap, cluster.access) as given:
        return asyncio.run(write())


def _together(parcels: Iterator[Parcel]) -> Iterator[list[Parcel]]:
    some, size_bytes = list[Parcel](), 0
    for parcel in parcels:
        some.append(parcel)
        size_bytes += parcel.size
        if size_bytes >= TOGETHER_BYTES:
            yield some
            some, size_bytes = [], 0
    yield some


def send(cluster: Cluster, found: Iterator[bytes], partitions: int) -> int:
    """Send messages to the stream's topic, its partitions in turn; return how many bytes they were."""
    topic = cluster.raw(STREAM)
    return fill(cluster, (Parcel((topic, number % partitions), None, value) for number, value in enumerate(found)))
