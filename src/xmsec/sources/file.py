"""Log files, plain or compressed, and standard input: one partition a file, read in chunks with constant memory."""

from __future__ import annotations

import heapq
import os
import resource
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from io import FileIO
from itertools import chain, count
from pathlib import Path

from xmsec.model.errors import InputError
from xmsec.model.types import Position, Raw, Rejected, Source, Tick
from xmsec.sources.identity import HEAD_BYTES, Known, twin
from xmsec.sources.lines import Found, Lines
from xmsec.sources.records import Cut, Cutter
from xmsec.sources.unpack import CHUNK_BYTES, STDIN, Counting, Readable, last_of_zstd, opened, packed, unpack

BATCH_LINES = 4_000  # a batch of lines is carried along the road at once; more only delays
ALIKE_BYTES = 64 << 10  # two files that agree so far are copies of each other, the shorter one an older state
OPEN_BYTES = 256 << 20  # for the chunks of all files that are read in step

_NEVER = datetime.min.replace(tzinfo=UTC)  # before every event: who has none yet goes first

Maximum = Callable[[Source], datetime | None]


class Content:
    """One file's decompressed bytes. size_bytes: on disk; standard input has none and can be read once."""

    def __init__(self, path: str, stdin: Readable | None = None) -> None:
        self.path = path
        self.size_bytes = self.inode = 0
        self._counting: Counting | None = None
        self.packed = False
        self.damage: InputError | None = None
        self._stdin: Iterator[bytes] | None = None
        if stdin is not None:
            self._counting = Counting(stdin)
            self._stdin = unpack(self._counting)
            self.head = self._peek(self._stdin, HEAD_BYTES)
            return
        with opened(path) as stream:
            found = os.fstat(stream.fileno())
            self.size_bytes, self.inode = found.st_size, found.st_ino
            self.packed = packed(stream.read(4) or b"")
            stream.seek(0)
            self.head = self._peek(unpack(Counting(stream), ALIKE_BYTES), ALIKE_BYTES)

    @property
    def taken_bytes(self) -> int:
        """How many of its bytes on disk were read: for a progress bar."""
        return self._counting.given_bytes if self._counting else 0

    def _peek(self, chunks: Iterator[bytes], wanted_bytes: int) -> bytes:
        """Return the first bytes, fewer only at the end; a damage so early is said when the file is read."""
        begun: list[bytes] = []
        try:
            while sum(map(len, begun)) < wanted_bytes and (chunk := next(chunks, b"")):
                begun.append(chunk)
        except InputError as error:
            self.damage = error
        return b"".join(begun)

    def chunks(self, skip_bytes: int, chunk_bytes: int) -> Iterator[bytes]:
        """Yield what follows the first `skip_bytes`; raises InputError after the good bytes of a damaged file."""
        if self._stdin is not None:
            yield from _without(chain([self.head], self._stdin), skip_bytes)
            if self.damage is not None:
                raise self.damage
            return
        with opened(self.path) as stream:
            if not self.packed:
                yield from self._plain(stream, skip_bytes, chunk_bytes)
                return
            self._counting = Counting(stream)
            yield from _without(self._unpacked(chunk_bytes), skip_bytes)

    def _plain(self, stream: FileIO, skip_bytes: int, chunk_bytes: int) -> Iterator[bytes]:
        stream.seek(skip_bytes)
        self._counting = counting = Counting(stream, given_bytes=skip_bytes)
        while found := counting.read(chunk_bytes):
            yield found

    def _unpacked(self, chunk_bytes: int) -> Iterator[bytes]:
        made_bytes = 0
        assert self._counting is not None
        try:
            for chunk in unpack(self._counting, chunk_bytes):
                made_bytes += len(chunk)
                yield chunk
        except InputError as error:
            if error.what.startswith("zstd"):
                yield last_of_zstd(Path(self.path), made_bytes)
            raise


def _without(chunks: Iterable[bytes], skip_bytes: int) -> Iterator[bytes]:
    for chunk in chunks:
        if skip_bytes < len(chunk):
            yield chunk[skip_bytes:]
        skip_bytes = max(skip_bytes - len(chunk), 0)


