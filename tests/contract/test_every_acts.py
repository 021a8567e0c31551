"""People's decisions on incidents in the embedded store; tests/servers/test_elastic.py plays the same scenes elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.every_acts import ADA, BOB, EVE, NOON, SCENES, Engine, Kept, everything, incident_of, sqlite

from xmsec.model.types import Act, Finding

ALL = [*ADA, *BOB, *EVE]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scene(scene: Callable[[Kept], None], tmp_path: Path) -> None:
    with sqlite(tmp_path) as kept:
        scene(kept)
        shown = everything(kept)
    with sqlite(tmp_path) as kept:
        assert everything(kept) == shown


def names() -> dict[str, str]:
    with TemporaryDirectory() as folder, sqlite(Path(folder)) as kept:
        kept.write(*Engine().tells(*ALL))
        return {one.entity.id: incident_of(kept, one) for one in ALL}


NAMES = names()
incidents = st.sampled_from(sorted(NAMES.values()))
findings = st.sets(st.sampled_from([one.id for one in ALL]), min_size=1, max_size=3).map(lambda some: tuple(sorted(some)))


@st.composite
def acts(draw: st.DrawFn) -> list[Act]:
    """Decisions at moments of their own, such as people might make of what they see."""
    made: list[Act] = []
    known = sorted(NAMES.values())
    for number in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(("merge", "split", "move")))
        if kind == "merge":
            some: dict[str, Any] = {"incidents": (draw(st.sampled_from(known)),)}
        else:  # findings of any incident: each is spoken of
            some = {"findings": draw(findings), "incidents": tuple(sorted(known))}
        if kind == "split":
            some["into"] = f"made-{number}"
            known.append(f"made-{number}")
        at = NOON + timedelta(minutes=number)
        made.append(Act(id=f"a{number}", kind=kind, incident=draw(st.sampled_from(known[:-1] or known)), by="p", at=at, **some))
    return made


def shown(steps: list[Act | Finding]) -> Any:
    engine = Engine()
    with TemporaryDirectory() as folder, sqlite(Path(folder)) as kept:
        for step in steps:
            if isinstance(step, Act):
                kept.acts.put(step)
            else:
                kept.write(*engine.tells(step))
        return everything(kept)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(decided=acts(), again=st.lists(st.sampled_from(ALL), max_size=4), data=st.data())
def test_whether_the_engine_or_people_spoke_first_and_how_often_changes_nothing(
    decided: list[Act], again: list[Finding], data: st.DataObject
) -> None:
    """All is told before anybody decides, or told in between and again."""
    late = data.draw(st.lists(st.sampled_from(ALL), unique_by=lambda one: one.id))
    first = [one for one in ALL if one not in late or sum(one.entity == other.entity for other in ALL) == late.count(one)]
    first += [one for one in ALL if one.entity.id not in {known.entity.id for known in first}]
    rest = [one for one in ALL if one not in first]
    turns = data.draw(st.permutations([*["act"] * (2 * len(decided)), *["finding"] * len([*rest, *again])]))
    said, told = iter([act for act in decided for _ in range(2)]), iter([*rest, *again])
    steps: list[Act | Finding] = [*first, *(next(said) if turn == "act" else next(told) for turn in turns)]
    assert shown(steps) == shown([*ALL, *decided])
