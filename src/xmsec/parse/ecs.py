"""ECS documents as JSON, nested or with dotted names, as Beats, Elastic Agent and applications write them."""

from __future__ import annotations

from datetime import datetime, tzinfo

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.parse.json_read import flatten, read_object
from xmsec.parse.reading import Format, Reading
from xmsec.parse.times import declared_time


def ecs(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `ecs`: every field is kept; `@timestamp`, which ECS requires, is the time."""
    when = declared_time(stream.time_format, zone)

    def read(text: str, received: datetime) -> Reading:
        fields = flatten(read_object(text))
        time = fields.pop("@timestamp", None)
        if time is None:
            raise InputError("no-time")
        return Reading(when(time), fields)

    return read
