"""A scan is killed with -9 at random moments, a playbook's run while it acts: nothing is lost, nothing is there twice."""

from __future__ import annotations

import gzip
import json
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.command import called, rows, started, table

from xmsec.model.types import Clock, Event, Source, Span, Tick
from xmsec.store.recording import ENTRY, read

pytestmark = pytest.mark.faults

SYSTEM = "onestop-service"
SEED = 20261124
TAIL_S = 1.3  # a commit a second: the moment of death lies anywhere between two, or in one


@pytest.fixture(scope="module", params=[(40_000, 5), pytest.param((200_000, 20), marks=pytest.mark.long)], ids=["5", "20"])
def traffic(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Two weeks of a simulated system in its four formats, one of them packed, and a real web log; and how often to kill."""
    events, kills = request.param
    folder = tmp_path_factory.mktemp("traffic")
    web = gzip.decompress((resources.files("xmsec.bench") / "apache_access_sample.log.gz").read_bytes())
    simulated = str(events - web.count(b"\n"))
    made = called("simulate", "--out", folder, "--scenario", SYSTEM, "--events", simulated, "--seed", str(SEED))
    assert made.returncode == 0, made.stderr
    (folder / "access.log").write_bytes(web)
    audit = folder / "app-audit.jsonl"
    (folder / "app-audit.jsonl.gz").write_bytes(gzip.compress(audit.read_bytes(), 1))
    audit.unlink()
    return folder, kills


def scan(home: Path, folder: Path) -> list[str | Path]:
    names = ("app-audit.jsonl.gz", "auth.jsonl", "gateway.log", "postgresql.csv", "access.log")
    return ["scan", *(folder / name for name in names), "--home", home, "--format", "jsonl", "--summary", summary_of(home)]


def summary_of(home: Path) -> Path:
    return home.with_suffix(".json")


def with_ledger(home: Path, folder: Path) -> Path:
    done = called("ledger", "import", folder / "ledger.yaml", "--home", home)
    assert done.returncode == 0, done.stderr
    return home


class Killed:
    """A scan in lives that each end by SIGKILL: when the summary's count of lines passes a threshold, and a moment later."""

    def __init__(self, home: Path, folder: Path, total: int, chance: random.Random) -> None:
        self._home, self._folder, self._total, self._chance = home, folder, total, chance
        self.deaths: list[int] = []  # lines that were committed at each

    def lines(self) -> int:
        path = summary_of(self._home)
        return int(json.loads(path.read_bytes())["lines"]) if path.exists() else 0

    def die(self, left: int) -> None:
        """Live until a random moment; a scan that came to its end before is no death."""
        begun = self.lines()
        threshold = begun + int(2 * self._chance.random() * (self._total - begun) / left)
        life = started(*scan(self._home, self._folder))
        try:
            while self.lines() < threshold and _lives(life, 0.01):
                pass
            _lives(life, self._chance.random() * TAIL_S)
        finally:
            life.kill()
            life.communicate()
        if life.returncode == -signal.SIGKILL:
            self.deaths.append(self.lines())


def _lives(life: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        life.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def without_received(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_received(inner) for name, inner in value.items() if name != "received"}
    return [without_received(inner) for inner in value] if isinstance(value, list) else value


def kept(home: Path) -> dict[str, Any]:
    """All that a home holds, without the moment of receipt and the borders of batches."""
    clock = msgspec.msgpack.Decoder(Clock).decode
    return {
        "findings": {name: without_received(json.loads(body)) for name, body in table(home, "SELECT id, body FROM findings")},
        "incidents": {name: json.loads(body) for name, body in table(home, "SELECT id, body FROM incidents")},
        "clocks": {
            (stream, partition): msgspec.structs.replace(clock(body), received=None)
            for stream, partition, body in table(home, "SELECT stream, partition, body FROM clocks")
        },
        "recorded": {event.id: (msgspec.structs.replace(event, received=event.time), spans) for event, spans in recorded(home)},
        **{name: sorted(table(home, f"SELECT {columns} FROM {name}"), key=repr) for name, columns in PLAIN.items()},
    }


PLAIN = {
    "incident_findings": "*",
    "intents": "*",
    "dead": "stream, leg, reason, partition, offset, part",
    "dead_totals": "*",
    "counts": "*",
    "proposals": "*",
    "states": "owner, kind, value, due",
    "uses": "*",
}


def recorded(home: Path) -> Iterator[tuple[Event, tuple[Span, ...]]]:
    """What was recorded, without what sources said of themselves; each event once, each partition in its order."""
    ((entry,),) = table(home, f"SELECT value FROM meta WHERE key = '{ENTRY}'")
    last: dict[Source, int] = {}
    for row in chain.from_iterable(read(home / "recordings", entry)):
        if not isinstance(row, Tick):
            position = row[0].position
            assert position.offset > last.get(position.source, -1)
            last[position.source] = position.offset
            yield row


def by_id(output: bytes) -> dict[str, Any]:
    """Findings by id, without what grouping and people add."""
    told = without_received(rows(output))
    return {one["id"]: {name: value for name, value in one.items() if name not in ("incident", "status")} for one in told}


def test_a_scan_that_is_killed_at_random_moments_ends_as_an_undisturbed_one(
    traffic: tuple[Path, int], make_home: Callable[[str], Path]
) -> None:
    folder, kills = traffic
    calm_home, home = (with_ledger(make_home(name), folder) for name in ("calm", "killed"))
    calm = called(*scan(calm_home, folder))
    assert calm.returncode == 0, calm.stderr
    summary = json.loads(summary_of(calm_home).read_bytes())
    killed = Killed(home, folder, summary["lines"], random.Random(SEED))
    while len(killed.deaths) < kills:
        killed.die(kills - len(killed.deaths))
    done = called(*scan(home, folder))
    assert done.returncode == 0, done.stderr

    assert any(0 < lines < summary["lines"] for lines in killed.deaths)
    assert without_received(rows(done.stdout)) == without_received(rows(calm.stdout))
    assert json.loads(summary_of(home).read_bytes()) == summary
    undisturbed, disturbed = kept(calm_home), kept(home)
    for what, held in undisturbed.items():
        assert disturbed[what] == held, what
    assert undisturbed["intents"]
    assert undisturbed["uses"]
    replayed = called("replay", "--home", home, "--format", "jsonl")
    assert replayed.returncode == 0, replayed.stderr
    assert by_id(replayed.stdout) == by_id(calm.stdout)
