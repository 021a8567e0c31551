"""What holds for people's decisions on incidents in every store: the stores, and the scenes that both suites play."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest
from tests.contract.every_store import CODECS
from tests.property.test_incidents import finding

from xmsec.findings.incident import ByEntityAndDay, Cases
from xmsec.model.errors import ConfigError
from xmsec.model.ports import Acts, Outcome, Query, Reader
from xmsec.model.types import Act, Finding, Incident, Key, Revisions
from xmsec.runtime import cases
from xmsec.store.acts import SqliteActs
from xmsec.store.read import SqliteReader
from xmsec.store.sqlite import SqliteStore

NOON = datetime(2026, 10, 20, 12, tzinfo=UTC)


class Kept(Protocol):
    """A store as engine and people use it."""

    reader: Reader
    acts: Acts

    def write(self, findings: Sequence[Finding], incidents: Sequence[Incident]) -> None: ...


class Sqlite:
    """The embedded store."""

    def __init__(self, store: SqliteStore) -> None:
        self.reader, self.acts, self._store = SqliteReader(store.connection), SqliteActs(lambda: store.connection), store

    def write(self, findings: Sequence[Finding], incidents: Sequence[Incident]) -> None:
        outcome = Outcome(
            passed=(),
            findings=findings,
            incidents=incidents,
            intents=(),
            rejected=(),
            counts={},
            proposals={},
            clocks={},
            states={},
            watermark=None,
            revisions=Revisions("", 0),
        )
        self._store.commit([outcome])


@contextmanager
def sqlite(folder: Path) -> Iterator[Kept]:
    with closing(SqliteStore(folder / "store.sqlite", CODECS)) as store:
        yield Sqlite(store)


class Engine:
    """Findings as the road tells them, with the incidents that they make."""

    def __init__(self) -> None:
        self._grouping, self._states = ByEntityAndDay(UTC), dict[Key, Cases]()

    def tells(self, *findings: Finding) -> tuple[Sequence[Finding], Sequence[Incident]]:
        after, incidents, _ = self._grouping.step(self._states, findings)
        self._states.update({key: state for key, state in after.items() if state is not None})
        return findings, incidents


ADA = [finding(1, who="ada"), finding(2, who="ada", severity=4), finding(3, who="ada", severity=1)]
BOB = [finding(11, who="bob"), finding(12, who="bob", final=False)]
EVE = [finding(21, who="eve", severity=0)]


def said(key: str, minute: int = 0) -> cases.Said:
    return cases.Said("wang", NOON + timedelta(minutes=minute), key)


def incident_of(kept: Kept, one: Finding) -> str:
    (row,) = kept.reader.page(Query("findings", {"id": (one.id,)})).rows
    return str(row["incident"])


def everything(kept: Kept) -> Any:
    """All incidents that are shown, and where each finding is."""
    incidents = kept.reader.page(Query("incidents", order="risk", limit=100)).rows
    findings = kept.reader.page(Query("findings", limit=100)).rows
    return msgspec.to_builtins((incidents, {row["id"]: (row["incident"], row["status"]) for row in findings}))


def held(kept: Kept) -> dict[str, set[str]]:
    """Which incident shows which findings: as incidents say, and as findings do."""
    rows = kept.reader.page(Query("incidents", limit=100)).rows
    by_incident = {row["id"]: set(row["findings"]) for row in rows}
    for row in kept.reader.page(Query("findings", limit=100)).rows:
        assert row["id"] in by_incident[row["incident"]]
    return by_incident


def started(kept: Kept) -> tuple[Engine, cases.Place, str, str, str]:
    engine = Engine()
    kept.write(*engine.tells(*ADA[:2], BOB[0], *EVE))
    names = [incident_of(kept, one) for one in (ADA[0], BOB[0], EVE[0])]
    return engine, cases.Place(kept.reader, kept.acts), *names


def a_merged_incident_takes_later_findings_of_both(kept: Kept) -> None:
    engine, place, ada, bob, eve = started(kept)
    cases.triage(place, said("s"), ada, "acknowledged", "li")
    cases.merge(place, said("m", 1), ada, [bob])
    kept.write(*engine.tells(BOB[1]))
    kept.write(*engine.tells(ADA[2]))
    assert held(kept) == {ada: {one.id for one in (*ADA, *BOB)}, eve: {EVE[0].id}}
    row = cases.shown(kept.reader, ada)
    assert (row["severity"], row["risk"], row["state"], row["status"]) == ("critical", 80, "open", "acknowledged")
    assert row["detectors"] == sorted({one.detector for one in (*ADA, *BOB)})
    assert [one["id"] for one in kept.reader.page(Query("incidents", order="-severity")).rows] == [ada, eve]
    assert kept.reader.count(Query("incidents"), ("severity",)) == {("critical",): 1, ("informational",): 1}
    with pytest.raises(ConfigError, match="no incident"):
        cases.shown(kept.reader, bob)
    assert kept.acts.parts(ada) == sorted([ada, bob])


def merging_on_and_round_about_ends_at_one_incident(kept: Kept) -> None:
    _, place, ada, bob, eve = started(kept)
    cases.merge(place, said("1", 1), bob, [eve])
    cases.merge(place, said("2", 2), ada, [bob])
    assert set(held(kept)) == {ada}
    kept.acts.put(Act(id="x", kind="merge", incident=eve, by="li", at=NOON + timedelta(minutes=3), incidents=(ada,)))
    assert set(held(kept)) == {ada}


def what_was_merged_into_a_part_goes_with_it(kept: Kept) -> None:
    engine, place, ada, bob, eve = started(kept)
    cases.merge(place, said("1", 1), ada, [bob])
    kept.acts.put(Act(id="x", kind="merge", incident=eve, by="li", at=NOON + timedelta(minutes=2), incidents=(bob,)))
    kept.write(*engine.tells(ADA[2]))
    assert held(kept) == {eve: {one.id for one in (*ADA, BOB[0], *EVE)}}


def what_was_split_stays_split_when_the_entity_is_told_of_again(kept: Kept) -> None:
    engine, place, ada, bob, eve = started(kept)
    into = cases.split(place, said("x"), ada, [ADA[1].id]).into
    kept.write(*engine.tells(msgspec.structs.replace(ADA[1], risk=99), ADA[2]))
    kept.write(*Engine().tells(*ADA))
    kept.write(*engine.tells(BOB[1]))
    expected = {ada: {ADA[0].id, ADA[2].id}, into: {ADA[1].id}, bob: {one.id for one in BOB}, eve: {EVE[0].id}}
    assert held(kept) == expected
    row = cases.shown(kept.reader, into)
    assert (row["severity"], row["entity"], row["status"]) == ("critical", {"type": "user", "id": "ada"}, "new")
    kept.write(*engine.tells(msgspec.structs.replace(ADA[1], severity="low", risk=7)))
    assert (cases.shown(kept.reader, into)["severity"], cases.shown(kept.reader, into)["risk"]) == ("low", 7)
    assert cases.shown(kept.reader, ada)["severity"] == "high"
    assert row["related"] == [ada]
    cases.merge(place, said("y", 1), bob, [into])
    assert held(kept)[bob] == {ADA[1].id, *(one.id for one in BOB)}


def a_finding_that_was_moved_stays_and_an_emptied_incident_goes(kept: Kept) -> None:
    engine, place, ada, bob, _ = started(kept)
    cases.move(place, said("1", 1), [EVE[0].id], ada)
    kept.write(*engine.tells(*EVE))
    assert held(kept) == {ada: {ADA[0].id, ADA[1].id, EVE[0].id}, bob: {BOB[0].id}}
    cases.move(place, said("2", 2), [EVE[0].id], bob)
    assert held(kept)[bob] == {BOB[0].id, EVE[0].id}
    assert held(kept)[ada] == {ADA[0].id, ADA[1].id}


def a_request_that_comes_again_is_one_decision(kept: Kept) -> None:
    _, place, ada, bob, _ = started(kept)
    for _ in range(2):
        cases.comment(place, said("c"), ada, "看过了 · seen")
        cases.split(place, said("s", 1), ada, [ADA[1].id])
        cases.merge(place, said("m", 2), ada, [bob])
    assert [(act.kind, act.by, act.at) for act in kept.acts.of(ada)] == [
        ("comment", "wang", NOON),
        ("split", "wang", NOON + timedelta(minutes=1)),
        ("merge", "wang", NOON + timedelta(minutes=2)),
    ]
    assert kept.acts.put(kept.acts.of(ada)[0]) is False
    assert kept.acts.of(bob) == [kept.acts.of(ada)[2]]


def what_cannot_be_is_refused_and_leaves_nothing(kept: Kept) -> None:
    _, place, ada, bob, _ = started(kept)
    before = everything(kept)
    refused: Sequence[Callable[[], object]] = (
        lambda: cases.comment(place, said("1"), ada, " "),
        lambda: cases.comment(place, said("1"), "none", "text"),
        lambda: cases.merge(place, said("2"), ada, [ada]),
        lambda: cases.merge(place, said("3"), ada, ["none"]),
        lambda: cases.split(place, said("4"), ada, [ADA[0].id, ADA[1].id]),
        lambda: cases.split(place, said("5"), ada, [BOB[0].id]),
        lambda: cases.move(place, said("6"), ["none"], ada),
        lambda: cases.move(place, said("7"), [BOB[0].id], bob),
    )
    for one in refused:
        with pytest.raises(ConfigError):
            one()
    assert everything(kept) == before
    assert kept.acts.of(ada) == []


def a_finding_that_an_exception_covers_leaves_a_shaped_incident(kept: Kept) -> None:
    engine, place, ada, bob, eve = started(kept)
    cases.merge(place, said("m"), ada, [eve])
    kept.write(*engine.tells(msgspec.structs.replace(EVE[0], exception="known")))
    assert held(kept) == {ada: {ADA[0].id, ADA[1].id}, bob: {BOB[0].id}}


def a_status_of_findings_is_theirs_and_stands_in_the_history_of_their_incidents(kept: Kept) -> None:
    _, place, ada, bob, eve = started(kept)
    cases.triage(place, said("i"), ada, "acknowledged", "li")
    assert cases.triage_findings(place, said("f", 1), [ADA[0].id, BOB[0].id, "none"], "closed") == (ADA[0].id, BOB[0].id)
    rows = {row["id"]: (row["status"], row["assignee"]) for row in kept.reader.page(Query("findings")).rows}
    expected = {ADA[0].id: ("closed", "li"), ADA[1].id: ("acknowledged", "li"), BOB[0].id: ("closed", None)}
    assert {**rows, **expected} == rows
    assert cases.shown(kept.reader, ada)["status"] == "acknowledged"
    assert [(act.kind, act.status) for act in kept.acts.of(ada)] == [("status", "acknowledged"), ("status", "closed")]
    assert [act.findings for act in kept.acts.of(bob)] == [(ADA[0].id, BOB[0].id)]
    cases.triage(place, said("j", 2), ada, "closed", None)
    assert cases.shown(kept.reader, ada)["assignee"] == "li"
    assert kept.acts.of(eve) == []


SCENES = (
    a_merged_incident_takes_later_findings_of_both,
    merging_on_and_round_about_ends_at_one_incident,
    what_was_merged_into_a_part_goes_with_it,
    what_was_split_stays_split_when_the_entity_is_told_of_again,
    a_finding_that_was_moved_stays_and_an_emptied_incident_goes,
    a_request_that_comes_again_is_one_decision,
    what_cannot_be_is_refused_and_leaves_nothing,
    a_finding_that_an_exception_covers_leaves_a_shaped_incident,
    a_status_of_findings_is_theirs_and_stands_in_the_history_of_their_incidents,
)
