"""Exceptions that the console makes: whom they reach, what a log may not widen, and what was told before they were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests import toys
from tests.contract.every_store import Sqlite, outcomes, records
from tests.rooms import Clock, answering
from tests.unit.test_console_guard import Asking

from xmsec.console.access import Grant
from xmsec.console.app import desk, house, routes
from xmsec.console.given import Records
from xmsec.content.exceptions import ExceptionFile
from xmsec.findings.hidden import covered
from xmsec.model.clock import DAY, EPOCH, from_rfc3339
from xmsec.model.errors import ConfigError
from xmsec.model.ports import Query
from xmsec.model.types import Finding, Raw, Tick
from xmsec.runtime.assemble import excepted
from xmsec.runtime.embedded import Embedded
from xmsec.runtime.exceptions import Draft, Shelf, add, watch
from xmsec.runtime.service import application
from xmsec.store.readers import Connections


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Sqlite]:
    with closing(Sqlite(tmp_path)) as made:
        made.commit(outcomes(60))
        yield made


class Early(Clock):
    """A clock of the toys' days."""

    def __init__(self) -> None:
        self.time = EPOCH + DAY


@pytest.fixture
def ask(tmp_path: Path, store: Sqlite) -> Iterator[Asking]:
    clock = Early()
    kept = desk(tmp_path, clock)
    connections = Connections(tmp_path / "store.sqlite")
    records = Records(lambda: store.reader, *answering(connections, clock), UTC, exceptions=Shelf((), tmp_path))
    try:
        yield Asking(kept, application(tuple, rooms=routes(house(records, kept, clock))), clock)
    finally:
        connections.close()
        kept.keep.close()


def one(store: Sqlite, **where: str) -> dict[str, Any]:
    return store.reader.page(Query("findings", {name: (value,) for name, value in where.items()}, limit=1)).rows[0]


def form(row: Mapping[str, Any], **said: str) -> dict[str, str]:
    whole = {"id": row["id"], "entity": row["entity"]["id"], "reason": "nightly", "owner": "ops", "expires": "1970-02-01"}
    return {**whole, "earlier": "1", **said}


def test_what_was_told_before_is_covered_and_counted_and_nothing_else(ask: Asking, store: Sqlite, tmp_path: Path) -> None:
    row = one(store)
    entity = {"detector": (row["detector"],), "entity.id": (row["entity"]["id"],), "entity.type": (row["entity"]["type"],)}
    before, all_ = store.reader.count(Query("findings", entity), ())[()], store.reader.count(Query("findings"), ())[()]
    cookie, csrf = ask.session(Grant("operator"))
    assert ask("/findings/except", form(row), cookie=cookie, x_csrf_token=csrf).status == 303
    (file,) = Shelf((), tmp_path).files()
    assert (file.owner, file.author, file.expires) == ("ops", "wang", datetime(1970, 2, 2, tzinfo=UTC))
    assert store.reader.count(Query("findings", {"exception": (file.id,)}), ())[()] == before > 0
    assert store.reader.count(Query("findings"), ())[()] == all_ - before
    assert store.reader.page(Query("findings", {"id": (row["id"],)})).rows[0]["exception"] == file.id
    assert "exception.added" in {entry.kind for entry in ask.desk.audit.entries()}


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": " "},
        {"owner": ""},
        {"expires": "1970-01-01"},
        {"expires": "1971-06-01"},
        {"expires": "9999-12-31"},
        {"expires": "0001-01-01"},
    ],
    ids=["no reason", "no owner", "past", "too long", "the last day", "the first day"],
)
def test_what_is_not_filled_in_rightly_is_not_written(
    ask: Asking, store: Sqlite, tmp_path: Path, wrong: Mapping[str, str]
) -> None:
    cookie, csrf = ask.session(Grant("operator"))
    assert ask("/findings/except", form(one(store), **wrong), cookie=cookie, x_csrf_token=csrf).status == 400
    assert Shelf((), tmp_path).files() == []


@pytest.mark.parametrize(
    "grants",
    [(Grant("viewer"),), (Grant("viewer"), Grant("operator", ("elsewhere",)))],
    ids=["viewer", "another system's operator"],
)
def test_who_may_not_in_this_system_neither_makes_nor_ends_one(
    ask: Asking, store: Sqlite, tmp_path: Path, grants: tuple[Grant, ...]
) -> None:
    cookie, csrf = ask.session(*grants)
    assert ask("/findings/except", form(one(store)), cookie=cookie, x_csrf_token=csrf).status == 403
    own, own_csrf = ask.session(Grant("operator", ("toys",)), name="li")
    assert ask("/findings/except", form(one(store)), cookie=own, x_csrf_token=own_csrf).status == 303
    (file,) = Shelf((), tmp_path).files()
    assert file.wanted("system") == ("toys",)
    ended = {"name": file.id}
    assert ask("/findings/exceptions/end", ended, cookie=cookie, x_csrf_token=csrf).status == 403
    assert Shelf((), tmp_path).files()[0].ended is None
    assert ask("/findings/exceptions/end", ended, cookie=own, x_csrf_token=own_csrf).status == 303
    assert Shelf((), tmp_path).files()[0].ended_by == "li"


