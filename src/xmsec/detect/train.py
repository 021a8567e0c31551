"""Training: windows of recorded events become rows, rows become a model. The only module that imports scikit-learn, lazily.

The same rows give the same bytes, whatever their order, the threads or the hash seed. The threshold follows from the budget:
days of entities (what becomes an incident) are ranked by their worst window, and as many may be told as the budget allows for
the span; of these, those are told that hold a count far beyond the entity's busy value. An incident inside the training span
uses up one place a day and does not widen what is usual beyond that: half of an entity's windows would have to be wrong to move
its median, and a tenth to move its busy value (any, with fewer than ten windows).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from importlib.metadata import version
from math import ceil
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from xmsec.content.recipes import Feature, Recipe
from xmsec.detect.entity import KIND_BY_FIELD, keys_of
from xmsec.detect.features import Calendar, Tally, tally, values
from xmsec.detect.model import BUSY_ALL, BUSY_OWN, Floats, Metadata, Model, Trees, Usual, above, far, scores, usual_of
from xmsec.detect.modelfile import content_hash
from xmsec.detect.sketch import digest64
from xmsec.model.clock import DAY, rfc3339, window_of
from xmsec.model.errors import ConfigError
from xmsec.model.types import Context

MOST_KNOWN = 20_000  # entities with own usual values, those with most windows first: 120 bytes each in the model
FEWEST = 20  # at most one day of an entity in so many is told, whatever the budget: more is no longer unusual
CHUNK = 2_048  # contexts folded at once
QUANTILES = (0.5, 0.9, 0.99, 1.0)


class Row(msgspec.Struct, frozen=True, order=True):
    """One window of one entity; features in the recipe's order, in their own units."""

    start: datetime
    entity: str
    values: tuple[float, ...]


class Harvest:
    """Gathers rows from events in any order; `close` frees the windows that have ended, so that memory follows what is open."""

    def __init__(self, recipe: Recipe, zone: tzinfo) -> None:
        self._recipe = recipe
        self._kind = KIND_BY_FIELD[recipe.entity]
        self._calendar = Calendar(recipe.length, recipe.hours, zone)
        self._open: dict[tuple[datetime, str], Tally] = {}
        self._rows: list[Row] = []

    def add(self, contexts: Iterable[Context]) -> None:
        """Fold events; late, far-future and rejected ones are left, as detection leaves them."""
        groups: dict[tuple[datetime, str], tuple[list[Context], list[bool]]] = {}
        for context in contexts:
            if context.untimely or "rejected" in context.event.flags:
                continue
            slot = self._calendar.slot(context.event.time)
            for key in keys_of(self._kind, context):
                members, off = groups.setdefault((slot.start, key.value), ([], []))
                members.append(context)
                off.append(slot.off_hours)
        for place, (members, off) in groups.items():
            self._open[place] = tally(self._open.get(place, Tally()), members, sum(off))

    def close(self, watermark: datetime) -> None:
        """Turn windows that ended at or before the watermark into rows; their late events are not counted, as in detection."""
        for start, entity in [place for place in self._open if place[0] + self._recipe.length <= watermark]:
            seen = self._open.pop((start, entity))
            self._rows.append(Row(start, entity, values(seen, self._recipe.features)))

    def rows(self) -> list[Row]:
        """Return all rows, those of windows still open too, by start and entity."""
        features = self._recipe.features
        still = (Row(start, entity, values(seen, features)) for (start, entity), seen in self._open.items())
        return sorted((*self._rows, *still))


def rows(recipe: Recipe, contexts: Iterable[Context], zone: tzinfo) -> list[Row]:
    """Return the rows that events give: one for each entity and window, by start and entity."""
    harvest = Harvest(recipe, zone)
    chunk: list[Context] = []
    for context in contexts:
        chunk.append(context)
        if len(chunk) == CHUNK:
            harvest.add(chunk)
            chunk = []
    harvest.add(chunk)
    return harvest.rows()


