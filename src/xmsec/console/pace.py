"""How fast totals grow: from what they were at earlier looks of this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from threading import Lock

APART = timedelta(seconds=5)  # two looks that are kept
SPAN = timedelta(minutes=5)  # over which a rate is told


class Pace:
    """Remembers some looks, 61 at most."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._looks: deque[tuple[datetime, Mapping[str, int]]] = deque()
        self._lock = Lock()

    def rates(self, totals: Mapping[str, int]) -> Mapping[str, float] | None:
        """Return how many a second each total grew by in the last minutes; None until there was a look before."""
        now = self._now()
        with self._lock:
            while self._looks and now - self._looks[0][0] > SPAN:
                self._looks.popleft()
            first = self._looks[0] if self._looks else None
            if first is None or now - self._looks[-1][0] >= APART:
                self._looks.append((now, dict(totals)))
        if first is None or now - first[0] < APART:
            return None
        passed_s = (now - first[0]).total_seconds()
        return {name: max(0, total - first[1].get(name, 0)) / passed_s for name, total in totals.items()}
