"""Models trained once a test run, on a week of office traffic."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.office import ZONE, office

from xmsec.content.load import read
from xmsec.content.recipes import Recipe, recipe_of
from xmsec.detect.kinds.anomaly import Anomaly
from xmsec.detect.model import Model
from xmsec.detect.train import rows, train
from xmsec.model.types import Context

RECIPES = Path(__file__).parents[1] / "detectors" / "models"


def recipe(name: str) -> Recipe:
    """Return a shipped recipe."""
    return recipe_of(read(RECIPES / f"{name}.yaml"))


@cache
def week(seed: int) -> tuple[Context, ...]:
    """Return the first week of an office, in order of time."""
    return tuple(sorted(office(seed, 7), key=lambda context: (context.event.time, context.event.id)))


@cache
def learned(name: str, seed: int = 0) -> Model:
    """Return a shipped recipe's model of that week."""
    return train(recipe(name), rows(recipe(name), week(seed), ZONE), ZONE)


def anomaly(name: str, seed: int = 0) -> Anomaly:
    """Return the detector of a shipped recipe with that model."""
    return Anomaly(recipe(name), learned(name, seed), ZONE)