def train(recipe: Recipe, gathered: Sequence[Row], zone: tzinfo) -> Model:
    """Make a model from rows. Raises ConfigError when there are too few."""
    span = _span(recipe, gathered)
    raw = np.array([row.values for row in span])
    entities = [row.entity for row in span]
    usual = _usual(entities, raw, recipe.training.own_windows)
    bases, busy = _bases(entities, raw, usual, recipe.training.own_windows)
    pairs = zip(raw.tolist(), bases.tolist(), strict=True)
    risen = np.array([above(row, base, recipe.features) for row, base in pairs])
    trees = _trees(recipe, risen)
    found = scores(trees, risen)
    end = span[-1].start + recipe.length
    days = max(1.0, (end - span[0].start) / DAY)
    threshold = _threshold(recipe, span, found, days, zone)
    told = _told(recipe, span, found < threshold, busy, zone)
    metadata = Metadata(
        id=recipe.id,
        recipe=recipe.digest,
        entity=recipe.entity,
        window=recipe.window,
        zone=str(zone),
        features=recipe.features,
        start=rfc3339(span[0].start),
        end=rfc3339(end),
        rows=len(span),
        entities=len(set(entities)),
        days=round(days, 2),
        quantiles=_quantiles(raw, recipe.features),
        still=tuple(feature for feature, highest in zip(recipe.features, risen.max(axis=0), strict=True) if highest == 0),
        seed=recipe.algorithm.seed,
        trees=recipe.algorithm.n_estimators,
        samples=min(recipe.algorithm.max_samples, len(span)),
        budget_per_day=recipe.budget_per_day,
        busy_times=recipe.busy_times,
        told_per_day=round(told / days, 3),
        threshold=threshold,
        versions={name: version(name) for name in ("xmsec", "scikit-learn", "numpy")},
    )
    return Model(metadata, trees, usual, content_hash(metadata, trees, usual))


def _span(recipe: Recipe, gathered: Sequence[Row]) -> list[Row]:
    """Return the rows of the training span in their order."""
    if gathered:
        begin = max(row.start for row in gathered) + recipe.length - timedelta(days=recipe.training.days)
        gathered = sorted(row for row in gathered if row.start >= begin)
    if len(gathered) < recipe.training.minimum_rows:
        raise ConfigError(
            f"{len(gathered)} windows are too few to train from, {recipe.training.minimum_rows} are needed",
            where=recipe.id,
            remedy="record for longer, or lower training.minimum_rows in the recipe",
        )
    return list(gathered)


def _places(entities: Sequence[str]) -> dict[str, list[int]]:
    """Return which rows belong to each entity."""
    places: dict[str, list[int]] = {}
    for place, entity in enumerate(entities):
        places.setdefault(entity, []).append(place)
    return places


def _usual(entities: Sequence[str], raw: Floats, own_windows: int) -> Usual:
    """Return what is usual for everyone, and for each entity that has windows enough."""
    places = _places(entities)
    medians = np.array([np.median(raw[of], axis=0) for of in places.values()])
    everyone = np.array([np.median(medians, axis=0), _quantile(raw, BUSY_ALL)])
    enough = sorted((-len(of), entity) for entity, of in places.items() if len(of) >= own_windows)[:MOST_KNOWN]
    known = sorted((digest64(entity), entity) for _, entity in enough)
    own = [[np.median(raw[places[entity]], axis=0), _quantile(raw[places[entity]], BUSY_OWN)] for _, entity in known]
    return Usual(
        everyone, np.array([digest for digest, _ in known], np.uint64), np.array(own).reshape(len(known), 2, raw.shape[1])
    )


