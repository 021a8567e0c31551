"""RFC 3339, windows and the arithmetic of event time; never "now"."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

from xmsec.model.errors import InputError
from xmsec.model.types import Clock, Window

Quiet = Literal["", "idle", "ended"]  # somebody speaks; nobody does for now; nobody will any more

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FAR = datetime(9999, 1, 1, tzinfo=UTC)  # later than every event: closes all windows
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def rfc3339(time: datetime) -> str:
    """Write a time as RFC 3339 in UTC.

    >>> rfc3339(EPOCH)
    '1970-01-01T00:00:00Z'
    """
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def from_rfc3339(text: str) -> datetime:
    """Read RFC 3339; without an offset it is UTC. Raises InputError."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:  # OverflowError: the first hours of the year 1 lie before it in UTC
        raise InputError("bad-time", remedy="write it as RFC 3339, 2026-11-24T08:00:00Z") from error


def window_of(time: datetime, length: timedelta, zone: tzinfo = UTC) -> Window:
    """Return the tumbling window that holds `time`, aligned to midnight of `zone` (a day of Xiamen starts at 16:00 UTC).

    >>> window_of(EPOCH + timedelta(minutes=90), HOUR).start == EPOCH + HOUR
    True
    """
    offset = zone.utcoffset(time.astimezone(zone).replace(tzinfo=None)) or timedelta(0)
    start = time - (time + offset - EPOCH) % length
    return Window(start, start + length)


def watermark(clocks: Iterable[tuple[Clock, timedelta]]) -> datetime | None:
    """Event time below which no partition that takes part will bring a record that is not late; None while one is awaited.

    clocks: each partition's clock with its allowed lateness. A partition that ended leaves the minimum, and so does an idle one
    that never had a record; when none takes part, all that was seen is complete.
    """
    low: datetime | None = None
    latest: datetime | None = None
    for clock, lateness in clocks:
        if clock.maximum is not None and (latest is None or clock.maximum > latest):
            latest = clock.maximum
        if clock.state == "ended" or (clock.state == "idle" and clock.maximum is None):
            continue
        if clock.maximum is None:
            return None
        if low is None or clock.maximum - lateness < low:
            low = clock.maximum - lateness
    return latest if low is None else low


def quiet(clocks: Iterable[Clock]) -> Quiet:
    """Whether every partition is idle or ended: open windows may be reported, though they keep their state."""
    ended = True
    for clock in clocks:
        if clock.state == "open":
            return ""
        ended = ended and clock.state == "ended"
    return "ended" if ended else "idle"
