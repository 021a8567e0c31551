"""A recording's rows as Arrow columns and back: names that other tools can query, and nothing lost on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, cast

import msgspec
import pyarrow as pa
from msgspec.structs import astuple

from xmsec.model.clock import EPOCH
from xmsec.model.types import Event, Position, Revisions, Span, Tick
from xmsec.store.states import micros

Row = tuple[Event, tuple[Span, ...]] | Tick

# columns whose few values come again and again; a dictionary of the others is given up after it was made
REPEATED = ("kind", "stream", "partition", "system", "user", "action", "stage", "content")

# kind: event, or a tick's open, idle, ended; a tick has no id and its time is when it was received
SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("id", pa.string()),
        ("time", pa.timestamp("us", "UTC")),
        ("received", pa.timestamp("us", "UTC")),
        ("stream", pa.string()),
        ("partition", pa.string()),
        ("offset", pa.int64()),
        ("part", pa.int32()),
        ("system", pa.string()),
        ("user", pa.string()),
        ("action", pa.string()),
        ("stage", pa.string()),
        ("datasets", pa.list_(pa.string())),
        ("flags", pa.list_(pa.string())),
        ("given_id", pa.string()),
        ("fields", pa.string()),  # JSON, flat ECS names
        ("spans", pa.string()),  # JSON
        ("content", pa.string()),
        ("ledger", pa.int64()),
    ]
)

_Tokened = tuple[Event, tuple[Span, ...]]

_EVENT = "event"
_json = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, Any]).decode
_spans = msgspec.json.Decoder(tuple[Span, ...]).decode


def table(carried: Sequence[Row], made_under: Revisions) -> pa.Table:
    """Write rows as columns: runs of events and runs of ticks, one after the other."""
    runs = []
    for ticks, run in groupby(carried, lambda row: isinstance(row, Tick)):
        found = list(run)
        columns = _ticks(cast(list[Tick], found)) if ticks else _events(cast(list[_Tokened], found))
        columns |= {"content": [made_under.content] * len(found), "ledger": [made_under.ledger] * len(found)}
        absent = [None] * len(found)
        runs.append(pa.table([pa.array(columns.get(field.name, absent), type=field.type) for field in SCHEMA], schema=SCHEMA))
    return pa.concat_tables(runs)


def _events(tokened: Sequence[_Tokened]) -> dict[str, Sequence[Any]]:
    """Write events column by column: structs are taken apart once, for a batch does not fit into the processor's cache."""
    events, spans = zip(*tokened, strict=True)
    ids, times, received, positions, systems, streams, fields, datasets, stages, flags, given = zip(
        *map(astuple, events), strict=True
    )
    _, partitions, offsets, parts = zip(*map(astuple, positions), strict=True)
    moments = {moment: micros(moment) for moment in set(received)}
    return {
        "kind": [_EVENT] * len(events),
        "id": ids,
        "time": list(map(micros, times)),
        "received": [moments[moment] for moment in received],
        "stream": streams,
        "partition": partitions,
        "offset": offsets,
        "part": parts,
        "system": systems,
        "user": [_text(flat.get("user.id") or flat.get("user.name")) for flat in fields],
        "action": [_text(flat.get("event.action")) for flat in fields],
        "stage": stages,
        "datasets": datasets,
        "flags": flags,
        "given_id": given,
        "fields": list(map(_json, fields)),
        "spans": [_json(found) if found else None for found in spans],
    }


def _ticks(ticks: Sequence[Tick]) -> dict[str, Sequence[Any]]:
    received = [micros(tick.received) for tick in ticks]
    return {
        "kind": [tick.state for tick in ticks],
        "time": received,
        "received": received,
        "stream": [tick.stream for tick in ticks],
        "partition": [tick.partition for tick in ticks],
    }


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def rows(batch: pa.RecordBatch) -> Iterator[Row]:
    """Read columns back into rows, in their order."""
    columns = {
        field.name: batch.column(field.name).cast(pa.int64()).to_pylist()
        if pa.types.is_timestamp(field.type)
        else batch.column(field.name).to_pylist()
        for field in SCHEMA
    }
    times: dict[int, datetime] = {}
    for index, kind in enumerate(columns["kind"]):
        moment = columns["received"][index]
        received = times.get(moment) or times.setdefault(moment, EPOCH + timedelta(microseconds=moment))
        stream, partition = columns["stream"][index], columns["partition"][index]
        if kind != _EVENT:
            yield Tick(stream, partition, received, kind)
            continue
        spans = columns["spans"][index]
        event = Event(
            columns["id"][index],
            EPOCH + timedelta(microseconds=columns["time"][index]),
            received,
            Position(stream, partition, columns["offset"][index], columns["part"][index]),
            columns["system"][index],
            stream,
            _fields(columns["fields"][index]),
            tuple(columns["datasets"][index]),
            columns["stage"][index],
            tuple(columns["flags"][index]),
            columns["given_id"][index],
        )
        yield event, _spans(spans) if spans else ()
