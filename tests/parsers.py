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
    "apisix": (
        b'{"client_ip":"203.0.113.9","start_time":1795478400000,"latency":12.5,"route_id":"r1","service_id":"","consumer":'
        b'{"username":"lin"},"request":{"method":"GET","uri":"/find?q=SLOT","size":83,"headers":{"user-agent":"agent SLOT",'
        b'"authorization":"Basic secret"}},"response":{"status":200,"size":153}}'
    ),
    "cef": (
        b"<34>Nov 24 08:00:00 fw1 CEF:0|Vendor|Product|1.0|100|Said SLOT|5|rt=1795478400000 src=10.1.2.3 spt=50112 suser=lin "
        b"act=blocked msg=said SLOT"
    ),
    "combined": _COMBINED,
    "debezium": (
        b'{"before":null,"after":{"id":7,"note":"SLOT"},"source":{"connector":"postgresql","name":"city","ts_ms":1795478400000,'
        b'"db":"people","schema":"public","table":"person"},"op":"c","ts_ms":1795478400500}'
    ),
    "kong": (
        b'{"client_ip":"203.0.113.9","started_at":1795478400000,"latencies":{"request":12,"kong":2,"proxy":10},"service":{"name":'
        b'"s1"},"consumer":{"username":"lin"},"request":{"method":"GET","uri":"/find?q=SLOT","size":"83","headers":'
        b'{"user-agent":"agent SLOT"}},"response":{"status":200,"size":"153","headers":{}}}'
    ),
    "leef": (
        b"<34>Nov 24 08:00:00 fw1 LEEF:2.0|Vendor|Product|1.0|logon|^|devTime=1795478400000^src=10.1.2.3^usrName=lin"
        b"^msg=said SLOT"
    ),
    "mysql-audit": (
        b'<AUDIT_RECORD NAME="Query" RECORD="1_2026-11-24T00:00:00" TIMESTAMP="2026-11-24T00:00:00 UTC" COMMAND_CLASS="select" '
        b'CONNECTION_ID="12" STATUS="0" SQLTEXT="select SLOT from person" USER="clerk[clerk] @ localhost [10.1.2.3]" HOST="" '
        b'OS_USER="" IP="10.1.2.3" DB="people"/>'
    ),
    "postgresql-json": (
        b'{"timestamp":"2026-11-24 08:00:00.000 CST","user":"clerk","dbname":"people","pid":7,"remote_host":"10.1.2.3",'
        b'"remote_port":50112,"session_id":"65.12","ps":"SELECT","error_severity":"LOG",'
        b'"message":"AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.person,select SLOT from person,<not logged>",'
        b'"application_name":"psql"}'
    ),
    "postgresql-stderr": (
        b"2026-11-24 08:00:00.000 CST [7] clerk@people LOG:  AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.person,"
        b'"select SLOT from person",<not logged>'
    ),
    "rfc5424": b'<34>1 2026-11-24T08:00:00+08:00 web1 su 230 ID47 [origin@32473 ip="10.1.2.3" note="SLOT"] said SLOT',
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
EXTRA: dict[str, dict[str, Any]] = {
    "json": {"map": {"@timestamp": "at", "user.id": "who.id", "message": "text", "labels.n": "n"}},
    "postgresql-stderr": {"prefix": "%m [%p] %q%u@%d "},
}


def stream_of(form: str, **changes: Any) -> Stream:
    """Make a stream of one format."""
    changes = EXTRA.get(form, {}) | changes
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
