"""Messages of a connection are the same, however their bytes were cut; a journal gives back what went in, whatever its end."""

from __future__ import annotations

import gzip
import resource
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsec.content.streams import Framing
from xmsec.model.errors import InputError, ServiceError
from xmsec.sources.body import bulk_records, json_records, text_records, unpacked
from xmsec.sources.inlet import Handed, Inlet
from xmsec.sources.messages import Message, Messages
from xmsec.sources.seen import Seen, mark
from xmsec.sources.spool import Entry, Spool, frame_of

few = settings(max_examples=60, deadline=None)
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
texts = st.binary(max_size=40).map(lambda text: b"<13>" + text.rstrip(b"\r\n\0") + b".")
lines = texts.filter(lambda text: b"\n" not in text)
LIMIT = 24


def fed(sent: bytes, cuts: Sequence[int], limit_bytes: int = LIMIT) -> tuple[list[Message], bool]:
    messages = Messages(limit_bytes)
    places = [0, *sorted({cut for cut in cuts if cut < len(sent)}), len(sent)]
    found = [one for start, end in pairwise(places) for one in messages.feed(sent[start:end])]
    return [*found, *messages.end()], messages.broken


def as_kept(text: bytes) -> Message:
    return text[:LIMIT].rstrip(b"\r\n\0"), len(text) > LIMIT


cuts = st.lists(st.integers(1, 200))


@few
@given(st.lists(texts, min_size=1), cuts, st.sampled_from([b"", b"\n"]))
def test_messages_counted_by_length_come_out_as_they_went_in(sent: list[bytes], places: list[int], between: bytes) -> None:
    written = between.join(b"%d %s" % (len(one), one) for one in sent)
    assert fed(written, places) == (list(map(as_kept, sent)), False)


@few
@given(st.lists(lines, min_size=1), cuts, st.sampled_from([b"\n", b"\r\n"]))
def test_messages_that_end_in_line_ends_come_out_as_they_went_in(sent: list[bytes], places: list[int], end: bytes) -> None:
    found, broken = fed(end.join(sent), places)
    assert [text for text, _ in found] == [as_kept(one)[0] for one in sent]
    assert [cut for _, cut in found] >= [len(one) > LIMIT for one in sent]
    assert not broken


@few
@given(st.binary(max_size=300), cuts)
def test_no_bytes_break_it_and_their_cuts_change_nothing(sent: bytes, places: list[int]) -> None:
    assert fed(sent, places) == fed(sent, ())


def test_a_dated_line_is_no_length() -> None:
    assert fed(b"2026-11-24T08:00:00Z host a: b\n20 people\n", [1, 3], 99)[0] == [
        (b"2026-11-24T08:00:00Z host a: b", False),
        (b"20 people", False),
    ]


def test_what_stands_before_a_wrong_length_is_given() -> None:
    assert fed(b"5 <13>ax <14>b", ()) == ([(b"<13>a", False)], True)


entries = st.builds(
    lambda stream, texts: Entry(stream, NOW, tuple(texts), marks=(mark(b"k" * 32, stream, "request", str(len(texts))),)),
    st.sampled_from(["a.b", "c.d"]),
    st.lists(st.binary(max_size=30), min_size=1, max_size=4),
)


@few
@given(batches=st.lists(st.lists(entries, min_size=1, max_size=3), min_size=1, max_size=4), torn=st.integers(0, 60))
def test_what_was_synced_is_read_again_and_a_torn_end_is_left_out(batches: list[list[Entry]], torn: int) -> None:
    with TemporaryDirectory() as folder:
        first = Spool(Path(folder), 7)
        for batch in batches:
            first.append(batch)
        first.close()
        (path,) = Path(folder).glob("*.raw")
        with path.open("ab") as file:
            file.write(frame_of(batches[0][0])[:-1][:torn])
        second = Spool(Path(folder), 0)
        read = list(second.read())
        assert [entry for _, _, entry in read] == [entry for batch in batches for entry in batch]
        assert read[0][0] == 7
        assert all(end == start for (_, end, _), (start, _, _) in pairwise(read))
        second.append(batches[0])
        assert next(iter(second.read()))[0] >= read[-1][1]
        second.close()


@few
@given(batches=st.lists(st.lists(entries, min_size=1, max_size=3), min_size=1, max_size=5), data=st.data())
def test_settled_files_are_gone_and_nothing_else_is(batches: list[list[Entry]], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        spool = Spool(Path(folder), 0)
        frames: list[tuple[int, int, Entry]] = []
        settled = 0
        for batch in batches:
            spool.append(batch)
            frames += spool.read()
            settled = data.draw(st.sampled_from([settled, *(end for _, end, _ in frames if end >= settled)]))
            spool.settle(settled)
        spool.close()
        left = [entry for _, _, entry in Spool(Path(folder), 0).read()]
        wanted = [entry for _, end, entry in frames if end > settled]
        assert left[len(left) - len(wanted) :] == wanted
        if not wanted:
            assert left == []


def test_marks_outlive_their_frames_and_the_oldest_are_forgotten(tmp_path: Path) -> None:
    marks = [mark(b"k" * 32, "a.b", "record", str(number)) for number in range(50)]
    for one in marks:
        seen = Seen(tmp_path, kept=10)
        assert one not in seen
        seen.add([one])
        seen.write([one])
    last = Seen(tmp_path, kept=10)
    assert all(one in last for one in marks[-10:])
    assert sum(one in last for one in marks) <= 20


def test_a_full_disk_refuses_and_what_comes_later_is_whole(tmp_path: Path) -> None:
    """The limit of a file's size stands in for the disk's: a write breaks off in its middle."""
    spool, seen = Spool(tmp_path, 0), Seen(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Inlet(spool, seen, 1 << 20) as inlet:
        first, late = (Handed(Entry("a.b", NOW, (text,)), mark(b"k" * 32, "a.b", "request", "1")) for text in (b"one", b"two"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
        try:
            with pytest.raises(ServiceError, match="no room"):
                inlet.put(first).result(10)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert [inlet.put(one).result(10) for one in (late, late)] == [1, 0]
    assert [entry.lines for _, _, entry in spool.read()] == [(b"two",)]
    spool.close()


def test_a_text_is_cut_as_its_stream_says() -> None:
    assert text_records(b'1,"a\nb"\r\n\n2', Framing(quotes=True)).lines == (b'1,"a\nb"', b"2")


READERS = {"text": text_records, "json": json_records, "bulk": lambda body: bulk_records(body)[0]}


@pytest.mark.parametrize("reader", READERS)
@few
@given(st.binary(max_size=200) | st.text('[]{},:"1a\n ', max_size=80).map(str.encode))
def test_no_body_breaks_a_reader(reader: str, body: bytes) -> None:
    try:
        found = READERS[reader](body)
    except InputError:
        return
    assert all(found.lines)
    assert len(found.ids) in (0, len(found.lines))


@few
@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]))
def test_no_packed_body_breaks_the_unpacking(body: bytes, encoding: str) -> None:
    for sent in (body, gzip.compress(body) + body, gzip.compress(body) * 2):
        with suppress(InputError):
            assert len(unpacked(sent, encoding, 1_000)) <= 1_000
