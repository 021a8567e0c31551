"""Simulated systems as a deployment sees them: traffic on disk, its ledger in the home, models from the quiet days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from xmsec.content.load import read
from xmsec.content.scenario import Scenario
from xmsec.ledger.book import Book
from xmsec.model.errors import ConfigError, ContentError
from xmsec.runtime.assemble import keep_ledger
from xmsec.runtime.files import Rig
from xmsec.runtime.recorded import recorded, train_on
from xmsec.simulate.scenario import plan
from xmsec.simulate.write import Simulated, write
from xmsec.sources.file import BATCH_LINES, FileSource
from xmsec.store.recording import ENTRY


def simulate(
    scenario: Scenario, folder: Path, seed: int, events: int | None, progress: Callable[[int], None] | None = None
) -> Simulated:
    """Write a system's traffic, ledger and truth under `folder`."""
    return write(plan(scenario, seed, events), folder, progress)


def adopt(home: Path, ledger: Path) -> list[ContentError]:
    """Make a simulated ledger the home's own; returns what is wrong with it."""
    book, problems = Book.load(read(ledger))
    return [*problems, *keep_ledger(home, book.entries)[2]]


def sources(
    folders: Mapping[str, Path], scenarios: Sequence[Scenario], now: Callable[[], datetime], batch_lines: int = BATCH_LINES
) -> list[FileSource]:
    """Return the streams of simulated systems. folders: where the traffic of each scenario lies, by its id."""
    return [
        FileSource(use.stream, [str(folders[scenario.id] / use.file)], now, batch_lines=batch_lines)
        for scenario in scenarios
        for use in scenario.streams.values()
    ]


def learned(scenario: Scenario) -> datetime:
    """Return when the days end in which nothing happens."""
    first = datetime.combine(scenario.start, datetime.min.time(), ZoneInfo(scenario.zone))
    return first + timedelta(days=scenario.train_days)


def learn(rig: Rig, models: Path, zone: ZoneInfo) -> Iterator[tuple[str, Path | ConfigError]]:
    """Train every model of the content on what was recorded; yields each recipe's id and its model's file, or why not."""
    for recipe in rig.deployment.recipes.values():
        batches = recorded(rig.recordings, rig.store.meta().get(ENTRY))
        try:
            yield recipe.id, train_on(recipe, rig.deployment.road, batches, models, zone)
        except ConfigError as error:  # too few windows: the others are worth having
            yield recipe.id, error
