"""RFC 5424, CEF and LEEF: what devices and systems say, in ECS."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.parsers import LINES, RECEIVED, TIME, ZONE, parsed

from xmsec.model.errors import InputError
from xmsec.parse import cef as cef_module
from xmsec.parse import leef as leef_module
from xmsec.parse.device_time import device_time

plain_text = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, blacklist_characters="%\\\x7f⟨⟩"), max_size=60
).filter(str.isprintable)


def some(document: Any, expected: dict[str, Any]) -> dict[str, Any]:
    return {name: document.fields.get(name) for name in expected}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "<34>1 2026-11-24T00:00:00.000Z mymachine.example su - ID47 - \ufeff'su root' failed",
            {"message": "'su root' failed", "log.syslog.msgid": "ID47", "process.pid": None, "host.name": "mymachine.example"},
        ),
        ("<165>1 2026-11-24T00:00:00Z 192.0.2.1 myproc 8710 - - %% Time", {"process.pid": 8710, "message": "%% Time"}),
        ("<34>1 2026-11-24T00:00:00Z - - x9 - -", {"host.name": None, "message": None, "log.syslog.procid": "x9"}),
        (
            r'<34>1 2026-11-24T00:00:00Z h a - - [e@32473 a="x\"y\\z\]" b=""][o c="]"] m',
            {
                "log.syslog.structured_data.e.a": 'x"y\\z]',
                "log.syslog.structured_data.e.b": "",
                "log.syslog.structured_data.o.c": "]",
                "message": "m",
            },
        ),
    ],
    ids=["bom", "no data", "nothing known", "escapes"],
)
@pytest.mark.parametrize("form", ["rfc5424", "syslog"])
def test_a_message_of_version_1(form: str, line: str, expected: dict[str, Any]) -> None:
    document = parsed(form, line.encode())
    assert some(document, expected) == expected
    assert document.time == TIME


def test_a_message_without_a_time_has_that_of_receipt() -> None:
    assert parsed("rfc5424", b"<34>1 - h a - - - m").time == RECEIVED


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("<34>1 2026-11-24T00:00:00Z h a - - [e a=b] m", "bad-structured-data"),
        ("<34>1 2026-11-24T00:00:00Z h a - - [e]m", "bad-structured-data"),
        ("<34>1 soon h a - - - m", "bad-time"),
        ("<192>1 2026-11-24T00:00:00Z h a - - - m", "bad-priority"),
        ("1 2026-11-24T00:00:00Z h a - - - m", "no-match"),
        ("<34>Nov 24 08:00:00 h a: m", "no-match"),
    ],
    ids=["data", "no space", "time", "priority", "no priority", "the older syslog"],
)
def test_what_is_no_rfc_5424(line: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"^{reason}$"):
        parsed("rfc5424", line.encode())


@given(value=plain_text, message=plain_text)
def test_structured_data_read_back(value: str, message: str) -> None:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
    fields = parsed("rfc5424", f'<34>1 2026-11-24T00:00:00Z h a - - [e v="{escaped}"] m{message}'.encode()).fields
    assert (fields["log.syslog.structured_data.e.v"], fields["message"]) == (value, "m" + message)


BARE = "CEF:0|V|P|1|100|Name|3|"


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        ("src=10.1.2.3 spt=99 proto=TCP", {"source.ip": "10.1.2.3", "source.port": 99, "network.transport": "TCP"}),
        ("src=gate.example dst=2001:db8::1", {"source.address": "gate.example", "destination.ip": "2001:db8::1"}),
        ("suser=lin duser=root", {"user.name": "lin", "destination.user.name": "root"}),
        ("duser=root", {"user.name": "root", "destination.user.name": "root"}),
        ("msg=two words and a key act=drop", {"message": "two words and a key", "event.action": "drop"}),
        (r"msg=a\=b c\\d\ne cs1=x", {"message": "a=b c\\d e", "cef.extensions.cs1": "x"}),
        ("act= msg=x", {"event.action": "Name", "message": "x"}),
        ("request=/find?q\\=a+b&r\\=%E5%8E%A6", {"url.path": "/find", "url.query": "q=a b&r=厦"}),
        ("ad.custom[0]=7 flexString1=f", {"cef.extensions.flexString1": "f"}),
        ("outcome=success externalId=e7 fsize=12 in=34", {"event.outcome": "success", "file.size": 12, "source.bytes": 34}),
        ("", {"event.action": "Name", "message": "Name", "event.severity": 3, "event.code": "100"}),
    ],
    ids=["address", "host", "who", "whom", "words", "escapes", "empty", "url", "others", "numbers", "none"],
)
def test_what_an_event_in_cef_says(extension: str, expected: dict[str, Any]) -> None:
    document = parsed("cef", f"{BARE}{extension}".encode())
    assert some(document, expected) == expected
    assert document.time == RECEIVED


@pytest.mark.parametrize(
    ("line", "time"),
    [
        (f"{BARE}rt=1795478400000", TIME),
        (f"{BARE}rt=1795478400", TIME),
        (f"{BARE}rt=Nov 24 2026 08:00:00", TIME),
        (f"{BARE}rt=Nov 24 2026 08:00:00.250 CST", TIME + timedelta(milliseconds=250)),
        (f"{BARE}rt=Nov 24 2026 00:00:00 UTC end=1", TIME),
        (f"{BARE}end=Nov 24 08:00:00 start=1", TIME),
        (f"{BARE}start=2026-11-24T08:00:00+08:00", TIME),
        (f"Nov 24 08:00:00 fw1 {BARE}act=x", TIME),
        (f"<34>Nov 24 08:00:00 fw1 {BARE}rt=1795478401000", TIME + timedelta(seconds=1)),
        (f"what ever {BARE}act=x", RECEIVED),
        (f"<34>1 2026-11-24T08:00:00+08:00 fw1 {BARE}act=x", TIME),
    ],
    ids=["ms", "s", "date", "fraction", "utc", "end", "iso", "syslog", "own first", "odd header", "short header"],
)
def test_when_a_device_says_it_was(line: str, time: datetime) -> None:
    assert parsed("cef", line.encode()).time == time


@given(text=plain_text)
def test_an_extension_reads_back(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    assert parsed("cef", f"{BARE}msg=m{escaped} act=x".encode()).fields["message"] == ("m" + text).strip()


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("1.0|V|P|1|e|src=10.1.2.3\tusrName=lin\tcat=c", {"source.ip": "10.1.2.3", "user.name": "lin", "leef.cat": "c"}),
        ("2.0|V|P|1|e||usrName=lin\tsev=5", {"user.name": "lin", "event.severity": 5}),
        ("2.0|V|P|1|e|^|usrName=lin^msg=a=b", {"user.name": "lin", "message": "a=b"}),
        ("2.0|V|P|1|e|0x5E|usrName=lin^msg=a", {"user.name": "lin", "message": "a"}),
        ("2.0|V|P|1|e|xa6|usrName=lin¦msg=a", {"user.name": "lin", "message": "a"}),
        ("2.0|V|P|1|e|0x7c|usrName=lin|msg=a", {"user.name": "lin", "message": "a"}),
        ("2.0|V|P|1|e|usrName=lin\tmsg=a", {"user.name": "lin", "message": "a"}),
        ("1.0|V|P|1|e|", {"event.action": "e", "event.code": "e", "observer.vendor": "V"}),
        ("1.0|V|P|1|e|url=/a?b=c+d\taction=drop", {"url.query": "b=c d", "event.action": "drop"}),
    ],
    ids=["1.0", "default", "own", "hex", "short hex", "bar", "left out", "nothing", "url"],
)
def test_what_an_event_in_leef_says(rest: str, expected: dict[str, Any]) -> None:
    assert some(parsed("leef", f"LEEF:{rest}".encode()), expected) == expected


@given(
    text=plain_text.filter(lambda text: "^" not in text),
    delimiter=st.sampled_from(["\t", "^", "¦", "|"]),
    named=st.sampled_from(["{0}", "0x{1:02X}", "x{1:04x}"]),
)
def test_an_attribute_reads_back(text: str, delimiter: str, named: str) -> None:
    kept = text.replace(delimiter, "")
    shown = named.format(delimiter, ord(delimiter)) if delimiter != "|" else "0x7C"
    line = f"LEEF:2.0|V|P|1|e|{shown}|usrName=lin{delimiter}msg=m{kept}"
    assert parsed("leef", line.encode()).fields["message"] == ("m" + kept).strip()


@pytest.mark.parametrize(
    ("stamp", "form"),
    [
        ("1795478400000", ""),
        ("Nov 24 2026 08:00:00", ""),
        ("Nov 24 08:00:00", "MMM dd HH:mm:ss"),
        ("2026-11-24T00:00:00.000+0000", "yyyy-MM-dd'T'HH:mm:ss.SSSZ"),
        ("24/11/26 08:00:00 AM CST", "dd/MM/yy hh:mm:ss a z"),
        ("Nov 24 2026 00:00:00 GMT+00:00", "MMM dd yyyy HH:mm:ss z"),
        ("Nov 24 2026 08:00:00 GMT+08:00", "MMM dd yyyy HH:mm:ss z"),
        ("Nov 24 2026 00:00:00 UTC", "MMM dd yyyy HH:mm:ss z"),
        ("Nov 24 2026 08:00:00", "MMM dd yyyy HH:mm:ss z"),
    ],
    ids=["ms", "default", "year-less", "offset", "abbreviated", "GMT and 0", "GMT and 8", "UTC", "no zone after all"],
)
def test_device_times_of_leef(stamp: str, form: str) -> None:
    line = f"LEEF:1.0|V|P|1|e|devTime={stamp}\tdevTimeFormat={form}"
    assert parsed("leef", line.encode()).time == TIME


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("LEEF:3.0|V|P|1|e|a=b", "no-match"),
        ("LEEF:1.0|V|P|1|e|no attribute", "no-match"),
        ("LEEF:1.0|V|P|1|e|devTime=2026\tdevTimeFormat=yyyy 'week' w", "bad-time"),
        ("CEF:0|V|P|1|100|Name", "no-match"),
        ("CEF:0|V|P|1|100|Name|3|no extension", "no-match"),
        ("CEF:0|V|P|1|100|Name|3|rt=soon", "bad-time"),
    ],
    ids=["version", "attribute", "pattern", "header", "extension", "time"],
)
def test_what_is_neither_cef_nor_leef(line: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"^{reason}$"):
        parsed("leef" if line[0] == "L" else "cef", line.encode())


def test_a_year_less_time_with_an_offset_has_the_year_of_its_receipt() -> None:
    assert device_time(ZONE)("Nov 24 00:00:00+0000", RECEIVED) == TIME


def test_the_same_event_says_the_same_in_both() -> None:
    names = ("source.ip", "user.name", "observer.product", "message")
    assert [parsed("cef", LINES["cef"]).fields[name] for name in names] == [
        parsed("leef", LINES["leef"]).fields[name] for name in names
    ]


def test_the_examples_in_the_modules_run() -> None:
    import doctest

    assert [doctest.testmod(module).failed for module in (cef_module, leef_module)] == [0, 0]


def test_no_time_is_before_1970() -> None:
    with pytest.raises(InputError, match="bad-time"):
        parsed("cef", f"{BARE}rt=Nov 24 1901 08:00:00".encode())
    assert datetime(1970, 1, 1, tzinfo=UTC)
