"""System messages as RFC 3164 describes them, with or without a priority, and with an ISO time instead of the year-less one.

A message of version 1 is read as RFC 5424 has it (`xmsec.parse.rfc5424`): collectors mix both in one file.
"""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.model.types import Fields
from xmsec.parse.device_time import device_time
from xmsec.parse.priority import put_priority
from xmsec.parse.reading import Format, Reading
from xmsec.parse.rfc5424 import put_structured
from xmsec.parse.times import iso_time, yearless_time

_YEARLESS = re.compile(r"([A-Z][a-z]{2}  ?\d{1,2} \d\d:\d\d:\d\d(?:\.\d{1,9})?) ", re.ASCII)
# of switches and firewalls: `Nov 24 2026 08:00:00`, also with an offset, and `Nov 24 08:00:00:123 2026`
_YEARED = re.compile(
    r"(?:([A-Z][a-z]{2}  ?\d{1,2} \d{4} \d\d:\d\d:\d\d(?:\.\d{1,6})?(?:[+-]\d\d:\d\d)?)"
    r"|([A-Z][a-z]{2}  ?\d{1,2}) (\d\d:\d\d:\d\d)(?:[:.](\d{1,6}))? (\d{4})) ",
    re.ASCII,
)
_DATED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?) ", re.ASCII)
_TAG = re.compile(r"(?P<host>[^\s:\[]{1,255})\s+(?P<name>[^\s:\[]{1,128})(?:\[(?P<pid>[^\]\s]{1,32})\])?:(?: |$)")
_BARE_TAG = re.compile(r"(?P<name>[^\s:\[]{1,128})\[(?P<pid>[^\]\s]{1,32})\]:(?: |$)")
_HOST = re.compile(r"(\S{1,255}) ")


def syslog(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `syslog`. Without a time, as RFC 3164 allows after a priority, the moment of receipt stands in."""
    yearless, yeared, dated = yearless_time(zone), device_time(zone), iso_time(zone)

    def read(text: str, received: datetime) -> Reading:
        fields: Fields = {}
        at = put_priority(fields, text)
        if at and text.startswith("1 ", at):
            stamp = put_structured(fields, text, at)
            if stamp is not None:
                return Reading(received if stamp == "-" else dated(stamp), fields)
        match = _YEARED.match(text, at)
        if match is not None:
            time = yeared(match[1] or f"{match[2]} {match[5]} {match[3]}.{match[4] or 0}", received)
        elif (match := _YEARLESS.match(text, at)) is not None:
            time = yearless(match[1], received)
        else:
            match = _DATED.match(text, at)
            if match is not None:
                time = dated(match[1])
            elif at:
                fields["message"] = text[at:]
                return Reading(received, fields)
            else:
                raise InputError("no-match")
        _put_message(fields, text[match.end() :])
        return Reading(time, fields)

    return read


def _put_message(fields: Fields, rest: str) -> None:
    match = _TAG.match(rest) or _BARE_TAG.match(rest)
    if match is not None:
        found = match.groupdict()
        if found.get("host"):
            fields["host.name"] = found["host"]
        fields["process.name"] = found["name"]
        pid = found["pid"]
        if pid is not None:
            if pid.isascii() and pid.isdigit() and len(pid) < 11:
                fields["process.pid"] = int(pid)
            else:
                fields["process.name"] += f"[{pid}]"
    else:
        match = _HOST.match(rest)
        if match is not None:
            fields["host.name"] = match[1]
    fields["message"] = rest[match.end() :] if match is not None else rest
