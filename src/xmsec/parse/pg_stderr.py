"""PostgreSQL's plain log, each entry behind what `log_line_prefix` says (documentation, 20.8.3 What to Log).

A message's further lines begin with a tab, and its DETAIL, HINT, CONTEXT and STATEMENT follow with a prefix of their own: the
stream's `lines` joins them. Alone, such a line is an event without a level.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, tzinfo

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.parse.postgresql import SEVERITIES, Entry, document
from xmsec.parse.reading import Format, Reading
from xmsec.parse.times import epoch_time, iso_time

DEFAULT = "%m [%p] "  # PostgreSQL's own

_STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? \S{1,64}"
_NAME = r"[^\s\n]{0,63}?"
_BY_ESCAPE = {
    "a": r"(?P<application>.{0,63}?)",
    "u": rf"(?P<user>{_NAME})",
    "d": rf"(?P<database>{_NAME})",
    "r": r"(?:(?P<remote>[^\s(]{1,255})(?:\((?P<port>\d{1,5})\))?)?",
    "h": r"(?P<host>\S{0,255}?)",
    "L": r"\S{0,255}?",
    "b": r"[a-z ]{0,64}?",
    "p": r"(?P<pid>\d{1,10})",
    "P": r"\d{0,10}",
    "t": rf"(?P<stamp>{_STAMP})",
    "m": rf"(?P<stamp>{_STAMP})",
    "n": r"(?P<epoch>\d{1,12}(?:\.\d{1,3})?)",
    "i": r"(?P<tag>[A-Za-z ]{0,64}?)",
    "e": r"(?P<state>[0-9A-Z]{5})",
    "c": r"(?P<session>[0-9a-f]{1,16}\.[0-9a-f]{1,16})",
    "l": r"\d{1,12}",
    "s": _STAMP,
    "v": r"[\d/]{0,32}",
    "x": r"\d{1,20}",
    "Q": r"-?\d{1,20}",
    "%": "%",
}
_ESCAPE = re.compile(r"%(-?\d{1,3})?(.)|(.)", re.DOTALL)
_FIELD_BY_PART = {
    "DETAIL": "detail",
    "详细信息": "detail",
    "HINT": "hint",
    "提示": "hint",
    "CONTEXT": "context",
    "上下文": "context",
    "背景": "context",
    "STATEMENT": "statement",
    "语句": "statement",
    "QUERY": "",
    "查询": "",
    "LOCATION": "",
    "位置": "",
}
_KINDS = "|".join(sorted((*SEVERITIES, *_FIELD_BY_PART), key=len, reverse=True))


def pg_stderr(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `postgresql-stderr`; the stream's `prefix` is the server's `log_line_prefix`.

    With no time in its prefix, the moment of receipt stands in.
    """
    head = re.compile(rf"{prefix_expression(stream.prefix or DEFAULT)}(?P<kind>{_KINDS})[:：] {{0,2}}").match
    when = _time(zone)
    namespace = stream.namespace or ""

    def read(text: str, received: datetime) -> Reading:
        first = head(text)
        if first is None:
            raise InputError("no-match")
        known = {name: value for name, value in first.groupdict().items() if value}
        time = when(known, received)
        entry = _entry(known)
        part = "message" if known["kind"] in SEVERITIES else _FIELD_BY_PART[known["kind"]]
        said: dict[str, list[str]] = {}
        for number, line in enumerate(text[first.end() :].split("\n")):
            found = head(line) if number and not line.startswith("\t") else None
            if found is not None and found["kind"] in _FIELD_BY_PART:
                part, line = _FIELD_BY_PART[found["kind"]], line[found.end() :]
            said.setdefault(part, []).append(line.removeprefix("\t") if number else line)
        said.pop("", None)
        for name, lines in said.items():
            setattr(entry, name, "\n".join(lines))
        return Reading(time, *document(entry, namespace))

    return read


def prefix_expression(prefix: str) -> str:
    r"""Translate a `log_line_prefix` to a regular expression; what stands behind `%q` may be missing.

    >>> prefix_expression("%p %q%u ")
    '(?P<pid>\\d{1,10})\\ (?:(?P<user>[^\\s\\n]{0,63}?)\\ )?'
    """
    parts: list[str] = []
    seen: set[str] = set()
    optional = False
    for padding, escape, literal in _ESCAPE.findall(prefix):
        if literal or escape not in (*_BY_ESCAPE, "q"):
            parts.append(re.escape(literal))  # PostgreSQL leaves unknown escapes out
        elif escape == "q":
            parts.append("" if optional else "(?:")
            optional = True
        else:
            part = _BY_ESCAPE[escape]
            again = seen & set(re.findall(r"\?P<(\w+)>", part))
            for name in again:
                part = part.replace(f"?P<{name}>", "?:")
            seen |= set(re.findall(r"\?P<(\w+)>", part))
            parts.append(f" *{part} *" if padding else part)
    return "".join(parts) + (")?" if optional else "")


def _entry(known: dict[str, str]) -> Entry:
    host = known.get("remote") or known.get("host", "")
    entry = Entry(level=SEVERITIES.get(known["kind"], ""), host=host, port=known.get("port", ""))
    for name in ("user", "database", "pid", "session", "tag", "state", "application"):
        value = known.get(name, "")
        setattr(entry, name, "" if value == "[unknown]" else value)
    return entry


def _time(zone: tzinfo) -> Callable[[dict[str, str], datetime], datetime]:
    stamp, epoch = iso_time(zone), epoch_time(1_000_000)

    def when(known: dict[str, str], received: datetime) -> datetime:
        if "stamp" in known:
            return stamp(known["stamp"])
        return epoch(known["epoch"]) if "epoch" in known else received

    return when
