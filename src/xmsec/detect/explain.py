"""Why a row is unusual: each feature against its usual value, weighed by what it does to the score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xmsec.detect.features import shown
from xmsec.detect.model import BUSY_ALL, BUSY_OWN, Floats, Model, scores, usual_of
from xmsec.model.types import Explanation

SHOWN = 5
WEIGHT_DIGITS = 4


def explain(
    model: Model, entities: Sequence[str], raw: Sequence[Sequence[float]], rows: Floats
) -> list[tuple[Explanation, ...]]:
    """Return, for each row, its features above the usual, at most five, the weightiest first.

    raw: the rows' features in their own units; rows: how far they lie above the usual. A feature's weight is how much nearer to
    the usual the score comes when that feature alone is put back to its usual value; weights of a row add up to at most 1.
    All rows and replacements are scored in one call.
    """
    if not len(rows):
        return []
    count, width = rows.shape
    variants = np.repeat(rows[:, None, :], width + 1, axis=1)
    for feature in range(width):
        variants[:, feature + 1, feature] = 0.0
    found = scores(model.trees, variants.reshape(-1, width)).reshape(count, width + 1)
    gains = np.maximum(found[:, 1:] - found[:, :1], 0.0).tolist()
    return [
        _reasons(model, entity, values, above, gain)
        for entity, values, above, gain in zip(entities, raw, rows.tolist(), gains, strict=True)
    ]


def _reasons(
    model: Model, entity: str, values: Sequence[float], above: Sequence[float], gains: Sequence[float]
) -> tuple[Explanation, ...]:
    usual, own = usual_of(model.usual, entity)
    whose, share = ("own", BUSY_OWN) if own else ("all", BUSY_ALL)
    total = sum(gains) or 1.0
    reasons: list[Explanation] = []
    order = sorted(range(len(values)), key=lambda place: (-gains[place], -above[place], place))
    for place in order:
        feature = model.metadata.features[place]
        if above[place] > 0:
            middle, high = (shown(float(number), feature) for number in usual[:, place])
            weight = round(gains[place] / total, WEIGHT_DIGITS)
            reasons.append(
                Explanation(feature, shown(values[place], feature), f"{whose} p50 {middle}, p{100 * share:.0f} {high}", weight)
            )
    return tuple(reasons[:SHOWN])
