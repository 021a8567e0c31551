"""What holds for every store: all or nothing, once, and given back as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import toys
from tests.contract.every_store import SOURCES, Kept, Open, brought, every_store, outcomes, records

from xmsec.findings.exceptions import EXPIRED
from xmsec.findings.hidden import Hits, hits
from xmsec.model.clock import FAR
from xmsec.model.errors import ConfigError, InputError
from xmsec.model.ports import Outcome, Query, Table
from xmsec.model.states import Memory
from xmsec.model.types import Finding, Incident, Raw, Tick
from xmsec.pipeline.batch import process_batch

stores = pytest.mark.parametrize("store", every_store(), ids=lambda store: store.__name__)
few = settings(max_examples=25, deadline=None)
TABLES: tuple[Table, ...] = ("findings", "incidents", "dead")
MADE = outcomes(60)


def everything(kept: Kept) -> Any:
    """All that a store says, in an order of its own."""
    rows = [kept.reader.page(Query(table, limit=10_000)).rows for table in TABLES]
    states = sorted((owner, key, kept.states().get(owner, key)) for owner, key in kept.states().due(None))
    positions = [kept.positions(stream) for stream, _ in SOURCES]
    return msgspec.to_builtins((rows, states, positions, sorted(kept.counts().items())), str_keys=True)


def of(store: Open, commits: Sequence[Sequence[Outcome]]) -> Any:
    """What a new store says after these commits, opened again."""
    with TemporaryDirectory() as folder:
        with store(Path(folder)) as kept:
            for commit in commits:
                kept.commit(commit)
        with store(Path(folder)) as kept:
            return everything(kept)


@stores
@few
@given(sizes=st.lists(st.integers(1, 8)), again=st.lists(st.booleans(), min_size=40))
def test_how_outcomes_are_committed_and_how_often_changes_nothing(store: Open, sizes: list[int], again: list[bool]) -> None:
    commits: list[Sequence[Outcome]] = []
    rest = list(MADE)
    for size in [*sizes, len(MADE)]:
        taken, rest = rest[:size], rest[size:]
        if taken:
            commits += [taken] * (2 if again[len(commits) % len(again)] else 1)
    assert of(store, commits) == of(store, [MADE])


@stores
def test_what_was_committed_is_given_back(store: Open, tmp_path: Path) -> None:
    memory = Memory()
    counts: Counter[tuple[str, str, str]] = Counter()
    with store(tmp_path) as kept:
        for outcome in MADE[:-3]:
            kept.commit([outcome])
            memory.absorb(outcome.states, outcome.clocks)
            counts.update(outcome.counts)
    with store(tmp_path) as kept:
        states = kept.states()
        assert states.clocks == memory.clocks
        assert sorted(states.due(FAR)) == sorted(memory.due(FAR))
        assert all(states.get(*owned) == memory.get(*owned) for owned in memory.due(None))
        assert kept.counts() == counts


@stores
@few
@given(lives=st.lists(st.integers(0, 12), max_size=6), every=st.integers(1, 5))
def test_after_a_crash_the_road_goes_on_from_the_store_alone(store: Open, lives: list[int], every: int) -> None:
    """Each life carries so many batches, commits every few, and dies; the last one carries the rest."""
    batches = list(records(60))
    committed = 0
    with TemporaryDirectory() as folder:
        for life in [*lives, len(batches)]:
            with store(Path(folder)) as kept:
                committed += live(kept, batches[committed : committed + life], every, last=life == len(batches))
        with store(Path(folder)) as kept:
            assert everything(kept) == of(store, [MADE])


def live(kept: Kept, batches: Sequence[Sequence[Raw | Tick]], every: int, *, last: bool) -> int:
    """Carry batches along the road as the embedded runtime does; return how many were committed."""
    road, states = toys.road(), kept.states()
    waiting: list[Outcome] = []
    committed = 0
    for number, batch in enumerate(batches, 1):
        outcome = process_batch(batch, road, states)
        states.absorb(outcome.states, outcome.clocks)
        waiting.append(outcome)
        if len(waiting) == every or (last and number == len(batches)):
            kept.commit(waiting)
            waiting, committed = [], number
    return committed


@stores
@pytest.mark.parametrize(
    "query",
    [
        Query("findings", limit=3),
        Query("findings", order="severity", limit=4),
        Query("findings", {"entity.id": ("user-1", "user-2")}, order="-count", limit=1),
        Query("findings", {"severity": ("high",), "state": ("final",)}, order="window.start", limit=2),
        Query("incidents", order="-opened", limit=2),
        Query("incidents", {"status": ("new",)}, order="risk", limit=1),
        Query("dead", order="at", limit=2),
        Query("dead", {"stream": ("toys.a",)}, order="reason", limit=1),
    ],
    ids=lambda query: f"{query.table} by {query.order}",
)
def test_pages_together_are_one_long_page(store: Open, tmp_path: Path, query: Query) -> None:
    with store(tmp_path) as kept:
        kept.commit(MADE)
        whole = kept.reader.page(msgspec.structs.replace(query, limit=1000))
        assert whole.next is None
        assert whole.rows
        paged: list[dict[str, Any]] = []
        page = kept.reader.page(query)
        while page.next is not None:
            assert len(page.rows) == query.limit
            paged += page.rows
            page = kept.reader.page(query, page.next)
        assert [*paged, *page.rows] == list(whole.rows)
        assert kept.reader.count(query, ()) == {(): len(whole.rows)}


@stores
def test_a_covered_finding_is_shown_only_when_asked_for_and_has_no_incident(store: Open, tmp_path: Path) -> None:
    told = {finding.id: finding for outcome in MADE for finding in outcome.findings}
    covered = {finding.id for finding in told.values() if finding.exception == "known"}
    every = Query("findings", limit=1_000, excepted=True)
    with store(tmp_path) as kept:
        kept.commit(MADE)
        shown = kept.reader.page(Query("findings", limit=1_000)).rows
        assert {row["exception"] for row in shown} == {None}
        rows = kept.reader.page(every).rows
        assert {row["id"] for row in rows} == told.keys()
        assert {row["id"] for row in rows if row["exception"] == "known"} == covered != set()
        assert {row["incident"] for row in rows if row["exception"]} == {None}
        assert {row["id"] for row in kept.reader.page(Query("findings", {"exception": ("known",)})).rows} == covered
        some = min(covered)
        assert [row["id"] for row in kept.reader.page(Query("findings", {"id": (some,)})).rows] == [some]
        assert kept.reader.count(every, ("exception",))["known",] == len(covered)
        counted = hits(toys.EXCEPTIONS, kept.reader)
        assert counted["known"] == Hits(len(covered), max(told[one].time for one in covered), 1)
        assert counted["of-a-stream"].overdue == 0
        assert {row["entity"]["id"] for row in shown if row["detector"] == EXPIRED} >= {"known", "wide"}


@stores
def test_an_incident_whose_findings_are_all_covered_by_now_is_none_any_more(store: Open, tmp_path: Path) -> None:
    with store(tmp_path) as kept:
        kept.commit(MADE)
        (row,) = kept.reader.page(Query("incidents", limit=1)).rows
        incident = next(one for outcome in reversed(MADE) for one in outcome.incidents if one.id == row["id"])
        without = msgspec.structs.replace(MADE[-1], clocks={}, findings=(), incidents=[_without_findings(incident)])
        kept.commit([without])
        assert kept.reader.page(Query("incidents", {"id": (incident.id,)})).rows == []


def _without_findings(incident: Incident) -> Incident:
    return msgspec.structs.replace(incident, findings=())


@stores
def test_counts_by_columns_add_up(store: Open, tmp_path: Path) -> None:
    with store(tmp_path) as kept:
        kept.commit(MADE)
        by = kept.reader.count(Query("findings"), ("severity", "detector"))
        rows = kept.reader.page(Query("findings", limit=1000)).rows
        assert by == Counter((row["severity"], row["detector"]) for row in rows)


@stores
def test_what_streams_brought_adds_up(store: Open, tmp_path: Path) -> None:
    with store(tmp_path) as kept:
        kept.commit(MADE)
        flows, waiting, observed, datasets = brought(kept.reader, ["d"])
    assert (waiting, observed, datasets) == ([], {}, [])
    for stream, _ in SOURCES:
        flow = flows.pop(stream)
        assert (flow["records"], flow["counts"]) == (60, {"blank": 5, "parsed": 50, "rejected": 5})
        assert flow["refused"] == {("parse", "not-json"): 5}
        assert (flow["heard"], flow["received"]) == ("1970-01-01T01:58:00Z", "1970-01-02T00:00:00Z")
    assert flows == {}


@stores
def test_what_was_observed_is_told_by_dataset(store: Open, tmp_path: Path) -> None:
    seen = {("b", "f", "CN_MOBILE"): 2, ("a", "f", "CN_MOBILE"): 1, ("a", "g", "CN_MOBILE"): 3}
    with store(tmp_path) as kept:
        for _ in range(2):
            kept.commit([msgspec.structs.replace(MADE[0], clocks={}, proposals=seen)])
        assert kept.reader.observed(["a", "none"]) == {place: 2 * total for place, total in seen.items() if place[0] == "a"}
        assert [list(kept.reader.observed_datasets(limit)) for limit in (1, 9)] == [["a"], ["a", "b"]]


@stores
def test_rows_are_records_as_the_contract_writes_them(store: Open, tmp_path: Path) -> None:
    with store(tmp_path) as kept:
        kept.commit(MADE)
        (finding,) = kept.reader.page(Query("findings", limit=1)).rows
        (incident,) = kept.reader.page(Query("incidents", limit=1)).rows
        (dead,) = kept.reader.page(Query("dead", limit=1)).rows
    assert set(finding) == {*Finding.__struct_fields__, "incident", "status", "assignee"}
    assert finding["incident"] is not None
    assert finding["evidence"][0]["fields"]["user"]["id"] == finding["entity"]["id"]
    assert {"id", "opened", "state", "entity", "related", "findings", "levels", "due", "status", "assignee"} <= set(incident)
    assert set(dead) == {"stream", "position", "leg", "reason", "at"}


@stores
def test_an_unknown_column_or_a_foreign_cursor_is_one_clear_error(store: Open, tmp_path: Path) -> None:
    with store(tmp_path) as kept:
        with pytest.raises(ConfigError, match="no column"):
            kept.reader.page(Query("findings", order="1; DROP TABLE findings"))
        with pytest.raises(ConfigError, match="no column"):
            kept.reader.count(Query("findings", {"id) OR (1": ("1",)}), ())
        with pytest.raises(ConfigError, match="no table"):
            kept.reader.page(Query("labels"))
        for cursor in ("x", "bm9uZQ==", "eyJhIjoxfQ=="):
            with pytest.raises(InputError, match="bad-cursor"):
                kept.reader.page(Query("findings"), cursor)
