r"""Access logs of Apache and nginx: common, combined, with a virtual host before or further columns behind.

A line is taken apart at its double quotes. One that does not come apart that way (escapes, quotes inside, a cut end)
is matched as a whole, and escapes (`\"`, `\\`, `\xE5`) are undone field by field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from typing import Any

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.model.types import Fields
from xmsec.parse.address import put_client
from xmsec.parse.numbers import target
from xmsec.parse.reading import Format, Reading
from xmsec.parse.times import log_time
from xmsec.parse.web_request import put_answer, put_referrer, put_request

# every repetition is bounded or cannot take what follows it: a line of 1 MiB costs one pass
_HEAD = re.compile(
    r"(?:(?P<server>\S{1,255})(?<!,) (?=[0-9A-Fa-f.]*[.:][0-9A-Fa-f.:]+,? ))?"
    r"(?P<host>\S+)(?<!,)(?:, [0-9A-Fa-f.:]{2,45}){0,16} (?P<ident>\S+) (?P<user>.{1,256}?) "
    r'\[(?P<day>[^\]\s]{20}) (?P<offset>[+-]\d{4})\] "'
)
_MIDDLE = re.compile(r'" (\d{3}) (\d{1,18}|-)(?= |$)')
_TAIL = re.compile(r'"((?:[^"\\]|\\.)*+)"|(\S+)')
_ESCAPE = re.compile(r'((?:\\x[0-9a-fA-F]{2})+)|\\(["\\ntrvb/])')
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "b": "\b"}

Columns = Sequence[tuple[str, Callable[[Any], Any]]]
Pieces = tuple[str, str, str, str, str, str]  # head, request, status and size, referrer, agent, tail


def combined(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `combined`; a stream's `columns` name what follows the user agent."""
    when = log_time()
    columns: Columns = [target(name) for name in stream.columns]

    def read(text: str, received: datetime) -> Reading:
        escaped = "\\" in text
        pieces = text.split('"') if not escaped else ()
        fields: Fields = {}
        if len(pieces) == 7 and pieces[4] == " ":
            head, request, middle, referrer, _, agent, tail = pieces
        elif len(pieces) == 3:
            head, request, middle = pieces
            referrer = agent = tail = ""
        else:
            head, request, middle, referrer, agent, tail = _whole(text)
        words = head.split(" ")
        if len(words) != 6:
            words = _odd_head(head, fields)
        answer = middle.split(" ", 3)
        if len(answer) < 3:
            raise InputError("no-match")
        host, ident, user, day, offset, _ = words
        time = when(day[1:], offset[:-1])
        if host != "-":
            put_client(fields, host)
        if ident != "-":
            fields["client.user.name"] = ident
        if user != "-":
            fields["user.name"] = user
        put_request(fields, request)
        put_answer(fields, answer[1], answer[2])
        put_referrer(fields, referrer)
        if agent and agent != "-":
            fields["user_agent.original"] = agent
        if tail or (len(answer) == 4 and answer[3]):
            _put_tail(fields, tail or answer[3], columns)
        if escaped:
            _undo(fields)
        return Reading(time, fields)

    return read


def _odd_head(head: str, fields: Fields) -> list[str]:
    match = _HEAD.fullmatch(head + '"')
    if match is None:
        raise InputError("no-match")
    server, host, ident, user, day, offset = match.groups()  # X-Forwarded-For in the client's place: it stands first
    if server:
        name, _, port = server.rpartition(":")
        fields["url.domain"] = name or server
        if name and port.isdigit() and len(port) < 6:
            fields["url.port"] = int(port)
    return [host, ident, user, f"[{day}", f"{offset}]", ""]


def _whole(text: str) -> Pieces:
    """Take apart a line whose quotes do not: the status and size between the quotes are what holds."""
    head = _HEAD.match(text)
    middle = None if head is None else _MIDDLE.search(text, head.end() - 1)
    if head is None or middle is None:
        raise InputError("no-match")
    request = text[head.end() : middle.start()]
    rest = text[middle.end() :]
    referrer, agent, tail = _quoted(rest)
    return head[0][:-1], request, f" {middle[1]} {middle[2]} ", referrer, agent, tail


def _quoted(rest: str) -> tuple[str, str, str]:
    """Return referrer, user agent and tail; quotes inside belong to the user agent, and its last one may be missing."""
    strict = re.match(r' "((?:[^"\\]|\\.)*+)" "((?:[^"\\]|\\.)*+)"(?= |$)', rest)
    if strict is not None:
        return strict[1], strict[2], rest[strict.end() :]
    if not rest.startswith(' "'):
        return "", "", rest
    referrer, _, agent = rest[2:].partition('" "')
    return referrer, agent.removesuffix('"'), ""


def _put_tail(fields: Fields, tail: str, columns: Columns) -> None:
    values = [match[1] if match[2] is None else match[2] for match in _TAIL.finditer(tail)]
    for (name, convert), value in zip(columns, values, strict=False):
        converted = convert(value) if name != "-" and value not in ("-", "") else None
        if converted is not None:
            fields[name] = converted
    rest = values[len(columns) :]
    if any(value not in ("-", "") for value in rest):
        fields["labels.tail"] = " ".join(rest)  # ECS labels: columns that the stream does not name are kept, as text


def _undo(fields: Fields) -> None:
    for name, value in fields.items():
        if isinstance(value, str) and "\\" in value:
            fields[name] = _ESCAPE.sub(_unescaped, value)


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        return bytes.fromhex(match[1].replace("\\x", "")).decode("utf-8", "replace")
    return _SIMPLE.get(match[2], match[2])
