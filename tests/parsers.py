"""One good line of every log format, each with a word SLOT in free text, for the tests that put hostile things there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from xmsec.content.streams import Sample, Stream, Title
from xmsec.model.types import Parsed, Position, Raw
from xmsec.parse.road import stream_parser

ZONE = ZoneInfo("Asia/Shanghai")
TIME = datetime(2026, 11, 24, tzinfo=UTC)
RECEIVED = datetime(2026, 11, 24, 0, 0, 5, tzinfo=UTC)

_COMBINED = (
    b'203.0.113.9 - lin [24/Nov/2026:08:00:00 +0800] "GET /find?q=SLOT HTTP/1.1" 200 512 '
    b'"https://a.example/?r=SLOT" "agent SLOT"'
)
_NGINX = (
    b'{"time_iso8601":"2026-11-24T08:00:00+08:00","remote_addr":"203.0.113.9","remote_user":"lin","status":200,'
    b'"request":"GET /find?q=SLOT HTTP/1.1","body_bytes_sent":512,"http_referer":"https://a.example/","note":"SLOT"}'
)
LINES = {
    "combined": _COMBINED,
    "web": _COMBINED,
    "nginx-json": _NGINX,
    "ecs": b'{"@timestamp":"2026-11-24T00:00:00Z","user":{"id":"u7"},"message":"said SLOT","tags":["SLOT",1],'
    b'"url.path":"/SLOT"}',
    "json": b'{"at":"2026-11-24 08:00:00","who":{"id":"u7"},"text":"said SLOT","n":13800138000}',
    "openlineage": (
        b'{"eventType":"COMPLETE","eventTime":"2026-11-24T00:00:00Z","run":{"runId":"r1"},"job":'
        b'{"namespace":"etl","name":"SLOT"},'
        b'"inputs":[{"namespace":"postgres://db:5432","name":"people.public.person"}],"outputs":[]}'
    ),
    "pgaudit": (
        b'2026-11-24 08:00:00.000 CST,"clerk","people",7,"10.1.2.3:50112",65.12,3,"SELECT",2026-11-24 07:59:00 CST,5/12,0,'
        b"LOG,00000,"
        b'"AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.person,""select SLOT from person"",<not logged>,12",,,,,,,,,"psql"'
    ),
    "syslog": b"<34>2026-11-24T08:00:00+08:00 web1 su[230]: said SLOT",
}
MAP = {"@timestamp": "at", "user.id": "who.id", "message": "text", "labels.n": "n"}


def stream_of(form: str, **changes: Any) -> Stream:
    """Make a stream of one format."""
    changes.setdefault("map", MAP if form == "json" else {})
    return Stream(id="test.one", title=Title("试", "test"), format=form, samples=(Sample("x"),), **changes)


def raw_of(line: bytes, received: datetime = RECEIVED, *, cut: bool = False) -> Raw:
    """Wrap a line as it would be read."""
    return Raw(Position("test.one", "p", 0), received, line, cut=cut)


def parsed(form: str, line: bytes, received: datetime = RECEIVED, **changes: Any) -> Parsed:
    """Parse one line that is not blank."""
    document = stream_parser(stream_of(form, **changes), ZONE)(raw_of(line, received))
    assert document is not None
    return document


def filled(form: str, slot: bytes) -> Parsed:
    """Parse the good line of a format with something in its slots."""
    return parsed(form, LINES[form].replace(b"SLOT", slot))
