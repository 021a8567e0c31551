"""The XML of MySQL Enterprise Audit and Percona's audit log: one AUDIT_RECORD, whose fields are attributes or elements.

MySQL 8.4 Reference Manual, 8.4.5.4 Audit Log File Formats; Percona Server, Audit Log Filter format, XML (old and new style).
Read by patterns, not by an XML parser: a record has no nesting but lists of name and value, and a document type with entities
of its own has no business here. Times without a zone, and those with `UTC`, are UTC.
"""

from __future__ import annotations

import re

from xmsec.model.errors import InputError
from xmsec.parse.clean import REPLACEMENT
from xmsec.parse.mysql import Audited, who

_NAME = r"[A-Z][A-Z0-9_]{0,63}"
_ATTRIBUTE = re.compile(rf'\s+({_NAME})\s?=\s?"([^"<]*)"')
_ELEMENT = re.compile(
    rf"\s*(?:<({_NAME})>([^<]*)</\1>|<{_NAME}/>|<(CONNECTION_ATTRIBUTES)>(?:(?!</CONNECTION_A).)*+</\3>)", re.DOTALL
)
_OPEN = re.compile(r"\s*<AUDIT_RECORD(?=[\s>/])")
_REFERENCE = re.compile(r"&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(amp|lt|gt|quot|apos));")
_CHARACTERS = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_AROUND = re.compile(r"(?:\s*(?:<\?xml[^<>]{0,200}\?>|</?AUDIT>))+\s*")
_FIELD_BY_NAME = {
    "NAME": "event",
    "COMMAND_CLASS": "command",
    "HOST": "host",
    "IP": "ip",
    "DB": "database",
    "TABLE": "object",
    "SQLTEXT": "text",
    "STATUS_CODE": "status",  # only whether it failed; what failed is STATUS
    "STATUS": "status",
    "CONNECTION_ID": "connection",
    "OS_LOGIN": "os_user",
    "OS_USER": "os_user",
    "PROXY_USER": "proxy",
}


def audit_record(text: str) -> tuple[str, Audited] | None:
    """Return time and content of a record, None for what stands around records. Raises InputError."""
    values = _values(text)
    if values is None:
        return None
    if "NAME" not in values or "TIMESTAMP" not in values:
        raise InputError("no-match")
    audited = Audited()
    for name, field in _FIELD_BY_NAME.items():
        if values.get(name):
            setattr(audited, field, values[name])
    user, host, ip = who(values.get("USER", ""))
    audited.user = values.get("PRIV_USER") or user
    audited.host, audited.ip = audited.host or host, audited.ip or ip
    return values["TIMESTAMP"], audited


def _values(text: str) -> dict[str, str] | None:
    around = _AROUND.match(text)
    at = around.end() if around else 0
    if at == len(text):
        return None
    opened = _OPEN.match(text, at)
    if opened is None:
        raise InputError("no-match")
    values: dict[str, str] = {}
    at = _take(_ATTRIBUTE, text, opened.end(), values)
    rest = text[at:].lstrip()
    if rest.startswith("/>"):
        rest = rest[2:]
    elif rest.startswith(">"):
        at = text.index(">", at) + 1
        rest = text[_take(_ELEMENT, text, at, values) :].lstrip()
        if not rest.startswith("</AUDIT_RECORD>"):
            raise InputError("bad-xml")
        rest = rest[len("</AUDIT_RECORD>") :]
    else:
        raise InputError("bad-xml")
    if rest.strip() not in ("", "</AUDIT>"):
        raise InputError("bad-xml")
    return values


def _take(pattern: re.Pattern[str], text: str, at: int, values: dict[str, str]) -> int:
    """Take names and values while they last; return where they end."""
    while (match := pattern.match(text, at)) is not None:
        if match[1]:
            values[match[1]] = _REFERENCE.sub(_character, match[2]) if "&" in match[2] else match[2]
        at = match.end()
    return at


def _character(match: re.Match[str]) -> str:
    if match[3]:
        return _CHARACTERS[match[3]]
    code = int(match[1]) if match[1] else int(match[2], 16)
    return chr(code) if code < 0x110000 else REPLACEMENT
