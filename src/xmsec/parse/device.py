"""What CEF and LEEF share: a syslog header before them or none, header parts, and extensions under their ECS names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.model.types import Fields
from xmsec.parse.address import put_client
from xmsec.parse.json_read import FIELDS, flatten
from xmsec.parse.numbers import scalar
from xmsec.parse.syslog import syslog
from xmsec.parse.web_request import put_referrer, put_target

_SHORT = re.compile(r"(<\d{1,3}>)1 (?=\S+ \S+ ?$)")  # what LEEF takes of RFC 5424: priority, time and host alone
HEADER = 512  # characters before CEF or LEEF; what is no syslog header is left out

Header = Callable[[str, datetime], tuple[Fields, datetime | None]]


def device_header(stream: Stream, zone: tzinfo) -> Header:
    """Make what reads the text before a device's own: the fields of a syslog header and its time, None without one."""
    as_syslog = syslog(stream, zone)

    def read(text: str, received: datetime) -> tuple[Fields, datetime | None]:
        if not text.strip():
            return {}, None
        if len(text) > HEADER:
            raise InputError("no-match")
        try:
            reading = as_syslog(_SHORT.sub(r"\1", text, count=1), received)
        except InputError:
            reading = None
        if reading is None:
            return {}, None
        reading.fields.pop("message", None)
        return reading.fields, None if reading.time == received else reading.time

    return read


def put_extensions(fields: Fields, found: Mapping[str, str], names: Mapping[str, str], prefix: str) -> None:
    """Set each value under its ECS name; one without a name, or whose name is taken, under the prefix. Raises InputError."""
    if len(found) > FIELDS:
        raise InputError("too-many-fields")
    rest: dict[str, str] = {}
    for key, value in found.items():
        name = names.get(key)
        if not value or value == "-":
            continue
        if name is None or name in fields:
            rest[key] = value
        elif name in ("source.ip", "destination.ip"):
            _put_address(fields, name.partition(".")[0], value)
        elif name == "url.original":
            put_target(fields, value)
        elif name == "http.request.referrer":
            put_referrer(fields, value)
        else:
            fields[name] = scalar(name, value)
    for key, value in rest.items():
        fields |= flatten({key: value}, prefix)


def _put_address(fields: Fields, role: str, host: str) -> None:
    found: Fields = {}
    put_client(found, host)
    for name, value in found.items():
        fields.setdefault(name.replace("source", role), value)
