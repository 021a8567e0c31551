"""PostgreSQL's JSON log (documentation, 20.8.5 Using JSON-Format Log Output), with the records of pgaudit in it."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.parse.json_read import read_object
from xmsec.parse.postgresql import SEVERITIES, Entry, document
from xmsec.parse.reading import Format, Reading
from xmsec.parse.times import iso_time

_NAME_BY_KEY = {
    "message": "message",
    "user": "user",
    "dbname": "database",
    "pid": "pid",
    "remote_host": "host",
    "remote_port": "port",
    "session_id": "session",
    "ps": "tag",
    "state_code": "state",
    "detail": "detail",
    "hint": "hint",
    "context": "context",
    "statement": "statement",
    "application_name": "application",
}


def pg_json(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `postgresql-json`; the stream's `namespace` names the server in its datasets."""
    when = iso_time(zone)
    namespace = stream.namespace or ""

    def read(text: str, received: datetime) -> Reading:
        record = read_object(text)
        level, time = record.get("error_severity"), record.get("timestamp")
        if not isinstance(level, str) or level not in SEVERITIES or not isinstance(time, str):
            raise InputError("no-match")
        said = {name: _text(record.get(key)) for key, name in _NAME_BY_KEY.items()}
        entry = Entry(level=SEVERITIES[level], **said)
        return Reading(when(time), *document(entry, namespace))

    return read


def _text(value: Any) -> str:
    """Return a string, or a number as it is written (a process, a port); nothing else stands there."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) else ""
