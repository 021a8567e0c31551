"""Recordings of a few events, and what trails are followed over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from xmsec.classify.epochs import Epoch, Keyring
from xmsec.classify.token import token
from xmsec.model.types import Event, Position, Revisions, Span
from xmsec.runtime.trails import RECORDINGS, Trails
from xmsec.store.archive import Archive
from xmsec.store.columns import Row
from xmsec.store.recorder import Origin, Recorder

START = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)
KEYS = (b"a" * 32, b"b" * 32)
KEYRING = Keyring([Epoch.of(KEYS[0])])
MADE_UNDER = Revisions("c", 1)


def name(number: int) -> str:
    """A subject's token."""
    return token(KEYS[0], "CN_MOBILE", str(number))


def row(
    number: int, actor: dict[str, Any], subjects: Sequence[int], minutes: float, system: str = "city"
) -> tuple[Event, tuple[Span, ...]]:
    """An event of an actor that holds subjects."""
    moment = START + timedelta(minutes=minutes)
    fields = {**actor, "event.action": "read", "text": " ".join(map(name, subjects))}
    spans = tuple(
        Span("text", 30 * place, 30 * place + 29, "CN_MOBILE", "r", 1.0, name(one)) for place, one in enumerate(subjects)
    )
    stream = f"{system}.web"
    position = Position(stream, "0", number)
    return Event(f"e{number}", moment, moment, position, system, stream, fields, ("people",)), spans


def archived(folder: Path, frames: Iterable[Sequence[Row]], topic: str = "0123456789", check: str = "aaaa") -> Archive:
    """Record frames as workers do, a file each."""
    archive = Archive(str(folder))
    recorder = Recorder(archive, Origin(topic, check))
    for offset, rows in enumerate(frames):
        recorder.add(0, offset, rows, MADE_UNDER, 0.0)
        recorder.written(*recorder.seal(0))
    return archive


def followed(home: Path) -> Trails:
    """What trails of a home are followed over, under the first key and the shipped recognisers."""
    root = Path(__file__).parents[1]
    return Trails(home, str(home / RECORDINGS), [root], lambda: KEYRING, lambda: None)
