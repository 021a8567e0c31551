"""Databases, systems, applications and pipelines: what their records are in ECS."""

from __future__ import annotations

from typing import Any

import pytest
from tests.parsers import LINES, TIME, filled, parsed

from xmsec.content.streams import DatasetRule
from xmsec.model.errors import InputError
from xmsec.parse.csv_row import csv_row
from xmsec.parse.json_read import flatten, read_object
from xmsec.parse.numbers import scalar
from xmsec.parse.percent import decoded_prose

ROW = (
    '2026-11-24 08:00:00.000 CST,"clerk","people",7,"{host}",65.12,3,"{tag}",2026-11-24 07:59:00 CST,5/12,0,{level},{code},'
    '"{message}"'
    ',,,,,,,,,"psql","client backend"'
)


def pg(
    message: str, host: str = "10.1.2.3:50112", tag: str = "SELECT", level: str = "LOG", code: str = "00000"
) -> dict[str, Any]:
    quoted = message.replace('"', '""')
    return parsed("pgaudit", ROW.format(host=host, tag=tag, level=level, code=code, message=quoted).encode()).fields


def test_an_audited_statement_names_who_did_what_to_which_object() -> None:
    document = parsed("pgaudit", LINES["pgaudit"], namespace="postgres://db:5432")
    assert document.datasets == ("postgres://db:5432/people.public.person",)
    expected = {
        "user.name": "clerk",
        "db.namespace": "people",
        "source.ip": "10.1.2.3",
        "event.action": "select",
        "event.type": "access",
        "db.collection.name": "public.person",
        "db.query.text": "select SLOT from person",
        "db.response.returned_rows": 12,
    }
    assert {name: document.fields.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("audit", "expected"),
    [
        ("SESSION,1,1,DDL,CREATE TABLE,TABLE,public.t,create table t(),<none>", {"event.action": "create-table"}),
        (
            "OBJECT,1,1,WRITE,UPDATE,TABLE,public.t,update t,<not logged>",
            {"event.type": "change", "postgresql.audit.type": "object"},
        ),
        ("SESSION,1,1,ROLE,GRANT,,,grant r to u,<none>", {"event.type": "admin", "db.collection.name": None}),
        ("SESSION,1,1,READ,SELECT,TABLE,public.t,<previously logged>,<previously logged>", {"db.query.text": None}),
        ('SESSION,1,1,READ,SELECT,,,"select ""a"", b",1', {"db.query.text": 'select "a", b', "db.query.parameters": "1"}),
        ("SESSION,1,1,READ,SELECT,,,select 1,,", {"db.response.returned_rows": None}),
    ],
    ids=["ddl", "object", "role", "logged before", "quotes", "no rows"],
)
def test_what_pgaudit_says(audit: str, expected: dict[str, Any]) -> None:
    fields = pg(f"AUDIT: {audit}")
    assert {name: fields.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (pg("connection received: host=10.1.2.3 port=1"), {"event.action": "connect"}),
        (pg("connection authorized: user=clerk database=people"), {"event.action": "login", "event.outcome": "success"}),
        (pg("disconnection: session time: 0:00:01"), {"event.action": "logout"}),
        (
            pg('no pg_hba.conf entry for host "x"', level="FATAL", code="28000"),
            {"event.outcome": "failure", "error.code": "28000"},
        ),
        (pg("statement: select 1"), {"db.query.text": "select 1", "message": None}),
        (pg("duration: 3.250 ms"), {"event.duration": 3_250_000, "message": "duration: 3.250 ms"}),
        (pg("duration: 3.250 ms  execute s1: select 1"), {"event.duration": 3_250_000, "db.query.text": "select 1"}),
        (pg("checkpoint", host=""), {"source.ip": None, "message": "checkpoint"}),
        (pg("x", host="::1:5432"), {"source.ip": "::1", "source.port": 5432}),
        (pg("x", host="[local]"), {"source.ip": None}),
    ],
    ids=["connect", "login", "logout", "refused", "statement", "duration", "prepared", "background", "IPv6", "local"],
)
def test_what_postgresql_says_itself(row: dict[str, Any], expected: dict[str, Any]) -> None:
    assert {name: row.get(name) for name in expected} == expected


