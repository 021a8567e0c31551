"""Where a page ended, as a text that its reader sends back unchanged."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec

from xmsec.model.errors import InputError


def written(place: Sequence[Any]) -> str:
    """Write a place in an order."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def place(text: str, kind: Any) -> list[Any]:
    """Read a place of this type. Raises InputError for what was not written for such an order."""
    try:
        return list(msgspec.json.decode(base64.urlsafe_b64decode(text.encode()), type=kind))
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InputError("bad-cursor", remedy="take it from the page before, unchanged") from error
