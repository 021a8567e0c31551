"""What an entity did in a window, as numbers: tallied from events without regard to their order.

A tally is at most 8 KiB: four counts and three sketches (`sketch.BYTES` each).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from math import isfinite, log1p
from typing import Any

import msgspec

from xmsec.content.recipes import Feature, Hours
from xmsec.detect.sketch import EMPTY, Sketch, add, count, digest64
from xmsec.model.clock import window_of
from xmsec.model.types import Context

ADDRESSES = ("source.ip", "source.address", "client.ip")
OBJECTS = ("url.path", "file.path")
SIZES = ("http.response.body.bytes", "http.response.bytes", "destination.bytes", "network.bytes", "file.size")
READS = frozenset((*ADDRESSES, *OBJECTS, *SIZES, "event.outcome", "http.response.status_code"))

MOST_BYTES = 1 << 62  # sums stop here, so that a state always fits msgpack's integers
FAILED_STATUS = 400
_64_BITS = (1 << 64) - 1
SATURDAY = 5
SHARES = frozenset(("off_hours_share",))  # the other features are counts


class Tally(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of one entity's events in one window."""

    requests: int = 0
    failures: int = 0
    off_hours: int = 0
    size_bytes: int = 0
    objects: Sketch = EMPTY
    subjects: Sketch = EMPTY
    addresses: Sketch = EMPTY


class Slot(msgspec.Struct, frozen=True):
    """What a quarter of an hour belongs to: its window's start, and whether it lies outside office hours."""

    start: datetime
    off_hours: bool


class Calendar:
    """Windows and office hours of one deployment; looks a time up by its quarter of an hour, since a batch has few of them.

    Zones' offsets are multiples of a quarter of an hour (since 1972), so windows and office hours begin only at quarters.
    """

    def __init__(self, length: timedelta, hours: Hours, zone: tzinfo) -> None:
        self._length, self._hours, self._zone = length, hours, zone
        self._slots: dict[int, Slot] = {}

    def slot(self, time: datetime) -> Slot:
        """Return the slot of a time in UTC."""
        quarter = time.toordinal() * 96 + time.hour * 4 + time.minute // 15
        slot = self._slots.get(quarter)
        if slot is None:
            if len(self._slots) > 4096:  # 40 days, far more than a batch spans
                self._slots.clear()
            slot = self._slots[quarter] = self._make(time)
        return slot

    def _make(self, time: datetime) -> Slot:
        time = time.replace(minute=time.minute // 15 * 15, second=0, microsecond=0)
        local, hours = time.astimezone(self._zone), self._hours
        weekend = local.weekday() >= SATURDAY and not hours.weekend
        return Slot(window_of(time, self._length, self._zone).start, weekend or not hours.start <= local.hour < hours.end)


def tally(before: Tally, contexts: Sequence[Context], off_hours: int) -> Tally:
    """Add one entity's events of one window to its tally; any order and any batching give the same.

    off_hours: how many of them lie outside office hours.
    """
    objects: set[str] = set()
    addresses: set[str] = set()
    subjects: set[str] = set()
    failures = size = 0
    for context in contexts:  # one long body: a call for each field would cost as much again
        event = context.event
        get = event.fields.get
        thing = get("url.path") or get("file.path")
        if thing is not None:
            objects.add(str(thing))
        elif event.datasets:
            objects.update(event.datasets)
        address = get("source.ip") or get("source.address") or get("client.ip")
        if address is not None:
            addresses.add(str(address))
        for span in context.spans:
            subjects.add(span.token)
        for field in SIZES:
            sent = get(field)
            if sent is not None:
                size += _whole(sent)
                break
        outcome = get("event.outcome")
        if outcome is None:
            status = get("http.response.status_code")
            failures += type(status) is int and status >= FAILED_STATUS
        else:
            failures += outcome == "failure"
    return Tally(
        before.requests + len(contexts),
        before.failures + failures,
        before.off_hours + off_hours,
        min(before.size_bytes + size, MOST_BYTES),
        add(before.objects, {digest64(thing) for thing in objects}),
        add(before.subjects, {_subject(token) for token in subjects}),
        add(before.addresses, {digest64(address) for address in addresses}),
    )


def _whole(number: Any) -> int:
    """Return a size in whole bytes; what is no number, or less than nothing, is none."""
    if type(number) is int:
        return max(0, number)
    return max(0, int(number)) if type(number) is float and isfinite(number) else 0


def _subject(token: str) -> int:
    """Return a token's own 64 bits: it ends in sixteen hexadecimal digits and a bracket, already a keyed hash."""
    try:
        return int(token[-17:-1], 16) & _64_BITS
    except ValueError:
        return digest64(token)


_VALUES: dict[Feature, Callable[[Tally], float]] = {
    "requests": lambda seen: seen.requests,
    "distinct_objects": lambda seen: count(seen.objects),
    "distinct_subjects": lambda seen: count(seen.subjects),
    "distinct_addresses": lambda seen: count(seen.addresses),
    "bytes": lambda seen: seen.size_bytes,
    "failures": lambda seen: seen.failures,
    "off_hours_share": lambda seen: seen.off_hours / seen.requests if seen.requests else 0.0,
}


def values(seen: Tally, features: Sequence[Feature]) -> tuple[float, ...]:
    """Return a tally's features in the order asked for, in their own units."""
    return tuple(float(_VALUES[feature](seen)) for feature in features)


def scaled(row: Iterable[float], features: Sequence[Feature]) -> tuple[float, ...]:
    """Return features on the scale on which they are compared: counts by log(1 + x), so that tenfold is tenfold anywhere.

    One value at a time, with the C library's log1p: NumPy's vectors round differently from one processor to the next.
    """
    return tuple(value if feature in SHARES else log1p(value) for value, feature in zip(row, features, strict=True))


def shown(value: float, feature: Feature) -> str:
    """Write a feature's value for people.

    >>> shown(1200.0, "bytes"), shown(0.25, "off_hours_share")
    ('1,200', '25 %')
    """
    return f"{100 * value:.0f} %" if feature in SHARES else f"{value:,.1f}".removesuffix(".0")
