"""Change events of Debezium, and rows of other Kafka Connect sources, with the schema around them or without.

Debezium documentation, data change events of the PostgreSQL, MySQL, Oracle, SQL Server and MongoDB connectors; Kafka Connect's
JsonConverter (`schemas.enable`). A tombstone (`null`, behind a deletion) and a heartbeat say nothing new: they are blank.
Columns become `debezium.before.*` and `debezium.after.*`; of a row without a change `debezium.after.*` alone. Rows that
Debezium's ExtractNewRecordState has taken out say in `__op`, `__table` and their like (add.fields) what was done to them.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.model.types import Fields
from xmsec.parse.dataset import dataset_name
from xmsec.parse.json_read import flatten, read_object
from xmsec.parse.reading import Format, Reading
from xmsec.parse.times import epoch_time

_ACTION_BY_OP = {"c": "insert", "u": "update", "d": "delete", "r": "read", "t": "truncate", "m": "message"}
_TYPE_BY_OP = {"c": "creation", "u": "change", "d": "deletion", "r": "access", "t": "deletion"}
_FIELD_BY_SOURCE = {
    "connector": "debezium.source.connector",
    "name": "debezium.source.name",
    "version": "debezium.source.version",
    "snapshot": "debezium.source.snapshot",
    "txId": "debezium.source.transaction",
    "gtid": "debezium.source.transaction",
    "query": "db.query.text",
    "user": "user.name",  # MySQL's and Oracle's connectors name who wrote, where the database tells it
    "user_name": "user.name",
}
_ENVELOPE = {"schema", "payload"}


def debezium(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `debezium`; the stream's `namespace` names the server in its datasets (`postgres://host:5432`).

    The time is that of the change in the database (`source.ts_ms`), else that of the connector, else the moment of receipt.
    """
    when = epoch_time(1_000)
    namespace = stream.namespace or ""

    def read(text: str, received: datetime) -> Reading | None:
        if text.strip() == "null":
            return None
        schema, payload = _opened(read_object(text))
        if payload is None or payload.keys() == {"ts_ms"}:
            return None
        source = payload.get("source")
        if isinstance(source, dict):
            fields, name = _change(payload, source)
            stamps = (source.get("ts_ms"), payload.get("ts_ms"))
        else:
            fields, name = _row(payload, schema)
            stamps = (payload.get("__source_ts_ms"), payload.get("__ts_ms"))
        stamp = next((stamp for stamp in stamps if isinstance(stamp, int) and stamp > 0), None)
        if name:
            fields["db.collection.name"] = name
        datasets = (dataset_name(namespace, name),) if name else ()
        return Reading(received if stamp is None else when(stamp), fields, datasets)

    return read


def _opened(record: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return schema and payload; a payload of null is a tombstone."""
    if record.keys() != _ENVELOPE:
        return None, record
    schema, payload = record["schema"], record["payload"]
    if payload is None:
        return None, None
    if not isinstance(payload, dict):
        raise InputError("not-a-change-event")
    return (schema if isinstance(schema, dict) else {}), payload


def _change(payload: dict[str, Any], source: dict[str, Any]) -> tuple[Fields, str]:
    """Return the fields of a change and the full name of what changed."""
    op, ddl = payload.get("op"), payload.get("ddl")
    fields: Fields = {}
    if isinstance(op, str) and op in _ACTION_BY_OP:
        fields["event.action"] = _ACTION_BY_OP[op]
        if op in _TYPE_BY_OP:
            fields["event.type"] = _TYPE_BY_OP[op]
    elif isinstance(ddl, str):
        fields |= {"event.action": "schema-change", "event.type": "change", "db.query.text": ddl}
    else:
        raise InputError("not-a-change-event")
    for key, field in _FIELD_BY_SOURCE.items():
        value = source.get(key)
        if isinstance(value, str | int) and value not in ("", False):
            fields.setdefault(field, "true" if value is True else str(value))
    database = _text(source.get("db")) or _text(payload.get("databaseName"))
    if database:
        fields["db.namespace"] = database
    for when in ("before", "after"):
        row = _document(payload.get(when))
        if isinstance(row, dict):
            fields |= flatten(row, f"debezium.{when}")
    updated = payload.get("updateDescription")
    if isinstance(updated, dict) and isinstance(row := _document(updated.get("updatedFields")), dict):
        fields = flatten(row, "debezium.after") | fields
    message = payload.get("message")
    if isinstance(message, dict):
        fields |= flatten(message, "debezium.message")
    table = _text(source.get("table")) or _text(source.get("collection"))
    schema = _text(source.get("schema"))
    return fields, ".".join(part for part in (database, schema, table) if part) if table else ""


def _document(row: Any) -> Any:
    """Return a row; a document of MongoDB's is JSON in a string, and what is none is kept as text."""
    if not isinstance(row, str):
        return row
    try:
        return read_object(row)
    except InputError:
        return {"document": row}


def _row(payload: dict[str, Any], schema: dict[str, Any] | None) -> tuple[Fields, str]:
    """Return the fields of a row that stands alone, and what its connector names it after: the table, without Avro's ending."""
    op = "d" if payload.get("__deleted") in ("true", True) else payload.get("__op")
    if schema is None and op not in _ACTION_BY_OP:
        raise InputError("not-a-change-event")
    said: dict[str, str] = {}
    for part in ("db", "schema", "table"):
        said[part] = _text(payload.get(f"__source_{part}")) or _text(payload.get(f"__{part}"))
    fields = flatten({key: value for key, value in payload.items() if not key.startswith("__")}, "debezium.after")
    if op in _ACTION_BY_OP:
        fields["event.action"] = _ACTION_BY_OP[op]
        if op in _TYPE_BY_OP:
            fields["event.type"] = _TYPE_BY_OP[op]
    if said["db"]:
        fields["db.namespace"] = said["db"]
    if not fields:
        raise InputError("not-a-change-event")
    name = ".".join(part for part in said.values() if part) if said["table"] else ""
    return fields, name or _text((schema or {}).get("name")).removesuffix(".Value")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
