"""Times as logs write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.parsers import ZONE

from xmsec.model.errors import InputError
from xmsec.parse.times import declared_time, iso_time, log_time, yearless_time

EIGHT = datetime(2026, 11, 24, tzinfo=UTC)  # eight in the morning in Xiamen


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T00:00:00Z",
        "2026-11-24T00:00:00.000000000Z",
        "2026-11-24 00:00:00,000 UTC",
        "2026-11-24 00:00:00 GMT",
        "2026-11-24T08:00:00+08:00",
        "2026-11-24 08:00:00 +0800",
        "2026-11-24 08:00:00.000 +08",
        "2026-11-24 08:00:00 CST",
        "2026-11-24 08:00:00",
        "20261124T080000",
        "2026-11-23T19:00:00-05:00",
    ],
)
def test_iso_times_with_an_offset_an_abbreviation_or_none(text: str) -> None:
    assert iso_time(ZONE)(text) == EIGHT


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "2026-11-24 08:00:00 Xiamen"]
)
def test_other_texts_are_no_iso_times(text: str) -> None:
    with pytest.raises(InputError, match=r"^bad-time$"):
        iso_time(ZONE)(text)


@pytest.mark.parametrize(
    ("day", "offset", "expected"),
    [
        ("24/Nov/2026:08:00:00", "+0800", EIGHT),
        ("23/Nov/2026:19:00:00", "-0500", EIGHT),
        ("24/Nov/2026:05:30:00", "+0530", EIGHT),
        ("23/Nov/2026:23:59:60", "+0000", EIGHT),
    ],
    ids=["east", "west", "half an hour", "leap second"],
)
def test_log_times(day: str, offset: str, expected: datetime) -> None:
    read = log_time()
    assert read(day, offset) == expected
    assert read(day, offset) == expected


@pytest.mark.parametrize(
    ("text", "received", "expected"),
    [
        ("Nov 24 08:00:00", datetime(2026, 11, 24, 0, 0, 1, tzinfo=UTC), EIGHT),
        ("Nov 24 08:00:00", datetime(2027, 3, 1, tzinfo=UTC), EIGHT),
        ("Nov 24 08:00:00", datetime(2026, 11, 23, 12, tzinfo=UTC), EIGHT),
        ("Nov 24 08:00:00", datetime(2027, 11, 22, tzinfo=UTC), EIGHT),
        ("Dec 31 23:59:59", datetime(2026, 12, 31, 16, tzinfo=UTC), datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC)),
        ("Jan  1 00:00:05", datetime(2026, 12, 31, 15, 59, 50, tzinfo=UTC), datetime(2026, 12, 31, 16, 0, 5, tzinfo=UTC)),
        ("Feb 29 08:00:00", datetime(2026, 11, 24, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC)),
        ("Nov 24 08:00:00.25", EIGHT, datetime(2026, 11, 24, 0, 0, 0, 250_000, tzinfo=UTC)),
    ],
    ids=[
        "now",
        "months later",
        "a clock ahead",
        "almost a year",
        "new year's eve",
        "a clock ahead at new year",
        "leap day",
        "parts",
    ],
)
def test_a_date_without_year_is_the_latest_that_is_not_ahead(text: str, received: datetime, expected: datetime) -> None:
    assert yearless_time(ZONE)(text, received) == expected


@pytest.mark.parametrize("text", ["Feb 30 08:00:00", "Foo 24 08:00:00", "Nov 24 25:00:00"])
def test_a_date_without_year_must_exist(text: str) -> None:
    with pytest.raises(InputError, match=r"^bad-time$"):
        yearless_time(ZONE)(text, EIGHT)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("epoch_s", EIGHT.timestamp()),
        ("epoch_s", str(EIGHT.timestamp())),
        ("epoch_ms", int(EIGHT.timestamp()) * 1000),
        ("%d.%m.%Y %H:%M", "24.11.2026 08:00"),
        ("%Y%m%d%H%M%S%z", "20261124000000+0000"),
    ],
)
def test_a_stream_may_declare_its_form(form: str, value: Any) -> None:
    assert declared_time(form, ZONE)(value) == EIGHT


@pytest.mark.parametrize("value", ["nan", "inf", "1e300", "x", None, [], {}, -1e300])
@pytest.mark.parametrize("form", ["epoch_s", "epoch_ms", "rfc3339", "%d.%m.%Y"])
def test_no_value_breaks_a_declared_time(form: str, value: Any) -> None:
    with pytest.raises(InputError, match=r"^bad-time$"):
        declared_time(form, ZONE)(value)
