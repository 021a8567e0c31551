"""The JSON of MySQL Enterprise Audit and of Percona's two plugins; a file is one array, so commas and brackets stand around.

MySQL 8.4 Reference Manual, 8.4.5.4 Audit Log File Formats, JSON; Percona Server 8.0, Audit Log Plugin, JSON. Times are UTC.
"""

from __future__ import annotations

from typing import Any

from xmsec.model.errors import InputError
from xmsec.parse.json_read import read_object
from xmsec.parse.mysql import Audited

_NAME_BY_PERCONA = {
    "name": "event",
    "command_class": "command",
    "host": "host",
    "ip": "ip",
    "db": "database",
    "sqltext": "text",
    "status": "status",
    "connection_id": "connection",
    "os_user": "os_user",
    "os_login": "os_user",
    "proxy_user": "proxy",
}


def audit_object(text: str) -> tuple[str, Audited] | None:
    """Return time and content of a record, None for what stands around records. Raises InputError."""
    text = text.strip(" \t\r\n,").removeprefix("[").removesuffix("]")
    if not text:
        return None
    record = read_object(text)
    inner = record.get("audit_record")
    found = _percona(inner) if isinstance(inner, dict) else _enterprise(record)
    if found[0] == "":
        raise InputError("no-match")
    return found


def _percona(record: dict[str, Any]) -> tuple[str, Audited]:
    audited = Audited(**{field: said for name, field in _NAME_BY_PERCONA.items() if (said := _text(record.get(name)))})
    audited.user = _text(record.get("priv_user")) or _text(record.get("user")).partition("[")[0].strip()
    return _text(record.get("timestamp")), audited


def _enterprise(record: dict[str, Any]) -> tuple[str, Audited]:
    kind, event = _text(record.get("class")), _text(record.get("event"))
    if not kind or not event:
        raise InputError("no-match")
    account, login = _object(record, "account"), _object(record, "login")
    said = _object(record, "general_data") | _object(record, "connection_data") | _object(record, "table_access_data")
    statement = _text(said.get("sql_command")) or (_text(said.get("command")) if kind == "general" else "")
    return _text(record.get("timestamp")), Audited(
        event=event if kind in ("connection", "table_access", "audit") else kind,
        command=statement,
        user=_text(account.get("user")) or _text(login.get("user")),
        host=_text(account.get("host")),
        ip=_text(login.get("ip")),
        database=_text(said.get("db")),
        object=_text(said.get("table")),
        text=_text(said.get("query")),
        status=_text(said.get("status")),
        connection=_text(record.get("connection_id")),
        os_user=_text(login.get("os")),
        proxy=_text(login.get("proxy")),
    )


def _object(record: dict[str, Any], name: str) -> dict[str, Any]:
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
