"""What was recorded, carried along the rest of the road once more: replay, and training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from xmsec.content.recipes import Recipe
from xmsec.detect.card import card
from xmsec.detect.modelfile import save
from xmsec.detect.train import Harvest, train
from xmsec.model.states import Memory
from xmsec.model.types import Finding
from xmsec.pipeline.batch import carry_on
from xmsec.pipeline.enrich import enrich
from xmsec.pipeline.road import Road, Taken
from xmsec.store.archive import Archive
from xmsec.store.recording import ENTRY, read

if TYPE_CHECKING:
    from xmsec.runtime.files import Rig
    from xmsec.store.columns import Row


def recorded(
    folder: Path, committed: str | None, start: datetime | None = None, end: datetime | None = None
) -> Iterator[Taken]:
    """Yield what was recorded as `tokenise` gave it."""
    for rows in read(folder, committed, start, end):
        yield taken(rows)


def everything(rig: Rig, archive: Archive, start: datetime | None = None, end: datetime | None = None) -> Iterator[Taken]:
    """Yield what a home recorded and what workers did, merged; an archive of workers' files alone needs no home's."""
    from xmsec.store.merged import read_archive

    archive.check(rig.key_check)
    committed = rig.store.meta().get(ENTRY)
    if not archive.files():
        yield from recorded(rig.recordings, committed, start, end)
        return
    embedded = read(rig.recordings, committed, start, end)
    for rows in read_archive(archive, rig.key_check, (start, end), embedded):
        yield taken(rows)


def taken(rows: Sequence[Row]) -> Taken:
    """Make recorded rows what `tokenise` gives."""
    return Taken(rows, (), Counter(), Counter())


def replay(road: Road, batches: Iterable[Taken]) -> list[Finding]:
    """Carry recorded events along a road that remembers nothing; return the last word on each finding, by (time, id)."""
    return replays([road], batches)[0]


def replays(roads: Sequence[Road], batches: Iterable[Taken]) -> list[list[Finding]]:
    """Carry recorded events, read once, along several roads that know nothing of each other; return what each told.

    What an exception covers is left out, as it is where people look.
    """
    lanes: list[tuple[Road, Memory, dict[str, Finding]]] = [(road, Memory(), {}) for road in roads]
    for batch in batches:
        for road, states, told in lanes:
            outcome = carry_on(batch, road, states)
            states.absorb(outcome.states, outcome.clocks)
            told.update((finding.id, finding) for finding in outcome.findings)
    shown = ([finding for finding in told.values() if finding.exception is None] for _, _, told in lanes)
    return [sorted(findings, key=lambda finding: (finding.time, finding.id)) for findings in shown]


def train_on(recipe: Recipe, road: Road, batches: Iterable[Taken], folder: Path, zone: tzinfo) -> Path:
    """Train a model on recorded events and save it beside its card. Raises ConfigError when there are too few windows."""
    states = Memory()
    harvest = Harvest(recipe, zone)
    for batch in batches:
        seen = enrich(batch, road, states)
        states.absorb({}, seen.clocks)
        harvest.add(seen.contexts)
        if seen.watermark is not None:
            harvest.close(seen.watermark)
    model = train(recipe, harvest.rows(), zone)
    return save(folder, model, card(model))
