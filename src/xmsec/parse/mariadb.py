r"""MariaDB's audit plugin: ten values with commas between them, the ninth a quoted statement or the name of a table.

MariaDB documentation, Audit Plugin: Log Format. `20261124 08:00:00` is local time, Amazon's Aurora writes microseconds since
1970; in syslog the message's own head stands in place of the time. A statement's quotes, line feeds and tabs are escaped with a
backslash; it may be cut, even behind one, so that its end is told by the end of the line. Of a renamed table both names are
told.
"""

from __future__ import annotations

import re

from xmsec.model.errors import InputError
from xmsec.parse.mysql import Audited

_TIME = r"(?P<time>\d{8} \d\d:\d\d:\d\d|\d{16}),"
_HEAD = r"(?P<head>(?:<\d{1,3}>)?[A-Z0-9][^,]{8,255}: ?)"
_LINE = re.compile(
    rf"(?:{_TIME}|{_HEAD})(?P<server>[^,\s]{{0,255}}),(?P<user>[^,]{{0,128}}),(?P<host>[^,]{{0,255}}),"
    r"(?P<connection>\d{1,20}),(?P<query>\d{1,20}),(?P<event>[A-Z_]{2,32}),(?P<database>[^,]{0,255}),(?P<rest>.*)",
    re.DOTALL,
)
_END = re.compile(r",(\d{0,10})(?:,[^,']{0,64}){0,3}")  # newer versions say behind the status how the connection is encrypted
_END_CHARACTERS = 220
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANT = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_WORD = re.compile(
    r"(?:/\*[^*]*\*/|\s|\()*([A-Za-z]{2,20})(?:\s+(TABLE|USER|DATABASE|VIEW|INDEX|ROLE|PROCEDURE)\b)?", re.IGNORECASE
)


def audit_line(text: str) -> tuple[str, Audited]:
    """Return time (or the head of a syslog message) and content of a line. Raises InputError."""
    line = _LINE.fullmatch(text.rstrip())
    if line is None:
        raise InputError("no-match")
    rest, event = line["rest"], line["event"]
    end, status = _end(rest)
    quoted = rest[:1] == "'"
    if end < 0 or (quoted and rest[1:end][-1:] != "'"):
        raise InputError("open-quote" if quoted else "no-match")
    statement = rest[1 : end - 1] if quoted else ""
    return line["time"] or line["head"], Audited(
        event=event,
        command=_command(statement) if event.startswith("QUERY") else event,
        user=line["user"],
        host=line["host"],
        database=line["database"],
        object="" if quoted else rest[:end],
        text=_ESCAPED.sub(_character, statement) if "\\" in statement else statement,
        status=status,
        connection=line["connection"],
        query=line["query"],
        server=line["server"],
    )


def _end(rest: str) -> tuple[int, str]:
    """Return where object or statement ends, -1 for nowhere, and the status behind it; of several such places the last."""
    quote = "'" if rest[:1] == "'" else ""
    at = len(rest)
    while (at := rest.rfind(f"{quote},", max(len(rest) - _END_CHARACTERS, 0), at)) >= 0:
        match = _END.fullmatch(rest, at + len(quote))
        if match is not None and (quote or "," not in rest[:at]):
            return at + len(quote), match[1]
    return -1, ""


def _command(statement: str) -> str:
    """Name the kind of a statement by its first words, as MySQL's own audit does (`create_table`)."""
    match = _WORD.match(statement)
    return "query" if match is None else "_".join(word.lower() for word in match.groups() if word)


def _character(match: re.Match[str]) -> str:
    return _MEANT.get(match[1], match[1])
