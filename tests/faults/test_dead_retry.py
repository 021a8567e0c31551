"""Refused records of a home, read again after the parser was corrected: each once, as a late record, also when it is killed."""

from __future__ import annotations

import gzip
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.command import called, rows, started, table
from tests.doors import doors
from tests.values import MOBILE

pytestmark = pytest.mark.faults

EVERY = 10  # records, of which one writes its time under another name


def line(number: int) -> bytes:
    clock = f"{9 + number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}"
    time = "when" if number % EVERY == 3 else "ts"
    said = {time: f"2025-03-03T{clock}+08:00", "who": "lin", "what": "forced", "note": MOBILE}
    return json.dumps(said).encode() + b"\n"


class Place:
    """A home with its own content and one log file."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self._top = home, folder / "content"
        self.env = {"XMSEC_CONTENT_DIRS": str(self._top)}
        self.log = folder / "door.log"
        self.reads("ts")

    def reads(self, name: str) -> None:
        """Say where the parser looks for the time."""
        doors(self._top, time=name)

    def run(self, *arguments: str | Path) -> list[dict[str, Any]]:
        done = called(*arguments, "--home", self.home, "--format", "jsonl", env=self.env)
        assert done.returncode == 0, done.stderr
        return rows(done.stdout)

    def scan(self) -> list[dict[str, Any]]:
        return [one for one in self.run("scan", self.log, "--stream", "office.door") if one["detector"] == "door-forced"]

    def forced(self) -> tuple[int, int]:
        """How many events the findings count, and how many of those were told singly."""
        told = table(self.home, "SELECT count, window_start, window_end FROM findings WHERE detector = 'door-forced'")
        return sum(count for count, *_ in told), sum(end - start == 1 for _, start, end in told)


@pytest.fixture
def place(home: Path, tmp_path: Path) -> Place:
    return Place(home, tmp_path)


RETRIED = {"stream": "office.door", "leg": "parse", "reason": "no-time"}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_what_is_taken_now_is_told_singly_and_once(place: Place, packed: bool) -> None:
    lines = b"".join(map(line, range(100)))
    place.log.write_bytes(gzip.compress(lines) if packed else lines)
    (before,) = place.scan()
    assert before["count"] == 90
    assert {one["retry"] for one in place.run("dead", "list")} == {"by-path"}
    assert place.run("dead", "retry", place.log) == [{**RETRIED, "retried": 0, "failed": 10, "gone": 0}]
    assert place.run("dead", "retry") == [{**RETRIED, "retried": 0, "failed": 0, "gone": 10}]
    place.reads("when")
    assert place.run("dead", "retry", place.log) == [{**RETRIED, "retried": 10, "failed": 0, "gone": 0}]
    assert place.forced() == (100, 10)
    assert place.run("dead", "list") == place.run("dead", "retry", place.log) == []
    assert place.forced() == (100, 10)
    assert place.scan() == [before]
    again = [one for one in place.run("replay") if one["detector"] == "door-forced"]
    assert (sum(one["count"] for one in again), len(again)) == (100, 11)
    dead = place.home / "recordings"
    assert MOBILE.encode() not in b"".join(path.read_bytes() for path in dead.rglob("*") if path.is_file())


def test_a_record_whose_file_has_gone_stays_a_dead_letter(place: Place) -> None:
    place.log.write_bytes(b"".join(map(line, range(20))))
    place.scan()
    place.reads("when")
    place.log.write_bytes(line(0) * 20)
    assert place.run("dead", "retry", place.log) == [{**RETRIED, "retried": 0, "failed": 0, "gone": 2}]
    assert len(place.run("dead", "list")) == 2


def test_killed_at_any_moment_each_is_carried_once(place: Place) -> None:
    place.log.write_bytes(b"".join(map(line, range(9_900))))
    place.scan()
    place.reads("when")
    for _ in range(3):
        life = started("dead", "retry", place.log, "--home", place.home, env=place.env)
        before = len(table(place.home, "SELECT 1 FROM dead"))
        while life.poll() is None and len(table(place.home, "SELECT 1 FROM dead")) == before:
            pass
        life.send_signal(signal.SIGKILL)
        life.communicate()
    place.run("dead", "retry", place.log)
    assert table(place.home, "SELECT 1 FROM dead") == []
    assert place.forced() == (9_900, 990)
