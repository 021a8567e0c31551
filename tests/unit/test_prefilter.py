from __future__ import annotations

from pathlib import Path

import pytest

from xmsec.classify.prefilter import Prefilter

PATTERNS = [r"(?<![0-9])1[3-9][0-9]{9}", "^ab$", r"x\b"]
TEXTS = ["电话13800138000", "ab", "abc x", "", "\ud800 ab"]
FOUND = [(0, 0), (1, 1), (2, 2)]


def test_borders_are_those_of_each_text() -> None:
    assert list(Prefilter(PATTERNS).scan(TEXTS)) == FOUND


def test_white_space_that_repeats_does_not_run_into_the_next_text() -> None:
    assert list(Prefilter([r"a\s*+"]).scan(["a", "b", " "])) == [(0, 0)]


def test_a_cached_database_answers_the_same(tmp_path: Path) -> None:
    assert list(Prefilter(PATTERNS, cache=tmp_path).scan(TEXTS)) == FOUND
    assert len(list(tmp_path.iterdir())) == 1
    assert list(Prefilter(PATTERNS, cache=tmp_path).scan(TEXTS)) == FOUND


@pytest.mark.parametrize("place", [0, 40, -1], ids=["check", "body", "end"])
def test_an_altered_byte_is_noticed_and_repaired(tmp_path: Path, place: int) -> None:
    Prefilter(PATTERNS, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    bad = bytearray(good)
    bad[place] ^= 1
    path.write_bytes(bad)
    assert list(Prefilter(PATTERNS, cache=tmp_path).scan(TEXTS)) == FOUND
    assert path.read_bytes() == good


@pytest.mark.parametrize("content", [b"", b"short", b"\0" * 999])
def test_a_broken_file_is_noticed(tmp_path: Path, content: bytes) -> None:
    Prefilter(PATTERNS, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    assert list(Prefilter(PATTERNS, cache=tmp_path).scan(TEXTS)) == FOUND


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert list(Prefilter(PATTERNS, cache=blocked).scan(TEXTS)) == FOUND


def test_other_patterns_are_another_database(tmp_path: Path) -> None:
    Prefilter(PATTERNS, cache=tmp_path)
    Prefilter([*PATTERNS, "z"], cache=tmp_path)
    Prefilter(["ab", "c"], cache=tmp_path)
    Prefilter(["a", "bc"], cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_no_pattern_and_no_text_find_nothing() -> None:
    assert list(Prefilter([]).scan(["a"])) == []
    assert list(Prefilter(["a"]).scan([])) == []


def test_its_repr_shows_no_pattern() -> None:
    assert repr(Prefilter(["ab"])) == "Prefilter(1 patterns)"
