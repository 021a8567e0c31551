"""JSON from outside: one object a line, within limits, flattened to dotted names.

NaN and infinities are not JSON (`bad-json`); whole numbers are exact, absurd ones are `bad-number`;
of a key that stands twice the last counts; depth beyond `DEPTH` is `too-deep`. A key that looks like a value (four digits in a
row, an e-mail address, over-long) is no field name: it is kept as text under `_keys`, where it is classified, and what it holds
under `_`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from xmsec.model.errors import InputError
from xmsec.model.types import Fields
from xmsec.parse.clean import clean
from xmsec.parse.numbers import scalar

DEPTH = 32
FIELDS = 1_000  # ECS has some 1,700 in all; more in one record is an attack on what stores field names
ITEMS = 100_000  # values in all; a line of 1 MiB could hold five times as many
NAMES = 4_096  # cached keys that were found to be names, about 400 KiB

_SEGMENT = r"@?[^\W\d](?:\w|[- $])*"
_NAME = re.compile(rf"(?!.*\d{{4}})(?!.{{65}}){_SEGMENT}(?:\.[\w$-]+)*")
_names: dict[str, bool] = {}


def read_object(text: str) -> dict[str, Any]:
    """Decode one JSON object. Raises InputError."""
    reason = "not-an-object"
    try:
        document = msgspec.json.decode(text)
        if isinstance(document, dict):
            return document
    except RecursionError:
        reason = "too-deep"
    except msgspec.ValidationError:
        reason = "bad-number"
    except (msgspec.DecodeError, UnicodeError):
        reason = "bad-json"
    raise InputError(reason)


def flatten(document: dict[str, Any], prefix: str = "") -> Fields:
    """Give every value its dotted name; the values of objects in a list become a list under each name. Raises InputError."""
    fields: Fields = {}
    for count, (name, value, many) in enumerate(_leaves(document, prefix, 0, many=False)):
        if count >= ITEMS:
            raise InputError("too-many-values")
        value = scalar(name, value)
        if many:
            held = fields.get(name)
            if isinstance(held, list):
                held.append(value)
            else:
                fields[name] = [value] if held is None else [held, value]
        else:
            fields[name] = value
        if len(fields) > FIELDS:
            raise InputError("too-many-fields")
    return fields


def _leaves(value: Any, name: str, depth: int, *, many: bool) -> Iterator[tuple[str, Any, bool]]:
    if depth > DEPTH:
        raise InputError("too-deep")
    if isinstance(value, dict):
        if name and value.keys() == {"lat", "lon"} and all(isinstance(part, int | float) for part in value.values()):
            yield name, f"{value['lat']},{value['lon']}", many  # ECS geo_point: as text a coordinate can be recognised
            return
        for key, inner in value.items():
            if _is_name(key):
                yield from _leaves(inner, f"{name}.{key}" if name else key, depth + 1, many=many)
            else:
                below = f"{name}._" if name else "_"
                yield below + "keys", key, True
                yield from _leaves(inner, below, depth + 1, many=True)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, name, depth + 1, many=True)
    elif value is not None:
        yield name, value, many


def _is_name(key: str) -> bool:
    known = _names.get(key)
    if known is None:
        known = _NAME.fullmatch(key) is not None and clean(key) == key
        if known:
            if len(_names) >= NAMES:
                _names.clear()
            _names[key] = True
    return known
