"""Audits of databases and what reads their changes: PostgreSQL's three logs, MySQL and MariaDB, Debezium."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.parsers import LINES, RECEIVED, TIME, filled, parsed, raw_of, stream_of

from xmsec.model.errors import InputError
from xmsec.parse.pg_stderr import prefix_expression
from xmsec.parse.road import stream_parser

AUDIT = "AUDIT: SESSION,1,1,READ,SELECT,TABLE,public.person,select 1,<none>"
WHO = {"user.name": "clerk", "db.namespace": "people", "process.pid": 7}
plain_text = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, blacklist_characters="%\\\x7f⟨⟩"), max_size=60
).filter(str.isprintable)


def some(document: Any, expected: dict[str, Any]) -> dict[str, Any]:
    return {name: document.fields.get(name) for name in expected}


@pytest.mark.parametrize(
    ("prefix", "line", "expected"),
    [
        ("%m [%p] ", "2026-11-24 08:00:00 CST [7] LOG:  hello", {"process.pid": 7, "message": "hello", "log.level": "log"}),
        ("%m [%p] %q%u@%d ", f"2026-11-24 08:00:00.000 CST [7] clerk@people LOG:  {AUDIT}", WHO | {"event.action": "select"}),
        ("%m [%p] %q%u@%d ", "2026-11-24 08:00:00 CST [7] FATAL:  gone", {"user.name": None, "event.outcome": "failure"}),
        ("%m [%p] %q%u@%d ", "2026-11-24 08:00:00 CST [7] [unknown]@[unknown] LOG:  x", {"user.name": None}),
        (
            "%t:%r:%u@%d:[%p]: ",
            "2026-11-24 08:00:00 CST:10.1.2.3(50112):clerk@people:[7]: LOG:  x",
            WHO | {"source.ip": "10.1.2.3", "source.port": 50112},
        ),
        ("%t:%r:%u@%d:[%p]: ", "2026-11-24 08:00:00 CST::@:[7]: LOG:  checkpoint", {"source.ip": None, "process.pid": 7}),
        (
            "%n %h %c %e %i ",
            "1795478400.000 10.1.2.3 65a.12 42P01 SELECT ERROR:  x",
            {"error.code": "42P01", "source.ip": "10.1.2.3"},
        ),
        ("%m [%p] %l %a ", "2026-11-24 08:00:00 CST [7] 3 my app 2 LOG:  x", {"postgresql.log.application_name": "my app 2"}),
        ("%m [%-6p] %b ", "2026-11-24 08:00:00 CST [7     ] client backend LOG:  x", {"process.pid": 7}),
        ("%m 100%% %z", "2026-11-24 08:00:00 CST 100% LOG:  x", {"message": "x"}),
        ("%m %m ", "2026-11-24 08:00:00 CST 2026-11-24 08:00:00 CST LOG:  x", {"message": "x"}),
        ("%m ", "2026-11-24 08:00:00 CST 语句:  select 1", {"db.query.text": "select 1", "log.level": None}),
    ],
    ids=[
        "default",
        "who",
        "no session",
        "unknown",
        "remote",
        "no remote",
        "epoch",
        "application",
        "padded",
        "percent",
        "twice",
        "zh",
    ],
)
def test_any_prefix_of_a_plain_log(prefix: str, line: str, expected: dict[str, Any]) -> None:
    document = parsed("postgresql-stderr", line.encode(), prefix=prefix)
    assert some(document, expected) == expected
    assert document.time == TIME


def test_what_follows_an_entry_belongs_to_it() -> None:
    head = "2026-11-24 08:00:00 CST [7] clerk@people "
    error = f"{head}ERROR:  no such\n\ttable\n{head}DETAIL:  gone\n{head}HINT:  make it\n"
    line = f"{error}{head}STATEMENT:  select 1\n\tfrom t\n{head}QUERY:  x"
    expected = {
        "message": "no such table",
        "postgresql.log.detail": "gone",
        "postgresql.log.hint": "make it",
        "db.query.text": "select 1 from t",
        "event.outcome": "failure",
    }
    assert some(parsed("postgresql-stderr", line.encode()), expected) == expected


@pytest.mark.parametrize("form", ["pgaudit", "postgresql-json"])
def test_what_is_no_session_does_not_hide_where_nobody_scans(form: str) -> None:
    assert parsed(form, LINES[form]).fields["postgresql.log.session_id"] == "65.12"
    forged = parsed(form, LINES[form].replace(b"65.12", b"13800138000"))
    assert "postgresql.log.session_id" not in forged.fields


def test_a_prefix_without_a_time_has_that_of_receipt() -> None:
    assert parsed("postgresql-stderr", b"[7] LOG:  x", prefix="[%p] ").time == RECEIVED


@given(text=st.text(max_size=20))
def test_every_prefix_is_an_expression(text: str) -> None:
    import re

    re.compile(prefix_expression(text))


@given(user=st.from_regex(r"[a-z_]{1,20}", fullmatch=True), pid=st.integers(1, 10**9), message=plain_text)
def test_a_plain_log_reads_back_as_it_was_written(user: str, pid: int, message: str) -> None:
    line = f"2026-11-24 08:00:00.000 CST [{pid}] {user}@people LOG:  {message}"
    document = parsed("postgresql-stderr", line.encode())
    assert some(document, {"user.name": 0, "process.pid": 0}) == {"user.name": user, "process.pid": pid}


def test_pgaudit_says_the_same_in_all_three_logs() -> None:
    names = ("user.name", "db.namespace", "event.action", "event.type", "db.query.text", "db.collection.name", "process.pid")
    told = [
        {name: parsed(form, LINES[form]).fields[name] for name in names}
        for form in ("pgaudit", "postgresql-json", "postgresql-stderr")
    ]
    assert told[0] == told[1] == told[2]


MYSQL: list[tuple[str, str, dict[str, Any]]] = [
    (
        "old style, MySQL 5.6",
        '<AUDIT_RECORD TIMESTAMP="2026-11-24T00:00:00" NAME="Connect" CONNECTION_ID="1" STATUS="0" USER="root" '
        'PRIV_USER="root" OS_LOGIN="" PROXY_USER="" HOST="localhost" IP="127.0.0.1" DB=""/>',
        {"event.action": "login", "user.name": "root", "source.ip": "127.0.0.1", "event.outcome": "success"},
    ),
    (
        "old style, Percona",
        '<AUDIT_RECORD\n  NAME="Quit"\n  RECORD="9_2026-11-24T00:00:00"\n  TIMESTAMP="2026-11-24T00:00:00 UTC"\n  '
        'CONNECTION_ID="1"\n  STATUS="0"\n  USER="root"\n/>',
        {"event.action": "logout", "user.name": "root"},
    ),
    (
        "the file's beginning before it",
        '<?xml version="1.0" encoding="utf-8"?>\n<AUDIT>\n<AUDIT_RECORD NAME="Audit" '
        'TIMESTAMP="2026-11-24T00:00:00" SERVER_ID="1"/>',
        {"event.action": "audit", "user.name": None},
    ),
    (
        "new style, a table",
        "<AUDIT_RECORD><TIMESTAMP>2026-11-24T00:00:00 UTC</TIMESTAMP><NAME>TableDelete</NAME><USER>a[b] @ h [10.1.2.3]</USER>"
        "<COMMAND_CLASS>delete</COMMAND_CLASS><SQLTEXT>delete from t where a &lt; 3</SQLTEXT><DB>d</DB><TABLE>t</TABLE>"
        "</AUDIT_RECORD>",
        {"event.action": "delete", "event.type": "change", "user.name": "a", "db.query.text": "delete from t where a < 3"},
    ),
    (
        "Enterprise JSON, general",
        '{"timestamp":"2026-11-24 00:00:00","id":0,"class":"general","event":"status","connection_id":12,"account":{'
        '"user":"root","host":"localhost"},"login":{"user":"root","os":"","ip":"::1","proxy":"p"},"general_data":{"command":"Query",'
        '"sql_command":"create_table","query":"create table t()","status":1050}},',
        {
            "event.action": "create-table",
            "event.type": "change",
            "event.outcome": "failure",
            "error.code": "1050",
            "source.ip": "::1",
            "mysql.audit.proxy_user": "p",
        },
    ),
    (
        "Enterprise JSON, connection, the array's end behind it",
        '{"timestamp":"2026-11-24 00:00:00","class":"connection","event":"disconnect","connection_id":12,"account":{'
        '"user":"root"},"connection_data":{"connection_type":"ssl"}}\n]',
        {"event.action": "logout", "user.name": "root"},
    ),
    (
        "Percona's filter, its beginning",
        '  {\n    "timestamp": "2026-11-24 00:00:00",\n    "id": 0,\n    "class": "audit",\n    "server_id": 1\n  },',
        {"event.action": "audit", "user.name": None},
    ),
    (
        "Percona's filter, a statement",
        '{"timestamp":"2026-11-24 00:00:00","class":"general","event":"log","account":'
        '{"user":"root[root] @ localhost [10.1.2.3]"},'
        '"general_data":{"command":"Query","sql_command":"select","query":"select 1","status":0}}',
        {"event.action": "select", "event.type": "access", "user.name": "root", "source.ip": "10.1.2.3"},
    ),
    (
        "Percona's filter, a step of a statement",
        '{"timestamp":"2026-11-24 00:00:00","class":"query","event":"query_start","query_data":{"query":"select 1",'
        '"sql_command":"select","status":0}}',
        {"event.action": "query-start", "event.type": None, "db.query.text": "select 1", "event.outcome": "success"},
    ),
    (
        "Percona's filter, a step in XML",
        '<AUDIT_RECORD NAME="Command Start" TIMESTAMP="2026-11-24T00:00:00" STATUS="0" COMMAND_CLASS="query"/>',
        {"event.action": "command-start", "event.type": None},
    ),
    (
        "Percona's CSV, a statement",
        '"Query","1_2026-11-24T00:00:00","2026-11-24T00:00:00 UTC","select","37",0,"select ""a""\nfrom t",'
        '"root[root] @ localhost []","localhost","","","d"',
        {"event.action": "select", "user.name": "root", "db.query.text": 'select "a" from t', "db.namespace": "d"},
    ),
    (
        "Percona's CSV, a login",
        '"Connect","1_2026-11-24T00:00:00","2026-11-24T00:00:00 UTC","37",1045,"root","root","","","h","10.1.2.3","d"',
        {"event.action": "login", "event.outcome": "failure", "user.name": "root", "source.ip": "10.1.2.3"},
    ),
    (
        "Percona's CSV, its beginning",
        '"Audit","1_2026-11-24T00:00:00","2026-11-24T00:00:00 UTC","8.0.36","--port=3306","x86_64-Linux"',
        {"event.action": "audit", "user.name": None},
    ),
    (
        "XML, which error",
        '<AUDIT_RECORD NAME="Query" TIMESTAMP="2026-11-24T00:00:00 UTC" STATUS="1064" STATUS_CODE="1" USER="root"/>',
        {"event.outcome": "failure", "error.code": "1064"},
    ),
    ("MariaDB, a write", "20261124 08:00:00,db1,root,h,1,2,WRITE,d,t,", {"event.type": "change", "db.collection.name": "t"}),
    ("MariaDB, DDL", "20261124 08:00:00,db1,root,h,1,2,QUERY,d,'/* c */ create table t()',0", {"event.action": "create-table"}),
    ("MariaDB, rename", "20261124 08:00:00,db1,root,h,1,2,RENAME,d,t|d.u,", {"event.action": "rename", "event.type": "change"}),
    ("MariaDB, logout", "20261124 08:00:00,db1,root,h,1,0,DISCONNECT,d,,0", {"event.action": "logout"}),
    (
        "MariaDB in syslog",
        "<14>Nov 24 08:00:00 db1 mysql-server_auditing: db1,root,10.1.2.3,1,2,QUERY,d,'drop table t',0",
        {"event.action": "drop-table", "host.name": "db1", "source.ip": "10.1.2.3"},
    ),
    (
        "MariaDB, cut behind an escape",
        "20261124 08:00:00,db1,root,h,1,2,QUERY,d,'select \\',0",
        {"event.action": "select", "event.outcome": "success"},
    ),
    ("MariaDB, with TLS", "20261124 08:00:00,db1,root,h,1,0,CONNECT,d,,0,TLSv1.3", {"event.action": "login"}),
    ("Aurora", "1795478400000000,db1,root,10.1.2.3,1,2,QUERY,d,'set x=1',0", {"source.ip": "10.1.2.3", "event.action": "set"}),
]


@pytest.mark.parametrize(("line", "expected"), [row[1:] for row in MYSQL], ids=[row[0] for row in MYSQL])
def test_what_an_audit_of_mysql_says(line: str, expected: dict[str, Any]) -> None:
    document = parsed("mysql-audit", line.encode())
    assert some(document, expected) == expected
    assert document.time == TIME


def test_times_of_mysql_are_utc_and_those_of_mariadb_local() -> None:
    parse = stream_parser(stream_of("mysql-audit", timezone="America/New_York"), ZoneInfo("UTC"))
    times = [
        parse(raw_of(line)).time  # type: ignore[union-attr]  # neither line is blank
        for line in (LINES["mysql-audit"], b"20261123 19:00:00,db1,root,h,1,2,WRITE,d,t,")
    ]
    assert times == [TIME, TIME]


@pytest.mark.parametrize("line", ["<AUDIT>", "</AUDIT>", '<?xml version="1.0"?>', "[", "]", ",", "[]"])
def test_what_stands_around_records_is_blank(line: str) -> None:
    assert stream_parser(stream_of("mysql-audit"), ZoneInfo("UTC"))(raw_of(line.encode())) is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><AUDIT_RECORD NAME="a" TIMESTAMP="b"/>', "no-match"),
        ('<AUDIT_RECORD NAME="a"/>', "no-match"),
        ('<AUDIT_RECORD NAME="a" TIMESTAMP="b"/><AUDIT_RECORD/>', "bad-xml"),
        ("<AUDIT_RECORD><NAME>a</NAME><A><B/></A></AUDIT_RECORD>", "bad-xml"),
        ('<AUDIT_RECORD NAME="a" TIMESTAMP="yesterday"/>', "bad-time"),
        ("20261124 08:00:00,db1,root,h,1,2,QUERY,d,'select,0", "open-quote"),
        ("20261124 08:00:00,db1,root,h,1,2,QUERY", "no-match"),
        ('{"timestamp":"2026-11-24 00:00:00"}', "no-match"),
    ],
    ids=["doctype", "no time", "two", "nested", "time", "quote", "short", "not an audit"],
)
def test_what_is_no_audit_of_mysql(line: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"^{reason}$"):
        parsed("mysql-audit", line.encode())


@given(text=plain_text)
def test_a_statement_in_xml_reads_back(text: str) -> None:
    from xml.sax.saxutils import escape

    escaped = escape(text, {'"': "&quot;", "'": "&#39;"})
    line = f'<AUDIT_RECORD NAME="Query" TIMESTAMP="2026-11-24T00:00:00 UTC" SQLTEXT="q{escaped}"/>'
    assert parsed("mysql-audit", line.encode()).fields["db.query.text"] == "q" + text


@given(text=plain_text)
def test_a_statement_of_mariadb_reads_back(text: str) -> None:
    quoted = text.replace("'", "\\'")
    document = parsed("mysql-audit", f"20261124 08:00:00,db1,root,h,1,2,QUERY,d,'q{quoted}',0".encode())
    assert document.fields["db.query.text"] == "q" + text


def test_a_renamed_table_is_two_datasets() -> None:
    document = parsed("mysql-audit", b"20261124 08:00:00,db1,root,h,1,2,RENAME,d,t|e.u,", namespace="mysql://db:3306")
    assert document.datasets == ("mysql://db:3306/d.t", "mysql://db:3306/e.u")


def change(**parts: Any) -> bytes:
    import json

    source = {"connector": "mysql", "name": "s", "ts_ms": 1795478400000, "db": "d", "table": "t"} | parts.pop("source", {})
    return json.dumps({"before": None, "after": None, "source": source, "ts_ms": 1795478400900} | parts).encode()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (change(op="c", after={"a": 1}), {"event.action": "insert", "event.type": "creation", "debezium.after.a": 1}),
        (change(op="r", after={"a": 1}), {"event.action": "read", "event.type": "access"}),
        (change(op="t"), {"event.action": "truncate", "event.type": "deletion"}),
        (change(op="d", before={"phone": 13800138000}), {"debezium.before.phone": "13800138000"}),
        (change(op="u", source={"query": "update t", "user": "root"}), {"db.query.text": "update t", "user.name": "root"}),
        (change(ddl="alter table t", databaseName="d"), {"event.action": "schema-change", "db.query.text": "alter table t"}),
        (change(op="m", message={"prefix": "p", "content": "c"}), {"event.action": "message", "debezium.message.prefix": "p"}),
        (
            b'{"a":1,"__op":"u","__source_ts_ms":1795478400000,"__db":"d","__table":"t","__deleted":"false"}',
            {"event.action": "update", "debezium.after.a": 1, "debezium.after.__op": None},
        ),
        (
            b'{"a":1,"__deleted":"true","__source_table":"t","__source_db":"d","__ts_ms":1795478400000}',
            {"event.action": "delete", "event.type": "deletion", "db.namespace": "d"},
        ),
        (change(op="c", source={"schema": "dbo"}), {"db.collection.name": "d.dbo.t"}),
        (change(op="c", source={"table": None, "collection": "c"}), {"db.collection.name": "d.c"}),
        (change(op="c", after='{"_id":{"$oid":"5"},"phone":"a"}'), {"debezium.after.phone": "a", "debezium.after": None}),
        (change(op="c", after='{"phone":'), {"debezium.after.document": '{"phone":'}),
        (change(op="u", updateDescription={"updatedFields": '{"phone":"b"}'}), {"debezium.after.phone": "b"}),
        (change(op="r", source={"snapshot": True}), {"debezium.source.snapshot": "true"}),
    ],
    ids=[
        "insert",
        "snapshot",
        "truncate",
        "delete",
        "who",
        "ddl",
        "message",
        "a row alone",
        "a deleted row",
        "schema",
        "mongo",
        "a document in a string",
        "a string that is no document",
        "a document's update",
        "a flag",
    ],
)
def test_changes(line: bytes, expected: dict[str, Any]) -> None:
    document = parsed("debezium", line, namespace="mysql://db:3306")
    assert some(document, expected) == expected
    assert document.time == TIME
    assert document.datasets == (f"mysql://db:3306/{document.fields['db.collection.name']}",)


def test_a_schema_around_a_change_changes_nothing() -> None:
    bare = LINES["debezium"]
    assert parsed("debezium", b'{"schema":{"type":"struct"},"payload":' + bare + b"}") == parsed("debezium", bare)


@pytest.mark.parametrize(
    "line", [b"null", b'{"schema":null,"payload":null}', b'{"ts_ms":1}'], ids=["null", "payload", "heartbeat"]
)
def test_a_tombstone_is_blank(line: bytes) -> None:
    assert stream_parser(stream_of("debezium"), ZoneInfo("UTC"))(raw_of(line)) is None


def test_a_change_without_its_databases_time_has_the_connectors() -> None:
    document = parsed("debezium", change(op="c", source={"ts_ms": 0}))
    assert document.time == datetime(2026, 11, 24, 0, 0, 0, 900_000, UTC)


def test_a_column_named_like_a_value_is_kept_as_text() -> None:
    document = filled("debezium", b'","13800138000":"x')
    assert "13800138000" in document.fields["debezium.after._keys"]
