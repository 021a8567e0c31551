"""PostgreSQL's CSV log, with the records of pgaudit in it: who ran what on which object.

A record is one CSV row on one line: a statement with a line feed in it spans lines, and its pieces are rejected.
Names beyond ECS are OpenTelemetry's `db.*`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, tzinfo

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.model.types import Fields
from xmsec.parse.address import put_client
from xmsec.parse.csv_row import csv_row
from xmsec.parse.dataset import dataset_name
from xmsec.parse.document import put
from xmsec.parse.reading import Format, Reading
from xmsec.parse.times import iso_time

_COLUMNS = (23, 24, 26)  # PostgreSQL up to 12, 13, and since 14
_SEVERITIES = frozenset(
    ["DEBUG5", "DEBUG4", "DEBUG3", "DEBUG2", "DEBUG1", "LOG", "INFO", "NOTICE", "WARNING", "ERROR", "FATAL", "PANIC"]
)
_FAILED = frozenset(("ERROR", "FATAL", "PANIC"))
_TYPE_BY_CLASS = {"READ": "access", "WRITE": "change", "DDL": "change", "ROLE": "admin", "FUNCTION": "access"}
_RELATIONS = frozenset(("TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "PARTITIONED TABLE", "TOAST TABLE"))
_UNLOGGED = frozenset(("", "<not logged>", "<previously logged>", "<none>"))
_DURATION = re.compile(
    r"duration: (\d{1,12})\.(\d{3}) ms(?:  (?:statement|execute [^:]*|parse [^:]*|bind [^:]*): (.*))?", re.DOTALL
)
_STATEMENT = re.compile(r"(?:statement|execute [^:]{1,128}): (.*)", re.DOTALL)
_AUDIT = re.compile(r"(?:SESSION|OBJECT),\d{1,10},\d{1,10},[A-Z]{2,16},[A-Z ]{2,64},[A-Z ]{0,64}", re.ASCII)
_TAG = re.compile(r"[A-Za-z ]{0,64}")
_ACTIONS = (
    ("connection received", "connect", ""),
    ("connection authorized", "login", "success"),
    ("connection authenticated", "login", "success"),
    ("disconnection", "logout", "success"),
    ("password authentication failed", "login", "failure"),
    ("no pg_hba.conf entry", "login", "failure"),
)


def pgaudit(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `pgaudit`; the stream's `namespace` names the server in its datasets (`postgres://host:5432`)."""
    when = iso_time(zone)
    namespace = stream.namespace or ""

    def read(text: str, received: datetime) -> Reading:
        row = csv_row(text)
        if len(row) not in _COLUMNS or row[11] not in _SEVERITIES:
            raise InputError("no-match")
        time = when(row[0])
        fields: Fields = {}
        _put_session(fields, row)
        message = row[13]
        if message.startswith("AUDIT: "):
            return Reading(time, fields, _put_audit(fields, csv_row(message[7:]), namespace))
        _put_plain(fields, message, row)
        return Reading(time, fields)

    return read


def _put_session(fields: Fields, row: Sequence[str]) -> None:
    put(fields, "user.name", row[1])
    put(fields, "db.namespace", row[2])
    if row[3].isdecimal() and len(row[3]) < 11:
        fields["process.pid"] = int(row[3])
    host, _, port = row[4].rpartition(":")
    if host and port.isdecimal() and len(port) < 6:
        put_client(fields, host)
        fields["source.port"] = int(port)
    put(fields, "postgresql.log.session_id", row[5])
    fields["log.level"] = row[11].lower()
    if row[12] != "00000":
        put(fields, "error.code", row[12])
    put(fields, "postgresql.log.detail", row[14])
    put(fields, "postgresql.log.hint", row[15])
    put(fields, "postgresql.log.context", row[18])
    put(fields, "postgresql.log.application_name", row[22])
    fields["event.outcome"] = "failure" if row[11] in _FAILED else "success"


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


def _put_plain(fields: Fields, message: str, row: Sequence[str]) -> None:
    action, outcome = row[7].lower().replace(" ", "-") if _TAG.fullmatch(row[7]) else "", ""
    for start, known, ended in _ACTIONS:
        if message.startswith(start):
            action, outcome = known, ended
            break
    timed = _DURATION.fullmatch(message)
    said = _STATEMENT.fullmatch(message)
    text = timed[3] if timed else said[1] if said else row[19]
    if timed:
        fields["event.duration"] = int(timed[1] + timed[2]) * 1_000
    if text:
        fields["db.query.text"] = text
    if not said:
        fields["message"] = message if not timed or not timed[3] else message[: timed.start(3)].rstrip(": ")
    if action:
        fields["event.action"] = action
    if outcome:
        fields["event.outcome"] = outcome