@pytest.mark.parametrize("text", ['"open', 'a,"b', 'a"b', ",".join("x" * 65)], ids=["open", "open later", "inside", "too many"])
def test_a_row_that_is_not_csv_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        csv_row(text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("<13>Nov 24 08:00:00 web1 app: hi", {"log.level": "notice", "process.name": "app", "message": "hi"}),
        ("Nov 24 08:00:00 web1 app[7]: hi", {"process.pid": 7, "host.name": "web1", "log.level": None}),
        ("Nov 24 08:00:00 web1 app[main]: hi", {"process.name": "app[main]", "process.pid": None}),
        ("Nov 24 08:00:00 app[7]: hi", {"process.name": "app", "host.name": None}),
        (
            "Nov 24 08:00:00 web1 last message repeated 2 times",
            {"host.name": "web1", "message": "last message repeated 2 times"},
        ),
        ("<191>without a time", {"log.syslog.facility.name": "local7", "message": "without a time"}),
        ("Nov 24 08:00:00 10.1.2.3 %ASA-6-302013: Built", {"host.name": "10.1.2.3", "process.name": "%ASA-6-302013"}),
    ],
    ids=["priority", "pid", "odd pid", "no host", "no tag", "no time", "firewall"],
)
def test_system_messages(line: str, expected: dict[str, Any]) -> None:
    fields = parsed("syslog", line.encode()).fields
    assert {name: fields.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    "stamp", ["Nov 24 2025 08:00:00", "Nov 24 2025 02:00:00+02:00", "Nov 24 08:00:00 2025", "Nov 24 08:00:00:000 2025"]
)
def test_a_switch_says_the_year(stamp: str) -> None:
    document = parsed("syslog", f"<189>{stamp} sw1 %%01SHELL/5/LOGIN(l)[5]: in".encode())
    assert (document.fields["host.name"], document.time) == ("sw1", TIME.replace(year=2025))


@pytest.mark.parametrize("time", ["1795478400000", '"1795478400000"', '"2026-11-24T08:00:00+08:00"'])
def test_a_number_in_ecs_is_milliseconds(time: str) -> None:
    assert parsed("ecs", f'{{"@timestamp":{time}}}'.encode()).time == TIME


def test_a_priority_beyond_the_standard_is_refused() -> None:
    with pytest.raises(InputError, match=r"^bad-priority$"):
        parsed("syslog", b"<192>Nov 24 08:00:00 web1 app: hi")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"a": {"b": 1}, "a.c": "x"}, {"a.b": 1, "a.c": "x"}),
        ({"a": [{"b": 1}, {"b": 2, "c": 3}]}, {"a.b": [1, 2], "a.c": [3]}),
        ({"a": None, "b": [], "c": {}, "d": [None, "x"]}, {"d": ["x"]}),
        ({"n": [1, [2, [3]]]}, {"n": [1, 2, 3]}),
        (
            {"id": 13800138000, "f": 2.5, "big": 10**30, "t": True},
            {"id": "13800138000", "f": 2.5, "big": "1" + "0" * 30, "t": True},
        ),
        ({"geo": {"location": {"lat": 24.4798, "lon": 118.0894}}}, {"geo.location": "24.4798,118.0894"}),
        ({"13800138000": {"n": "x"}}, {"_keys": ["13800138000"], "_.n": ["x"]}),
        ({"p": {"a@b.cn": 1, "c@d.cn": 2}}, {"p._keys": ["a@b.cn", "c@d.cn"], "p._": [1, 2]}),
        ({"⟨X:00⟩": 1}, {"_keys": ["⟨X:00⟩"], "_": [1]}),
        ({"身份证号": "x", "@timestamp": "t", "user name": "y"}, {"身份证号": "x", "@timestamp": "t", "user name": "y"}),
    ],
    ids=[
        "dotted",
        "objects in a list",
        "nothing",
        "lists",
        "numbers",
        "coordinates",
        "number as key",
        "mail",
        "token as key",
        "names",
    ],
)
def test_json_becomes_flat(document: dict[str, Any], expected: dict[str, Any]) -> None:
    assert flatten(document) == expected


def test_of_a_key_that_stands_twice_the_last_counts() -> None:
    assert read_object('{"a":1,"a":2}') == {"a": 2}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({f"a{n}": n for n in range(999)} | {f"b{n}": n for n in range(999)}, "too-many-fields"),
        ({"a": [0] * 100_001}, "too-many-values"),
    ],
    ids=["fields", "values"],
)
def test_json_has_limits(document: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=f"^{reason}$"):
        flatten(document)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("event.duration", 12_345_678_901, 12_345_678_901),
        ("event.duration", 1 << 64, str(1 << 64)),
        ("source.port", "443", 443),
        ("source.port", "https", "https"),
        ("card", 6222021234567890123, "6222021234567890123"),
        ("phone", 1.3800138e10, "13800138000"),
        ("x", -3, -3),
    ],
)
def test_a_long_number_is_text_unless_its_field_is_numeric(field: str, value: Any, expected: Any) -> None:
    assert scalar(field, value) == expected
    assert type(scalar(field, value)) is type(expected)


def test_declared_json_takes_what_is_mapped_and_leaves_the_rest() -> None:
    document = parsed("json", LINES["json"])
    assert document.fields == {"user.id": "u7", "message": "said SLOT", "labels.n": "13800138000"}
    assert document.time == TIME


