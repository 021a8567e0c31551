"""Many messages in few requests: full batches, made here, one of each partition on its way at a time.

By Faust's `send` a row costs as much as a frame, and three rows of two kilobytes were a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from xmsec.runtime.faust.frames import MESSAGE_BYTES

BATCH_BYTES = 1 << 20  # what a topic takes by Kafka's default; also the size up to which the client adds to a batch
SMALL_BYTES = 16 << 10  # for a topic that refused a batch; a single message is sent whatever its size
OVERHEAD_BYTES = 128  # of a batch that holds one message
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)

Way = tuple[str, int]  # a topic's partition


class Parcel(msgspec.Struct, frozen=True):
    """What goes to a partition."""

    way: Way
    key: bytes | None
    value: bytes | None

    @property
    def size(self) -> int:
        """Bytes of it."""
        return len(self.key or b"") + len(self.value or b"")


async def in_batches(kafka: Any, parcels: Sequence[Parcel], patience_s: float, small: set[str]) -> list[int]:
    """Send, and wait until all is acknowledged; return the places of those that were in a batch that was too large.

    kafka: aiokafka's producer; small: topics that take no full batches, to which those are added that refuse one. Raises
    KafkaError and TimeoutError: what was not acknowledged may have been written all the same.
    """
    filling: dict[Way, Iterator[tuple[Any, list[int]]]] = {}
    for way, places in _by_way(parcels).items():
        filling[way] = _batches(kafka, parcels, places, SMALL_BYTES if way[0] in small else BATCH_BYTES)
    sent: list[asyncio.Future[Any]] = []
    held: list[list[int]] = []
    while filling:
        for way in list(filling):
            batch, places = next(filling[way], (None, []))
            if batch is None:
                del filling[way]
                continue
            handed_over = kafka.send_batch(batch, way[0], partition=way[1])  # when the one before it is on its way
            sent.append(await asyncio.wait_for(handed_over, patience_s))
            sent[-1].add_done_callback(_heard)
            held.append(places)
    answers = await asyncio.wait_for(asyncio.gather(*sent, return_exceptions=True), patience_s)
    refused = [place for place, parcel in enumerate(parcels) if not _fits(parcel)]
    for answer, places in zip(answers, held, strict=True):
        if isinstance(answer, _TOO_LARGE):
            refused += places
            small.update(parcels[place].way[0] for place in places[1:2])
        elif isinstance(answer, BaseException):
            raise answer
    return sorted(refused)


def _by_way(parcels: Sequence[Parcel]) -> dict[Way, list[int]]:
    found: dict[Way, list[int]] = {}
    for place, parcel in enumerate(parcels):
        if _fits(parcel):
            found.setdefault(parcel.way, []).append(place)
    return found


def _fits(parcel: Parcel) -> bool:
    return parcel.size + OVERHEAD_BYTES <= MESSAGE_BYTES


def _batches(kafka: Any, parcels: Sequence[Parcel], places: Sequence[int], most: int) -> Iterator[tuple[Any, list[int]]]:
    """Yield one partition's batches with the places that they hold; the next is filled when the one before was handed over."""
    batch, held = kafka.create_batch(), list[int]()
    for place in places:
        parcel = parcels[place]
        full = held and batch.size() + parcel.size + OVERHEAD_BYTES > most
        if full or batch.append(timestamp=None, key=parcel.key, value=parcel.value) is None:
            batch.close()
            yield batch, held
            batch, held = kafka.create_batch(), []
            batch.append(timestamp=None, key=parcel.key, value=parcel.value)
        held.append(place)
    batch.close()
    yield batch, held


def _heard(sent: asyncio.Future[Any]) -> None:
    """Look at what became of a batch: of several that fail, only the first is asked for."""
    _ = sent.cancelled() or sent.exception()
