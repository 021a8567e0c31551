"""Refused records read again, when a parser or a recogniser was corrected; here those of a home, from the files that hold them.

A record that is taken now goes along the road as a late one of a partition of its own, `retry`: windows that have closed stay
closed, and what a rule says of it is told singly. Its event is named after its old place, and its dead letter leaves in the
transaction that holds it: killed anywhere, it is carried once.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from itertools import groupby

import msgspec

from xmsec.model.errors import InputError
from xmsec.model.types import Event, Position, Raw, Rejected, Source, Span, Tick
from xmsec.pipeline.batch import carry_on
from xmsec.pipeline.tokenise import tokenise
from xmsec.runtime.embedded import Witness
from xmsec.runtime.files import Rig
from xmsec.runtime.refused import AT_ONCE, Fate, is_taken, name_of
from xmsec.runtime.summary import Tally
from xmsec.sources.file import Content
from xmsec.sources.identity import Known, twin
from xmsec.sources.lines import Found
from xmsec.sources.records import Cut, cut_of
from xmsec.store.counted import recording_into

PARTITION = "retry"
PIECE_BYTES = 64 << 10


def holders(rig: Rig, stream: str, paths: Iterable[str]) -> Mapping[str, Content]:
    """Say which of these files hold which partitions of a stream. Raises ConfigError for one that cannot be read."""
    positions = rig.store.positions(stream)
    known = Known(positions)
    found: dict[str, Content] = {}
    for path in paths:
        content = Content(path)
        partition = known.identify(stream, content.head)
        own = twin(partition, content.inode)
        found.setdefault(own if own in positions else partition, content)
    return found


def retry(
    rig: Rig, letters: Iterable[Rejected], held: Mapping[Source, Content], now: datetime
) -> Iterator[tuple[Rejected, Fate]]:
    """Carry refused records along the road again; says of each what became of it, as it is committed."""
    recording = recording_into(rig.store, rig.recordings, rig.key_check)
    witnesses: list[Witness] = [Tally(rig.store.meta()), recording]
    for stream, of_stream in groupby(sorted(letters, key=lambda one: one.position), key=lambda one: one.position.stream):
        for source, of_file in groupby(of_stream, key=lambda one: one.position.source):
            waiting = list(of_file)
            cut = cut_of(rig.deployment.streams[stream].lines if stream in rig.deployment.streams else None)
            for start in range(0, len(waiting), AT_ONCE):
                some = waiting[start : start + AT_ONCE]
                yield from _carry(rig, some, _read(held.get(source), some, cut), (witnesses, now))
    recording.seal()


def _read(content: Content | None, letters: Sequence[Rejected], cut: Cut) -> Mapping[int, Found]:
    if content is None:
        return {}
    return {found[0]: found for found in records_at(content, sorted({one.position.offset for one in letters}), cut)}


def records_at(content: Content, offsets: Sequence[int], cut: Cut) -> Iterator[Found]:
    """Yield the records that begin at these places of a file, in their order; a packed file is unpacked once."""
    for wanted in [offsets] if content.packed else [[offset] for offset in offsets]:
        yield from _picked(content, wanted, cut)


def _picked(content: Content, offsets: Sequence[int], cut: Cut) -> Iterator[Found]:
    cutter, wanted = cut(offsets[0]), set(offsets)
    with closing(_chunks(content, offsets[0])) as chunks:
        for chunk in chunks:
            for found in cutter.feed(chunk):
                if found[0] in wanted:
                    yield found
                if found[0] >= offsets[-1]:
                    return
    yield from (found for found in cutter.end() if found[0] in wanted)


def _chunks(content: Content, start: int) -> Generator[bytes, None, None]:
    with suppress(InputError):  # the end of it is damaged: what stands before was read
        yield from content.chunks(start, PIECE_BYTES)


def _carry(
    rig: Rig, letters: Sequence[Rejected], found: Mapping[int, Found], edge: tuple[Sequence[Witness], datetime]
) -> Iterator[tuple[Rejected, Fate]]:
    witnesses, now = edge
    taken: list[Rejected] = []
    for letter in letters:
        if letter.position.offset not in found:
            yield letter, "gone"
        elif is_taken([_raw(letter.position, found[letter.position.offset], now)], rig.deployment.road):
            taken.append(letter)
        else:
            yield letter, "failed"
    if not taken:
        return
    stream = taken[0].position.stream
    after = rig.store.states().clocks.get((stream, PARTITION))
    first = 0 if after is None else after.offset + 1
    raws: list[Raw | Tick] = []
    for number, letter in enumerate(taken, first):
        raw = _raw(Position(stream, PARTITION, number), found[letter.position.offset], now)
        raws.append(msgspec.structs.replace(raw, given_id=name_of(letter.position)))
    _commit(rig, [*raws, Tick(stream, PARTITION, now, "ended")], witnesses, taken)
    yield from ((letter, "retried") for letter in taken)


def _raw(position: Position, found: Found, now: datetime) -> Raw:
    return Raw(position, now, found[1], None, found[2])


def _commit(rig: Rig, records: Sequence[Raw | Tick], witnesses: Sequence[Witness], letters: Sequence[Rejected]) -> None:
    road, states = rig.deployment.road, rig.store.states()
    taken = tokenise(records, road)
    passed = [item if isinstance(item, Tick) else _late(*item) for item in taken.passed]
    outcome = carry_on(msgspec.structs.replace(taken, passed=passed), road, states)
    states.absorb(outcome.states, outcome.clocks)
    entries = {name: value for witness in witnesses for name, value in witness.append([outcome]).items()}
    rig.store.commit([outcome], meta=entries, retried=letters)


def _late(event: Event, spans: tuple[Span, ...]) -> tuple[Event, tuple[Span, ...]]:
    """Flag an event, so that a replay finds it late too; its name is in its id, and no clock need remember it."""
    return msgspec.structs.replace(event, flags=(*event.flags, "retried"), given_id=None), spans
