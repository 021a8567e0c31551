"""Whose finding a file's events make: its `entity`, or the usual order of kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xmsec.content.detectors import DetectorFile
from xmsec.detect.entity import KIND_BY_FIELD, default_keys, keys_of
from xmsec.model.types import KEY_KINDS, Context, Key, KeyKind

SUBJECT, DATASET = "xmsec.subject", "xmsec.dataset"  # an event's subject tokens and datasets, where a field is asked for
KINDS: dict[str, KeyKind] = {
    **KIND_BY_FIELD,
    **{kind: kind for kind in KEY_KINDS},
    SUBJECT: "subject",
    DATASET: "dataset",
    "xmsec.stream": "stream",
}
Keys = Callable[[Context], Sequence[Key]]


def entity_keys(file: DetectorFile) -> Keys:
    """Return what finds an event's keys for this file. Raises ContentError when its entity cannot be one.

    An event that lacks the entity is told of its default one, so that nothing is lost.
    """
    if file.entity is None:
        return default_keys
    if file.entity not in KINDS:
        known = ", ".join(sorted(KIND_BY_FIELD))
        raise file.error(f'entity "{file.entity}" is no identity', "$.entity", f"write one of {known}")
    kind = KINDS[file.entity]
    return lambda context: keys_of(kind, context) or default_keys(context)
