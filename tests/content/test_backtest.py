"""A detector tried over recordings says what the live run said; a changed one says what changes, before it is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.command import CACHE
from tests.shipped import ROOT
from tests.traffic import home_of, scanned, simulated
from tests.typed import typed

MASS = ROOT / "detectors" / "onestop-service" / "mass-lookup.yaml"
GRANT = """grants:
- {{id: G-NEW, grantee: {grantee}, datasets: ["{dataset}"], start: 2026-01-01T00:00:00+08:00}}
"""
OWN = """title: An address that asks for certificates
id: 0d8f2f0e-58a5-4a85-8a4e-6f6b1f0f3a11
name: own-rule
logsource: {{product: onestop-service, service: gateway}}
detection:
  asked: {{url.path|startswith: {path}}}
  condition: asked
level: low
entity: source.ip
tests: []
"""


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]], Path]:
    """A home that scanned two simulated weeks, what it told, and the truth."""
    folder = tmp_path_factory.mktemp("lived")
    CACHE.mkdir(exist_ok=True)
    traffic = simulated(folder, 2_000)
    (folder / "cache").symlink_to(CACHE)
    home = home_of(folder / "home", traffic, folder)
    return home, scanned(home, traffic), folder / "onestop-service" / "truth.jsonl"


Lived = tuple[Path, list[dict[str, Any]], Path]


def told_by(lived: Lived, detector: str) -> list[dict[str, Any]]:
    return [one for one in lived[1] if one["detector"] == detector]


KNOWN = """id: known
reason: rehearsed
owner: ops
from: 2026-10-01T00:00:00Z
expires: 2027-01-01T00:00:00Z
when: {{detector: mass-lookup, entity.id: "{who}"}}
"""


def same(finding: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(
        json.dumps(finding[name]) for name in ("id", "detector", "entity", "window", "severity", "count", "explanation")
    )


@pytest.mark.parametrize("detector", ["mass-lookup", "ungranted-use", "source-silent", "coverage"])
def test_a_backtest_says_what_the_live_run_said(detector: str, lived: Lived, capsys: pytest.CaptureFixture[str]) -> None:
    live = [one for one in lived[1] if one["detector"].partition("-")[0] == "coverage" or detector != "coverage"]
    live = [one for one in live if one["detector"] == detector or detector == "coverage"]
    (told,) = typed(capsys, "detectors", "backtest", detector, "--home", lived[0], "--format", "jsonl").rows
    assert told["findings"] == len(live) > 0
    assert sum(told["by_day"].values()) == sum(told["by_severity"].values()) == len(live)
    assert told["entities"] == len({json.dumps(one["entity"]) for one in live})
    assert {same(one) for one in told["gravest"]} <= {same(one) for one in live}
    assert len(told["gravest"]) == min(len(live), 5)
    assert 13 < told["days"] <= 14
    assert told["per_day"] == round(len(live) / told["days"], 2)


def test_with_the_truth_it_says_recall_and_precision(lived: Lived, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked = ("detectors", "backtest", "mass-lookup", "--truth", lived[2], "--home", lived[0], "--format", "jsonl")
    (told,) = typed(capsys, *asked).rows
    expected = [row for row in map(json.loads, lived[2].read_text().splitlines()) if "mass-lookup" in row["expect"]]
    truth = told["truth"]
    assert (truth["expected"], truth["recall"], truth["precision"], truth["missed"]) == (len(expected), 1.0, 1.0, [])
    deaf = tmp_path / "mass-lookup.yaml"
    deaf.write_text(MASS.read_text("utf-8").replace("gte: 60", "gte: 60000"), "utf-8")
    (told,) = typed(capsys, *asked[:3], deaf, *asked[3:]).rows
    assert told["findings"] == 0
    assert (told["truth"]["recall"], told["truth"]["precision"]) == (0.0, None)
    assert [one["entity"] for one in told["truth"]["missed"]] == [row["entity"] for row in expected]


def test_a_new_rule_is_counted_by_day_and_entity_within_the_span(
    lived: Lived, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "own-rule.yaml").write_text(OWN.format(path="/api/certificates"))
    asked = ("detectors", "backtest", "own-rule", tmp_path, "--home", lived[0], "--truth", lived[2])
    (whole,) = typed(capsys, *asked).rows
    (part,) = typed(capsys, *asked, "--from", "2026-10-19", "--to", "2026-10-21").rows
    assert whole["findings"] > part["findings"] > 0
    assert part["truth"]["expected"] == 0
    assert part["truth"]["recall"] is None
    assert sum(one["findings"] for one in part["truth"]["unexplained"]) <= part["findings"]
    days = [day for day in whole["by_day"] if "2026-10-19" <= day < "2026-10-21"]
    assert set(part["by_day"]) >= set(days)
    assert whole["by_entity"][0]["findings"] == max(one["findings"] for one in whole["by_entity"])
    page = typed(capsys, *asked, "--format", "table")
    assert page.code == 0
    assert any("own-rule" in line for line in page.out)


@pytest.mark.parametrize(
    ("detector", "said"),
    [("no-such", 'no detector "no-such"'), ("user-hour", "no model for user-hour: train it")],
)
def test_what_cannot_be_tried_is_one_line(detector: str, said: str, lived: Lived, capsys: pytest.CaptureFixture[str]) -> None:
    told = typed(capsys, "detectors", "backtest", detector, "--home", lived[0])
    assert (told.code, told.out) == (2, [])
    assert len(told.err) == 1
    assert said in told.err[0]


def test_a_file_that_does_not_load_and_a_truth_that_is_none_are_named(
    lived: Lived, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    wrong = tmp_path / "own-rule.yaml"
    wrong.write_text(OWN.format(path="/x").replace("condition: asked", "condition: nothing"))
    told = typed(capsys, "detectors", "backtest", "own-rule", wrong, "--home", lived[0])
    assert told.code == 1
    assert f"{wrong}" in told.err[0]
    assert typed(capsys, "detectors", "diff", "--with", wrong, "--home", lived[0]).code == 1
    truth = tmp_path / "truth.jsonl"
    truth.write_text('{"scenario": 7}\n')
    told = typed(capsys, "detectors", "backtest", "mass-lookup", "--truth", truth, "--home", lived[0])
    assert told.code == 2
    assert f"{truth}:1" in told.err[0]


def test_a_difference_is_what_appears_disappears_and_changes(
    lived: Lived, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "own-rule.yaml").write_text(OWN.format(path="/api/certificates"))
    changed = MASS.read_text("utf-8").replace("level: high\ncontrols", "level: critical\ncontrols")
    (tmp_path / "mass-lookup.yaml").write_text(changed, "utf-8")
    used = told_by(lived, "ungranted-use")
    (what,) = used[0]["evidence"][0]["datasets"]
    granted = GRANT.format(grantee=used[0]["entity"]["id"], dataset=what)
    ledger = (lived[2].parent / "ledger.yaml").read_text("utf-8")
    (tmp_path / "granted.yaml").write_text(ledger.replace("grants:\n", granted), "utf-8")
    told = typed(capsys, "detectors", "diff", "--with", tmp_path, "--home", lived[0], "--format", "jsonl")
    assert told.code == 0
    by = {(one["change"], one["detector"]): one for one in told.rows}
    assert {change for change, detector in by if detector == "own-rule"} == {"appears"}
    assert {change for change, detector in by if detector == "mass-lookup"} == {"changes"}
    assert {change for change, detector in by if detector == "ungranted-use"} == {"disappears"}
    assert by["changes", "mass-lookup"]["was"]["severity"] == "high"
    assert by["changes", "mass-lookup"]["severity"] == "critical"
    others = {one["detector"] for one in told.rows} - {"own-rule", "mass-lookup", "ungranted-use"}
    assert others == set()


def test_an_exception_is_rehearsed_as_any_other_change(
    lived: Lived, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = told_by(lived, "mass-lookup")
    who = found[0]["entity"]["id"]
    (tmp_path / "known.yaml").write_text(KNOWN.format(who=who), "utf-8")
    told = typed(capsys, "detectors", "diff", "--with", tmp_path, "--home", lived[0], "--format", "jsonl")
    gone = {one["id"] for one in found if one["entity"]["id"] == who}
    assert {(one["change"], one["id"]) for one in told.rows} == {("disappears", one) for one in gone}


def test_the_same_file_makes_no_difference_and_what_recordings_cannot_show_is_said(
    lived: Lived, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stream = tmp_path / "onestop-service" / "gateway.yaml"
    stream.parent.mkdir()
    stream.write_text((ROOT / "streams" / "onestop-service" / "gateway.yaml").read_text("utf-8"), "utf-8")
    told = typed(capsys, "detectors", "diff", "--with", MASS, "--with", stream, "--home", lived[0])
    assert (told.code, told.out) == (0, [])
    assert any("has no say here" in line for line in told.err)
    assert told.err[-1].endswith("0 appear, 0 disappear, 0 change")
