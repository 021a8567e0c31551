"""What a PostgreSQL server says, in whichever of its three logs: who ran what on which object, and how it ended.

Records of pgaudit stand in the message (pgaudit's README, Format). Names beyond ECS are OpenTelemetry's `db.*`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from xmsec.model.errors import InputError
from xmsec.model.types import Fields
from xmsec.parse.address import put_client
from xmsec.parse.csv_row import csv_row
from xmsec.parse.dataset import dataset_name
from xmsec.parse.document import put

_LEVELS = ["DEBUG5", "DEBUG4", "DEBUG3", "DEBUG2", "DEBUG1", "DEBUG", "LOG", "INFO", "NOTICE", "WARNING", "ERROR"]
SEVERITIES = {level: level for level in [*_LEVELS, "FATAL", "PANIC"]} | {  # as a server with lc_messages = zh_CN writes them
    "调试": "DEBUG",
    "日志": "LOG",
    "信息": "INFO",
    "注意": "NOTICE",
    "警告": "WARNING",
    "错误": "ERROR",
    "致命错误": "FATAL",
    "比致命错误还过分的错误": "PANIC",
}
_FAILED = frozenset(("ERROR", "FATAL", "PANIC"))
_TYPE_BY_CLASS = {"READ": "access", "WRITE": "change", "DDL": "change", "ROLE": "admin", "FUNCTION": "access"}
_RELATIONS = frozenset(("TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "PARTITIONED TABLE", "TOAST TABLE"))
_UNLOGGED = frozenset(("", "<not logged>", "<previously logged>", "<none>"))
_DURATION = re.compile(
    r"duration: (\d{1,12})\.(\d{3}) ms(?:  (?:statement|execute [^:]*|parse [^:]*|bind [^:]*): (.*))?", re.DOTALL
)
_STATEMENT = re.compile(r"(?:statement|execute [^:]{1,128}): (.*)", re.DOTALL)
_AUDIT = re.compile(r"(?:SESSION|OBJECT),\d{1,10},\d{1,10},[A-Z]{2,16},[A-Z ]{2,64},[A-Z ]{0,64}", re.ASCII)
_SESSION = re.compile(r"[0-9a-f]{1,8}\.[0-9a-f]{1,8}")  # no value fits into it: streams leave it unscanned
_TAG = re.compile(r"[A-Za-z ]{0,64}")
_ACTIONS = (
    ("connection received", "connect", ""),
    ("connection authorized", "login", "success"),
    ("connection authenticated", "login", "success"),
    ("disconnection", "logout", "success"),
    ("password authentication failed", "login", "failure"),
    ("no pg_hba.conf entry", "login", "failure"),
)


class Entry(msgspec.Struct, gc=False):
    """One entry of a log; what it does not say is empty. Shows no value."""

    level: str = ""
    message: str = ""
    user: str = ""
    database: str = ""
    pid: str = ""
    host: str = ""
    port: str = ""
    session: str = ""
    tag: str = ""
    state: str = ""
    detail: str = ""
    hint: str = ""
    context: str = ""
    statement: str = ""
    application: str = ""

    def __repr__(self) -> str:
        return f"Entry({len(self.message)} characters)"


def document(entry: Entry, namespace: str) -> tuple[Fields, tuple[str, ...]]:
    """Return fields and datasets of an entry. Raises InputError (`bad-audit`)."""
    fields: Fields = {}
    _put_session(fields, entry)
    if entry.message.startswith("AUDIT: "):
        return fields, _put_audit(fields, csv_row(entry.message[7:]), namespace)
    _put_plain(fields, entry)
    return fields, ()


def _put_session(fields: Fields, entry: Entry) -> None:
    put(fields, "user.name", entry.user)
    put(fields, "db.namespace", entry.database)
    if entry.pid.isdecimal() and len(entry.pid) < 11:
        fields["process.pid"] = int(entry.pid)
    if entry.host and entry.host != "[local]":
        put_client(fields, entry.host)
        if entry.port.isdecimal() and len(entry.port) < 6:
            fields["source.port"] = int(entry.port)
    if _SESSION.fullmatch(entry.session):
        fields["postgresql.log.session_id"] = entry.session
    if entry.level:
        fields["log.level"] = entry.level.lower()
        fields["event.outcome"] = "failure" if entry.level in _FAILED else "success"
    if entry.state != "00000":
        put(fields, "error.code", entry.state)
    put(fields, "postgresql.log.detail", entry.detail)
    put(fields, "postgresql.log.hint", entry.hint)
    put(fields, "postgresql.log.context", entry.context)
    put(fields, "postgresql.log.application_name", entry.application)


def _put_audit(fields: Fields, audit: Sequence[str], namespace: str) -> tuple[str, ...]:
    """Set what pgaudit says: type, statement, substatement, class, command, object type and name, text, parameters, rows."""
    if len(audit) < 8 or not _AUDIT.fullmatch(",".join(audit[:6])):
        raise InputError("bad-audit")
    kind, statement, _, audit_class, command, object_type, name, text = audit[:8]
    fields["postgresql.audit.type"] = kind.lower()
    put(fields, "postgresql.audit.statement_id", statement)
    put(fields, "postgresql.audit.class", audit_class.lower())
    fields["event.action"] = command.lower().replace(" ", "-")
    if audit_class in _TYPE_BY_CLASS:
        fields["event.type"] = _TYPE_BY_CLASS[audit_class]
    put(fields, "db.operation.name", command)
    put(fields, "db.collection.name", name)
    if text not in _UNLOGGED:
        fields["db.query.text"] = text
    if len(audit) > 8 and audit[8] not in _UNLOGGED:
        fields["db.query.parameters"] = audit[8]
    if len(audit) > 9 and audit[-1].isdecimal() and len(audit[-1]) < 16:
        fields["db.response.returned_rows"] = int(audit[-1])
    if not name or object_type not in _RELATIONS:
        return ()
    database = fields.get("db.namespace")
    return (dataset_name(namespace, f"{database}.{name}" if database else name),)


def _put_plain(fields: Fields, entry: Entry) -> None:
    message = entry.message
    action, outcome = entry.tag.lower().replace(" ", "-") if _TAG.fullmatch(entry.tag) else "", ""
    for start, known, ended in _ACTIONS:
        if message.startswith(start):
            action, outcome = known, ended
            break
    timed = _DURATION.fullmatch(message)
    said = _STATEMENT.fullmatch(message)
    text = timed[3] if timed else said[1] if said else entry.statement
    if timed:
        fields["event.duration"] = int(timed[1] + timed[2]) * 1_000
    if text:
        fields["db.query.text"] = text
    if message and not said:
        fields["message"] = message if not timed or not timed[3] else message[: timed.start(3)].rstrip(": ")
    if action:
        fields["event.action"] = action
    if outcome:
        fields["event.outcome"] = outcome
