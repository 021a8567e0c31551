"""IBM's Log Event Extended Format 1.0 and 2.0, bare or in a syslog message: `LEEF:2.0|vendor|product|version|event|^|k=v^k=v`.

IBM Security QRadar, LEEF Format Guide. Attributes are parted by tabs; 2.0 may name another character, as it is or in
hexadecimal (`^`, `0x5E`, `x5E`). `devTimeFormat` is a pattern of Java's SimpleDateFormat.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, tzinfo

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.parse.device import device_header, put_extensions
from xmsec.parse.device_time import device_time
from xmsec.parse.document import put
from xmsec.parse.reading import Format, Reading
from xmsec.parse.times import declared_time

_HEADER = re.compile(r"LEEF: ?([12])(?:\.0)?\|([^|]{0,255})\|([^|]{0,255})\|([^|]{0,255})\|([^|]{0,255})\|")
_DELIMITER = re.compile(r"(?:(?:0?x)([0-9a-fA-F]{2,4})|([^|\w])|)\|")
_FIELD_BY_KEY = {
    "src": "source.ip",
    "srcPort": "source.port",
    "srcMAC": "source.mac",
    "srcBytes": "source.bytes",
    "dst": "destination.ip",
    "dstPort": "destination.port",
    "dstMAC": "destination.mac",
    "dstBytes": "destination.bytes",
    "usrName": "user.name",
    "accountName": "destination.user.name",
    "proto": "network.transport",
    "url": "url.original",
    "resource": "host.name",
    "policy": "rule.name",
    "sev": "event.severity",
    "action": "event.action",
    "msg": "message",
}
_CODE_BY_PATTERN = {
    "yyyy": "%Y",
    "yy": "%y",
    "MMM": "%b",
    "MM": "%m",
    "dd": "%d",
    "d": "%d",
    "HH": "%H",
    "H": "%H",
    "hh": "%I",
    "mm": "%M",
    "ss": "%S",
    "SSS": "%f",
    "a": "%p",
    "Z": "%z",
    "X": "%z",
    "XX": "%z",
    "XXX": "%z",
}
_PATTERN = re.compile(r"'([^']*)'|([A-Za-z])\2*|[^A-Za-z']")
_ZONED = re.compile(r"\s?z+$")
_ABBREVIATION = re.compile(r" ?(?:(GMT|UTC|UT|Z)?([+-]\d\d:?\d\d)?|[A-Z]{1,5})$")


def leef(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `leef`. The time is `devTime`, else that of the syslog header, else the moment of receipt."""
    header, when = device_header(stream, zone), device_time(zone)

    def read(text: str, received: datetime) -> Reading:
        start = text.find("LEEF:")
        match = _HEADER.match(text, start) if start >= 0 else None
        if match is None:
            raise InputError("no-match")
        fields, time = header(text[:start], received)
        version, vendor, product, product_version, event = match.groups()
        found = _attributes(text, match.end(), second=version == "2")
        stamp, form = found.pop("devTime", ""), found.pop("devTimeFormat", "")
        put(fields, "observer.vendor", vendor)
        put(fields, "observer.product", product)
        put(fields, "observer.version", product_version)
        put(fields, "event.code", event)
        put_extensions(fields, found, _FIELD_BY_KEY, "leef")
        if event:
            fields.setdefault("event.action", event)
        if stamp:
            formed = "y" in form and not stamp.isdecimal()
            time = _formed(form, zone)(stamp) if formed else when(stamp, received)
        return Reading(time or received, fields)

    return read


def _attributes(text: str, at: int, *, second: bool) -> dict[str, str]:
    delimiter = "\t"
    if second:
        named = _DELIMITER.match(text, at)
        if named is not None:
            at = named.end()
            code = int(named[1], 16) if named[1] else 0
            delimiter = (chr(code) if code and not 0xD800 <= code < 0xE000 else named[2]) or "\t"
    found: dict[str, str] = {}
    for part in text[at:].split(delimiter):
        key, equals, value = part.partition("=")
        if equals and key.strip():
            found[key.strip()] = value.strip()
        elif part.strip():
            raise InputError("no-match")
    return found


def _formed(form: str, zone: tzinfo) -> Callable[[str], datetime]:
    """Read times in a pattern of Java's; an abbreviated zone (`z`) is the stream's, but for GMT, with an offset or without."""
    codes = strptime_codes(_ZONED.sub("", form))
    here = declared_time(codes, zone)
    if _ZONED.search(form) is None:
        return here
    offset = declared_time(f"{codes}%z", zone)

    def read(text: str) -> datetime:
        match = _ABBREVIATION.search(text)
        if match is None:
            return here(text)
        said = match[2] or (match[1] and "+00:00")
        return offset(text[: match.start()] + said) if said else here(text[: match.start()])

    return read


def strptime_codes(form: str) -> str:
    """Translate a pattern of SimpleDateFormat. Raises InputError for one that names what we do not read.

    >>> strptime_codes("yyyy-MM-dd'T'HH:mm:ss.SSSZ")
    '%Y-%m-%dT%H:%M:%S.%f%z'
    """
    codes: list[str] = []
    for match in _PATTERN.finditer(form):
        if match[2]:
            code = _CODE_BY_PATTERN.get(match[0])
            if code is None:
                raise InputError("bad-time")
            codes.append(code)
        else:
            codes.append((match[1] if match[1] is not None else match[0]).replace("%", "%%"))
    return "".join(codes)
