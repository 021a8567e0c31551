"""The audit of MySQL, Percona Server and MariaDB: who ran what on which object, in XML, JSON or comma-separated values.

Each shape is recognised by how it begins: `<` XML (`mysql_xml`), `{` JSON (`mysql_json`), `"` Percona's CSV (`mysql_csv`), else
MariaDB's lines (`mariadb`). All give the same record.
"""

from __future__ import annotations

import re

import msgspec

from xmsec.model.types import Fields
from xmsec.parse.address import put_client
from xmsec.parse.dataset import dataset_name
from xmsec.parse.document import put

MOST_DIGITS = 18
_USER = re.compile(r"([^\[\s]*)\s*\[[^\]]*\] @ ([^\[\]\s]*) ?\[([^\]]*)\]")
# Percona's filter tells the steps of a statement beside the statement itself: whoever counts statements must not count these
_STEPS = frozenset(
    f"{prefix}-{suffix}" for prefix in ("command", "query", "query-nested") for suffix in ("start", "end", "status-end")
)
_TYPE_BY_ACTION = {
    **dict.fromkeys(("select", "read", "show", "table-read"), "access"),
    **dict.fromkeys(("insert", "update", "delete", "replace", "load", "truncate", "write", "call-procedure"), "change"),
    **dict.fromkeys(("grant", "revoke", "create-user", "drop-user", "alter-user", "rename-user", "set-password"), "admin"),
}
_LOGINS = {
    "connect": "login",
    "failed-connect": "login",
    "change-user": "login",
    "quit": "logout",
    "disconnect": "logout",
}


def who(user: str) -> tuple[str, str, str]:
    """Take apart `user[privileged user] @ host [address]`, as general events have it; a plain name is the user.

    >>> who("clerk[clerk] @ app1 [10.1.2.3]"), who("clerk")
    (('clerk', 'app1', '10.1.2.3'), ('clerk', '', ''))
    """
    match = _USER.fullmatch(user)
    return (match[1], match[2], match[3]) if match else (user, "", "")


class Audited(msgspec.Struct, gc=False):
    """One record of an audit; what it does not say is empty. Shows no value.

    event: what was recorded (Query, Connect, READ); command: the kind of statement (`create_table`); object: a table.
    """

    event: str = ""
    command: str = ""
    user: str = ""
    host: str = ""
    ip: str = ""
    database: str = ""
    object: str = ""
    text: str = ""
    status: str = ""
    connection: str = ""
    query: str = ""
    server: str = ""
    os_user: str = ""
    proxy: str = ""

    def __repr__(self) -> str:
        return f"Audited({len(self.text)} characters)"


def document(audited: Audited, namespace: str) -> tuple[Fields, tuple[str, ...]]:
    """Return fields and datasets of an audited event."""
    fields: Fields = {}
    put(fields, "user.name", audited.user)
    put(fields, "host.name", audited.server)
    _put_client(fields, audited)
    put(fields, "db.namespace", audited.database)
    put(fields, "db.collection.name", audited.object)
    put(fields, "db.query.text", audited.text)
    put(fields, "mysql.audit.event", audited.event.lower())
    put(fields, "mysql.audit.connection_id", audited.connection)
    put(fields, "mysql.audit.query_id", audited.query)
    put(fields, "mysql.audit.os_user", audited.os_user)
    put(fields, "mysql.audit.proxy_user", audited.proxy)
    _put_action(fields, audited)
    if audited.status.isdecimal() and len(audited.status) <= MOST_DIGITS:
        fields["event.outcome"] = "success" if int(audited.status) == 0 else "failure"
        if int(audited.status):
            fields["error.code"] = audited.status
    if not audited.object:
        return fields, ()
    name = f"{audited.database}.{audited.object}" if audited.database else audited.object
    return fields, tuple(dataset_name(namespace, part) for part in name.split("|"))  # of a renamed table both


def _put_client(fields: Fields, audited: Audited) -> None:
    where = audited.ip or audited.host
    if where and where != "localhost":
        put_client(fields, where)
    elif where:
        fields["source.address"] = where


def _put_action(fields: Fields, audited: Audited) -> None:
    """Say what was done: a login, a statement's kind, or what was recorded."""
    event = audited.event.lower().replace("_", "-").replace(" ", "-")
    if not event or event in _STEPS:
        fields["event.action"] = event
        return
    action = _LOGINS.get(event) or (audited.command or event).lower().replace("_", "-").replace(" ", "-")
    fields["event.action"] = action
    if event == "failed-connect":
        fields["event.outcome"] = "failure"
    kind = _TYPE_BY_ACTION.get(event if audited.object else action) or _TYPE_BY_ACTION.get(action)
    if kind is None and action.partition("-")[0] in ("create", "alter", "drop", "rename"):
        kind = "change"
    if kind is not None:
        fields["event.type"] = kind