def _bases(entities: Sequence[str], raw: Floats, usual: Usual, own_windows: int) -> tuple[Floats, Floats]:
    """Return what each training row is measured against, as if it were new: median and busy value of its other windows.

    With the row itself among them the forest would learn from smaller distances than it later meets, and tell too much.
    """
    bases, busy = (np.repeat(usual.everyone[at : at + 1], len(raw), axis=0) for at in (0, 1))
    for entity, of in _places(entities).items():
        if len(of) >= own_windows and usual_of(usual, entity)[1]:
            others = len(of) - 1
            bases[of] = (_without(raw[of], (others - 1) // 2) + _without(raw[of], others // 2)) / 2
            busy[of] = _without(raw[of], ceil(BUSY_OWN * others) - 1)
    return bases, busy


def _without(rows: Floats, at: int) -> Floats:
    """Return, for each row, the value at a place in the order of all others: those behind the row that is left out move up."""
    ordered = np.sort(rows, axis=0)
    return np.asarray(np.where(rows <= ordered[at], ordered[at + 1], ordered[at]))


def _quantile(rows: Floats, share: float) -> Floats:
    """Return values that really occurred, without interpolation."""
    return np.asarray(np.quantile(rows, share, axis=0, method="inverted_cdf"))


def _quantiles(raw: Floats, features: Sequence[Feature]) -> dict[str, tuple[float, ...]]:
    columns = np.array([_quantile(raw, share) for share in QUANTILES]).T.tolist()
    return {feature: tuple(column) for feature, column in zip(features, columns, strict=True)}


def _threshold(recipe: Recipe, span: Sequence[Row], found: Floats, days: float, zone: tzinfo) -> float:
    """Return the score below which days of entities may be told (ties are not).

    Below the n-th worst of the span lie n - 1 of it, but n of as many new ones in the mean. It is at least the second worst:
    scores end at what training knew, so that little could lie below the worst. Windows that say too little have no say.
    """
    allowed = recipe.budget_per_day * days
    worst: dict[tuple[str, datetime], float] = {}
    for row, score in zip(span, found.tolist(), strict=True):
        if not recipe.judges(row.values):
            continue
        day = (row.entity, window_of(row.start, DAY, zone).start)
        worst[day] = min(worst.get(day, 0.0), score)
    ranked = sorted(worst.values())
    if not ranked:
        raise ConfigError("no window says enough to be judged", where=recipe.id, remedy="record longer, or lower `least`")
    place = max(2, min(int(allowed), len(ranked) // FEWEST))
    return ranked[min(place, len(ranked)) - 1]


def _told(recipe: Recipe, span: Sequence[Row], rare: NDArray[np.bool_], busy: Floats, zone: tzinfo) -> int:
    """Return how many days of entities of the span are told: rare by their score, and far beyond what is busy."""
    return len(
        {
            (row.entity, window_of(row.start, DAY, zone).start)
            for row, low, high in zip(span, rare.tolist(), busy.tolist(), strict=True)
            if low and recipe.judges(row.values) and far(row.values, high, recipe.features, recipe.busy_times)
        }
    )


def _trees(recipe: Recipe, risen: Floats) -> Trees:
    """Train the forest and take its arrays over."""
    from sklearn.ensemble import IsolationForest  # heavy, and only training needs it

    algorithm = recipe.algorithm
    forest = IsolationForest(
        n_estimators=algorithm.n_estimators,
        max_samples=min(algorithm.max_samples, len(risen)),
        random_state=algorithm.seed,
    )
    return trees_of(forest.fit(risen.astype(np.float32)))


def trees_of(forest: Any) -> Trees:
    """Flatten a fitted scikit-learn IsolationForest, reading the private arrays that its own scoring reads."""
    from sklearn.ensemble._iforest import _average_path_length

    parts = [estimator.tree_ for estimator in forest.estimators_]
    sizes = [part.node_count for part in parts]
    roots = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int32)
    first = np.repeat(roots, sizes)
    places = np.arange(sum(sizes), dtype=np.int32)
    left = np.concatenate([part.children_left for part in parts])
    right = np.concatenate([part.children_right for part in parts])
    leaf = left < 0
    paths, averages = forest._decision_path_lengths, forest._average_path_length_per_tree
    depths = np.concatenate([path + average - 1.0 for path, average in zip(paths, averages, strict=True)])
    return Trees(
        roots=roots,
        feature=np.where(leaf, 0, np.concatenate([part.feature for part in parts])).astype(np.int32),
        split=np.where(leaf, np.inf, np.concatenate([part.threshold for part in parts])),
        left=np.where(leaf, places, left + first).astype(np.int32),
        right=np.where(leaf, places, right + first).astype(np.int32),
        missing_left=np.concatenate([part.missing_go_to_left for part in parts]).astype(np.bool_),
        depths=np.where(leaf, depths, 0.0),
        levels=max(part.max_depth for part in parts),
        normal=float(len(parts) * _average_path_length([forest._max_samples])[0]),
    )