class Reading:
    """One partition while it is read: its copies one after the other, each from where the one before ended.

    reached: the byte after the last line that was given; problems: why a file could not be read to its end.
    """

    def __init__(
        self,
        source: Source,
        contents: Sequence[Content],
        after: Position | None,
        now: Callable[[], datetime],
        batch_lines: int = BATCH_LINES,
        cut: Cut = Lines,
    ) -> None:
        self.source = source
        self.contents = contents
        self.problems: list[Rejected] = []
        self._now, self._batch_lines, self._cut = now, batch_lines, cut
        self._last = after.offset if after is not None and after.offset >= 0 else None
        self.reached = self._last or 0

    def opening(self) -> Tick:
        """Return the tick that says that this partition takes part."""
        return Tick(*self.source, self._now(), "open")

    def batches(self, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Sequence[Raw | Tick]]:
        """Yield the records that stand after the position; the last batch ends with the tick that ends the partition.

        So a small file is one batch: with thousands of files, each batch costs a look at the clocks of all.
        """
        waiting: Sequence[Raw] = ()
        reached = self.reached
        for batch, behind in chain.from_iterable(self._batches(content, chunk_bytes) for content in self.contents):
            if waiting:
                self.reached = max(self.reached, reached)
                yield waiting
            waiting, reached = batch, behind
        self.reached = max(self.reached, reached)
        yield [*waiting, Tick(*self.source, self._now(), "ended")]

    def _batches(self, content: Content, chunk_bytes: int) -> Iterator[tuple[Sequence[Raw], int]]:
        """Begin at the last line that was given, because only its start is known, and leave it out.

        Yields batches, each with the byte behind it.
        """
        skipping = self._last is not None
        lines = self._cut(self._last or 0)
        for found in self._lines(content, lines, chunk_bytes):
            if skipping and found:
                found, skipping = found[1:], False
                self.reached = found[0][0] if found else lines.reached
            for start in range(0, len(found), self._batch_lines):
                end = start + self._batch_lines
                batch = self._raws(found[start:end])
                self._last = batch[-1].position.offset
                yield batch, found[end][0] if end < len(found) else lines.reached

    def _lines(self, content: Content, lines: Cutter, chunk_bytes: int) -> Iterator[Sequence[Found]]:
        try:
            for chunk in content.chunks(lines.reached, chunk_bytes):
                yield lines.feed(chunk)
        except InputError as error:
            self.problems.append(Rejected(Position(*self.source, lines.reached), "source", error.what, self._now()))
        yield lines.end()

    def _raws(self, found: Sequence[Found]) -> Sequence[Raw]:
        stream, partition = self.source
        received = self._now()
        return [Raw(Position(stream, partition, offset), received, line, None, cut) for offset, line, cut in found]


class FileSource:
    """Log files of one stream, up to the end that each has when it is reached.

    paths: files, or `-` for standard input; stdin: its bytes; now: the edge's clock, asked once a batch. `readings` and
    `partition_by_path` are there once `open` was called; an empty file has no partition yet. `twins` names files that begin
    like another one and are told apart by their inode, so that the summary can say so. batch_lines: the most of a batch.
    cut: how bytes become records (`xmsec.sources.records.cut_of`).
    """

    def __init__(
        self,
        stream: str,
        paths: Sequence[str],
        now: Callable[[], datetime],
        stdin: Readable | None = None,
        batch_lines: int = BATCH_LINES,
        cut: Cut = Lines,
    ) -> None:
        self.stream = stream
        self.readings: Sequence[Reading] = ()
        self.partition_by_path: dict[str, str] = {}
        self.twins: list[tuple[str, str]] = []
        self._paths, self._now, self._stdin = list(dict.fromkeys(paths)), now, stdin
        self._batch_lines, self._cut = batch_lines, cut

    @property
    def problems(self) -> Sequence[Rejected]:
        """Files that could not be read to their end; what stood before was given."""
        return [problem for reading in self.readings for problem in reading.problems]

    def open(self, after: Mapping[str, Position]) -> Sequence[Reading]:
        """Find out which partitions the files are. Raises ConfigError for a path that is no readable file."""
        by_partition: dict[str, list[Content]] = {}
        known = Known(after)
        for path in self._paths:
            content = Content(path, self._stdin if path == STDIN else None)
            if not content.head and content.damage is None:
                continue
            partition = self._place(content, after, by_partition, known)
            known.add(partition)
            by_partition.setdefault(partition, []).append(content)
            self.partition_by_path[path] = partition
        self.readings = [
            Reading((self.stream, partition), contents, after.get(partition), self._now, self._batch_lines, self._cut)
            for partition, contents in by_partition.items()
        ]
        return self.readings

    def _place(
        self, content: Content, after: Mapping[str, Position], placed: Mapping[str, Sequence[Content]], known: Known
    ) -> str:
        partition = known.identify(self.stream, content.head)
        own = twin(partition, content.inode)
        others = placed.get(partition, ())
        if own in after or any(not alike(content.head, other.head) for other in others):
            self.twins.append((content.path, others[0].path if others else ""))
            return own
        return partition

    def read(self, after: Mapping[str, Position]) -> Iterator[Sequence[Raw | Tick]]:
        """Yield the records of all files that stand after the positions."""
        return merge(self.open(after), lambda _: None)


def alike(head: bytes, other: bytes) -> bool:
    """Whether one beginning continues the other: two states of one file."""
    return head.startswith(other) or other.startswith(head)


def merge(readings: Sequence[Reading], maximum: Maximum) -> Iterator[Sequence[Raw | Tick]]:
    """Read many partitions in step: all open before the first record, then always the one whose event time is lowest goes on.

    So event time advances in all of them together and few windows are open at once; what is found does not depend on it.
    maximum: the running maximum of event time of a partition, None before its first record; asked after each batch.
    """
    if not readings:
        return
    _allow_open(len(readings))
    chunk_bytes = max(min(OPEN_BYTES // len(readings), CHUNK_BYTES), 16 << 10)
    yield [reading.opening() for reading in readings]
    running = {reading.source: reading.batches(chunk_bytes) for reading in readings}
    turns = [(_NEVER, turn, reading.source) for turn, reading in enumerate(readings)]
    for turn in count(len(turns)):
        if not turns:
            return
        source = heapq.heappop(turns)[2]
        batch = next(running[source], None)
        if batch is not None:
            yield batch
            heapq.heappush(turns, (maximum(source) or _NEVER, turn, source))


def _allow_open(files: int) -> None:
    """Raise this process's own limit of open files as far as it may: a month of rotated logs is more than the usual 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
