"""The writer of workers' recordings: frames come in by partition and offset, files go out.

Exactly once in effect: a frame that a file has is known by the file's name and not taken again, wherever a worker was killed
between writing a file and committing its offsets.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from xmsec.model.types import Revisions, Source
from xmsec.store.archive import Archive
from xmsec.store.columns import Row
from xmsec.store.sealed import Part, hour_of, received_of

if TYPE_CHECKING:
    from xmsec.store.threads import Threads

SEAL_BYTES = 16 << 20  # compressed, in memory until it is sealed: some 250,000 events
SEAL_AFTER = timedelta(minutes=15)  # what a worker that is killed reads again at most
HOUR = timedelta(hours=1)
Range = tuple[int, int]


class Origin(msgspec.Struct, frozen=True):
    """Whose frames they are. topic_id: changes when the topic is made anew; participants: as the detectors know them."""

    topic_id: str
    key_check: str
    participants: Sequence[Source] = ()


class Recorder:
    """Open parts by partition, over an archive.

    monotonic seconds come with each call: nothing here knows a clock. threads: who sums the use that files tell.
    """

    def __init__(
        self,
        archive: Archive,
        origin: Origin,
        seal_bytes: int = SEAL_BYTES,
        seal_after: timedelta = SEAL_AFTER,
        threads: Threads | None = None,
    ) -> None:
        archive.claim(origin.key_check)
        self._archive, self._origin, self._threads = archive, origin, threads
        self._seal_bytes, self._seal_after_s = seal_bytes, seal_after.total_seconds()
        self._name = origin.topic_id.replace("-", "")[:8]
        self.parts: dict[int, Part] = {}
        self._since: dict[int, float] = {}
        self._ranges: Mapping[int, Sequence[Range]] | None = None

    def claim(self, key_check: str) -> None:
        """Go on under these keys: the same, or newer ones besides. Raises ConfigError, OSError, ServiceError."""
        if key_check != self._origin.key_check:
            self._archive.claim(key_check)
            self._origin = msgspec.structs.replace(self._origin, key_check=key_check)

    def known(self, partition: int, offset: int) -> bool:
        """Whether a file has this frame already."""
        if self._ranges is None:
            self._ranges = ranges(self._archive, self._name)
        found = self._ranges.get(partition, ())
        place = bisect_right(found, (offset, 1 << 62)) - 1
        return place >= 0 and found[place][1] >= offset

    def ripe(self, partition: int, received: datetime) -> bool:
        """Whether a partition's part must be sealed before it takes in a frame that was received then."""
        part = self.parts.get(partition)
        return part is not None and (part.bytes >= self._seal_bytes or hour_of(received) > part.hour)

    def old(self, now: float) -> list[int]:
        """Return the partitions whose part has waited long enough."""
        return [partition for partition, since in self._since.items() if now - since >= self._seal_after_s]

    def add(self, partition: int, offset: int, items: Sequence[Row], made_under: Revisions, now: float) -> None:
        """Take in a frame, not yet durably."""
        part = self.parts.get(partition)
        if part is None:
            part = Part(self._name, partition, offset)
        part.add(offset, items, made_under)
        self.parts[partition] = part
        self._since.setdefault(partition, now)

    def seal(self, partition: int) -> tuple[str, object]:
        """Make a part a file's path and content: to be `written`, as often as it takes."""
        part = self.parts.pop(partition)
        del self._since[partition]
        return part.seal(self._origin.key_check, self._origin.participants)

    def written(self, path: str, content: object) -> None:
        """Write a file, durably; the same again changes nothing. Raises OSError or ServiceError."""
        self._archive.put(path, content)

    def sum_up(self, path: str) -> None:
        """Sum the use that a file tells which was written; the same again changes nothing. Raises OSError or XmsecError."""
        if self._threads is not None:
            self._threads.settle(path)

    def forget(self) -> None:
        """Drop what is not durable: it will be read again, perhaps by another worker."""
        if self._threads is not None:
            self._threads.forget()
        self.parts, self._since, self._ranges = {}, {}, None


def ranges(archive: Archive, origin: str) -> dict[int, list[Range]]:
    """Return, for each partition, which offsets are in files: disjoint and in order."""
    found: dict[int, list[Range]] = {}
    for one in archive.files():
        if one.origin == origin:
            mine = found.setdefault(one.partition, [])
            if mine and one.first <= mine[-1][1] + 1:
                mine[-1] = (mine[-1][0], max(mine[-1][1], one.last))
            else:
                mine.append((one.first, one.last))
    return found


def received(items: Sequence[Row]) -> datetime:
    """Return when a frame was received: its first row."""
    return received_of(items[0])
