"""How often a machine may ask: a bucket of requests for each principal, filled evenly; in memory, a restart fills it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from math import ceil
from threading import Lock

PER_MINUTE = 1_200
PRINCIPALS = 10_000  # buckets that are remembered


class Rates:
    """Counts requests. per_minute: how many in the long run, and at once."""

    def __init__(self, now: Callable[[], datetime], per_minute: int = PER_MINUTE) -> None:
        self._now, self._most = now, per_minute
        self._buckets: dict[str, tuple[float, datetime]] = {}  # who → what was left at which time
        self._lock = Lock()

    def wait_s(self, who: str) -> int:
        """Take a request out of somebody's bucket; return 0, or how many seconds to wait when it is empty."""
        now = self._now()
        with self._lock:
            left, at = self._buckets.pop(who, (float(self._most), now))
            left = min(self._most, left + max(0.0, (now - at).total_seconds()) * self._most / 60)
            self._buckets[who] = (left - 1 if left >= 1 else left, now)
            if len(self._buckets) > PRINCIPALS:
                del self._buckets[next(iter(self._buckets))]  # who did not ask for the longest time: it is full, or nearly
        return 0 if left >= 1 else max(1, ceil((1 - left) * 60 / self._most))
