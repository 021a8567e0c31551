"""However bytes are cut into chunks, the lines and their offsets are the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsec.sources import lines as module
from xmsec.sources.lines import LINE_BYTES, Found, Lines

pieces = st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"bc", "数据".encode(), b"\0", b"\xff"]), max_size=60)


def fed(text: bytes, cuts: set[int]) -> list[Found]:
    lines = Lines()
    found: list[Found] = []
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    for start, end in pairwise(places):
        found += lines.feed(text[start:end])
    found += lines.end()
    assert lines.reached == len(text)
    return found


def plainly(text: bytes) -> list[Found]:
    """Cut a whole text the obvious way."""
    found: list[Found] = []
    at = 0
    for line in text.split(b"\n"):
        bare = line.removesuffix(b"\r")
        found.append((at, bare[:LINE_BYTES], len(bare) > LINE_BYTES))
        at += len(line) + 1
    if text.endswith(b"\n") or not text:
        found.pop()
    return found


@given(pieces, st.sets(st.integers(1, 120)))
def test_chunks_have_no_say_in_the_lines(parts: list[bytes], cuts: set[int]) -> None:
    text = b"".join(parts)
    assert fed(text, cuts) == plainly(text)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(LINE_BYTES - 3, LINE_BYTES + 3), st.sampled_from([b"\n", b"\r\n", b"\r\r\n"])), max_size=3),
    st.sets(st.integers(1, 3 * LINE_BYTES), max_size=6),
)
def test_lines_about_as_long_as_the_limit_are_cut_alike(long: list[tuple[int, bytes]], cuts: set[int]) -> None:
    text = b"".join(b"x" * length + end for length, end in long) + b"tail"
    assert fed(text, cuts) == plainly(text)


def test_a_line_of_ten_megabytes_is_cut_and_the_next_one_is_whole() -> None:
    lines = Lines()
    held = 0
    found: list[Found] = []
    for _ in range(40):
        found += lines.feed(b"x" * (256 << 10))
        held = max(held, len(lines._kept))
    found += lines.feed(b"\nnext\n")
    assert [(offset, len(line), cut) for offset, line, cut in found] == [(0, LINE_BYTES, True), ((10 << 20) + 1, 4, False)]
    assert held <= LINE_BYTES + 2


@pytest.mark.parametrize("text", [b"", b"\n", b"\r\n", b"one", b"one\n\n\ntwo"], ids=repr)
def test_blank_lines_are_lines(text: bytes) -> None:
    assert fed(text, set()) == plainly(text)


def test_the_example_in_the_module_runs() -> None:
    import doctest

    assert doctest.testmod(module).failed == 0