def test_declared_json_maps_paths_lists_units_and_objects() -> None:
    mapping = {"event.duration@ms": "cost", "source.ip": "ips.0", "user": "who", "event.action": "op.name"}
    line = b'{"cost":"1.5","ips":["10.1.2.3","10.0.0.1"],"who":{"id":"u7","roles":["a"]},"op.name":"export","left":"out"}'
    fields = parsed("json", line.replace(b'"left"', b'"at":"2026-11-24T00:00:00Z","left"'), map=mapping).fields
    assert fields == {
        "event.duration": 1_500_000,
        "source.ip": "10.1.2.3",
        "user.id": "u7",
        "user.roles": ["a"],
        "event.action": "export",
    }


@pytest.mark.parametrize(
    ("inputs", "outputs", "stage"),
    [(["a"], [], "use"), ([], ["a"], "store"), (["a"], ["a"], "use"), (["a"], ["b"], "transmit"), ([], [], None)],
)
def test_a_run_tells_its_stage(inputs: list[str], outputs: list[str], stage: str | None) -> None:
    names = {"inputs": inputs, "outputs": outputs}
    more = ",".join(
        f'"{way}":[{",".join(f"""{{"namespace":"pg://{name}","name":"t"}}""" for name in found)}]'
        for way, found in names.items()
    )
    line = '{"eventType":"START","eventTime":"2026-11-24T00:00:00Z","run":{},"job":{},' + more + "}"
    assert parsed("openlineage", line.encode()).stage == stage


RULES = (
    DatasetRule({"url.path": "/api/people/*", "http.request.method": ["GET", "HEAD"]}, "people", "use"),
    DatasetRule({"url.path": ["*.csv", "/open/?"]}, "open-data", "open"),
    DatasetRule({"http.response.status_code": 200}, "people"),
    DatasetRule({"absent": "*"}, "never"),
)


@pytest.mark.parametrize(
    ("target", "datasets", "stage"),
    [
        (b"/api/people/7", ("people",), "use"),
        (b"/api/people/x.csv", ("people", "open-data"), "use"),
        (b"/open/7", ("open-data", "people"), "open"),
        (b"/open/77", ("people",), "collect"),
        (b"/api/%70eople/7", ("people",), "use"),
    ],
)
def test_rules_name_the_datasets_and_the_stage(target: bytes, datasets: tuple[str, ...], stage: str) -> None:
    line = b'192.0.2.1 - - [24/Nov/2026:08:00:00 +0800] "GET ' + target + b' HTTP/1.1" 200 5'
    document = parsed("combined", line, datasets=RULES, stage="collect")
    assert (document.datasets, document.stage) == (datasets, stage)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("phone like '%13800138000%'", "phone like '%13800138000%'"),
        ("id like '%350211199001011234%'", "id like '%350211199001011234%'"),
        (r'{"name":"\u5f20\u4e09"}', '{"name":"张三"}'),
        ("%u5F20%u4E09", "张三"),
        (r"\xE5\xBC\xA0", "张"),
        ("GET /x?id=3502%31 HTTP/1.1", "GET /x?id=35021 HTTP/1.1"),
        ("a\r\nb\tc", "a  b c"),
        ("100% sure", "100% sure"),
        ("%25E5%25BC%25A0", "张"),
        (r"C:\users\new", r"C:\users\new"),
        (r"lone \ud83d", "lone \ufffd"),
        ("138\u200b0013\u20628000", "13800138000"),
    ],
)
def test_free_text_is_decoded_where_it_is_surely_encoded(text: str, expected: str) -> None:
    assert decoded_prose(text) == expected


def test_a_plus_is_a_space_in_a_query_and_nowhere_else() -> None:
    fields = filled("combined", b"a+b%2Bc").fields
    assert fields["url.query"] == "q=a b+c"
    assert fields["url.original"] == "/find?q=a b+c"
    assert fields["user_agent.original"] == "agent a+b+c"


@pytest.mark.parametrize("form", ["combined", "nginx-json", "ecs"])
@pytest.mark.parametrize("more", ["", "%21"], ids=["plain line", "encoded line"])
def test_a_plus_is_a_space_whatever_else_a_line_holds(form: str, more: str) -> None:
    line = {
        "combined": '::1 - - [24/Nov/2026:08:00:00 +0800] "GET /a+b?c+d HTTP/1.1" 200 5 "http://x/?e+f" "-X"',
        "nginx-json": '{"ts":1795478400,"client":"::1","request":"GET /a+b?c+d","http_referer":"http://x/?e+f","note":"X"}',
        "ecs": '{"@timestamp":"2026-11-24T00:00:00Z","url.query":"c+d","url.path":"/a+b","http.request.referrer":"http://x/?e+f"}',
    }[form]
    fields = parsed(form, line.replace("X", more).encode()).fields
    assert (fields["url.path"], fields["url.query"], fields["http.request.referrer"]) == ("/a+b", "c d", "http://x/?e f")
