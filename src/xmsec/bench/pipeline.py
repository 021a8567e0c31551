"""How fast the road is: three mixes of traffic, each leg, beside two yardsticks in the same process; and what a key costs.

Speeds are the best of a few runs after one that warms caches. `events_per_s` is by the wall clock. All ratios and legs are by
the processor time that this process used, so that neighbours on a shared machine disturb them less; `events_per_cpu_s` is what
one core would do that had nothing else to do. In each run values are other ones than in the runs before.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from platform import machine, python_version
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from xmsec.bench.clock import Taken, timed
from xmsec.bench.memory import memory
from xmsec.bench.road import KEY, by_leg, whole
from xmsec.bench.traffic import MIXES, Mix, lines, write
from xmsec.bench.yardstick import floor, presidio
from xmsec.runtime.assemble import Deployment, assemble

RUNS = 3
HELP_RUNS = 5
PRESIDIO_LINES = 300  # at about a millisecond each

Say = Callable[[str], None]


class Speed(msgspec.Struct, frozen=True):
    """One mix. legs: microseconds of processor an event; ratios: the road's speed by the yardstick's."""

    events_per_s: int
    legs: dict[str, float]
    floor_ratio: float
    presidio_ratio: float
    events_per_cpu_s: int
    first_events_per_cpu_s: int
    floor_events_per_cpu_s: int
    presidio_events_per_cpu_s: int


class Asked(msgspec.Struct, frozen=True):
    """How much is measured. events: a run and mix; memory_events: with a new key each."""

    events: int
    memory_events: int
    runs: int = RUNS


def pipeline(dirs: Sequence[Path], cache: Path, zone: tzinfo, asked: Asked, say: Say) -> dict[str, Any]:
    """Measure everything. cache: a home whose compiled databases are used, or made; say: is told what is being measured."""
    found: dict[str, Any] = {}
    for mix in MIXES:
        with deployed(dirs, cache, zone) as (deployment, folder):
            say(f"{mix.name}: {asked.events} events, {asked.runs} runs")
            found[mix.name] = _speed(dirs, deployment, folder, mix, asked)
    with deployed(dirs, cache, zone) as (deployment, folder):
        say(f"memory: {asked.memory_events} events")
        used = memory(deployment, folder, asked.memory_events, lambda seen: say(f"memory: {seen} events"))
    found["bytes_per_key"] = used.bytes_per_key
    found["memory"] = used
    found["help_ms"] = help_ms()
    found["machine"] = {"processor": machine(), "cores": os.cpu_count(), "python": python_version()}
    return found


def _speed(dirs: Sequence[Path], deployment: Deployment, folder: Path, mix: Mix, asked: Asked) -> Speed:
    paths = [folder / f"{run}.log" for run in range(asked.runs + 2)]
    for run, path in enumerate(paths):
        write(path, lines(mix, asked.events, run * asked.events))
    first = whole(deployment, paths[0])
    best = [whole(deployment, path) for path in paths[1:-1]]
    legs = by_leg(deployment, paths[-1])
    least = min(floor(paths[-1]) for _ in range(asked.runs))
    sample = list(lines(mix, min(PRESIDIO_LINES, asked.events)))
    analysed = min(presidio(dirs, deployment.road, sample) for _ in range(2))
    used_s = min(best).used_s / asked.events
    return Speed(
        events_per_s=_per_s(min(taken.wall_s for taken in best), asked.events),
        legs={leg: round(spent_s / asked.events * 1e6, 2) for leg, spent_s in legs.used_s.items()},
        floor_ratio=round(least.used_s / asked.events / used_s, 3),
        presidio_ratio=round(analysed.used_s / len(sample) / used_s, 1),
        events_per_cpu_s=round(1 / used_s),
        first_events_per_cpu_s=_per_s(first.used_s, asked.events),
        floor_events_per_cpu_s=_per_s(least.used_s, asked.events),
        presidio_events_per_cpu_s=_per_s(analysed.used_s, len(sample)),
    )


def _per_s(spent_s: float, events: int) -> int:
    return round(events / spent_s) if spent_s else 0


@contextmanager
def deployed(dirs: Sequence[Path], cache: Path, zone: tzinfo) -> Iterator[tuple[Deployment, Path]]:
    """Load the content anew, so that no mix finds what another has cached."""
    with TemporaryDirectory(prefix="xmsec-bench-") as name:
        folder = Path(name)
        cache.mkdir(parents=True, exist_ok=True)
        (folder / "cache").symlink_to(cache.resolve())
        yield assemble(dirs, folder, KEY, zone), folder


def help_ms() -> float:
    """Return how long `xmsec --help` takes, the best of some runs."""
    command = [sys.executable, "-c", "import sys; sys.argv = ['xmsec', '--help']; from xmsec.cli.main import main; main()"]
    taken: list[Taken] = [
        timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)) for _ in range(HELP_RUNS)
    ]
    return round(min(one.wall_s for one in taken) * 1e3, 1)
