"""`xmsec detectors`: lists, checks and tries content, matches plain Sigma, trains models."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.typed import Typed, typed

from xmsec.content.load import shipped
from xmsec.content.recipes import load_recipes
from xmsec.content.scenarios import load_scenarios
from xmsec.simulate.scenario import plan
from xmsec.simulate.write import write

NEEDED = [recipe.training.minimum_rows for _, recipe in sorted(load_recipes([shipped()])[0].items())]

RULE = """title: Some rule
id: 5013198e-4a4f-4e6b-9c5a-0d2f3b1c7a{number:02d}
logsource: {{category: test}}
detection:
{detection}
level: low
"""
BROKEN = "title: Broken\nlogsource: {category: test}\ndetection:\n  one:\n    a|nonsense: 1\n  condition: one\n"

# a detection, its condition, and events with whether the rule holds for them
CASES: dict[str, tuple[str, str, list[tuple[dict[str, Any], bool]]]] = {
    "text is equal in any case": (
        "one: {a: Abc}",
        "one",
        [({"a": "aBC"}, True), ({"a": "abcd"}, False), ({"b": "abc"}, False), ({"A": "abc"}, False)],
    ),
    "cased": ("one: {a|cased: Abc}", "one", [({"a": "Abc"}, True), ({"a": "abc"}, False)]),
    "a list is or": ("one: {a: [x, y]}", "one", [({"a": "y"}, True), ({"a": "z"}, False)]),
    "a map is and": ("one: {a: x, b: y}", "one", [({"a": "x", "b": "y"}, True), ({"a": "x"}, False)]),
    "a list of maps is or": ("one: [{a: x}, {b: y}]", "one", [({"b": "y"}, True), ({"a": "y", "b": "x"}, False)]),
    "contains": ("one: {a|contains: ell}", "one", [({"a": "HELLO"}, True), ({"a": "helo"}, False)]),
    "contains all": ("one: {a|contains|all: [x, y]}", "one", [({"a": "axby"}, True), ({"a": "ax"}, False)]),
    "startswith": ("one: {a|startswith: /adm}", "one", [({"a": "/Admin"}, True), ({"a": "x/adm"}, False)]),
    "endswith": ("one: {a|endswith: .sql}", "one", [({"a": "dump.SQL"}, True), ({"a": "a.sql.gz"}, False)]),
    "wildcards": ("one: {a: 'a*c?'}", "one", [({"a": "abbcd"}, True), ({"a": "ac"}, False), ({"a": "xacd"}, False)]),
    "an escaped wildcard": (r"one: {a: 'a\*c'}", "one", [({"a": "a*c"}, True), ({"a": "abc"}, False)]),
    "a regular expression is cased and looks anywhere": (
        "one: {a|re: 'b[0-9]+'}",
        "one",
        [({"a": "ab12c"}, True), ({"a": "aB12"}, False)],
    ),
    "re with i": ("one: {a|re|i: 'b[0-9]+$'}", "one", [({"a": "xB12"}, True), ({"a": "b12c"}, False)]),
    "cidr": (
        "one: {a|cidr: [10.0.0.0/8, 'fd00::/8']}",
        "one",
        [({"a": "10.2.3.4"}, True), ({"a": "FD00::1"}, True), ({"a": "11.0.0.1"}, False), ({"a": "10."}, False)],
    ),
    "gt and lte": (
        "one: {a|gt: 3, b|lte: 5}",
        "one",
        [({"a": 4, "b": 5}, True), ({"a": 3, "b": 5}, False), ({"a": "4", "b": 5.0}, True), ({"a": "x", "b": 1}, False)],
    ),
    "a number equals its text": ("one: {a: 404}", "one", [({"a": 404}, True), ({"a": "404"}, True), ({"a": 4040}, False)]),
    "null": (
        "one: {a: null}",
        "one",
        [({"a": None}, True), ({"b": 1}, True), ({"a": ""}, False), ({"a": 0}, False)],
    ),
    "the empty text": ("one: {a: ''}", "one", [({"a": ""}, True), ({"a": "x"}, False), ({"b": 1}, False)]),
    "exists": ("one: {a|exists: true}", "one", [({"a": 0}, True), ({"b": 1}, False)]),
    "does not exist": ("one: {a|exists: false}", "one", [({"b": 1}, True), ({"a": "x"}, False)]),
    "fieldref": ("one: {a|fieldref: b}", "one", [({"a": "x", "b": "x"}, True), ({"a": "x", "b": "y"}, False)]),
    "windash": (
        "one: {a|windash|contains: ' -f'}",
        "one",
        [({"a": "rm /f"}, True), ({"a": "rm -f"}, True), ({"a": "rm f"}, False)],
    ),
    "base64": ("one: {a|base64|contains: foo}", "one", [({"a": "x Zm9v y"}, True), ({"a": "foo"}, False)]),
    "base64offset": (
        "one: {a|base64offset|contains: 'foobar'}",
        "one",
        [({"a": "Zm9vYmFy"}, True), ({"a": "Zvb2Jhc"}, True), ({"a": "foobar"}, False)],
    ),
    "any value of a list": ("one: {a: x}", "one", [({"a": ["y", "X"]}, True), ({"a": ["y"]}, False), ({"a": []}, False)]),
    "a nested event": (
        "one: {a.b.c: x, d: y}",
        "one",
        [
            ({"a": {"b": {"c": "x"}}, "d": "y"}, True),
            ({"a.b": {"c": "x"}, "d": "y"}, True),
            ({"a": {"b": "x"}, "d": "y"}, False),
        ],
    ),
    "a dotted field as written": ("one: {a.b: x}", "one", [({"a.b": "x"}, True), ({"a_b": "x"}, False)]),
    "keywords": (
        "one: [needle, 'ha*stack']",
        "one",
        [({"a": "a Needle b"}, True), ({"b": ["haystack"]}, True), ({"a": "x"}, False)],
    ),
    "not": ("one: {a: x}\n  two: {b: y}", "one and not two", [({"a": "x"}, True), ({"a": "x", "b": "y"}, False)]),
    "and binds before or": (
        "one: {a: x}\n  two: {b: y}\n  three: {c: z}",
        "one or two and three",
        [({"a": "x"}, True), ({"b": "y"}, False), ({"b": "y", "c": "z"}, True)],
    ),
    "parentheses": (
        "one: {a: x}\n  two: {b: y}\n  three: {c: z}",
        "(one or two) and three",
        [({"a": "x"}, False), ({"a": "x", "c": "z"}, True)],
    ),
    "1 of": ("sel_a: {a: x}\n  sel_b: {b: y}\n  other: {c: z}", "1 of sel_*", [({"b": "y"}, True), ({"c": "z"}, False)]),
    "all of them": ("one: {a: x}\n  two: {b: y}", "all of them", [({"a": "x", "b": "y"}, True), ({"a": "x"}, False)]),
    "Chinese": ("one: {a|contains: 身份}", "one", [({"a": "查询身份证"}, True), ({"a": "查询"}, False)]),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def matched(capsys: pytest.CaptureFixture[str], home: Path, folder: Path, *rules: str, events: str) -> Typed:
    """Write rules and events, and match them."""
    (folder / "rules").mkdir()
    for number, text in enumerate(rules):
        (folder / "rules" / f"rule{number}.yml").write_text(text, "utf-8")
    (folder / "events.jsonl").write_text(events, "utf-8")
    return typed(capsys, "detectors", "match", "--rules", folder / "rules", "--events", folder / "events.jsonl", "--home", home)


def rule(detection: str, condition: str, number: int = 0) -> str:
    return RULE.format(number=number, detection=f"  {detection}\n  condition: {condition}")


@pytest.mark.parametrize("name", CASES)
def test_a_rule_holds_where_sigma_says_so(name: str, capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path) -> None:
    detection, condition, events = CASES[name]
    lines = "".join(json.dumps(event) + "\n" for event, _ in events)
    told = matched(capsys, home, tmp_path, rule(detection, condition), events=lines)
    assert (told.code, told.err) == (0, [])
    assert [row["event"] for row in told.rows] == [place for place, (_, holds) in enumerate(events) if holds]


def test_a_match_names_line_rule_and_title(capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path) -> None:
    told = matched(
        capsys,
        home,
        tmp_path,
        rule("one: {a: x}", "one", 1),
        rule("one: {b: y}", "one", 2),
        events='{"a":"x","b":"y"}\n\n{"b":"y"}\n',
    )
    assert told.out == [
        '{"event":0,"rule":"5013198e-4a4f-4e6b-9c5a-0d2f3b1c7a01","title":"Some rule"}',
        '{"event":0,"rule":"5013198e-4a4f-4e6b-9c5a-0d2f3b1c7a02","title":"Some rule"}',
        '{"event":2,"rule":"5013198e-4a4f-4e6b-9c5a-0d2f3b1c7a02","title":"Some rule"}',
    ]


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        (BROKEN, "rule1.yml"),
        ("title: [", "rule1.yml:"),
        ("", "rule1.yml:1"),
        ("title: No detection\n", "rule1.yml:"),
        (rule("one: {a: x}", "one and", 3), "rule1.yml:"),
        (rule("one: {a: x}", "two", 3), "rule1.yml:"),
        (rule("one: {a|re: '('}", "one", 3), "rule1.yml:"),
    ],
    ids=["modifier", "YAML", "empty", "no detection", "condition", "unknown name", "regular expression"],
)
def test_a_file_that_does_not_load_is_named_and_the_others_match(
    broken: str, line: str, capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    told = matched(capsys, home, tmp_path, rule("one: {a: x}", "one"), broken, events='{"a":"x"}\n')
    assert told.code == 1
    assert len(told.out) == len(told.err) == 1
    assert told.err[0].startswith("xmsec: ")
    assert line in told.err[0]


def test_rules_may_be_several_files_and_events_compressed(
    capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    paths = [tmp_path / "a.yml", tmp_path / "b.yml"]
    for number, path in enumerate(paths):
        path.write_text(rule(f"one: {{a: x{number}}}", "one", number))
    packed = tmp_path / "events.gz"
    packed.write_bytes(gzip.compress(b'\xef\xbb\xbf{"a":"x1"}\r\n{"a":"x0"}'))
    told = typed(capsys, "detectors", "match", "--rules", *paths, "--events", packed, "--home", home)
    assert [row["event"] for row in told.rows] == [0, 1]


@pytest.mark.parametrize("events", ["[1]\n", "{\n", "7\n"])
def test_an_event_that_is_no_object_is_refused_in_one_line(
    events: str, capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    told = matched(capsys, home, tmp_path, rule("one: {a: x}", "one"), events=events)
    assert told.code == 2
    assert len(told.err) == 1
    assert "line 0" in told.err[0]


def test_of_many_lines_that_are_no_events_the_first_are_named(
    capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    told = matched(capsys, home, tmp_path, rule("one: {a: x}", "one"), events="{\n" * 600 + '{"a":"x"}\n')
    assert (told.code, [row["event"] for row in told.rows]) == (2, [600])
    assert told.err[-1].startswith("xmsec: 580 more lines; ")


@pytest.mark.parametrize("missing", ["--rules", "--events"])
def test_a_path_that_is_not_there_is_wrong_usage(
    missing: str, capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    (tmp_path / "rule.yml").write_text(rule("one: {a: x}", "one"))
    paths = {"--rules": tmp_path / "rule.yml", "--events": tmp_path / "rule.yml", missing: tmp_path / "nowhere"}
    told = typed(capsys, "detectors", "match", *(part for pair in paths.items() for part in pair), "--home", home)
    assert told.code == 2
    assert len(told.err) == 1
    assert "nowhere" in told.err[0]


def test_the_list_names_every_detector_once(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    told = typed(capsys, "detectors", "list", "--format", "jsonl", "--home", home)
    ids = [row["id"] for row in told.rows]
    assert told.code == 0
    assert ids == sorted(set(ids))
    assert {"coverage", "mass-lookup", "web-sql-injection", "user-hour"} <= set(ids)
    assert all(list(row) == ["id", "kind", "severity", "title", "status", "entity", "where"] for row in told.rows)
    by_id = {row["id"]: row for row in told.rows}
    assert by_id["mass-lookup"]["entity"] == "user.name"
    assert by_id["user-hour"]["kind"] == "anomaly"


@pytest.mark.parametrize("command", ["lint", "test"])
def test_shipped_content_is_sound(command: str, capsys: pytest.CaptureFixture[str], home: Path) -> None:
    told = typed(capsys, "detectors", command, "--home", home)
    assert (told.code, told.err) == (0, [])
    assert len(told.out) == 1


OWN = """id: own-contract
title: {{zh: 自有, en: Own}}
type: contract
status: test
severity: high
entity: user.id
window: 1d
breach: [none, expired]
from_grade: general-2
references: [one]
tests:
  - name: without a grant
    given:
      ledger: tests/ledger.yaml
      events: [{{user.name: zhao, datasets: ["postgres://db:5432/a.b.c"]}}]
    findings: [{{entity: zhao, severity: {severity}, count: 1}}]
  - name: another table
    given:
      ledger: tests/ledger.yaml
      events: [{{user.name: zhao, datasets: ["postgres://db:5432/a.b.d"]}}]
    findings: []
