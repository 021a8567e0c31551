"""Detector files: what is read, what is refused, what the lint and the inline tests say."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from tests.rules import file_of, loaded, runner

from xmsec.content.detectors import detector_of, documents, load_detector_paths, load_detectors
from xmsec.content.expect import check, inline_events
from xmsec.content.lint.every import lint
from xmsec.content.lint.issue import Known
from xmsec.detect.plain import rules_match
from xmsec.model.errors import ContentError, InputError

UUID = "3d1f1a52-7a0c-4c60-9d4f-0b4f0f0d2f11"
RULE = f"""title: Export by night
title_zh: 夜间导出
id: {UUID}
name: some-rule
status: test
references: [a standard]
logsource: {{category: test}}
detection:
  export:
    event.action: export
  condition: export
level: high
entity: user.id
window: 30m
playbooks: [call-somebody]
tests:
  - name: an export
    given: {{events: [{{user.id: u7, event.action: export, repeat: 3, every: 5m}}]}}
    findings: [{{entity: u7, severity: high, count: 3}}]
  - name: a look-up
    given: {{events: [{{user.id: u7, event.action: read}}]}}
    findings: []
"""
COUNT = """title: Many exports
title_zh: 大量导出
name: many-exports
status: test
references: [a standard]
correlation:
  type: event_count
  rules: [some-rule]
  group-by: [user.id]
  timespan: 10m
  condition: {gte: 3}