def test_a_name_from_a_log_is_no_wildcard(ask: Asking, store: Sqlite) -> None:
    row = one(store)
    sql = "UPDATE findings SET body = CAST(replace(CAST(body AS TEXT), ?, '*') AS BLOB) WHERE id = ?"
    store.connection.execute(sql, (row["entity"]["id"], row["id"]))
    cookie, _ = ask.session(Grant("operator"))
    assert 'value="?"' in ask(f"/findings/except?id={row['id']}", cookie=cookie).text


def test_what_it_would_hide_is_said_by_entity(ask: Asking, store: Sqlite) -> None:
    row = one(store)
    cookie, _ = ask.session(Grant("operator"))
    query = f"id={row['id']}&earlier=1&expires=1970-02-01"
    narrow = ask(f"/findings/except/preview?{query}&entity={row['entity']['id']}", cookie=cookie).text
    wide = ask(f"/findings/except/preview?{query}&entity=*", cookie=cookie).text
    assert narrow.count("<li>") == 1 < wide.count("<li>")


def test_only_what_lies_in_its_span_is_covered(store: Sqlite) -> None:
    row = one(store)
    start = from_rfc3339(row["window"]["start"])
    file = ExceptionFile(
        id="x", reason="r", owner="o", start=start, expires=start + timedelta(minutes=1), when={"detector": row["detector"]}
    )
    ids = covered(file, store.reader)
    assert row["id"] in ids
    every = store.reader.page(Query("findings", {"detector": (row["detector"],)}, limit=1_000)).rows
    assert {one["id"] for one in every if one["window"]["start"] == row["window"]["start"]} == {*ids}


def test_a_road_takes_up_the_exceptions_that_lie_there_now(store: Sqlite, ask: Asking, tmp_path: Path) -> None:
    row = one(store)
    (body,) = store.connection.execute("SELECT body FROM findings WHERE id = ?", (row["id"],)).fetchone()
    finding = msgspec.json.decode(body, type=Finding)
    before = excepted(toys.road(), (), tmp_path, UTC)
    cookie, csrf = ask.session(Grant("operator"))
    ask("/findings/except", form(row), cookie=cookie, x_csrf_token=csrf)
    after = excepted(before, (), tmp_path, UTC)
    (file,) = Shelf((), tmp_path).files()
    assert [road.exceptions.judge([finding])[0].exception for road in (before, after)] == [None, file.id]
    assert before.revisions.content != after.revisions.content


def test_of_many_who_take_a_name_at_once_one_has_it_whole(tmp_path: Path) -> None:
    def write(author: str) -> str:
        rest = {"reason": "r" * 5_000, "owner": "o", "start": EPOCH, "expires": EPOCH + DAY, "when": {"detector": ("d",)}}
        try:
            return str(add((), tmp_path, Draft(id="x", author=author, **rest)).file.author)  # type: ignore[arg-type]
        except ConfigError:
            return ""

    with ThreadPoolExecutor(8) as threads:
        (author,) = {*threads.map(write, "abcdefgh")} - {""}
    assert [file.author for file in Shelf((), tmp_path).files()] == [author]
    assert [path.name for path in (tmp_path / "exceptions").iterdir()] == ["x.yaml"]


def test_a_service_follows_what_is_written_while_it_runs(tmp_path: Path) -> None:
    written, ticks = watch(tmp_path), count()
    draft = {"id": "x", "reason": "r", "owner": "o", "author": "li", "start": EPOCH, "expires": EPOCH + DAY}
    with closing(Sqlite(tmp_path)) as fresh:
        embedded = Embedded(toys.road(), fresh, [], lambda: float(next(ticks)))

        def batches() -> Iterator[list[Raw | Tick]]:
            for number, batch in enumerate(records(60)):
                if number == 8:
                    add((), tmp_path, Draft(when={"detector": ("toy-each",)}, **draft))
                if written():
                    embedded.follow(excepted(toys.road(), (), tmp_path, UTC))
                yield batch

        told = [finding for outcomes in embedded.drive(batches()) for one in outcomes for finding in one.findings]
    ours = [finding.exception for finding in told if finding.detector == "toy-each"]
    assert ours == sorted(ours, key=lambda one: one == "x")
    assert {"x"} < {*ours}
    assert not written()
