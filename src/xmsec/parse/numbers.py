"""Numbers stay numbers where ECS says that a field is one; elsewhere a long one becomes text, for it may be an identifier.

JSON writes a mobile number as readily as `13800138000` as in quotes, and only text is searched for values. Nothing is rounded:
whole numbers beyond 64 bits are text in every field.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MOST = 999_999  # six digits identify nobody; a number of seven or more is text outside the fields below
INT64 = (1 << 63) - 1
NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}

NUMERIC = frozenset(
    [
        "client.bytes",
        "client.port",
        "db.response.returned_rows",
        "destination.bytes",
        "destination.port",
        "event.duration",
        "event.risk_score",
        "event.sequence",
        "event.severity",
        "file.size",
        "http.request.body.bytes",
        "http.request.bytes",
        "http.response.body.bytes",
        "http.response.bytes",
        "http.response.status_code",
        "log.origin.file.line",
        "log.syslog.facility.code",
        "log.syslog.priority",
        "log.syslog.severity.code",
        "network.bytes",
        "network.packets",
        "process.exit_code",
        "process.parent.pid",
        "process.pid",
        "server.bytes",
        "server.port",
        "source.bytes",
        "source.port",
        "url.port",
    ]
)


def scalar(field: str, value: Any) -> Any:
    """Return a value as its field wants it: a number for a numeric field when it is one, text for a long number elsewhere.

    >>> scalar("phone", 13800138000), scalar("http.response.status_code", "200"), scalar("n", 7)
    ('13800138000', 200, 7)
    """
    if isinstance(value, str):
        return _number(value) if field in NUMERIC else value
    if isinstance(value, bool) or -MOST <= value <= MOST:
        return value
    if field in NUMERIC and -INT64 <= value <= INT64:
        return value
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value)


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text


def _ns(unit: int) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        try:
            ns = round(float(value) * unit)
        except (ValueError, OverflowError, TypeError):
            return None
        return ns if 0 <= ns <= INT64 else None

    return convert


def target(name: str) -> tuple[str, Callable[[Any], Any]]:
    """Split a declared field into its ECS name and its conversion: `event.duration@s` takes seconds, else `scalar`.

    The conversion gives None for what is no number of that unit.
    """
    field, at, unit = name.partition("@")
    if at and field and unit in NS:
        return field, _ns(NS[unit])
    return name, lambda value: scalar(name, value)
