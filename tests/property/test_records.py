"""Records of several lines: cut alike however bytes come, found again from any of their offsets, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Set
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsec.content.streams import Framing
from xmsec.parse import framing as module
from xmsec.parse.framing import RECORD_BYTES, RECORD_LINES, Found, elements, joined
from xmsec.sources import records as sources
from xmsec.sources.lines import Lines
from xmsec.sources.records import Records, records_of

QUOTES = Framing(quotes=True)
XML = Framing(begins=r"\s*<R\b", ends="/>$|</R>$")
TABS = Framing(begins=r"[^\t]")
FRAMINGS = {"quotes": QUOTES, "element": XML, "tabs": TABS}
every_framing = pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
texts = st.lists(
    st.sampled_from([b"\n", b"\r\n", b'"', b'a,"b', b"\t", b"x", b"<R", b' k="v"', b"/>", b"</R>", "数据".encode()]),
    max_size=60,
).map(b"".join)


def cut(framing: Framing, text: bytes, places: Set[int] = frozenset(), offset: int = 0) -> list[Found]:
    records = Records(framing, offset)
    found: list[Found] = []
    for start, end in pairwise([0, *sorted(place for place in places if place < len(text)), len(text)]):
        found += records.feed(text[start:end])
        assert all(record[0] < records.reached for record in found)
    found += records.end()
    assert records.reached == offset + len(text)
    return found


def lines_of(text: bytes) -> list[Found]:
    lines = Lines()
    return [*lines.feed(text), *lines.end()]


@every_framing
@given(text=texts, places=st.sets(st.integers(1, 120)))
def test_chunks_have_no_say_in_the_records(framing: Framing, text: bytes, places: set[int]) -> None:
    assert cut(framing, text, places) == cut(framing, text) == joined(framing, lines_of(text))


@every_framing
@given(text=texts)
def test_every_line_is_in_one_record_and_a_record_stands_at_its_first_line(framing: Framing, text: bytes) -> None:
    records = cut(framing, text)
    assert b"\n".join(record for _, record, _ in records) == b"\n".join(line for _, line, _ in lines_of(text))
    starts = {offset for offset, _, _ in lines_of(text)}
    assert all(offset in starts for offset, _, _ in records)


@every_framing
@given(text=texts, data=st.data())
def test_from_the_offset_of_a_record_the_same_follow(framing: Framing, text: bytes, data: st.DataObject) -> None:
    records = cut(framing, text)
    if records:
        place = data.draw(st.integers(0, len(records) - 1))
        offset = records[place][0]
        assert cut(framing, text[offset:], offset=offset) == records[place:]


@every_framing
@given(text=texts)
def test_an_unfinished_record_holds_its_place_back(framing: Framing, text: bytes) -> None:
    records = Records(framing)
    found = records.feed(text)
    rest = records.end()
    assert [*found, *rest] == cut(framing, text)
    if rest:
        again = Records(framing)
        again.feed(text)
        assert again.reached == rest[0][0]


@pytest.mark.parametrize(
    ("framing", "text", "expected"),
    [
        (QUOTES, b'1,"a\nb"\n2\n', [(0, b'1,"a\nb"'), (8, b"2")]),
        (QUOTES, b'1,"a\r\n""b"\r\n2\n', [(0, b'1,"a\n""b"'), (12, b"2")]),
        (QUOTES, b'1,"torn\n2,"b"\n3,"c\nd"\n', [(0, b'1,"torn'), (8, b'2,"b"'), (14, b'3,"c\nd"')]),
        (
            XML,
            b'<A>\n<R\n k="v"\n/>\n<R>\nx</R>\n</A>\n',
            [(0, b"<A>"), (4, b'<R\n k="v"\n/>'), (17, b"<R>\nx</R>"), (27, b"</A>")],
        ),
        (XML, b"<R a\n<R b/>\n", [(0, b"<R a"), (5, b"<R b/>")]),
        (TABS, b"one\n\ttwo\nthree\n", [(0, b"one\n\ttwo"), (9, b"three")]),
        (TABS, b"\ttorn\none\n", [(0, b"\ttorn"), (6, b"one")]),
    ],
    ids=["quotes", "carriage returns", "a torn record", "elements", "a torn element", "tabs", "a torn beginning"],
)
def test_records(framing: Framing, text: bytes, expected: list[tuple[int, bytes]]) -> None:
    assert [(offset, record) for offset, record, _ in cut(framing, text)] == expected


@settings(max_examples=10, deadline=None)
@given(torn=st.integers(0, 40), many=st.integers(RECORD_LINES - 2, RECORD_LINES + 50))
def test_a_quote_that_never_closes_costs_its_own_line(torn: int, many: int) -> None:
    lines = [b'%d,"good"' % n for n in range(many)]
    lines[torn] = b'%d,"torn' % torn
    found = cut(QUOTES, b"\n".join(lines) + b"\n")
    assert [record for _, record, _ in found] == lines


@every_framing
def test_what_is_held_is_bounded(framing: Framing) -> None:
    records = Records(framing)
    begin = {"quotes": b'a,"b\n', "element": b"<R\n", "tabs": b"a\n"}[next(k for k, v in FRAMINGS.items() if v is framing)]
    records.feed(begin)
    given = 0
    for _ in range(64):
        given += sum(len(record) for _, record, _ in records.feed(b"\t" + b"x" * 65_534 + b"\n"))
        joiner = records._joiner
        assert joiner._size_bytes <= RECORD_BYTES + 65_540  # type: ignore[attr-defined]  # what it holds is the point
    assert given > 40 * 65_536


def test_an_over_long_record_is_cut_and_said() -> None:
    text = b"begin\n" + b"\tmore\n" * (RECORD_LINES + 10) + b"next\n"
    found = cut(TABS, text)
    assert [(offset, cut) for offset, _, cut in found if cut] == [(0, True)]
    assert found[-1][1] == b"next"
    assert all(record == b"\tmore" for _, record, _ in found[1:-1])


def test_lines_beyond_the_limit_within_a_record_are_said_to_be_cut() -> None:
    found = cut(QUOTES, b'a,"b\n' + b"x" * (RECORD_BYTES + 5) + b'"\nnext\n')
    assert [flag for _, _, flag in found] == [True, True, False]


ARRAYS = Framing(array=True)
values = st.recursive(
    st.none() | st.integers() | st.text(alphabet='a"\\]},[{ 张', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=4), values, max_size=3)


@given(st.lists(st.lists(objects, min_size=1, max_size=4), min_size=1, max_size=4), st.sampled_from([None, 1]), st.data())
def test_each_object_of_an_array_is_a_record_at_its_byte(
    rows: list[list[object]], indent: int | None, data: st.DataObject
) -> None:
    separators = (", ", ": ") if indent else (",", ":")
    text = "\n".join(json.dumps(row, separators=separators, ensure_ascii=False) for row in rows).encode() + b"\n"
    found = cut(ARRAYS, text)
    assert [json.loads(record) for _, record, _ in found] == [one for row in rows for one in row]
    assert all(text[offset:].startswith(record) for offset, record, _ in found)
    place = data.draw(st.integers(0, len(found) - 1))
    assert cut(ARRAYS, text[found[place][0] :], offset=found[place][0]) == found[place:]


@given(st.binary(max_size=60).map(lambda text: text.replace(b"\n", b"")))
def test_what_is_no_array_is_a_record_as_it_is(text: bytes) -> None:
    for line in (text, b"[" + text, text + b"]", b"{" + text + b"]", b"[{" + text, b"[1,}"):
        found = elements(line)
        assert found
        assert all(line[place : place + len(one)] == one for place, one in found)


@pytest.mark.parametrize(
    "line", [b"[]", b'[{"a":1},{"a"', b"[" * 9_000, b'{"a":1}', b'{"a":1}]]', b""], ids=lambda line: repr(line[:9])
)
def test_what_cannot_be_taken_apart_is_given_whole(line: bytes) -> None:
    assert elements(line) == [(0, line)]


@every_framing
@given(text=texts)
def test_a_message_that_is_whole_is_cut_as_a_file_is(framing: Framing, text: bytes) -> None:
    assert records_of(framing, text) == cut(framing, text)


def test_a_message_without_framing_is_lines() -> None:
    assert records_of(None, b'1,"a\nb"\n2') == [(0, b'1,"a', False), (5, b'b"', False), (8, b"2", False)]


def test_the_examples_in_the_modules_run() -> None:
    import doctest

    assert [doctest.testmod(one).failed for one in (module, sources)] == [0, 0]
