"""JSON of any shape with a declared mapping: the stream's `map` says what becomes which ECS field, the rest is left out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.model.types import Fields
from xmsec.parse.json_read import flatten, read_object
from xmsec.parse.numbers import target
from xmsec.parse.reading import Format, Reading
from xmsec.parse.times import declared_time

Steps = tuple[str, ...]


def json_map(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `json`. Without `@timestamp` in the map a record's time is the moment of receipt."""
    plan: list[tuple[str, Callable[[Any], Any], str, Steps]] = [
        (*target(field), path, tuple(path.split("."))) for field, path in stream.map.items() if field != "@timestamp"
    ]
    time_path = stream.map.get("@timestamp")
    time_steps = tuple(time_path.split(".")) if time_path else ()
    when = declared_time(stream.time_format, zone)

    def read(text: str, received: datetime) -> Reading:
        document = read_object(text)
        fields: Fields = {}
        for field, convert, path, steps in plan:
            value = document.get(path)
            if value is None:
                value = _at(document, steps)
                if value is None:
                    continue
            if isinstance(value, dict | list):
                fields |= flatten({field: value})
                continue
            value = convert(value)
            if value is not None:
                fields[field] = value
        if not fields:
            raise InputError("no-match")
        if time_path is None:
            return Reading(received, fields)
        moment = document.get(time_path)
        if moment is None:
            moment = _at(document, time_steps)
        if moment is None:
            raise InputError("no-time")
        return Reading(when(moment), fields)

    return read


def _at(document: Any, steps: Steps) -> Any:
    for step in steps:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isascii() and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document
