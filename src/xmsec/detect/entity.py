"""Whose state an event touches: ECS fields to keys, in the fixed order of kinds."""

from __future__ import annotations

from collections.abc import Sequence

from xmsec.model.types import Context, Key, KeyKind

KIND_BY_FIELD: dict[str, KeyKind] = {
    "user.id": "user",
    "user.name": "user",
    "host.id": "device",
    "host.name": "device",
    "device.id": "device",
    "source.ip": "address",
    "source.address": "address",
    "client.ip": "address",
}
# a field stands for what identifies the same thing: `entity: user.id` finds the account that a log names by `user.name`
_FIELDS_BY_KIND: dict[KeyKind, tuple[str, ...]] = {
    kind: tuple(field for field, of in KIND_BY_FIELD.items() if of == kind) for kind in ("user", "address", "device")
}
DEFAULT_KINDS: tuple[KeyKind, ...] = ("user", "address", "device", "stream")
SUBJECTS = 64  # keys an event may touch by its subjects; a bulk export names its datasets instead


def keys_of(kind: KeyKind, context: Context) -> Sequence[Key]:
    """Return the keys of one kind that an event touches, sorted; none when it names none."""
    event = context.event
    fields = _FIELDS_BY_KIND.get(kind)
    if fields is not None:
        for field in fields:
            value = event.fields.get(field)
            if value is not None:
                return (Key(kind, str(value)),)
        return ()
    if kind == "stream":
        return (Key("stream", event.stream),)
    if kind == "dataset":
        return tuple(Key("dataset", dataset) for dataset in event.datasets)
    if kind == "subject":
        return tuple(Key("subject", token) for token in sorted({span.token for span in context.spans})[:SUBJECTS])
    if kind == "consumer-dataset":
        return tuple(Key.of(kind, user.value, dataset) for user in keys_of("user", context) for dataset in event.datasets)
    return ()


def default_keys(context: Context) -> Sequence[Key]:
    """Return whom an event speaks of when nothing else is said: its user, else address, else device, else stream."""
    for kind in DEFAULT_KINDS:
        keys = keys_of(kind, context)
        if keys:
            return keys
    return ()
