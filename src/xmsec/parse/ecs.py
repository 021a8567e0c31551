"""ECS documents as JSON, nested or with dotted names, as Beats, Elastic Agent and applications write them."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.parse.json_read import flatten, read_object
from xmsec.parse.reading import Format, Reading
from xmsec.parse.times import declared_time, epoch_time

_MILLISECONDS = re.compile(r"\d{12,13}", re.ASCII)


def ecs(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `ecs`: every field is kept; `@timestamp`, which ECS requires, is the time.

    A number is milliseconds unless the stream says otherwise, as Elasticsearch reads dates.
    """
    when, milliseconds = declared_time(stream.time_format, zone), epoch_time(1_000)
    dates = stream.time_format == "rfc3339"

    def read(text: str, received: datetime) -> Reading:
        fields = flatten(read_object(text))
        time = fields.pop("@timestamp", None)
        if time is None:
            raise InputError("no-time")
        number = dates and _MILLISECONDS.fullmatch(str(time)) is not None
        return Reading((milliseconds if number else when)(time), fields)

    return read
