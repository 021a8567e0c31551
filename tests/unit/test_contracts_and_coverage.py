"""What contract, silence and coverage say, and which files they refuse."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from tests.contract.every_detector import BOOK
from tests.strategies import REJECTED, at, event

from xmsec.content.detectors import DetectorFile, detector_of
from xmsec.content.load import parse
from xmsec.content.streams import Stream, Title
from xmsec.detect.entity import default_keys
from xmsec.detect.fold import About
from xmsec.detect.kinds.contract import Breach, Contract, Terms, contract_of, selection_of
from xmsec.detect.kinds.coverage import NAMES, Coverage, Sorts, coverage_of
from xmsec.detect.kinds.silence import silence_of
from xmsec.model.clock import FAR
from xmsec.model.errors import ContentError
from xmsec.model.types import Context, Finding

ZONE = ZoneInfo("Asia/Shanghai")
CERTS = "postgres://certs:5432/certs.holder"
TAX = "postgres://tax:5432/tax.payer"


def used(seconds: float, account: str | None, *datasets: str, late: bool = False, **fields: Any) -> Context:
    fields = {name.replace("__", "."): value for name, value in fields.items()}
    named = fields if account is None else {"user.name": account, **fields}
    made = event(int(seconds), seconds, fields=named, datasets=datasets)
    labels = tuple(label for dataset in datasets for label in BOOK.labels(dataset))
    grants = tuple(grant for dataset in datasets for grant in BOOK.grants(account or "", dataset))
    return Context(made, labels=labels, grants=grants, late=late)


def contract(*breaches: Breach) -> Contract:
    return Contract(About("ungranted", "1", "contract", "授权 · Grant", "high"), Terms(breaches), default_keys, ZONE)


def told(detector: Any, batch: list[Context]) -> list[Finding]:
    fresh = [(key, context) for context in batch for key in detector.keys(context)]
    states, findings = detector.step({key: detector.start() for key, _ in fresh}, fresh)
    closed = detector.advance(states, FAR)[1]
    return [finding for finding in [*findings, *closed] if finding.state == "final"]


def file_of(text: str) -> DetectorFile:
    head = "id: it\ntitle: {zh: 它, en: It}\n"
    return detector_of(parse(Path("it.yaml"), head + text))


DAY = 86_400
BREACHES = [
    pytest.param(("none",), used(0, "stranger", CERTS), [f"none on {CERTS}"], id="no grant"),
    pytest.param(("none",), used(0, "lin", CERTS, TAX), [f"none on {TAX}"], id="no grant on one of two"),
    pytest.param(("expired",), used(0, "stranger", CERTS), [], id="no grant is not an expired one"),
    pytest.param(("none",), used(5 * DAY, "lin", CERTS), [], id="an expired grant is not none"),
    pytest.param(("expired",), used(1.5 * DAY - 1, "lin", CERTS), [], id="the second before the end"),
    pytest.param(
        ("expired",),
        used(1.5 * DAY, "lin", CERTS),
        ["g1, from 2026-01-01T00:00:00Z until 2026-03-03T12:00:00Z"],
        id="at the end",
    ),
    pytest.param(("expired",), used(0, "wang", TAX), ["g2, from 2026-03-03T00:00:00Z"], id="before the start"),
    pytest.param(("fields",), used(0, "lin", CERTS, xmsec__fields=["status", "x"]), ["x"], id="a field too many"),
    pytest.param(("fields",), used(0, "lin", CERTS, xmsec__fields="status , holder_name"), [], id="granted fields, as text"),
    pytest.param(("fields",), used(0, "lin", CERTS), [], id="an event that does not say which fields"),
    pytest.param(("fields",), used(5 * DAY, "lin", CERTS, xmsec__fields="x"), [], id="no valid grant to compare with"),
    pytest.param(("fields",), used(2 * DAY, "wang", CERTS, xmsec__fields="x"), [], id="a grant of all fields"),
    pytest.param(("none", "expired"), used(0, None, CERTS), [], id="no account"),
    pytest.param(("none", "expired"), used(0, "stranger", "postgres://x/y"), [], id="a dataset that the ledger does not know"),
]


@pytest.mark.parametrize(("breaches", "context", "values"), BREACHES)
def test_a_breach_is(breaches: tuple[Breach, ...], context: Context, values: list[str]) -> None:
    findings = told(contract(*breaches), [context])
    assert [reason.value for finding in findings for reason in finding.explanation] == values


def test_breaches_of_a_local_day_are_one_finding_of_the_account() -> None:
    findings = told(contract("none"), [used(second, "stranger", CERTS) for second in (0, 3600, 15 * 3600, 16 * 3600 + 1)])
    assert [(finding.entity.id, finding.count, finding.window.start) for finding in findings] == [
        ("stranger", 3, at(-8 * 3600)),
        ("stranger", 1, at(16 * 3600)),
    ]


def test_a_late_breach_is_a_finding_of_its_own() -> None:
    (finding,) = told(contract("none"), [used(0, "stranger", CERTS, late=True)])
    assert (finding.count, finding.window.end - finding.window.start) == (1, timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        pytest.param("breach: purpose", 4, 'breach "purpose" is not covered yet', id="a term that is not compared yet"),
        pytest.param("breach: []", 4, "is not covered yet", id="no term"),
        pytest.param("breach: none\nfrom_grade: secret", 5, "Invalid enum value", id="a grade that is none"),
        pytest.param("breach: none\nentity: colour", 5, "is no identity", id="an entity that is none"),
        pytest.param("severity: high", 1, "missing required field `breach`", id="nothing to compare"),
    ],
)
def test_a_contract_is_refused_with_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(ContentError, match=what) as caught:
        contract_of(file_of(f"type: contract\n{text}"), ZONE)
    assert caught.value.where == f"it.yaml:{line}"


def test_a_selection_and_a_filter_are_one_rule_of_the_matcher() -> None:
    rule = selection_of(
        file_of("type: contract\nbreach: none\nselection: {event.action: export}\nfilter: {user.roles: citizen}")
    )
    assert rule is not None
    assert (rule.id, rule.body["detection"]["condition"]) == ("contract:it", "selection and not filter")
    assert selection_of(file_of("type: contract\nbreach: none")) is None


def test_a_contract_with_a_selection_leaves_what_it_does_not_select() -> None:
    detector = contract_of(file_of("type: contract\nbreach: none\nselection: {event.action: export}"), ZONE)
    context = used(0, "stranger", CERTS)
    assert told(detector, [context]) == []
    assert len(told(detector, [msgspec.structs.replace(context, matches=("contract:it",))])) == 1


def stream(name: str, silence_s: int | None) -> Stream:
    return Stream(id=name, title=Title("流", "Stream"), format="json", silence_s=silence_s, samples=())


@pytest.mark.parametrize(
    ("text", "watched"),
    [
        pytest.param("", {"a.one": 60, "a.two": 120}, id="all that declare a limit"),
        pytest.param("streams: [a.two, a.free]", {"a.two": 120}, id="those that are named"),
        pytest.param("except: [a.two]", {"a.one": 60}, id="without those that are named"),
        pytest.param("silence: 1h\nstreams: [a.one, a.free]", {"a.one": 3600, "a.free": 3600}, id="with its own limit"),
    ],
)
def test_silence_watches(text: str, watched: dict[str, int]) -> None:
    streams = {it.id: it for it in (stream("a.one", 60), stream("a.two", 120), stream("a.free", None))}
    detector = silence_of(file_of(f"type: silence\n{text}"), streams, ZONE)
    assert {key.value for key in detector.initial()} == set(watched)
    for name, silence_s in watched.items():
        context = Context(event(1, 0, name))
        state = detector.step(
            {key: detector.start() for key in detector.keys(context)}, [(detector.keys(context)[0], context)]
        )[0]
        assert detector.due(state[detector.keys(context)[0]]) == at(silence_s)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param("active: always", "no hours", id="hours that are none"),
        pytest.param("active: 08:00-20:00\nweekdays: [monday]", "no hours", id="a weekday that is none"),
        pytest.param("silence: long", "no duration", id="a duration that is none"),
    ],
)
def test_a_silence_is_refused_with_its_line(text: str, what: str) -> None:
    with pytest.raises(ContentError, match=what) as caught:
        silence_of(file_of(f"type: silence\n{text}"), {}, ZONE)
    assert caught.value.where == "it.yaml:4"


def rejected(number: int, reason: str = "no-match") -> Context:
    return Context(event(number, number, fields=REJECTED | {"error.type": reason}, flags=("rejected",)))


def coverage(asked: frozenset[str] = frozenset()) -> Coverage:
    kinds = [About(f"coverage-{name}", "1", "coverage", name, "low") for name in ("rejected", "untokenised", "missing-field")]
    return Coverage(About("coverage", "1", "coverage", "覆盖 · Coverage", "low"), Sorts(*kinds), {"city.web": asked}, ZONE)


@pytest.mark.parametrize(
    ("bad", "good", "severity"),
    [(1, 101, "informational"), (1, 99, "low"), (1, 20, "low"), (1, 19, "medium"), (9, 1, "medium"), (2, 0, "high")],
)
def test_the_severity_of_rejected_records_follows_their_share(bad: int, good: int, severity: str) -> None:
    batch = [rejected(number) for number in range(bad)] + [Context(event(number, number)) for number in range(bad, bad + good)]
    (finding,) = told(coverage(), batch)
    assert (finding.detector, finding.count, finding.severity) == ("coverage-rejected", bad, severity)


def test_reasons_are_counted_the_most_frequent_first() -> None:
    (finding,) = told(coverage(), [rejected(1), rejected(2, "not-json"), rejected(3, "not-json")])
    assert [(reason.what, reason.value) for reason in finding.explanation[1:]] == [
        ("records rejected: parse:not-json", "2"),
        ("records rejected: parse:no-match", "1"),
    ]


def test_very_many_reasons_are_bounded_and_the_total_is_exact() -> None:
    (finding,) = told(coverage(), [rejected(number, f"r{number:03}") for number in range(100)])
    assert (finding.count, len(finding.explanation)) == (100, 1 + NAMES)


def test_a_field_that_is_asked_for_and_never_carried_is_told_when_the_day_closes() -> None:
    batch = [Context(event(1, 0, fields={"user.id": "u"})), Context(event(2, 1)), rejected(3)]
    findings = told(coverage(frozenset(("user.id", "url.query", "error.type"))), batch)
    missing = [finding for finding in findings if finding.detector == "coverage-missing-field"]
    assert [(finding.count, finding.window.start) for finding in missing] == [(2, at(-8 * 3600))]
    assert [reason.what for reason in missing[0].explanation] == ["error.type", "url.query"]


def test_a_coverage_file_tells_only_the_sorts_that_it_names() -> None:
    detector = coverage_of(
        file_of("type: coverage\nrejected: {title: {zh: 拒, en: Rejected}}"), {"city.web": frozenset("x")}, ZONE
    )
    batch = [rejected(1), Context(event(2, 2, flags=("untokenised:a",)))]
    assert [finding.detector for finding in told(detector, batch)] == ["it-rejected"]
    assert [finding.title for finding in told(detector, batch)] == ["拒 · Rejected"]
