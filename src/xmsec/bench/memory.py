"""What a key costs: traffic in which every event brings a new person and a new address, while event time flows."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from xmsec.bench.road import rig, source
from xmsec.bench.traffic import newcomers, write
from xmsec.runtime.assemble import Deployment
from xmsec.runtime.files import FileRun

MORE = 5_000  # events at least after the last that is looked at
PER_S = 500  # events in a second of event time
_KIB = 1024


class Memory(msgspec.Struct, frozen=True):
    """Resident memory when half of the events had come and when all had, and the most while the last windows closed.

    keys: that came between the two; stored_bytes: of the store; states: that it held in the end.
    """

    events: int
    keys: int
    half_rss_bytes: int
    end_rss_bytes: int
    most_rss_bytes: int
    stored_bytes: int
    states: int

    @property
    def bytes_per_key(self) -> float:
        """By how much each new key of the second half made the process grow."""
        return round((self.end_rss_bytes - self.half_rss_bytes) / max(self.keys, 1), 2)


def memory(deployment: Deployment, folder: Path, events: int, progress: Callable[[int], None]) -> Memory:
    """Drive so many events, and some more so that the road goes on, and look at the process twice."""
    path = folder / "newcomers.log"
    write(path, newcomers(events + max(events // 10, MORE), PER_S))
    seen = half = end = half_rss_bytes = end_rss_bytes = 0
    with rig(deployment) as into:
        for outcomes in FileRun(into, [source(path)], time.monotonic).drive():
            seen += sum(len(outcome.passed) for outcome in outcomes)
            progress(seen)
            if not half and seen >= events // 2:
                half, half_rss_bytes = seen, rss_bytes()
            if not end and seen >= events:
                end, end_rss_bytes = seen, rss_bytes()
        (states,) = into.store.connection.execute("SELECT COUNT(*) FROM states").fetchone()
        stored_bytes = sum(file.stat().st_size for file in into.recordings.parent.glob("store.sqlite*"))
    path.unlink()
    return Memory(events, end - half, half_rss_bytes, end_rss_bytes, _most_rss_bytes(), stored_bytes, states)


def rss_bytes() -> int:
    """Return the resident memory of this process now; where the system does not say, the most that it ever was."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return _most_rss_bytes()


def _most_rss_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