"""
LEDGER = """as_of: 2025-12-01T00:00:00+08:00
owners: [{id: somebody}]
datasets: [{name: "postgres://db:5432/a.b.c", system: inline, owner: somebody, grade: general-4}]
"""


def own(folder: Path, severity: str = "high", ledger: str = LEDGER) -> Path:
    """Write a detector with its ledger somewhere."""
    (folder / "tests").mkdir(parents=True)
    (folder / "tests" / "ledger.yaml").write_text(ledger)
    (folder / "own-contract.yaml").write_text(OWN.format(severity=severity))
    return folder


@pytest.mark.parametrize("inside", [False, True], ids=["a path", "a content directory"])
def test_a_detector_s_tests_read_the_ledger_beside_it(
    inside: bool, capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own(tmp_path / "detectors" / "own")
    if inside:
        monkeypatch.setenv("XMSEC_CONTENT_DIRS", str(tmp_path))
    told = typed(capsys, "detectors", "test", folder, "--home", home)
    assert (told.code, told.err, told.out) == (0, [], ["2 tests, 0 failed"])


def test_a_test_that_fails_is_one_line_with_its_place(capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path) -> None:
    told = typed(capsys, "detectors", "test", own(tmp_path / "own", severity="low"), "--home", home)
    assert told.code == 1
    assert told.out[1:] == ["2 tests, 1 failed"]
    assert 'own-contract.yaml:12: "without a grant": expected entity zhao, severity low' in told.out[0]


def test_a_ledger_that_does_not_load_fails_the_test(capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path) -> None:
    told = typed(capsys, "detectors", "test", own(tmp_path / "own", ledger="as_of: yesterday\n"), "--home", home)
    assert told.code == 1
    assert told.out[-1] == "2 tests, 2 failed"


@pytest.mark.parametrize(
    ("folder", "name", "old", "new", "fails"),
    [
        ("streams/generic", "web.yaml", "source.ip: ", "source.ip: 9", '"sample 1"'),
        ("classifiers", "contact.yaml", "- '13800138000'", "- '13800138001x'", '"cn_mobile"'),
        ("detectors/web", "web-path-traversal.yaml", "findings: []", "findings: [{count: 7}]", "expected count 7"),
    ],
    ids=["stream", "classifier", "detector"],
)
def test_a_shipped_file_that_was_changed_elsewhere_is_tried_in_its_place(
    folder: str, name: str, old: str, new: str, fails: str, capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    text = (shipped() / folder / name).read_text("utf-8")
    assert old in text
    changed = tmp_path / Path(folder).name / name
    changed.parent.mkdir()
    changed.write_text(text.replace(old, new, 1), "utf-8")
    told = typed(capsys, "detectors", "test", changed, "--home", home)
    assert (told.code, told.err) == (1, [])
    assert told.out[-1].endswith(" tests, 1 failed")
    assert fails in told.out[0]


@pytest.mark.parametrize("command", ["lint", "test", "list"])
def test_a_file_that_does_not_load_fails_every_check(
    command: str, capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.yaml").write_text(BROKEN)
    told = typed(capsys, "detectors", command, tmp_path, "--home", home)
    assert told.code == 1
    assert any("broken.yaml" in line and "nonsense" in line for line in (*told.out, *told.err))


def test_the_lint_names_a_field_that_no_stream_carries(capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path) -> None:
    (tmp_path / "some-rule.yaml").write_text(rule("one: {url.pathh: x}", "one").replace("title:", "name: some-rule\ntitle:"))
    told = typed(capsys, "detectors", "lint", tmp_path, "--home", home)
    assert told.code == 1
    assert any('field "url.pathh" is in no stream' in line and "some-rule.yaml:6" in line for line in told.out)


@pytest.mark.parametrize("command", ["lint", "test", "list"])
def test_a_folder_that_is_not_there_is_wrong_usage(
    command: str, capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    told = typed(capsys, "detectors", command, tmp_path / "nowhere", "--home", home)
    assert (told.code, told.out, len(told.err)) == (2, [], 1)


COMMAND = (sys.executable, "-c", "from xmsec.cli.main import main; main()")


def scanned(home: Path, path: Path, stream: str) -> Path:
    """Make a home that recorded a file."""
    ran = subprocess.run([*COMMAND, "scan", path, "--stream", stream, "--home", home], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return home


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that recorded what staff did in two weeks."""
    scenario = load_scenarios([shipped()])[0]["onestop-service"]
    traffic = tmp_path_factory.mktemp("traffic")
    write(plan(scenario, 5, 15_000), traffic)
    use = scenario.streams["app"]
    return scanned(tmp_path_factory.mktemp("recorded"), traffic / use.file, use.stream)


