"""The shipped road finds the same, whatever the interleaving of its sources, the batching, the ticks, the hash seed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.command import environment
from tests.shipped import POOL, ROOT, SOURCES, Final, Record, cut, partition, run

from xmsec.model.types import Finding
from xmsec.pipeline import detect

ON_MINUTES = (0, 0, 1, 3, 12, 55, 240, 1_500)
BACK_MINUTES = (0, 0, 0, 0, 1, 4, 9, 70)
IDLE_S = (None, None, None, None, 30, 900, 10_000)

few = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def items(stream: str) -> st.SearchStrategy[list[tuple[int, int, str, int | None]]]:
    """What a source brings: mostly in the order of time, some late, some after a silence."""
    one = st.tuples(
        st.sampled_from(ON_MINUTES),
        st.sampled_from(BACK_MINUTES),
        st.sampled_from(sorted(POOL[stream])),
        st.sampled_from(IDLE_S),
    )
    return st.lists(one, max_size=8)


traffic = st.tuples(
    *(items(stream).map(lambda found, source=(stream, name): partition(source, found)) for stream, name in SOURCES)
)


@st.composite
def interleaved(draw: st.DrawFn, parts: Sequence[list[Record]]) -> list[Record]:
    """Merge partitions, each in its own order, in runs of some records; all open before the first record."""
    runs = [cut(part[1:], draw(st.lists(st.integers(1, 30), max_size=8))) for part in parts]
    turns = draw(st.permutations([number for number, pieces in enumerate(runs) for _ in pieces]))
    rests = [iter(pieces) for pieces in runs]
    return [*(part[0] for part in parts), *(record for number in turns for record in next(rests[number]))]


def together(parts: Sequence[list[Record]]) -> Final:
    return run([[*(part[0] for part in parts), *(record for part in parts for record in part[1:])]])


def differences(findings: Mapping[str, Finding], expected: Mapping[str, Finding]) -> dict[str, Any]:
    """Say in which fields findings differ: a whole one fills a screen."""
    return {
        name: [
            (field, getattr(findings.get(name), field, None), getattr(expected.get(name), field, None))
            for field in ("detector", *Finding.__struct_fields__)
            if getattr(findings.get(name), field, None) != getattr(expected.get(name), field, None) or field == "detector"
        ]
        for name in sorted({*findings, *expected})
        if findings.get(name) != expected.get(name)
    }


@few
@given(data=st.data(), parts=traffic, sizes=st.lists(st.integers(1, 60)))
def test_interleaving_batches_ticks_and_late_records_change_nothing(
    data: st.DataObject, parts: Sequence[list[Record]], sizes: list[int]
) -> None:
    findings, *cases = run(cut(data.draw(interleaved(parts)), sizes))
    expected, *expected_cases = together(parts)
    assert differences(findings, expected) == {}
    assert cases == expected_cases
    assert {finding.state for finding in findings.values()} <= {"final"}


@few
@given(parts=traffic, at_once=st.integers(1, 3))
def test_windows_that_close_some_at_a_time_give_the_same(parts: Sequence[list[Record]], at_once: int) -> None:
    expected = together(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detect, "AT_ONCE", at_once)
        assert together(parts) == expected


def test_a_pause_of_all_sources_tells_nothing_that_is_not_so_in_the_end() -> None:
    quiet = [partition(source, []) for source in SOURCES[:3]]
    parts = [*quiet, partition(SOURCES[3], [(0, 0, "no look-up", 30), (5, 0, "granted", None)])]
    records = [*(part[0] for part in parts), *(record for part in parts for record in part[1:])]
    assert differences(run([[record] for record in records])[0], together(parts)[0]) == {}


def test_the_pool_makes_every_kind_of_detector_speak() -> None:
    names = {stream: [(9, 0, name, None) for name in sorted(pool)] for stream, pool in POOL.items()}
    findings, incidents, intents = together([partition(source, names[source[0]]) for source in SOURCES])
    assert {finding.kind for finding in findings.values()} >= {
        "sigma",
        "correlation",
        "contract",
        "coverage",
        "silence",
        "anomaly",
    }
    assert incidents
    assert intents


def test_another_hash_seed_finds_the_same() -> None:
    told = set()
    for seed in ("1", "2", "random"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.shipped"],
            env=environment({"PYTHONHASHSEED": seed}),
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        told.add(done.stdout)
    assert len(told) == 1
    assert b"mass-lookup" in told.pop()
