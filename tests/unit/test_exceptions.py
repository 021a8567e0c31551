"""Exceptions as content: what a file must say, what it covers, what it would hide, and how one is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.command import called, new_home, rows, table

from xmsec.content.exceptions import ExceptionFile, exception_of, load_exceptions
from xmsec.content.load import parse
from xmsec.findings.exceptions import EXPIRED, Exceptions, tried
from xmsec.findings.hidden import standing
from xmsec.model.clock import DAY, HOUR
from xmsec.model.errors import ConfigError, ContentError
from xmsec.model.types import UNIT_SEPARATOR, Entity, Finding, KeyKind, Window
from xmsec.runtime.exceptions import Draft, add, drafted, end

START = datetime(2026, 11, 2, tzinfo=UTC)
EXPIRES = START + 30 * DAY
GOOD = """id: nightly
reason: 夜间报表 · nightly report
owner: ops
from: 2026-11-02T00:00:00Z
expires: 2026-12-02T08:00:00+08:00
when: {detector: bulk, entity.id: [svc-a, svc-b-*]}
tests:
  - {name: the service, finding: {detector: bulk, entity.id: svc-b-7}, covered: true}
  - {name: a person, finding: {detector: bulk, entity.id: li.wei}, covered: false}
"""


def file(when: Mapping[str, Any], **said: Any) -> ExceptionFile:
    whole = {"id": "one", "reason": "r", "owner": "o", "start": START, "expires": EXPIRES, "when": {"detector": "d", **when}}
    return ExceptionFile(**{**whole, **said})


def finding(at: datetime = START, kind: KeyKind = "user", who: str = "u", **said: Any) -> Finding:
    whole: dict[str, Any] = {
        "id": f"{who} {at.isoformat()}",
        "time": at,
        "first_seen": at,
        "detector": "d",
        "version": "1",
        "kind": "sigma",
        "title": "t",
        "severity": "high",
        "risk": 60,
        "system": "s",
        "stream": "s.x",
        "entity": Entity(kind, who),
        "count": 1,
        "window": Window(at, at + HOUR),
        "state": "final",
    }
    return Finding(**{**whole, **said})


@pytest.mark.parametrize(
    ("change", "what", "line"),
    [
        (("id: nightly", "id: daily"), "not the file's name", 1),
        (("owner: ops\n", ""), "owner", 1),
        (("expires: 2026-12-02T08:00:00+08:00\n", ""), "expires", 1),
        (("expires: 2026-12-02T08:00:00+08:00", "expires: 2026-12-02T08:00:00"), "timezone", 5),
        (("expires: 2026-12-02", "expires: 2027-12-02"), "longer than 366 days", 5),
        (("expires: 2026-12-02", "expires: 2026-11-01"), "before it begins", 5),
        (("entity.id:", "entity:"), 'no column "entity"', 6),
        (("detector: bulk, entity.id: [", "entity.id: ["), "no detector", 6),
        (("detector: bulk, entity.id: [", "detector: 'b*', entity.id: ["), "no detector", 6),
        (("[svc-a, svc-b-*]", "[]"), "nothing named", 6),
        (("entity.id: li.wei", "user: li.wei"), 'no column "user"', 9),
        (("reason:", "why: x\nreason:"), "unknown field", 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_wrong_does_not_load_and_says_where(change: tuple[str, str], what: str, line: int) -> None:
    assert change[0] in GOOD
    with pytest.raises(ContentError, match=what) as error:
        exception_of(parse(Path("nightly.yaml"), GOOD.replace(*change)))
    assert error.value.where == f"nightly.yaml:{line}"


@pytest.mark.parametrize(
    ("when", "one", "covered"),
    [
        ({}, finding(), True),
        ({}, finding(detector="e"), False),
        ({}, finding(START - HOUR), False),
        ({}, finding(EXPIRES - HOUR), True),
        ({}, finding(EXPIRES), False),
        ({"entity.id": "svc-*"}, finding(who="svc-7"), True),
        ({"entity.id": "svc-*"}, finding(who="x-svc-7"), False),
        ({"entity.type": "address"}, finding(), False),
        ({"entity.id": "org / db.*"}, finding(kind="consumer-dataset", who=f"org{UNIT_SEPARATOR}db.t"), True),
        ({"severity": ("low", "medium")}, finding(), False),
        ({"grade": "core"}, finding(), False),
        ({"stage": "provide"}, finding(stage="provide"), True),
        ({"stream": "s.*", "system": "s"}, finding(), True),
        ({"dataset": "a"}, finding(datasets=("a",)), True),
        ({"dataset": "a"}, finding(datasets=("a", "b")), False),
        ({"dataset": "*"}, finding(), False),
        ({"dataset": "*"}, finding(datasets=tuple(f"d{number:02}" for number in range(32))), False),
    ],
)
def test_all_conditions_must_hold_and_the_windows_start_decides(when: dict[str, Any], one: Finding, covered: bool) -> None:
    told = Exceptions([file(when)]).judge([one])
    assert told[0].exception == ("one" if covered else None)


def test_what_expired_says_so_once_a_day_and_system_and_says_the_same_whoever_woke_it() -> None:
    exceptions = Exceptions([file({"entity.id": "u*"})])
    past = [finding(EXPIRES + hours * HOUR, who=f"u{hours}") for hours in (1, 5, 30)]
    told = [one for one in exceptions.judge(past) if one.detector == EXPIRED]
    assert [one.window.start - EXPIRES for one in told] == [0 * DAY, DAY]
    assert exceptions.judge(past[:1])[1:] == exceptions.judge(past[1:2])[1:] == told[:1]
    assert exceptions.judge([finding(EXPIRES, who="u1", system="other", stream="other.x")])[1].system == "other"
    assert exceptions.judge([finding(EXPIRES, who="u1", state="open")])[1:] == []
    assert exceptions.judge([finding(EXPIRES, who="x")])[1:] == []


def test_one_that_was_ended_or_is_followed_by_another_asks_for_nothing() -> None:
    ended = file({}, ended=START + DAY, ended_by="li")
    assert [one.exception for one in Exceptions([ended]).judge([finding(), finding(START + DAY), finding(EXPIRES)])] == [
        "one",
        None,
        None,
    ]
    renewed = file({}, id="two", start=EXPIRES, expires=EXPIRES + DAY)
    assert [one.exception for one in Exceptions([file({}), renewed]).judge([finding(EXPIRES)])] == ["two"]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_of_several_the_first_by_name_covers_in_any_order(order: tuple[int, ...]) -> None:
    files = [file({}, id=f"n{number}") for number in order]
    assert Exceptions(files).judge([finding()])[0].exception == "n0"


def test_its_own_tests_say_what_fails() -> None:
    placed = exception_of(parse(Path("nightly.yaml"), GOOD))
    assert tried(placed.file) == []
    wrong = exception_of(parse(Path("nightly.yaml"), GOOD.replace("entity.id: li.wei", "entity.id: svc-a")))
    assert tried(wrong.file) == ['"a person": covered']


@pytest.mark.parametrize(("days", "expected"), [(-1, "coming"), (0, "active"), (29, "active"), (30, "expired")])
def test_where_one_stands(days: int, expected: str) -> None:
    assert standing(file({}), START + days * DAY) == expected
    ended = msgspec.structs.replace(file({}), ended=START)
    assert standing(ended, START + max(days, 0) * DAY) == "ended"


def draft(**said: Any) -> Draft:
    whole = {"id": "nightly", "reason": "r", "owner": "o", "author": "wang", "start": START, "expires": EXPIRES}
    return Draft(**{**whole, "when": {"detector": ("d",), "entity.id": ("u",)}, **said})


def test_a_draft_becomes_a_file_that_passes_its_own_tests_both_ways(tmp_path: Path) -> None:
    placed = add([], tmp_path, draft())
    assert tried(placed.file) == []
    assert {trial.covered for trial in placed.file.tests} == {True, False}
    (again,), problems = load_exceptions([tmp_path])
    assert (again.file, problems) == (placed.file, [])
    assert [path.name for path in (tmp_path / "exceptions").iterdir()] == ["nightly.yaml"]
    with pytest.raises(ConfigError, match="there already"):
        add([], tmp_path, draft())


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".x"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ContentError):
        drafted(draft(id=name))


def test_ending_one_of_other_content_leaves_that_as_it_is_and_is_done_once(tmp_path: Path) -> None:
    content, home = tmp_path / "content", tmp_path / "home"
    shipped = add([], content, draft())
    before = shipped.path.read_bytes()
    ended = end([content], home, "nightly", START + DAY, "li")
    assert end([content], home, "nightly", START + 2 * DAY, "zhao") == ended
    assert (shipped.path.read_bytes(), ended.until, ended.ended_by) == (before, START + DAY, "li")
    (one,), _ = load_exceptions([content, home])
    assert one.file == ended


LINES = 'POST /login HTTP/1.1" 401 12 "-" "-"'


def access_log(folder: Path) -> Path:
    """An hour of somebody who guesses passwords, from two addresses."""
    path = folder / "access.log"
    path.write_text(
        "".join(
            f'192.0.2.{address} - - [02/Nov/2026:03:{minute:02}:00 +0000] "{LINES}\n'
            for minute in range(40)
            for address in (1, 2)
        )
    )
    return path


def test_from_the_shell_it_is_added_hides_counts_and_is_ended(tmp_path: Path) -> None:
    home, log = new_home(tmp_path / "home", tmp_path), access_log(tmp_path)
    scanned = ("scan", log, "--stream", "generic.web", "--format", "jsonl", "--home")
    first = rows(called(*scanned, home).stdout)
    ours = [row for row in first if row["entity"]["id"] == "192.0.2.1"]
    one, hid = ours[0], {row["id"] for row in ours if row["detector"] == ours[0]["detector"]}
    shell = ("--home", home, "--format", "jsonl")
    added = called(
        "exceptions", "add", "test-host", "--finding", one["id"], "--reason", "a scanner", "--owner", "ops", *shell[:2]
    )
    assert added.returncode == 0, added.stderr
    path = Path(added.stdout.decode().strip())
    (hidden,) = rows(called("exceptions", "test", path, *shell).stdout)
    assert (hidden["findings"], hidden["within"], hidden["new"]) == (len(hid), len(hid), len(hid))
    assert hidden["by"] == [{"detector": one["detector"], "type": "address", "id": "192.0.2.1", "findings": len(hid)}]
    assert called("detectors", "lint", path, *shell[:2]).returncode == 0

    other = new_home(tmp_path / "other", home)
    (other / "exceptions").mkdir()
    (other / "exceptions" / path.name).write_bytes(path.read_bytes())
    second = rows(called(*scanned, other).stdout)
    assert [row["id"] for row in second] == [row["id"] for row in first if row["id"] not in hid]
    assert table(other, f"SELECT count(*) FROM incident_findings WHERE finding = '{one['id']}'") == [(0,)]
    (told,) = rows(called("exceptions", "list", "--home", other, "--format", "jsonl").stdout)
    last = max(row["time"] for row in ours if row["id"] in hid)
    assert (told["hits"], told["last"], told["until"]) == (len(hid), last, "2027-01-31T03:00:00Z")
    ended = called("exceptions", "expire", "test-host", "--at", "2026-11-02T00:00:00Z", "--by", "li", "--home", other)
    assert ended.stdout == b"test-host 2026-11-02T00:00:00Z\n"
