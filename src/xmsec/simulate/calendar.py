"""The simulated time: milliseconds since the scenario's first local midnight, and how logs write them. No clock is read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SPILL_HOURS = 48  # a session that begins in the last hour may run on into the days after
WITHIN = tuple(f":{minute:02d}:{second:02d}" for minute in range(60) for second in range(60))

Stamp = Callable[[int], str]


class Calendar:
    """The hours of a scenario as its zone writes them; one table look-up a stamp, because every line has one."""

    def __init__(self, start: date, days: int, zone: str) -> None:
        self.zone = ZoneInfo(zone)
        self.first = datetime(start.year, start.month, start.day, tzinfo=self.zone).astimezone(UTC)
        self.hours = days * 24
        self.epoch_ms = round(self.first.timestamp() * 1000)
        self._local = [(self.first + timedelta(hours=hour)).astimezone(self.zone) for hour in range(self.hours + SPILL_HOURS)]
        self._day = [f"{local:%Y%m%d}" for local in self._local]

    def at(self, ms: int) -> datetime:
        """Return the moment in UTC."""
        return self.first + timedelta(milliseconds=ms)

    def local(self, hour: int) -> datetime:
        """Return the local time in which an hour begins."""
        return self._local[hour]

    def day(self, ms: int) -> str:
        """Write the local day: 20261012."""
        return self._day[ms // HOUR_MS]

    def epoch(self, ms: int) -> str:
        """Write seconds since 1970 with milliseconds, as nginx's `$msec`."""
        seconds, left = divmod(self.epoch_ms + ms, 1000)
        return f"{seconds}.{left:03d}"

    def stamp(self, form: str) -> Stamp:
        """Return what writes a moment: as RFC 3339 in local time (`rfc3339`), or as PostgreSQL's log does (`postgres`)."""
        before, after = FORMS[form]
        heads = [local.strftime(before) for local in self._local]
        tails = [after(local) for local in self._local]

        def write(ms: int) -> str:
            hour, left = divmod(ms, HOUR_MS)
            second, left = divmod(left, 1000)
            return f"{heads[hour]}{WITHIN[second]}.{left:03d}{tails[hour]}"

        return write


# how the hour is written, and what stands behind the milliseconds
FORMS: dict[str, tuple[str, Callable[[datetime], str]]] = {
    "rfc3339": ("%Y-%m-%dT%H", lambda local: local.isoformat()[-6:]),
    "postgres": ("%Y-%m-%d %H", lambda local: f" {local.tzname()}"),
}
