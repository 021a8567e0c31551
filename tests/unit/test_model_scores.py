"""A model's arrays give the scores of the installed scikit-learn, bit for bit, whichever rows are together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest
from tests.learned import learned

from xmsec.detect.model import CHUNK_ROWS, scores
from xmsec.detect.train import trees_of


def table(seed: int, rows: int, width: int, holes: float = 0.0) -> Any:
    chance = np.random.default_rng(seed)
    made = chance.lognormal(0, 3, (rows, width)) * chance.choice([0, 1, -1], (rows, width))
    made[chance.random((rows, width)) < holes] = np.nan
    return made


def fitted(seed: int, *, holes: float = 0.0, rows: int = 600, width: int = 7, **settings: Any) -> IsolationForest:
    return IsolationForest(random_state=seed, **settings).fit(table(seed, rows, width, holes).astype(np.float32))


def constant(seed: int) -> IsolationForest:
    return IsolationForest(n_estimators=5, random_state=seed).fit(np.zeros((50, 3), np.float32))


FORESTS: dict[str, Callable[[], IsolationForest]] = {
    "usual": lambda: fitted(1),
    "small": lambda: fitted(2, n_estimators=17, max_samples=64),
    "one feature": lambda: fitted(3, width=1),
    "trained with NaN": lambda: fitted(4, holes=0.2),
    "one tree of two": lambda: fitted(5, n_estimators=1, max_samples=2),
    "large": lambda: fitted(6, n_estimators=200, max_samples=512, width=12),
    "one row": lambda: fitted(7, rows=1, n_estimators=3),
    "constant": lambda: constant(8),
}


@pytest.mark.parametrize("make", FORESTS.values(), ids=FORESTS.keys())
def test_scores_are_bitwise_those_of_scikit_learn(make: Callable[[], IsolationForest]) -> None:
    forest = make()
    trees = trees_of(forest)
    rows = table(99, 5_000, forest.n_features_in_, holes=0.1)
    rows[::7] = np.nan_to_num(rows[::7])
    assert np.array_equal(scores(trees, rows), forest.score_samples(rows))
    assert np.array_equal(scores(trees, rows) - forest.offset_, forest.decision_function(rows))


@pytest.mark.parametrize("count", [1, 2, 3, 100, 1_000])
def test_scores_are_bitwise_those_of_scikit_learn_for_a_call_of(count: int) -> None:
    forest = fitted(11)
    rows = table(count, count, 7)
    assert np.array_equal(scores(trees_of(forest), rows), forest.score_samples(rows))


def test_values_on_a_split_go_where_scikit_learn_sends_them() -> None:
    forest = fitted(12)
    trees = trees_of(forest)
    splits = trees.split[np.isfinite(trees.split)][:4_000]
    rows = np.repeat(splits[:, None], 7, axis=1)
    near = np.concatenate([rows, np.nextafter(rows, np.inf), np.nextafter(rows, -np.inf)])
    assert np.array_equal(scores(trees, near), forest.score_samples(near))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 400), st.integers(1, 60), st.integers(0, 1_000))
def test_a_score_does_not_depend_on_the_rows_beside_it(count: int, size: int, seed: int) -> None:
    trees = learned("user-hour").trees
    rows = table(seed, count, 7, holes=0.05)
    parts = [scores(trees, rows[start : start + size]) for start in range(0, count, size)]
    assert np.array_equal(np.concatenate(parts), scores(trees, rows))


def test_long_tables_are_scored_in_chunks_with_the_same_result() -> None:
    trees = learned("user-hour").trees
    rows = table(1, CHUNK_ROWS + 5, 7)
    assert np.array_equal(scores(trees, rows)[-5:], scores(trees, rows[-5:]))


def test_no_row_gives_no_score() -> None:
    assert scores(learned("user-hour").trees, np.empty((0, 7))).shape == (0,)
