"""ECS fields whose type says what they hold; they are not scanned, since a timestamp or an address makes recognisers fire.

A text in such a field is left alone only while it has the shape that the field's type allows: an address field that holds
anything else is scanned like any other.
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["address", "moment", "number", "word"]

SHAPES: dict[Kind, re.Pattern[str]] = {
    "address": re.compile(
        r"\d{1,3}(?:\.\d{1,3}){3}|(?=[^:]*:[^:]*:)[0-9a-f:]{2,39}(?:%\w{1,16})?|(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}", re.I
    ),
    "moment": re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?"),
    "number": re.compile(r"-|[+-]?\d{1,6}(?:\.\d{1,6})?"),
    "word": re.compile(r"-|[A-Za-z][A-Za-z_. -]{0,31}|\d(?:\.\d)?|[A-Za-z]{1,8}/\d(?:\.\d)?|[A-Za-z]{1,8}[0-9.]{1,4}"),
}
_BY_NAME: dict[str, Kind] = {
    **dict.fromkeys(
        (
            *("@timestamp", "event.created", "event.start", "event.end", "event.ingested", "file.created", "file.mtime"),
            *("process.start", "process.end"),
        ),
        "moment",
    ),
    **dict.fromkeys(
        (
            *("http.response.status_code", "event.duration", "event.sequence", "event.severity", "event.risk_score"),
            *("process.pid", "process.parent.pid", "process.thread.id", "process.exit_code", "log.syslog.priority"),
            *("log.syslog.facility.code", "log.syslog.severity.code", "log.offset", "file.size", "network.vlan.id"),
            *("db.rows", "event.count", "source.as.number", "destination.as.number", "log.origin.file.line"),
        ),
        "number",
    ),
    **dict.fromkeys(
        (
            *("event.kind", "event.category", "event.type", "event.outcome", "event.module", "event.dataset", "log.level"),
            *("http.request.method", "http.version", "network.protocol", "network.transport", "network.type"),
            *("network.direction", "url.scheme", "ecs.version", "tls.version", "log.syslog.facility.name"),
        ),
        "word",
    ),
}
_LARGE = frozenset(("event.duration", "event.sequence", "event.count", "file.size", "log.offset", "db.rows"))
_LARGE_ENDINGS = (".bytes", ".packets")
_BY_ENDING: tuple[tuple[str, Kind], ...] = (
    (".ip", "address"),
    (".mac", "address"),
    (".port", "number"),
    (".bytes", "number"),
    (".packets", "number"),
)


def kind_of(field: str) -> Kind | None:
    """Return the type of an ECS field, None when it may hold any text.

    >>> kind_of("source.ip"), kind_of("url.path"), kind_of("http.response.body.bytes")
    ('address', None, 'number')
    """
    return _BY_NAME.get(field) or next((kind for ending, kind in _BY_ENDING if field.endswith(ending)), None)


def holds(kind: Kind, text: str) -> bool:
    """Whether a text has the shape of its field's type.

    >>> holds("address", "10.1.2.3"), holds("address", "13800138000"), holds("word", "GET")
    (True, False, True)
    """
    return SHAPES[kind].fullmatch(text) is not None


def may_be_large(field: str) -> bool:
    """Whether a number of seven digits or more is nothing odd in a field: bytes and nanoseconds, but no port and no status.

    >>> may_be_large("http.response.body.bytes"), may_be_large("source.port")
    (True, False)
    """
    return field in _LARGE or field.endswith(_LARGE_ENDINGS)
