"""What a format makes of a line, and the shape of a format: plain functions, made once a stream."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo

import msgspec

from xmsec.content.streams import Stream
from xmsec.model.types import Fields, Stage


class Reading(msgspec.Struct, frozen=True, gc=False):
    """Time and ECS fields of one line, as they stand there: `xmsec.parse.tidy` decodes and cleans them. Shows no value.

    datasets, stage: what the record itself says of them (a database's audit, a lineage event).
    """

    time: datetime
    fields: Fields
    datasets: tuple[str, ...] = ()
    stage: Stage | None = None

    def __repr__(self) -> str:
        return f"Reading({len(self.fields)} fields)"


# (record, moment of receipt); None for what stands around records, as blank as a blank line; raises InputError(reason)
Format = Callable[[str, datetime], Reading | None]
Maker = Callable[[Stream, tzinfo], Format]  # the zone is that of times without one
