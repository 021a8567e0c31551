"""Nested documents as events are: flat, with dotted names as keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmsec.model.errors import InputError

DEPTH = 64


def flatten(document: Mapping[str, Any]) -> dict[str, Any]:
    """Make a nested document flat: dotted names to values, lists of objects to lists of values; names as written win.

    >>> flatten({"a": {"b": 1}, "c.d": "x"})
    {'a': {'b': 1}, 'a.b': 1, 'c.d': 'x'}
    """
    flat: dict[str, Any] = {}
    _spread(document, "", flat, 0)
    return {**flat, **document}


def _spread(value: Any, name: str, flat: dict[str, Any], depth: int) -> None:
    if depth > DEPTH:
        raise InputError("nested-too-deep", remedy=f"an event nests at most {DEPTH} objects")
    if isinstance(value, Mapping):
        if name:
            flat.setdefault(name, value)
        for key, inner in value.items():
            _spread(inner, f"{name}.{key}" if name else str(key), flat, depth + 1)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for item in value:
            below: dict[str, Any] = {}
            _spread(item, name, below, depth + 1)
            for key, found in below.items():
                flat[key] = [*_list(flat.get(key)), *_list(found)]
    else:
        flat[name] = value


def _list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]
