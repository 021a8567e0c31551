"""The one broad `except` of the core: a record that a leg cannot carry is named by its error's kind, never by its content."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from xmsec.model.errors import InputError

T = TypeVar("T")
R = TypeVar("R")


def attempt(leg: Callable[[T], R], record: T) -> tuple[R | None, str]:
    """Return what a leg gave and no reason, or nothing and the reason why not; a reason never quotes the record."""
    try:
        return leg(record), ""
    except InputError as error:
        return None, error.what
    except Exception as error:  # noqa: BLE001 - the edge of the core: a record that breaks a leg is a dead letter
        return None, f"broken:{type(error).__name__}"
