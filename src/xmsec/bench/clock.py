"""Time as benches take it: by the wall, and by what the process used, which neighbours on a shared machine disturb less."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

R = TypeVar("R")


class Taken(msgspec.Struct, frozen=True, order=True):
    """How long a piece of work took. used_s: seconds of processor, all threads of this process together."""

    used_s: float
    wall_s: float


def timed(work: Callable[[], object]) -> Taken:
    """Do a piece of work."""
    used_s, wall_s = time.process_time(), time.perf_counter()
    work()
    return Taken(time.process_time() - used_s, time.perf_counter() - wall_s)


class Legs:
    """Processor seconds by leg, added up while a road is walked; what a leg calls that is a leg itself counts for that one."""

    def __init__(self) -> None:
        self.used_s: dict[str, float] = {}
        self._inner_s = 0.0  # of the legs within the one that runs

    def time(self, leg: str, work: Callable[[], R]) -> R:
        """Do a part of a leg's work."""
        outside_s, self._inner_s = self._inner_s, 0.0
        begun_s = time.process_time()
        try:
            return work()
        finally:
            spent_s = time.process_time() - begun_s
            self.used_s[leg] = self.used_s.get(leg, 0.0) + spent_s - self._inner_s
            self._inner_s = outside_s + spent_s
