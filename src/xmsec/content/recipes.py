"""A recipe says how a trained model is made: `detectors/models/<id>.yaml`; the model itself is no content."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from xmsec.content.detectors import MODELS, Case, Title
from xmsec.content.load import Document, convert, files, load_each
from xmsec.model.errors import ContentError
from xmsec.model.types import Severity

Feature = Literal[
    "requests",
    "distinct_objects",
    "distinct_subjects",
    "distinct_addresses",
    "bytes",
    "failures",
    "off_hours_share",
]
WindowName = Literal["1h", "1d"]
Natural = Annotated[int, msgspec.Meta(ge=1)]
Hour = Annotated[int, msgspec.Meta(ge=0, le=24)]

LENGTHS: dict[WindowName, timedelta] = {"1h": timedelta(hours=1), "1d": timedelta(days=1)}


class Forest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An isolation forest (Liu, Ting and Zhou 2008) as scikit-learn trains it, from `seed`."""

    name: Literal["isolation-forest"]
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
    n_estimators: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100
    max_samples: Annotated[int, msgspec.Meta(ge=2, le=4_096)] = 256


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model is made of.

    days: the span before the newest window; minimum_rows: fewer windows give no model; own_windows: an entity with as many is
    measured against its own usual values, any other against those of all.
    """

    days: Natural
    minimum_rows: Natural = 200
    own_windows: Annotated[int, msgspec.Meta(ge=2)] = 4


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Office hours [start, end) by the deployment's clock; the rest is off, and so are whole weekends unless `weekend`."""

    start: Hour = 8
    end: Hour = 20
    weekend: bool = False


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One trained model's recipe.

    entity: an ECS field; budget_per_day: how many entities a day may be told although nothing is wrong, over all entities, from
    which the threshold follows; busy_times: a finding needs a count of more than so many times the entity's own busy value;
    least: feature → the value below which a window says too little to be judged; id: its file's name.
    """

    title: Title
    entity: Literal["user.id", "source.ip", "host.id"]
    window: WindowName
    features: Annotated[tuple[Feature, ...], msgspec.Meta(min_length=1)]
    algorithm: Forest
    training: Training
    budget_per_day: Annotated[float, msgspec.Meta(gt=0)]
    busy_times: Annotated[float, msgspec.Meta(ge=1)] = 6.0
    hours: Hours = Hours()
    least: dict[Feature, float] = {}
    severity: Severity = "medium"
    playbooks: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    status: Literal["experimental", "test", "stable"] = "experimental"
    tests: tuple[Case, ...] = ()
    id: str = ""

    @property
    def length(self) -> timedelta:
        """Length of its windows."""
        return LENGTHS[self.window]

    def judges(self, values: Sequence[float]) -> bool:
        """Whether a window, its features in the recipe's order, says enough to be judged."""
        return all(values[self.features.index(feature)] >= least for feature, least in self.least.items())

    @property
    def label(self) -> str:
        """The title of its findings, in both languages."""
        return f"{self.title.zh} · {self.title.en}"

    @property
    def digest(self) -> str:
        """Hash of what a model depends on: a model of another digest does not belong to this recipe. 16 hexadecimal digits."""
        parts = (
            self.id,
            self.entity,
            self.window,
            self.features,
            self.algorithm,
            self.training,
            self.budget_per_day,
            self.busy_times,
            self.hours,
            sorted(self.least.items()),
        )
        return blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()

    @property
    def version(self) -> str:
        """Hash of all that the recipe says but its tests: 8 hexadecimal digits."""
        return blake2b(msgspec.json.encode(msgspec.structs.replace(self, tests=())), digest_size=4).hexdigest()


def recipe_of(document: Document) -> Recipe:
    """Turn one file into a recipe. Raises ContentError with the line."""
    recipe = convert(document, Recipe)
    name = document.path.stem
    if recipe.id not in ("", name):
        raise document.error(f'id "{recipe.id}" is not the file\'s name', "$.id", f'write "{name}" or rename the file')
    if len(set(recipe.features)) < len(recipe.features):
        raise document.error("a feature stands twice", "$.features", "take one out")
    foreign = sorted(set(recipe.least) - set(recipe.features))
    if foreign:
        raise document.error(f'feature "{foreign[0]}" is not one of its features', "$.least", "add it to features")
    if recipe.hours.start >= recipe.hours.end:
        raise document.error("office hours end before they start", "$.hours", "write start before end")
    return msgspec.structs.replace(recipe, id=name)


def load_recipes(dirs: Sequence[Path]) -> tuple[dict[str, Recipe], list[ContentError]]:
    """Load `detectors/models/` of the content directories; good ones by id, and all problems."""
    good, problems = load_each(files(dirs, f"detectors/{MODELS}"), recipe_of)
    return {recipe.id: recipe for recipe in good}, problems
