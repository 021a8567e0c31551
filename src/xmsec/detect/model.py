"""A trained model as plain arrays, scored by NumPy: all trees at once, level by level, bitwise as scikit-learn scores.

Algorithm: isolation forest (Liu, Ting, Zhou 2008). A row is how far each feature lies above its usual value: the entity's own
median when it was seen often enough in training, else the median of all entities; less than usual counts as usual.

How rare a row is does not say how much it is: twice the usual may never have been seen before, and be a long Saturday. So a
finding also needs a count far beyond what the entity does when busy; a share (when it worked) weighs, but never makes one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from xmsec.content.recipes import Feature
from xmsec.detect.features import SHARES, scaled
from xmsec.detect.sketch import digest64

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
BUSY_OWN = 0.9  # an entity's busy value: no tenth of its windows, were they an incident, would move it (from ten windows on)
BUSY_ALL = 0.99  # that of everyone: whom nobody knows yet may be of a busy kind
CHUNK_ROWS = 512  # (rows, trees) in float64: 0.4 MB a level with 100 trees; measured 8.3 µs a row, 9.2 at 2,048 rows


class Trees(msgspec.Struct, frozen=True, eq=False):
    """All trees of a forest, one node a place, a child always behind its parent.

    A leaf is its own child on both sides and compares with infinity, so that every row may walk `depth` levels. depths: path
    length that a leaf stands for (0 elsewhere); missing_left: where a missing value goes; normal: trees × average path length.
    """

    roots: Ints
    feature: Ints
    split: Floats
    left: Ints
    right: Ints
    missing_left: NDArray[np.bool_]
    depths: Floats
    levels: int
    normal: float


class Usual(msgspec.Struct, frozen=True, eq=False):
    """What is usual, in the features' own units.

    The second of each pair is the busy value. everyone: (2, features), median of the entities' medians and 99th percentile of
    all rows; known: sorted digests of the entities with own values; own: (entities, 2, features), median and 90th percentile.
    """

    everyone: Floats
    known: NDArray[np.uint64]
    own: Floats


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a model says of itself.

    recipe: the digest of the recipe; quantiles: for each feature its 50th, 90th, 99th percentile and maximum over all rows;
    still: features that never rose above the usual in training, to which the forest is blind; threshold: a score below it is
    told, if a count exceeds busy_times its busy value; told_per_day: how many entities a day it would have told in training.
    """

    id: str
    recipe: str
    entity: str
    window: str
    zone: str
    features: tuple[Feature, ...]
    start: str
    end: str
    rows: int
    entities: int
    days: float
    quantiles: dict[str, tuple[float, ...]]
    still: tuple[str, ...]
    seed: int
    trees: int
    samples: int
    budget_per_day: float
    busy_times: float
    told_per_day: float
    threshold: float
    versions: dict[str, str]


class Model(msgspec.Struct, frozen=True, eq=False):
    """A trained model; `version` is the hash of its content."""

    metadata: Metadata
    trees: Trees
    usual: Usual
    version: str

    def rows(self, entities: Sequence[str], raw: Sequence[Sequence[float]]) -> Floats:
        """Return how far each feature lies above the usual of its entity: (entities, features)."""
        bases = {entity: usual_of(self.usual, entity)[0][0].tolist() for entity in set(entities)}
        features = self.metadata.features
        found = [above(row, bases[entity], features) for entity, row in zip(entities, raw, strict=True)]
        return np.array(found).reshape(len(raw), len(features))

    def unusual(self, entities: Sequence[str], raw: Sequence[Sequence[float]], rows: Floats) -> NDArray[np.bool_]:
        """Return which rows score below the threshold and hold a count far beyond their entity's busy value.

        raw: the rows' features in their own units; rows: how far they lie above the usual.
        """
        busy = {entity: usual_of(self.usual, entity)[0][1].tolist() for entity in set(entities)}
        about = self.metadata
        much = [far(row, busy[entity], about.features, about.busy_times) for entity, row in zip(entities, raw, strict=True)]
        return (scores(self.trees, rows) < about.threshold) & (rows > 0).any(axis=1) & np.array(much, np.bool_)


def usual_of(usual: Usual, entity: str) -> tuple[Floats, bool]:
    """Return the usual values (2, features) of an entity, and whether they are its own."""
    digest = np.uint64(digest64(entity))
    place = int(np.searchsorted(usual.known, digest))
    if place < len(usual.known) and usual.known[place] == digest:
        return usual.own[place], True
    return usual.everyone, False


def above(row: Sequence[float], base: Sequence[float], features: Sequence[Feature]) -> list[float]:
    """Return how far a row lies above its usual values on the scale of comparison; less than usual is usual."""
    return [max(0.0, value - low) for value, low in zip(scaled(row, features), scaled(base, features), strict=True)]


def far(row: Sequence[float], busy: Sequence[float], features: Sequence[Feature], times: float) -> bool:
    """Whether a count is more than so many times its busy value; both by 1 + x, or a single failure after none would be far."""
    return any(
        1 + value > times * (1 + high)
        for value, high, feature in zip(row, busy, features, strict=True)
        if feature not in SHARES
    )


def scores(trees: Trees, rows: Floats) -> Floats:
    """Return scikit-learn's `score_samples`, in (-1, 0], lower is less usual: (rows, features) → (rows,).

    A row's score does not depend on the rows beside it. Values are compared as float32, as scikit-learn does; NaN is missing.
    """
    found = np.empty(len(rows))
    for start in range(0, len(rows), CHUNK_ROWS):
        found[start : start + CHUNK_ROWS] = _depths(trees, rows[start : start + CHUNK_ROWS])
    # with one sample a tree there is no path and scikit-learn's score is -0.5
    ratio = found / trees.normal if trees.normal else np.ones_like(found)
    return np.asarray(-(2**-ratio))


def _depths(trees: Trees, rows: Floats) -> Floats:
    """Return the sum of path lengths over the trees, added in their order, as scikit-learn adds them."""
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite
        compared = rows.astype(np.float32).astype(np.float64)
    missing = np.isnan(compared)
    holes = bool(missing.any())
    width = compared.shape[1]
    flat, gaps = compared.ravel(), missing.ravel()
    offsets = (np.arange(len(rows)) * width)[:, None]
    nodes = np.broadcast_to(trees.roots, (len(rows), len(trees.roots)))
    for _ in range(trees.levels):
        place = offsets + trees.feature[nodes]
        goes_left = flat[place] <= trees.split[nodes]
        if holes:
            goes_left = np.where(gaps[place], trees.missing_left[nodes], goes_left)
        nodes = np.where(goes_left, trees.left[nodes], trees.right[nodes])
    depths: Floats = np.add.accumulate(trees.depths[nodes], axis=1)[:, -1]
    return depths
