"""What shippers put around a line: the JSON of Filebeat, Vector and Fluent Bit, taken off before a format reads the line.

Elastic, Filebeat reference, output.kafka and exported fields (`agent.type`, `@metadata.beat`, `message`); Vector, source `file`
and others (`source_type`, `message`); Fluent Bit, input `tail` and its outputs (`log` beside `@timestamp`, `date`, or Docker's
`stream`). Of an envelope stay who sent it (`host.name`) and from which file (`log.file.path`); when the shipper read the line
stands in for the moment of receipt where a line has no time, or no year.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from xmsec.model.clock import DAY, EPOCH
from xmsec.model.errors import InputError
from xmsec.model.types import Fields
from xmsec.parse.times import epoch_time, iso_time

AS_IT_IS = frozenset(("ecs", "json"))  # formats whose files say themselves what stands where: unwrapped only where declared
_TEXTS = ("message", "log")
_TIMES = ("@timestamp", "timestamp", "date", "time")
_HOSTS = ("host.name", "host", "hostname", "host.hostname")
_PATHS = ("log.file.path", "file", "path", "filename", "file_path")

_iso = iso_time(UTC)
_epoch = epoch_time(1_000_000)


class Opened(msgspec.Struct, gc=False):
    """A line out of its envelope. Shows no value."""

    text: str
    received: datetime
    fields: Fields

    def __repr__(self) -> str:
        return f"Opened({len(self.text)} characters)"


Open = Callable[[str, datetime], Opened | None]


def opener(form: str, unwrap: str) -> Open | None:
    """Make what takes envelopes off the records of a stream; None where nothing is to be taken off.

    unwrap: `auto`, `never`, or the dotted path at which the line stands. It gives None for a record that is no envelope.
    """
    if unwrap == "never" or (unwrap == "auto" and form in AS_IT_IS):
        return None
    path = () if unwrap == "auto" else tuple(unwrap.split("."))

    def take_off(text: str, received: datetime) -> Opened | None:
        if text[0] != "{" or (not path and '"message"' not in text and '"log"' not in text):
            return None
        envelope = _object(text)
        if envelope is None:
            return None
        line = _at(envelope, path) if path else _recognised(envelope)
        if not isinstance(line, str):
            return None
        return Opened(line.removeprefix("\ufeff").rstrip("\r\n"), _moment(envelope, received), _about(envelope))

    return take_off


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None  # the format itself says what is wrong
    return found if isinstance(found, dict) else None


def _recognised(envelope: dict[str, Any]) -> Any:
    """Return the line of an envelope that is surely a shipper's."""
    message, log = envelope.get("message"), envelope.get("log")
    if isinstance(message, str):
        agent, metadata = envelope.get("agent"), envelope.get("@metadata")
        beat = isinstance(agent, dict) and isinstance(agent.get("type"), str)
        beat = beat or (isinstance(metadata, dict) and isinstance(metadata.get("beat"), str))
        return message if beat or isinstance(envelope.get("source_type"), str) else None
    if isinstance(log, str):
        stamped = any(isinstance(envelope.get(name), str | int | float) for name in ("@timestamp", "date"))
        docker = envelope.get("stream") in ("stdout", "stderr")
        return log if stamped or docker else None
    return None


def _moment(envelope: dict[str, Any], received: datetime) -> datetime:
    """Return when the shipper read the line, the moment of receipt when it does not say, or says what cannot be."""
    for name in _TIMES:
        value = envelope.get(name)
        try:
            if isinstance(value, str):
                moment = _iso(value)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                moment = _epoch(value)
            else:
                continue
        except InputError:
            continue
        if EPOCH <= moment <= received + DAY:
            return moment
    return received


def _about(envelope: dict[str, Any]) -> Fields:
    fields: Fields = {}
    for field, paths in (("host.name", _HOSTS), ("log.file.path", _PATHS)):
        for path in paths:
            value = _at(envelope, tuple(path.split(".")))
            if value is None:
                value = envelope.get(path)
            if isinstance(value, str) and value:
                fields[field] = value
                break
    return fields


def _at(envelope: Any, path: tuple[str, ...]) -> Any:
    if isinstance(envelope, dict) and ".".join(path) in envelope:
        return envelope[".".join(path)]
    for step in path:
        envelope = envelope.get(step) if isinstance(envelope, dict) else None
    return envelope
