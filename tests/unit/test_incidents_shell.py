"""What people do with incidents from the shell, and what it says of how far one reaches and what happened."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.command import called, new_home
from tests.contract.every_acts import ADA, BOB, EVE, NOON, Engine, Sqlite, held, incident_of
from tests.contract.every_store import CODECS
from tests.property.test_incidents import finding

from xmsec.findings.scope import scope
from xmsec.model.clock import EPOCH
from xmsec.model.types import Act, Event, Position
from xmsec.respond.chain import Entry
from xmsec.respond.timeline import timeline
from xmsec.store.rows import finding_row
from xmsec.store.sqlite import SqliteStore

PHONE, CARD = "⟨CN_MOBILE:5f2a9c1e00112233⟩", "⟨CN_BANK_CARD:5f2a9c1e00112233⟩"


def event(number: int, **fields: object) -> Event:
    return Event(str(number), EPOCH, EPOCH, Position("s.x", "0", number), "s", "s.x", dict(fields))


def test_scope_adds_up_and_says_when_there_may_be_more_subjects() -> None:
    some = msgspec.structs.replace(
        finding(1, who="ada"),
        datasets=("a", "b"),
        grade="core",
        count=2,
        evidence=(event(1, message=f"{PHONE} {CARD}"), event(2, **{"user.id": "x", "tags": [PHONE, "⟨none⟩"]})),
    )
    other = msgspec.structs.replace(finding(2, who="bob"), datasets=("b", "c"), grade="general-2", count=9)
    told = scope([finding_row(some), finding_row(other)])
    assert told is not None
    assert (told.datasets, told.grades, told.subjects) == (
        ("a", "b", "c"),
        {"core": 1, "general-2": 1},
        {"CN_BANK_CARD": 1, "CN_MOBILE": 1},
    )
    assert (told.findings, told.events, told.at_least) == (2, 11, True)
    alone = scope([finding_row(some)])
    assert alone is not None
    assert not alone.at_least
    assert scope([]) is None


def test_the_timeline_holds_findings_acts_and_steps_in_the_order_of_time() -> None:
    act = Act(id="a", kind="comment", incident="i", by="wang", at=NOON, text="seen")
    entries = [Entry(1, "run", "approved", "step-1", {}, "li", "2026-10-20T13:00:00Z", "")]
    told = timeline([finding_row(ADA[0])], [act], entries)
    assert [(one.sort, one.what, one.by) for one in told] == [
        ("finding", "high", "d1"),
        ("act", "comment", "wang"),
        ("step", "approved", "li"),
    ]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = new_home(tmp_path / "home", tmp_path)
    with closing(SqliteStore(home / "store.sqlite", CODECS)) as store:
        Sqlite(store).write(*Engine().tells(*ADA, *BOB, *EVE))
    return home


def test_incidents_are_merged_split_moved_and_said_something_of_and_a_backup_keeps_it(home: Path, tmp_path: Path) -> None:
    with closing(SqliteStore(home / "store.sqlite", CODECS)) as store:
        kept = Sqlite(store)
        ada, bob, eve = (incident_of(kept, one) for one in (ADA[0], BOB[0], EVE[0]))
    by = ("--by", "wang", "--home", home)
    assert called("incidents", "merge", ada[:8], bob[:8], *by).stdout.decode().strip() == ada
    made = called("incidents", "split", ada[:8], ADA[1].id, *by).stdout.decode().strip()
    assert called("incidents", "move", eve[:8], ADA[2].id, *by).returncode == 0
    assert called("incidents", "comment", ada[:8], "问过了", *by).returncode == 0
    refused = called("incidents", "merge", ada[:8], bob[:8], *by)
    assert (refused.returncode, refused.stderr.count(b"\n")) == (2, 1)
    taken = called("backup", tmp_path / "b.tar.zst", "--with-key", "--home", home)
    assert taken.returncode == 0, taken.stderr
    again = tmp_path / "again"
    assert called("restore", tmp_path / "b.tar.zst", "--home", again).returncode == 0
    shown = json.loads(called("incidents", "show", ada, "--format", "json", "--home", again).stdout)
    assert shown["findings"][0].keys() > {"id", "datasets", "exception"}
    assert {one["id"] for one in shown["findings"]} == {ADA[0].id, *(one.id for one in BOB)}
    assert [(one["what"], one["by"]) for one in shown["timeline"] if one["sort"] == "act"] == [
        ("merge", "wang"),
        ("split", "wang"),
        ("move", "wang"),
        ("comment", "wang"),
    ]
    assert shown["scope"]["findings"] == 3
    with closing(SqliteStore(again / "store.sqlite", CODECS)) as store:
        assert set(held(Sqlite(store))) == {ada, made, eve}
    page = called("incidents", "show", ada, "--format", "table", "--home", again).stdout.decode()
    assert "问过了" in page
    assert "scope · 范围: 3 findings" in page
