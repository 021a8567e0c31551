"""The control topic: what was published is read from its beginning, and goes on being heard while a worker works.

A release that is not signed by this deployment is passed over, one that does not load is refused: the worker goes on with what
it has, and says so in one line. A release made under newer keys than the worker's makes it ask for them, and end without them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from xmsec.classify.epochs import Keyring
from xmsec.model.errors import ConfigError, PolicyError, XmsecError
from xmsec.pipeline.road import Road
from xmsec.runtime.assemble import Deployment
from xmsec.runtime.faust.frames import MESSAGE_BYTES
from xmsec.runtime.faust.post import RETRY_S, log
from xmsec.runtime.faust.roads import Roads
from xmsec.runtime.faust.talk import talking
from xmsec.runtime.faust.topics import Cluster
from xmsec.runtime.releases import Named, Workshop, changes, number_of, opened
from xmsec.store.claim import agrees

if TYPE_CHECKING:
    from kafka import TopicPartition

CONTROL = "control"
POLL_MS = 500


def heard(cluster: Cluster) -> Generator[Sequence[bytes]]:
    """Yield what the control topic holds: first all up to its end, then what comes, or nothing for a while.

    It ends at once when this login sees no such topic.
    """
    from kafka import KafkaConsumer, TopicPartition

    place = TopicPartition(cluster.topic(CONTROL), 0)
    with talking(cluster.bootstrap, cluster.access) as access:
        consumer = KafkaConsumer(enable_auto_commit=False, max_partition_fetch_bytes=MESSAGE_BYTES, **access)
        try:
            if place.topic not in consumer.topics():
                return
            consumer.assign([place])
            consumer.seek_to_beginning(place)
            end = consumer.end_offsets([place])[place]
            found: list[bytes] = []
            while consumer.position(place) < end:
                found += _values(consumer.poll(timeout_ms=POLL_MS))
            yield found
            while True:
                yield _values(consumer.poll(timeout_ms=POLL_MS))
        finally:
            consumer.close()


def published(cluster: Cluster) -> Sequence[bytes] | None:
    """Return what the control topic holds now; None when this login sees no such topic."""
    told = heard(cluster)
    try:
        return next(told, None)
    finally:
        told.close()


def publish(cluster: Cluster, name: str, value: bytes, stale: Sequence[str] = ()) -> None:
    """Write a release, acknowledged, and take stale ones away."""
    from kafka import KafkaProducer

    with talking(cluster.bootstrap, cluster.access) as access:
        producer = KafkaProducer(acks="all", max_request_size=MESSAGE_BYTES, **access)
        try:
            for key, content in ((name, value), *((each, None) for each in stale)):
                producer.send(cluster.topic(CONTROL), content, key.encode(), partition=0).get(timeout=60)
        finally:
            producer.close()


class Control:
    """What one worker goes by: its own folders until something is published, then the newest release that loads.

    own: loads its own folders; ask: reads the deployment's keys anew; taken: is told each deployment when it is gone by.
    """

    def __init__(self, keyring: Keyring, workshop: Workshop, own: Callable[[], Deployment], ask: Callable[[], Keyring]) -> None:
        self.keyring = keyring
        self.roads = Roads(lambda: self._note(own()), lambda named: self._note(workshop.load(named, self.keyring)))
        self.taken: Callable[[Deployment], None] = lambda _: None
        self.ended: XmsecError | None = None  # why the worker was told to stop
        self._ask = ask
        self._made: dict[str, Deployment] = {}
        self._current: Deployment | None = None

    @property
    def deployment(self) -> Deployment:
        """What it goes by now."""
        if self._current is None:
            content = self.roads.newest.revisions.content
            self._current = self._made[content]
        return self._current

    def hear(self, values: Sequence[bytes]) -> None:
        """Take in messages. Raises ConfigError when the newest was made under keys that cannot be had here."""
        releases = list(self._opened(values))
        if not releases:
            return
        newest = max(releases, key=lambda named: named.release.number)
        self._match(newest)
        refused = self.roads.hear(releases)
        going_by = self.roads.newest.revisions.content
        for name, error in refused.items():
            log.warning("release %s is refused, this worker goes on with %s: %s", name, going_by, error)
        if going_by in self._made and self._made[going_by] is not self._current:
            self._take(self._made[going_by])

    @contextmanager
    def watching(self, cluster: Cluster) -> Iterator[None]:
        """Go on hearing, in a thread of its own. Raises, in the end, what made it end the worker."""
        Thread(target=self._watch, args=(cluster,), daemon=True).start()
        try:
            yield
        finally:
            if self.ended is not None:
                raise self.ended

    def _watch(self, cluster: Cluster) -> None:
        while self.ended is None:
            try:
                for values in heard(cluster):
                    self._hear_or_end(values)
            except XmsecError as error:
                log.warning("nothing is heard of releases: %s", error)
            Event().wait(RETRY_S)

    def _hear_or_end(self, values: Sequence[bytes]) -> None:
        try:
            self.hear(values)
        except ConfigError as error:
            self.ended = error
            os.kill(os.getpid(), signal.SIGTERM)

    def _opened(self, values: Sequence[bytes]) -> Iterator[Named]:
        for value in values:
            try:
                yield opened(value, self.keyring, datetime.now(UTC))
            except PolicyError as error:
                log.warning("a message is passed over: %s", error)

    def _match(self, newest: Named) -> None:
        """Have the keys that a release was made under, or newer ones."""
        where = f"release {newest.name}"
        try:
            agrees(newest.release.key_check, self.keyring.check, where)
        except ConfigError:
            keyring = self._ask()
            agrees(newest.release.key_check, keyring.check, where)
            self.keyring = keyring

    def _note(self, deployment: Deployment) -> Road:
        content = deployment.road.revisions.content
        if number_of(content) >= self.roads.number:  # not one of before, which is at hand for what is still under way
            self._made = {content: deployment}
        return deployment.road

    def _take(self, deployment: Deployment) -> None:
        before, self._current = self._current, deployment
        name = deployment.road.revisions.content
        log.warning("content %s from now on%s", name, "".join(f"; {one}" for one in changes(before, deployment)))
        self.taken(deployment)


def _values(polled: dict[TopicPartition, list[Any]]) -> list[bytes]:
    return [message.value for messages in polled.values() for message in messages if message.value is not None]
