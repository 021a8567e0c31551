r"""ArcSight's Common Event Format, bare or in a syslog message: `CEF:0|vendor|product|version|signature|name|severity|k=v …`.

Micro Focus Security ArcSight, Common Event Format, Implementation Standard, version 26. In the header `\|` and `\\` are
escaped, in extensions `\=`, `\\`, `\n` and `\r`; a value goes on to the next key, so it may have spaces.
"""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.model.types import Fields
from xmsec.parse.device import device_header, put_extensions
from xmsec.parse.device_time import device_time
from xmsec.parse.document import put
from xmsec.parse.reading import Format, Reading

_PART = r"((?:[^|\\]|\\.|\\)*+)\|"
_HEADER = re.compile(r"CEF: ?(\d{1,2})\|" + _PART * 6, re.DOTALL)
_START = re.compile(r"CEF: ?\d{1,2}\|")
_KEY = re.compile(r"(?:\A|(?<=\s))([A-Za-z0-9_][\w.\-\[\]]{0,63})=", re.ASCII)
_ESCAPED = re.compile(r"\\([\\|=nr])")
_MEANT = {"n": "\n", "r": "\r"}
_TIMES = ("rt", "end", "start")
_OUTCOMES = {"success": "success", "succeeded": "success", "failure": "failure", "failed": "failure", "fail": "failure"}
_FIELD_BY_KEY = {
    "src": "source.ip",
    "spt": "source.port",
    "shost": "source.domain",
    "smac": "source.mac",
    "suser": "user.name",
    "suid": "user.id",
    "sproc": "process.name",
    "spid": "process.pid",
    "dst": "destination.ip",
    "dpt": "destination.port",
    "dhost": "destination.domain",
    "dmac": "destination.mac",
    "duser": "destination.user.name",
    "duid": "destination.user.id",
    "dvc": "observer.ip",
    "dvchost": "observer.hostname",
    "app": "network.protocol",
    "proto": "network.transport",
    "in": "source.bytes",
    "out": "destination.bytes",
    "act": "event.action",
    "reason": "event.reason",
    "externalId": "event.id",
    "fname": "file.name",
    "filePath": "file.path",
    "fsize": "file.size",
    "request": "url.original",
    "requestMethod": "http.request.method",
    "requestContext": "http.request.referrer",
    "requestClientApplication": "user_agent.original",
    "msg": "message",
}


def cef(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `cef`. The time is `rt`, else `end`, `start`, that of the syslog header, or the moment of receipt.

    Who acted (`user.name`) is `suser`, without one `duser`, which databases and logins tell instead.
    """
    header, when = device_header(stream, zone), device_time(zone)

    def read(text: str, received: datetime) -> Reading:
        start = _START.search(text)
        match = _HEADER.match(text, start.start()) if start else None
        if start is None or match is None:
            raise InputError("no-match")
        fields, time = header(text[: start.start()], received)
        _, vendor, product, version, signature, name, severity = match.groups()
        found = extensions(text[match.end() :])
        stamp = next((found.pop(key) for key in _TIMES if found.get(key)), None)
        _put_header(fields, vendor, product, version)
        put(fields, "event.code", _meant(signature))
        outcome = _OUTCOMES.get(found.get("outcome", "").lower())
        if outcome is not None:
            fields["event.outcome"] = outcome
            del found["outcome"]
        put_extensions(fields, found, _FIELD_BY_KEY, "cef.extensions")
        _put_event(fields, _meant(name), severity)
        return Reading(when(stamp, received) if stamp else time or received, fields)

    return read


def extensions(text: str) -> dict[str, str]:
    r"""Return the extensions of an event; of a key that stands twice the last counts.

    >>> extensions(r"src=10.0.0.1 msg=a \= b\nc act=")
    {'src': '10.0.0.1', 'msg': 'a = b\nc', 'act': ''}
    """
    found: dict[str, str] = {}
    key, at = "", 0
    for match in _KEY.finditer(text):
        if key:
            found[key] = _meant(text[at : match.start()].strip())
        key, at = match[1], match.end()
    if key:
        found[key] = _meant(text[at:].strip())
    elif text.strip():
        raise InputError("no-match")
    return found


def _put_header(fields: Fields, vendor: str, product: str, version: str) -> None:
    put(fields, "observer.vendor", _meant(vendor))
    put(fields, "observer.product", _meant(product))
    put(fields, "observer.version", _meant(version))


def _put_event(fields: Fields, name: str, severity: str) -> None:
    put(fields, "cef.name", name)
    if name:
        fields.setdefault("event.action", name)
        fields.setdefault("message", name)
    if "destination.user.name" in fields:
        fields.setdefault("user.name", fields["destination.user.name"])
    if severity.isascii() and severity.isdigit() and len(severity) < 3:
        fields["event.severity"] = int(severity)
    else:
        put(fields, "log.level", _meant(severity).lower())


def _meant(text: str) -> str:
    return _ESCAPED.sub(lambda match: _MEANT.get(match[1], match[1]), text) if "\\" in text else text
