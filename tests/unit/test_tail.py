"""Files that grow and rotate; the clock is a value."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from xmsec.model.types import Raw, Tick
from xmsec.sources.tail import QUIET, Tail

START = datetime(2026, 3, 2, tzinfo=UTC)
IDLE = timedelta(seconds=10)


class Follower:
    """A tail with a clock that the test moves, and all that it gave."""

    def __init__(self, folder: Path, pattern: str = "*.log*") -> None:
        self.folder, self.pattern = folder, pattern
        self.now = START
        self.lines: list[str] = []
        self.states: list[str] = []
        self.tail = Tail("city.web", [str(folder / pattern)], IDLE, {})

    def look(self, seconds: float = 1) -> list[str]:
        """Let time pass, take all that is new, return its lines."""
        self.now += timedelta(seconds=seconds)
        fresh: list[str] = []
        while batch := self.tail.poll(self.now):
            fresh += [record.line.decode() for record in batch if isinstance(record, Raw)]
            self.states += [record.state for record in batch if isinstance(record, Tick)]
        self.lines += fresh
        return fresh

    def restart(self) -> None:
        """Begin again where this one stood."""
        after = dict(self.tail._after)
        self.tail.close()
        self.tail = Tail("city.web", [str(self.folder / self.pattern)], IDLE, after)

    def write(self, text: str, name: str = "a.log") -> Path:
        """Append to a file, as of now."""
        path = self.folder / name
        with path.open("a") as file:
            file.write(text)
        os.utime(path, (self.now.timestamp(), self.now.timestamp()))
        return path


@pytest.fixture
def follower(tmp_path: Path) -> Iterator[Follower]:
    made = Follower(tmp_path)
    yield made
    made.tail.close()


def test_what_is_appended_comes_once(follower: Follower) -> None:
    follower.write("one\n")
    assert follower.look() == ["one"]
    follower.write("two\nthree\n")
    assert follower.look() == ["two", "three"]
    assert follower.look() == []


def test_a_line_waits_until_it_is_finished(follower: Follower) -> None:
    follower.write("one\nhal")
    assert follower.look() == ["one"]
    follower.write("f\n")
    assert follower.look() == ["half"]


def test_a_file_without_a_finished_line_is_not_yet_followed(follower: Follower) -> None:
    follower.write("hal")
    assert follower.look() == []
    assert follower.states == []
    follower.write("f\n")
    assert follower.look() == ["half"]


def test_a_file_that_appears_later_is_followed(follower: Follower) -> None:
    follower.write("one\n")
    follower.look()
    follower.write("other\n", "b.log")
    assert follower.look() == ["other"]
    assert follower.states == ["open", "open"]


@pytest.mark.parametrize("rotated", ["a.log.1", "a.old"], ids=["matched", "not-matched"])
def test_rotation_by_rename_loses_nothing(follower: Follower, rotated: str) -> None:
    path = follower.write("one\n")
    follower.look()
    follower.write("two\n")
    path.rename(follower.folder / rotated)
    follower.write("three\n")
    follower.look()
    follower.write("four, written by one who had it open\n", rotated)
    follower.look()
    assert sorted(follower.lines) == ["four, written by one who had it open", "one", "three", "two"]


@pytest.mark.parametrize("more", ["", "two\n"], ids=["all-was-read", "some-was-not"])
def test_rotation_by_copy_and_truncation_gives_each_line_once(follower: Follower, more: str) -> None:
    path = follower.write("one\n")
    follower.look()
    follower.write(more)
    shutil.copy2(path, follower.folder / "a.log.1")
    os.truncate(path, 0)
    follower.look()
    follower.write("three\n")
    follower.look()
    assert follower.lines == ["one", *more.split(), "three"]


def test_a_file_that_was_emptied_and_grew_past_its_old_end_is_read_from_its_start(follower: Follower) -> None:
    path = follower.write("one\n")
    follower.look()
    os.truncate(path, 0)
    follower.write("two and a bit more\n")
    assert follower.look() == ["two and a bit more"]
    assert follower.states == ["open", "ended", "open"]


def test_a_quiet_file_says_so_again_and_again(follower: Follower) -> None:
    follower.write("one\n")
    for _ in range(25):
        follower.look(seconds=1)
    assert follower.states == ["open", "idle", "idle"]


def test_a_file_that_was_taken_away_ends_with_its_unfinished_line(follower: Follower) -> None:
    path = follower.write("one\nhalf")
    follower.look()
    path.unlink()
    follower.look()
    assert follower.states == ["open"]
    assert follower.look(seconds=10) == ["half"]
    assert follower.states[-1] == "ended"


def test_an_old_file_ends_and_comes_back_when_it_grows(follower: Follower) -> None:
    follower.write("old\n", "a.log.1")
    follower.now += 2 * QUIET
    follower.write("new\n")
    follower.look()
    assert sorted(follower.states) == ["ended", "open", "open"]
    follower.write("older\n", "a.log.1")
    assert follower.look() == ["older"]


def test_packing_a_rotated_file_gives_nothing_twice(follower: Follower) -> None:
    path = follower.write("one\ntwo\n")
    follower.look()
    packed = follower.folder / "a.log.1.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    os.utime(packed, (follower.now.timestamp(), follower.now.timestamp()))
    path.unlink()
    follower.write("three\n", "b.log")
    for _ in range(30):
        follower.look()
    assert sorted(follower.lines) == ["one", "three", "two"]


def test_a_packed_file_that_was_never_read_is_read_once_it_rests(follower: Follower) -> None:
    packed = follower.folder / "a.log.1.gz"
    packed.write_bytes(gzip.compress(b"one\ntwo\n"))
    os.utime(packed, (START.timestamp(), START.timestamp()))
    assert follower.look() == []
    assert follower.look(seconds=10) == ["one", "two"]
    assert follower.look() == []
    assert follower.states == ["open", "ended"]


def test_a_restart_goes_on_where_it_stood(follower: Follower) -> None:
    follower.write("one\n")
    follower.look()
    follower.write("two\n")
    follower.restart()
    assert follower.look() == ["two"]
    follower.restart()
    assert follower.look() == []


def test_a_restart_after_rotation_reads_what_was_written_meanwhile(follower: Follower) -> None:
    path = follower.write("one\n")
    follower.look()
    follower.write("two\n")
    path.rename(follower.folder / "a.log.1")
    follower.write("three\n")
    follower.restart()
    assert sorted(follower.look()) == ["three", "two"]


def test_a_copy_that_is_older_than_what_was_read_brings_nothing_and_does_not_flap(follower: Follower) -> None:
    path = follower.write("a line of some log\n" * 100)
    shutil.copy2(path, follower.folder / "saved")
    follower.write("more\n")
    follower.look()
    path.unlink()
    follower.look(seconds=11)
    (follower.folder / "saved").rename(follower.folder / "b.log")
    follower.look()
    follower.look()
    assert len(follower.lines) == 101
    assert follower.states == ["open", "ended"]