level: high
"""


def test_a_sigma_rule_is_read_with_what_is_ours() -> None:
    file = file_of(RULE)
    assert (file.id, file.rule, file.type, file.severity) == ("some-rule", UUID, "sigma", "high")
    assert (file.title, file.entity, file.window) == ("夜间导出 · Export by night", "user.id", timedelta(minutes=30))
    assert (file.playbooks, len(file.tests)) == (("call-somebody",), 2)


def test_a_rule_without_a_name_is_called_by_its_uuid_or_its_file() -> None:
    assert file_of(RULE.replace("name: some-rule\n", "")).id == UUID
    assert file_of(RULE.replace("name: some-rule\n", "").replace(f"id: {UUID}\n", "")).id == "some-rule"


def test_the_version_follows_what_the_file_says_and_not_its_tests() -> None:
    changed = RULE.replace("an export", "one export")
    assert file_of(RULE).version == file_of(changed).version != file_of(RULE.replace("high", "low")).version


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("title: x\n", "neither `type`, `detection` nor `correlation`", 1),
        (RULE.replace("window: 30m", "window: soon"), '"soon" is no duration', 14),
        (RULE.replace("level: high", "level: urgent"), "Invalid enum value 'urgent'", 12),
        (RULE.replace("count: 3", "counts: 3"), "Object contains unknown field `counts`", 19),
        ("type: contract\ntitle: {zh: 一, en: x}\n", "no id", 1),
    ],
    ids=["no kind", "no duration", "no level", "an unknown expectation", "no id"],
)
def test_a_wrong_file_is_named_with_its_line(text: str, what: str, line: int) -> None:
    with pytest.raises(ContentError) as caught:
        file_of(text)
    assert caught.value.what == what
    assert caught.value.where.endswith(f":{line}")


def test_a_file_of_several_documents_knows_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(f"# first\n---\n{RULE}---\n{COUNT}...\n", encoding="utf-8")
    rule, count = documents(path)
    assert (detector_of(rule).id, detector_of(count).type) == ("some-rule", "correlation")
    assert rule.error("x", "$.title").where.endswith(":3")
    assert count.error("x", "$.correlation.timespan").where.endswith(f":{RULE.count(chr(10)) + 13}")


def test_one_bad_file_stops_no_other_and_an_id_is_taken_once(tmp_path: Path) -> None:
    for name, text in (("a.yaml", RULE), ("b.yaml", "title: [\n"), ("c.yaml", RULE), ("d.yaml", "")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    good, problems = load_detector_paths([*sorted(tmp_path.iterdir()), tmp_path / "e.yaml"])
    assert [file.path.name for file in good] == ["a.yaml"]
    assert [Path(problem.where.partition(":")[0]).name for problem in problems] == ["b.yaml", "c.yaml", "d.yaml", "e.yaml"]


def test_recipes_of_models_are_no_detectors(tmp_path: Path) -> None:
    (tmp_path / "detectors" / "models").mkdir(parents=True)
    (tmp_path / "detectors" / "models" / "m.yaml").write_text("id: m\n", encoding="utf-8")
    (tmp_path / "detectors" / "some-rule.yaml").write_text(RULE, encoding="utf-8")
    good, problems = load_detectors([tmp_path])
    assert ([file.id for file in good], problems) == (["some-rule"], [])


def test_inline_events_are_the_road_s_own() -> None:
    text = RULE.replace(
        "{user.id: u7, event.action: read}",
        '{user: {id: u7}, url.query: "tel=⟨CN_MOBILE:{n}⟩", stream: city.web, time: +2h, repeat: 2, every: 1m, datasets: [d]}',
    )
    (first, spans), (second, _) = inline_events(file_of(text).tests[1])
    assert (first.stream, first.system, first.datasets) == ("city.web", "city", ("d",))
    assert first.fields == {"user.id": "u7", "url.query": "tel=⟨CN_MOBILE:0⟩"}
    assert second.time - first.time == timedelta(minutes=1)
    assert [(span.field, span.start, span.end, span.type, span.token) for span in spans] == [
        ("url.query", 4, 17, "CN_MOBILE", "⟨CN_MOBILE:0⟩")
    ]


@pytest.mark.parametrize("wrong", ["repeat: 0", "repeat: 99999", "every: soon, repeat: 2", "time: soon", "time: +soon"])
def test_an_inline_event_that_cannot_be_one_is_refused(wrong: str) -> None:
    with pytest.raises(InputError):
        inline_events(file_of(RULE.replace("event.action: read", f"event.action: read, {wrong}")).tests[1])


def failures(text: str) -> list[str]:
    file = file_of(text)
    made = loaded([file])
    assert not made.problems
    return [failure.what for failure in check(file, runner(made))]


def test_an_inline_test_that_holds_says_nothing() -> None:
    assert failures(RULE) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("count: 3", "count: 4", "expected entity u7, severity high, count 4; nearest finding: count is 3"),
        ("entity: u7,", "entity: u8,", "expected entity u8, severity high, count 3; nearest finding: entity is u7"),
        ("event.action: read", "event.action: export", "expected 0 findings, not 1: some-rule on u7 (1)"),
        (
            "event.action: export, repeat",
            "event.action: read, repeat",
            "expected entity u7, severity high, count 3; nothing was found",
        ),
        ("count: 3", "explanation: [{what: x}]", "nearest finding: explanation is event.action=export"),
    ],
    ids=["count", "entity", "a finding too many", "nothing", "explanation"],
)
def test_an_inline_test_that_fails_says_what_is_otherwise(old: str, new: str, said: str) -> None:
    assert said in failures(RULE.replace(old, new, 1) if old in RULE else RULE)[0]


KNOWN = Known({"city.web": frozenset({"user.id", "event.action"})}, frozenset({"call-somebody"}))


def issues(*texts: str) -> list[str]:
    return [issue.what for issue in lint([file_of(text) for text in texts], KNOWN)]


def test_the_lint_has_nothing_to_say_of_a_good_file() -> None:
    assert issues(RULE) == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("name: some-rule", "name: other-rule", 'id "other-rule" is not the file\'s name'),
        ("title_zh: 夜间导出\n", "", "title in one language only"),
        ("status: test", "status: fresh", 'status "fresh" is none'),
        ("references: [a standard]\n", "", "no reference"),
        ("    event.action: export", "    event.acton|contains: export", 'field "event.acton" is in no stream'),
        ("playbooks: [call-somebody]", "playbooks: [nobody]", 'playbook "nobody" is not there'),
        ("    findings: []\n", "    findings: [{}]\n", "no near miss"),
        ("findings: [{entity: u7, severity: high, count: 3}]", "findings: []", "no test that fires"),
        ("entity: u7, severity: high, ", "", 'test "an export" names no entity or severity'),
    ],
    ids=["name", "language", "status", "references", "field", "playbook", "near miss", "fires", "telling"],
)
def test_the_lint_names(old: str, new: str, what: str) -> None:
    assert what in issues(RULE.replace(old, new, 1))


def test_an_unknown_field_is_shown_with_its_nearest() -> None:
    found = lint([file_of(RULE.replace("    event.action: export", "    event.acton: export"))], KNOWN)
    assert found[0].remedy == 'nearest: "event.action"; correct it or declare it under streams/'
    assert found[0].where.endswith(":10")


BASE = f"title: t\nid: {UUID}\nlogsource: {{category: x}}\ndetection: {{s: {{a.b: x}}, condition: s}}\n"


def test_match_prints_events_in_order_and_names_what_does_not_load(tmp_path: Path) -> None:
    (tmp_path / "good.yml").write_text(BASE, encoding="utf-8")
    (tmp_path / "bad.yml").write_text(
        BASE.replace("condition: s", "condition: other").replace("d2f11", "d2f12"), encoding="utf-8"
    )
    lines = [json.dumps(each) for each in ({"a": {"b": "X"}}, {"a.b": "y"}, {"a": [{"b": "q"}, {"b": "x"}]}, {"a.b": "x"})]
    matching = rules_match([tmp_path], [*lines[:2], "", *lines[2:]])
    assert [(hit.event, hit.rule, hit.title) for hit in matching.hits] == [(0, UUID, "t"), (3, UUID, "t"), (4, UUID, "t")]
    assert [Path(problem.where.partition(":")[0]).name for problem in matching.problems] == ["bad.yml"]


def test_an_empty_object_has_no_field_and_a_blank_line_is_no_event(tmp_path: Path) -> None:
    (tmp_path / "null.yml").write_text(BASE.replace("a.b: x", "a.b: null"), encoding="utf-8")
    matching = rules_match([tmp_path / "null.yml"], ["{}", "", '{"a":{"b":"x"}}', '{"a":{}}'])
    assert ([hit.event for hit in matching.hits], matching.problems, matching.refused) == ([0, 3], [], [])


@pytest.mark.parametrize("line", ["nonsense", "[1]", '"x"', "[" * 5000], ids=["text", "list", "string", "deep"])
def test_a_line_that_is_no_event_is_named_by_its_number_and_the_others_match(tmp_path: Path, line: str) -> None:
    (tmp_path / "good.yml").write_text(BASE, encoding="utf-8")
    matching = rules_match([tmp_path / "good.yml"], ['{"a.b":"x"}', line, '{"a.b":"x"}'])
    assert [hit.event for hit in matching.hits] == [0, 2]
    assert [refused.where for refused in matching.refused] == ["line 1"]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("event_count", "temporal", "Invalid enum value 'temporal'"),
        ("timespan: 10m", "timespan: 31d", 'timespan "31d" is none'),
        ("{gte: 3}", "{lte: 3}", "Object contains unknown field `lte`"),
        ("{gte: 3}", "{}", "a correlation needs one of gte and gt"),
        ("{gte: 3}", "{gte: 3, field: url.path}", "value_count needs a field, and only it"),
        ("[some-rule]", "[no-rule]", 'rule "no-rule" is not loaded'),
        ("  timespan", "  aliases: {x: {some-rule: y}}\n  timespan", "aliases are not supported"),
    ],
    ids=["kind", "timespan", "operator", "threshold", "field", "rule", "aliases"],
)
def test_a_correlation_that_is_not_covered_says_so(old: str, new: str, what: str) -> None:
    made = loaded([file_of(RULE), file_of(COUNT.replace(old, new, 1), "many-exports.yaml")])
    assert [problem.what for problem in made.problems] == [what]
    assert "many-exports" not in made.detectors


@pytest.mark.parametrize(
    ("group_by", "entity"),
    [
        ("[user.id]", "u7"),
        ("[url.path, user.id]", "u7 / /a"),
        ("[url.path]", "inline.test / /a"),
        ("url.path", "inline.test / /a"),
        ("[url.path, http.version]", "inline.test / /a / 2"),
        ("[stream]", "inline.test"),
        ("[]", "inline.test"),
    ],
    ids=["an identity", "an identity behind", "no identity", "a text", "two fields", "a kind", "none"],
)
def test_a_correlation_is_grouped_by_any_field_and_told_of_an_identity(group_by: str, entity: str) -> None:
    tests = f"""tests:
  - name: three of one path, and two of another
    given:
      events:
        - {{user.id: u7, event.action: export, url.path: /a, http.version: 2, repeat: 3}}
        - {{user.id: u8, event.action: export, url.path: /b, http.version: 2, time: "+1h", repeat: 2}}
    findings: [{{entity: {entity}, count: 3}}]
"""
    files = [file_of(RULE), file_of(COUNT.replace("[user.id]", group_by) + tests, "many-exports.yaml")]
    assert check(files[1], runner(loaded(files))) == []


@pytest.mark.parametrize("generate", [False, True])
def test_a_rule_that_feeds_a_correlation_is_silent_unless_it_generates(generate: bool) -> None:
    count = COUNT.replace("  timespan", "  generate: true\n  timespan") if generate else COUNT
    made = loaded([file_of(RULE), file_of(count, "many-exports.yaml")])
    assert ("sigma" in made.detectors) is generate
    assert "many-exports" in made.detectors


def test_an_entity_that_is_no_identity_is_refused() -> None:
    made = loaded([file_of(RULE.replace("entity: user.id", "entity: url.path"))])
    assert [problem.what for problem in made.problems] == ['entity "url.path" is no identity']
