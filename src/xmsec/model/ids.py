"""Identities are content hashes: the same thing has the same id in every run, on every runtime.

BLAKE2b, 128 bits, hexadecimal; parts are joined by NUL, which no part may hold.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b

from xmsec.model.types import Key, Position


def digest(*parts: str) -> str:
    r"""Hash of the parts in their order: 32 hexadecimal digits.

    >>> digest("a", "b") == digest("a\0b")
    True
    """
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def event_id(position: Position, given_id: str | None = None) -> str:
    """Id of an event: its stream and the producer's own id, or its stream and position."""
    if given_id is not None:
        return digest("given", position.stream, given_id)
    return blake2b(
        f"{position.stream}\0{position.partition}\0{position.offset}\0{position.part}".encode(), digest_size=16
    ).hexdigest()


def finding_id(detector: str, key: Key, start: datetime | str) -> str:
    """Id of a finding: detector, entity, and window start (or the id of the one event it rests on)."""
    return digest("finding", detector, key.kind, key.value, start if isinstance(start, str) else start.isoformat())


def incident_id(key: Key, opened: datetime) -> str:
    """Id of an incident: its primary entity and the start of its span."""
    return digest("incident", key.kind, key.value, opened.isoformat())


def act_id(key: str) -> str:
    """Id of a person's act: of the key that its request bears, so that a request sent again is the same act."""
    return digest("act", key)


def split_id(act: str) -> str:
    """Id of the incident that a split makes."""
    return digest("split", act)


def intent_id(playbook: str, incident: str) -> str:
    """Id of an intent: one a playbook and incident."""
    return digest("intent", playbook, incident)
