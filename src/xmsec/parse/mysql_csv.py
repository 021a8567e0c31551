"""The CSV of Percona's audit log plugin: cells by the kind of event; a statement may hold line ends (`lines: {quotes: true}`).

Percona Server 8.0, Audit Log Plugin, audit_log_format = CSV: no columns are named, their order is that of its XML. Times are
UTC.
"""

from __future__ import annotations

from xmsec.model.errors import InputError
from xmsec.parse.csv_row import csv_row
from xmsec.parse.mysql import Audited, who

_STATEMENT = ("command", "connection", "status", "text", "user", "host", "os_user", "ip", "database")  # behind the first three
_CONNECTION = ("connection", "status", "user", "user", "os_user", "proxy", "host", "ip", "database")
_CONNECTIONS = frozenset(("Connect", "Quit", "Change user"))
_AUDITS = frozenset(("Audit", "NoAudit"))


def audit_row(text: str) -> tuple[str, Audited]:
    """Return time and content of a row. Raises InputError."""
    row = csv_row(text.rstrip())
    names = () if row[0] in _AUDITS else _CONNECTION if row[0] in _CONNECTIONS else _STATEMENT
    if not 3 + len(names) - 1 <= len(row) <= 12:  # older versions have no database
        raise InputError("no-match")
    audited = Audited(event=row[0])
    for name, value in zip(names, row[3:], strict=False):
        if value:
            setattr(audited, name, value)
    user, host, ip = who(audited.user)
    audited.user, audited.host, audited.ip = user, audited.host or host, audited.ip or ip
    return row[2], audited
