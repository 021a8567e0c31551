"""What shippers put around a line is taken off, and the line is read as if it had come alone."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.parsers import LINES, RECEIVED, TIME, ZONE, filled, parsed, raw_of, stream_of

from xmsec.model.errors import InputError
from xmsec.parse.envelope import AS_IT_IS
from xmsec.parse.guess import guess
from xmsec.parse.road import stream_parser
from xmsec.parse.table import FORMATS

OTHERS = sorted(FORMATS.keys() - AS_IT_IS)


def filebeat(line: str) -> dict[str, Any]:
    """As `output.kafka` sends it."""
    return {
        "@timestamp": "2026-11-24T00:00:01.000Z",
        "@metadata": {"beat": "filebeat", "type": "_doc", "version": "8.15.0"},
        "log": {"offset": 81, "file": {"path": "/var/log/a.log"}},
        "message": line,
        "input": {"type": "filestream"},
        "ecs": {"version": "8.0.0"},
        "host": {"name": "web1"},
        "agent": {"type": "filebeat", "name": "web1", "version": "8.15.0"},
    }


def vector(line: str) -> dict[str, Any]:
    return {
        "file": "/var/log/a.log",
        "host": "web1",
        "message": line,
        "source_type": "file",
        "timestamp": "2026-11-24T00:00:01.5Z",
    }


def fluent_bit(line: str) -> dict[str, Any]:
    return {"@timestamp": 1795478401.25, "log": line + "\n", "hostname": "web1", "path": "/var/log/a.log"}


def fluent_bit_http(line: str) -> dict[str, Any]:
    return {"date": 1795478401.25, "log": line, "hostname": "web1", "path": "/var/log/a.log"}


def container(line: str) -> dict[str, Any]:
    return {
        "log": line + "\n",
        "stream": "stdout",
        "time": "2026-11-24T00:00:01Z",
        "host": "web1",
        "filename": "/var/log/a.log",
    }


SHIPPERS = [filebeat, vector, fluent_bit, fluent_bit_http, container]
every_shipper = pytest.mark.parametrize("ship", SHIPPERS, ids=lambda ship: ship.__name__)


@every_shipper
@pytest.mark.parametrize("form", OTHERS)
def test_a_line_in_an_envelope_is_the_line(form: str, ship: Any) -> None:
    document = parsed(form, json.dumps(ship(LINES[form].decode())).encode())
    alone = parsed(form, LINES[form])
    assert document.time == alone.time
    assert {**document.fields, **alone.fields} == document.fields
    assert document.fields["log.file.path"] == "/var/log/a.log"
    assert document.fields.keys() - alone.fields.keys() <= {"host.name", "log.file.path"}
    assert document.datasets == alone.datasets


@every_shipper
def test_a_shipped_file_of_unknown_origin_finds_the_stream_of_its_lines(ship: Any) -> None:
    streams = {
        f"generic.{what}": stream_of(form)
        for what, form in (("web", "web"), ("syslog", "syslog"), ("cef", "cef"), ("ecs", "ecs"))
    }
    for form, name in (("combined", "web"), ("syslog", "syslog"), ("cef", "cef")):
        line = json.dumps(ship(LINES[form].decode())).encode()
        assert guess([line, line], streams, ZONE) == f"generic.{name}"


def test_what_beats_write_as_ecs_stays_ecs() -> None:
    document = parsed("ecs", json.dumps(filebeat("said this")).encode())
    assert document.fields["message"] == "said this"
    assert document.fields["agent.type"] == "filebeat"


@pytest.mark.parametrize("path", ["payload.text", "payload"])
def test_a_declared_place_is_where_the_line_is(path: str) -> None:
    line = LINES["ecs"].decode()
    wrapped = {"payload": {"text": line} if "." in path else line, "time": "x"}
    assert parsed("ecs", json.dumps(wrapped).encode(), unwrap=path) == parsed("ecs", LINES["ecs"])
    assert parsed("ecs", LINES["ecs"], unwrap=path) == parsed("ecs", LINES["ecs"])


def test_never_is_never() -> None:
    parse = stream_parser(stream_of("nginx-json", unwrap="never"), ZONE)
    with pytest.raises(InputError, match=r"^no-match$"):
        parse(raw_of(json.dumps(vector(LINES["nginx-json"].decode())).encode()))


@pytest.mark.parametrize(
    "wrapped",
    [
        {"message": '203.0.113.9 - - [24/Nov/2026:08:00:00 +0800] "GET / HTTP/1.1" 200 5'},
        {"log": "x", "other": 1},
        {"message": ["x"], "source_type": "file"},
        {"log": {"level": "info"}, "message": 7},
    ],
    ids=["nobody's", "nobody's log", "a list", "a number"],
)
def test_what_no_shipper_writes_is_no_envelope(wrapped: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^no-match$"):
        stream_parser(stream_of("combined"), ZONE)(raw_of(json.dumps(wrapped).encode()))


@every_shipper
@pytest.mark.parametrize("line", ["", "\n", "  ", "\ufeff"], ids=repr)
def test_a_blank_line_in_an_envelope_is_blank(ship: Any, line: str) -> None:
    assert stream_parser(stream_of("combined"), ZONE)(raw_of(json.dumps(ship(line)).encode())) is None


def test_the_year_and_the_time_that_a_line_lacks_are_those_of_its_reading() -> None:
    late = datetime(2027, 12, 1, tzinfo=UTC)
    old = json.dumps(filebeat("<34>Nov 24 08:00:00 web1 su: x")).encode()
    timeless = json.dumps(filebeat("<34>no time")).encode()
    assert parsed("syslog", old, late).time == TIME
    assert parsed("syslog", timeless, late).time == TIME + timedelta(seconds=1)


@pytest.mark.parametrize("stamp", ["9999-01-01T00:00:00Z", "soon", -1e300, True, None, 1e18])
def test_a_shipper_that_says_no_time_that_can_be_is_not_believed(stamp: Any) -> None:
    wrapped = filebeat("<34>no time") | {"@timestamp": stamp}
    assert parsed("syslog", json.dumps(wrapped).encode()).time == RECEIVED


def test_what_a_line_says_of_its_host_counts_more() -> None:
    document = parsed("syslog", json.dumps(vector("<34>Nov 24 08:00:00 other su: x")).encode())
    assert document.fields["host.name"] == "other"


@every_shipper
@given(text=st.text(max_size=40))
def test_any_text_in_an_envelope_is_clean_afterwards(ship: Any, text: str) -> None:
    line = json.dumps(ship(LINES["combined"].decode().replace("SLOT", text)))
    document = None
    with suppress(InputError):
        document = stream_parser(stream_of("combined"), ZoneInfo("UTC"))(raw_of(line.encode()))
    for value in document.fields.values() if document is not None else ():
        assert not isinstance(value, str) or not any(character in value for character in "\0\n\r\u200b⟨⟩")


def test_a_value_hides_neither_behind_jsons_escapes_nor_behind_a_shippers() -> None:
    line = LINES["combined"].decode().replace("SLOT", "%33%35" + "0211199001011234")
    escaped = "".join(f"\\u{ord(character):04x}" for character in line)
    document = parsed("combined", f'{{"message":"{escaped}","source_type":"file"}}'.encode())
    assert "350211199001011234" in document.fields["url.query"]
    assert filled("combined", b"350211199001011234").fields["url.query"] == document.fields["url.query"]
