"""How often somebody may try to sign in: by account, and by address; failures are kept, so that a restart forgives nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from xmsec.console.keep import Keep
from xmsec.model.clock import from_rfc3339, rfc3339

WINDOW = timedelta(minutes=15)
BY_ACCOUNT, BY_ADDRESS = 5, 20  # failures in the window; then it is closed until one of them is older than that


class Limits:
    """Counts failures within a sliding window."""

    def __init__(self, keep: Keep, now: Callable[[], datetime]) -> None:
        self._keep, self._now = keep, now

    def wait_s(self, account: str, address: str) -> int:
        """Return how many seconds to wait before the next try; 0: none."""
        waits = (self._wait_s(f"account {account}", BY_ACCOUNT), self._wait_s(f"address {address}", BY_ADDRESS))
        return max(waits)

    def failed(self, account: str, address: str) -> None:
        """Count a failure."""
        now = self._now()
        with self._keep.writing() as connection:
            connection.execute("DELETE FROM failures WHERE at < ?", (rfc3339(now - WINDOW),))
            keys = (f"account {account}", f"address {address}")
            connection.executemany("INSERT INTO failures VALUES (?, ?)", [(key, rfc3339(now)) for key in keys])

    def succeeded(self, account: str) -> None:
        """Forget an account's failures; an address's stay, or one known password would open the way to guess others."""
        with self._keep.writing() as connection:
            connection.execute("DELETE FROM failures WHERE key = ?", (f"account {account}",))

    def _wait_s(self, key: str, most: int) -> int:
        now = self._now()
        with self._keep.reading() as connection:
            rows = connection.execute(
                "SELECT at FROM failures WHERE key = ? AND at >= ? ORDER BY at DESC LIMIT ?", (key, rfc3339(now - WINDOW), most)
            ).fetchall()
        if len(rows) < most:
            return 0
        return max(1, int((from_rfc3339(rows[-1][0]) + WINDOW - now).total_seconds()) + 1)