def test_a_model_is_trained_on_what_was_recorded_and_again_it_is_the_same(
    capsys: pytest.CaptureFixture[str], recorded: Path
) -> None:
    first = typed(capsys, "detectors", "train", "all", "--home", recorded)
    assert (first.code, first.err) == (0, [])
    assert [row["model"] for row in first.rows] == ["user-day", "user-hour"]
    for row in first.rows:
        assert list(row) == ["model", "version", "card"]
        assert Path(row["card"]) == recorded / "models" / row["model"] / f"{row['version']}.md"
        assert Path(row["card"]).read_text("utf-8").startswith(f"# {row['model']} {row['version']}\n")
    assert typed(capsys, "detectors", "train", "user-hour", "--home", recorded).out == first.out[1:]


def test_too_few_windows_are_refused_in_one_line_a_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text('203.0.113.9 - lin [24/Nov/2026:08:00:00 +0800] "GET /a HTTP/1.1" 200 512 "-" "agent"\n')
    told = typed(capsys, "detectors", "train", "all", "--home", scanned(tmp_path / "home", log, "generic.web"))
    assert (told.code, told.out) == (1, [])
    assert [line.partition(";")[0] for line in told.err] == [
        f"xmsec: 1 windows are too few to train from, {needed} are needed" for needed in NEEDED
    ]


@pytest.mark.parametrize("home", ["recorded", "none"])
def test_an_unknown_model_or_home_is_wrong_usage(
    home: str, capsys: pytest.CaptureFixture[str], recorded: Path, tmp_path: Path
) -> None:
    told = typed(capsys, "detectors", "train", "user-year", "--home", recorded if home == "recorded" else tmp_path / "none")
    assert (told.code, told.out, len(told.err)) == (2, [], 1)
