"""System messages as RFC 5424 describes them: a header of fixed parts, structured data, and a message (with a BOM or not).

One message a line (RFC 6587, 3.4.2). Structured data become fields without the enterprise number of their names.
"""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.model.types import Fields
from xmsec.parse.json_read import flatten
from xmsec.parse.priority import put_priority
from xmsec.parse.reading import Format, Reading
from xmsec.parse.times import iso_time

_HEADER = re.compile(
    r"1 (?P<time>\S{1,64}) (?P<host>\S{1,255}) (?P<app>\S{1,128}) (?P<process>\S{1,128}) (?P<message>\S{1,64}) "
)
_ID = re.compile(r'\[([^\s=\]"]{1,64})')
_PARAM = re.compile(r' ([^\s=\]"]{1,64})="((?:[^"\\]|\\.|\\)*+)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\\]])')
_BOM = "\ufeff"


def rfc5424(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `rfc5424`. Without a time, as the standard allows, the moment of receipt stands in."""
    when = iso_time(zone)

    def read(text: str, received: datetime) -> Reading:
        fields: Fields = {}
        at = put_priority(fields, text)
        stamp = put_structured(fields, text, at) if at else None
        if stamp is None:
            raise InputError("no-match")
        return Reading(received if stamp == "-" else when(stamp), fields)

    return read


def put_structured(fields: Fields, text: str, at: int) -> str | None:
    """Set what follows the priority; return the time as it is written, None for what is not of version 1. Raises InputError."""
    header = _HEADER.match(text, at)
    if header is None:
        return None
    for part, name in (("host", "host.name"), ("app", "process.name"), ("message", "log.syslog.msgid")):
        if header[part] != "-":
            fields[name] = header[part]
    process = header["process"]
    if process.isascii() and process.isdigit() and len(process) < 11:
        fields["process.pid"] = int(process)
    elif process != "-":
        fields["log.syslog.procid"] = process
    data, end = _data(text, header.end())
    if data:
        fields |= flatten(data, "log.syslog.structured_data")
    message = text[end:].removeprefix(" ").removeprefix(_BOM)
    if message:
        fields["message"] = message
    return header["time"]


def _data(text: str, at: int) -> tuple[dict[str, dict[str, str]], int]:
    """Read structured data; return it and where it ends."""
    if text.startswith("-", at):
        return {}, at + 1
    data: dict[str, dict[str, str]] = {}
    while (opened := _ID.match(text, at)) is not None:
        element = data.setdefault(opened[1].partition("@")[0], {})
        at = opened.end()
        while (param := _PARAM.match(text, at)) is not None:
            element[param[1]] = _ESCAPED.sub(r"\1", param[2])
            at = param.end()
        if not text.startswith("]", at):
            raise InputError("bad-structured-data")
        at += 1
    if not data or text[at : at + 1] not in ("", " "):
        raise InputError("bad-structured-data")
    return data, at
