"""Files that grow: found by patterns, followed through rotation by rename and by copy and truncation, step by step.

A partition is a file's content, not its name: a renamed file is followed on, a truncated one is a new partition, and the copy
that was made before the truncation goes on where the file had been read to. Time is an argument: nothing here waits.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from xmsec.model.errors import ConfigError
from xmsec.model.types import Position, Raw, Rejected, Tick
from xmsec.sources.file import Content, Reading, alike
from xmsec.sources.identity import HEAD_BYTES, Known, twin
from xmsec.sources.lines import Found, Lines
from xmsec.sources.records import Cut
from xmsec.sources.unpack import CHUNK_BYTES, opened

QUIET = timedelta(hours=1)  # a file that is not its stream's newest and did not grow so long has ended
POLL_RECORDS = 16_000  # then the other files wait for the next poll, so that a first start with years of logs fits in memory
FOLLOWED = 512  # open files; more wait until some have ended

Inode = tuple[int, int]


class Tail:
    """Follows the files of one stream.

    patterns: as in the shell; idle: how long a file must bring nothing until time may pass without it; after: where to go on;
    cut: how bytes become records.
    """

    def __init__(
        self, stream: str, patterns: Sequence[str], idle: timedelta, after: Mapping[str, Position], cut: Cut = Lines
    ) -> None:
        self.stream = stream
        self.problems: list[Rejected] = []
        self._patterns, self._idle, self._cut = patterns, idle, cut
        self._after = dict(after)
        self._followed: dict[Inode, _Followed] = {}
        self._ended: dict[Inode, int] = {}  # sizes of files that were read and closed: they come back when they grow

    def poll(self, now: datetime) -> Sequence[Raw | Tick]:
        """Take what is new: at most one chunk of each file, so ask again at once until nothing comes."""
        present = self._present()
        found: list[Raw | Tick] = []
        for inode, (path, status) in present.items():
            if inode not in self._followed and self._ended.get(inode) != status.st_size and len(self._followed) < FOLLOWED:
                found += self._admit(inode, path, status, now)
        newest = max((status.st_mtime for _, status in present.values()), default=0.0)
        for inode, file in list(self._followed.items()):
            if len(found) >= POLL_RECORDS:
                break
            found += self._take(inode, file, present.get(inode), newest, now)
        self._ended = {inode: size for inode, size in self._ended.items() if inode in present}
        return found

    def _take(
        self, inode: Inode, file: _Followed, present: tuple[str, os.stat_result] | None, newest: float, now: datetime
    ) -> Sequence[Raw | Tick]:
        mtime = present[1].st_mtime if present else 0.0
        over = present is None or (mtime < newest and now - _moment(mtime) >= QUIET)
        found = file.take(now, self._idle, retired=present is None, over=over)
        self._after[file.partition] = file.position
        del self._followed[inode]
        if not file.ended:
            self._followed[inode] = file  # to the end of the row: a busy file keeps no other waiting
        elif not file.emptied:
            self._ended[inode] = file.size_bytes
        self.problems += file.problems
        return found

    def lag(self) -> Mapping[tuple[str, ...], float]:
        """Return how many bytes of each file that it follows were not read yet; may be asked from another thread."""
        followed = list(self._followed.values())
        return {(self.stream, file.partition): max(file.size_bytes - file.read_bytes, 0) for file in followed}

    def close(self) -> None:
        """Close the files; they can be followed on from the committed positions."""
        for file in self._followed.values():
            file.close()
        self._followed.clear()

    def _present(self) -> dict[Inode, tuple[str, os.stat_result]]:
        found: dict[Inode, tuple[str, os.stat_result]] = {}
        for path in sorted({path for pattern in self._patterns for path in glob.glob(pattern, recursive=True)}):
            try:
                status = os.stat(path)
            except OSError:
                continue  # gone since it was listed
            if stat.S_ISREG(status.st_mode) and status.st_size:
                found.setdefault((status.st_dev, status.st_ino), (path, status))
        return found

    def _admit(self, inode: Inode, path: str, status: os.stat_result, now: datetime) -> Sequence[Raw | Tick]:
        """Begin to follow a file, unless it must wait: for its first line, for its packer, for the file whose copy it is."""
        try:
            content = Content(path)
        except ConfigError as error:
            self.problems.append(Rejected(Position(self.stream, path, 0), "source", error.what, now))
            self._ended[inode] = status.st_size
            return []
        if content.packed and now - _moment(status.st_mtime) < self._idle:
            return []
        if not content.packed and b"\n" not in content.head and len(content.head) < HEAD_BYTES:
            return []
        followed = {file.partition: file for file in self._followed.values()}
        partition = Known({*self._after, *followed}).identify(self.stream, content.head)
        own = twin(partition, content.inode)
        other = followed.get(partition)
        if own in self._after or (other is not None and not alike(content.head, other.head)):
            partition = own
        elif other is not None:
            return []
        after = self._after.get(partition)
        if after is not None and not content.packed and after.offset >= content.size_bytes:
            self._ended[inode] = status.st_size  # an older state of what was read already
            return []
        self._followed[inode] = _Followed(content, after or Position(self.stream, partition, -1), now, self._cut)
        return [Tick(self.stream, partition, now, "open")]


class _Followed:
    """One open file."""

    def __init__(self, content: Content, after: Position, now: datetime, cut: Cut) -> None:
        stream, partition = after.source
        self.partition, self.head = partition, content.head
        self.position = after
        self.problems: Sequence[Rejected] = ()
        self.ended = self.emptied = False
        self.size_bytes = content.size_bytes
        self._stream = stream
        self._heard = self._said = now
        self._skipping = self.position.offset >= 0
        self._lines = cut(max(after.offset, 0))
        self._reading: Reading | None = None
        self._batches: Iterator[Sequence[Raw | Tick]] = iter(())
        if content.packed:
            self._reading = Reading((stream, partition), [content], after, lambda: self._heard, cut=cut)
            self._batches = self._reading.batches()
            return
        self._file = opened(content.path)
        self._at = self._lines.reached

    @property
    def read_bytes(self) -> int:
        """How much of it was read; of a packed file, all or nothing."""
        if self._reading is None:
            return self._at
        return self.size_bytes if self.ended else 0

    def close(self) -> None:
        if self._reading is None:
            self._file.close()

    def take(self, now: datetime, idle: timedelta, *, retired: bool, over: bool) -> Sequence[Raw | Tick]:
        """Take what is new. retired: no name leads to this file any more; over: it has ended when it brings nothing now."""
        if self._reading is not None:
            return self._take_packed(self._reading, now)
        if self._truncated():
            self.emptied = True
            return self._end(now)
        self._file.seek(self._at)
        chunk = self._file.read(CHUNK_BYTES)
        if chunk:
            self._at += len(chunk)
            self._heard = self._said = now
            return self._raws(self._lines.feed(chunk), now)
        if over and (not retired or now - self._heard >= idle):
            return self._end(now)
        if now - self._said >= idle:
            self._said = now
            return [*self._raws(self._lines.settle(), now), Tick(self._stream, self.partition, now, "idle")]
        return []

    def _truncated(self) -> bool:
        """Whether the file was emptied, even when it has grown past the old place since."""
        status = os.fstat(self._file.fileno())
        self.size_bytes = status.st_size
        head = self.head[:HEAD_BYTES]
        return status.st_size < self._at or os.pread(self._file.fileno(), len(head), 0) != head

    def _take_packed(self, reading: Reading, now: datetime) -> Sequence[Raw | Tick]:
        self._heard = now
        batch = next(self._batches)
        for item in batch[-2:]:  # the last one ends with a tick
            if isinstance(item, Tick):
                self.ended, self.problems = True, reading.problems
            else:
                self.position = item.position
        return batch

    def _raws(self, found: Sequence[Found], now: datetime) -> Sequence[Raw]:
        if self._skipping and found:
            found, self._skipping = found[1:], False
        raws = [Raw(Position(self._stream, self.partition, offset), now, line, None, cut) for offset, line, cut in found]
        if raws:
            self.position = raws[-1].position
        return raws

    def _end(self, now: datetime) -> Sequence[Raw | Tick]:
        """Give the line that was never finished, and leave."""
        self.close()
        self.ended = True
        return [*self._raws(self._lines.end(), now), Tick(self._stream, self.partition, now, "ended")]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
