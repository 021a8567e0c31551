"""The JSON of MySQL Enterprise Audit and of Percona's two plugins; a file is one array, so commas and brackets stand around.

MySQL 8.4 Reference Manual, 8.4.5.4 Audit Log File Formats, JSON; Percona Server 8.0, Audit Log Plugin and Audit Log Filter.
Times are UTC.
"""

from __future__ import annotations

from typing import Any

from xmsec.model.errors import InputError
from xmsec.parse.json_read import read_object
from xmsec.parse.mysql import Audited, who

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
_DATA = ("general_data", "connection_data", "table_access_data", "query_data", "command_data")


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
    audited.user = _text(record.get("priv_user")) or who(_text(record.get("user")))[0]
    return _text(record.get("timestamp")), audited


def _enterprise(record: dict[str, Any]) -> tuple[str, Audited]:
    kind = _text(record.get("class"))
    if not kind:
        raise InputError("no-match")
    account, login = _object(record, "account"), _object(record, "login")
    said: dict[str, Any] = {}
    for name in _DATA:
        said |= _object(record, name)
    user, host, ip = who(_text(account.get("user")) or _text(login.get("user")))
    return _text(record.get("timestamp")), Audited(
        event=kind if kind == "general" else _text(record.get("event")) or kind,
        command=_text(said.get("sql_command")) or (_text(said.get("command")) if kind == "general" else ""),
        user=user,
        host=_text(account.get("host")) or host,
        ip=_text(login.get("ip")) or ip,
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
