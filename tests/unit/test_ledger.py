"""The ledger: what it answers, what it refuses, and how one revision becomes the next."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsec.content.load import parse
from xmsec.ledger import book as described
from xmsec.ledger.book import Book
from xmsec.ledger.change import diff, merge
from xmsec.ledger.grant import valid
from xmsec.ledger.read import write
from xmsec.ledger.review import accept, confidence, propose

CERTS = "postgres://certs.xm:5432/certs.public.certificate"
AS_OF = datetime(2026, 11, 1, tzinfo=UTC)


def load(text: str) -> tuple[Book, list[str]]:
    book, problems = Book.load(parse(Path("ledger.yaml"), text))
    return book, [str(problem) for problem in problems]


def example() -> str:
    match = re.search(r"```yaml\n(.*?)```", described.__doc__ or "", re.DOTALL)
    assert match
    return match[1]


def small(**sections: str) -> str:
    parts = {
        "as_of": "2026-11-01T00:00:00+08:00",
        "owners": "[{id: office}]",
        "datasets": f'[{{name: "{CERTS}", system: onestop, owner: office, grade: general-3}}]',
        "people": "[{id: p-lin, accounts: [lin, lin@xm], department: hall, role: clerk}]",
    } | sections
    return "\n".join(f"{name}: {body}" for name, body in parts.items())


def granted(grantee: str, dataset: str = CERTS, more: str = "") -> str:
    return f'[{{id: g1, grantee: "{grantee}", datasets: ["{dataset}"], start: 2026-01-01T00:00:00Z{more}}}]'


def test_the_documented_example_loads_without_a_problem() -> None:
    book, problems = load(example())
    assert problems == []
    assert (book.revision, [label.field for label in book.labels(CERTS)]) == (1, ["*", "holder_id"])
    assert [grant.id for grant in book.grants("lin.mei", CERTS)] == ["G-2026-014"]


def test_what_is_written_is_read_back_as_it_was() -> None:
    book, _ = load(example())
    again, problems = load(write(book.entries))
    assert (again.entries, problems) == (book.entries, [])
    assert write(again.entries) == write(book.entries)


@pytest.mark.parametrize(
    ("grantee", "account", "found"),
    [
        pytest.param("lin", "lin", True, id="the account itself"),
        pytest.param("lin", "lin@xm", False, id="another account of that person"),
        pytest.param("p-lin", "lin@xm", True, id="the person"),
        pytest.param("department:hall", "lin", True, id="the department"),
        pytest.param("role:clerk", "lin", True, id="the role"),
        pytest.param("department:hall", "hall", False, id="an account called like a department"),
        pytest.param("department:hall", "stranger", False, id="a stranger"),
        pytest.param("stranger", "stranger", True, id="an account that nobody is known to hold"),
    ],
)
def test_a_grant_reaches(grantee: str, account: str, found: bool) -> None:
    book, problems = load(small(grants=granted(grantee)))
    assert problems == []
    assert bool(book.grants(account, CERTS)) is found
    assert book.grants(account, CERTS) == book.grants(account, CERTS)


@pytest.mark.parametrize(
    ("pattern", "dataset", "found"),
    [
        pytest.param(CERTS, CERTS, True, id="by name"),
        pytest.param("postgres://certs.xm:5432/*", CERTS, True, id="by a beginning"),
        pytest.param("postgres://certs.xm:5432/*", "postgres://tax.xm:5432/t", False, id="not another server"),
        pytest.param(CERTS, CERTS + "_archive", False, id="not a longer name"),
    ],
)
def test_a_grant_covers(pattern: str, dataset: str, found: bool) -> None:
    book, _ = load(small(grants=granted("lin", pattern)))
    assert bool(book.grants("lin", dataset)) is found


def test_a_grant_is_valid_from_its_start_on_and_not_at_its_end() -> None:
    book, _ = load(small(grants=granted("lin", more=", end: 2026-07-01T00:00:00+08:00")))
    grant = book.grants("lin", CERTS)[0]
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 30, 16, tzinfo=UTC)
    moments = [start.replace(year=2025), start, end.replace(minute=0, hour=15), end]
    assert [valid(grant, moment) for moment in moments] == [False, True, True, False]


def test_a_dataset_is_as_grave_as_its_gravest_field() -> None:
    fields = "fields: [{name: a, type: CN_MOBILE}, {name: b, type: CN_RESIDENT_ID, grade: general-4}]"
    book, _ = load(small(datasets=f'[{{name: "{CERTS}", system: s, owner: office, grade: general-2, {fields}}}]'))
    assert [(label.field, label.grade) for label in book.labels(CERTS)] == [
        ("*", "general-4"),
        ("a", "general-4"),
        ("b", "general-4"),
    ]


def test_what_the_ledger_does_not_know_is_empty() -> None:
    book, _ = load(small())
    assert (book.labels("x"), book.grants("lin", "x"), book.person("x"), book.dataset("x")) == ((), (), None, None)


WRONG = [
    pytest.param(
        small(as_of="2026-11-01T00:00:00"), "ledger.yaml:1", "without an offset", id="a date of the ledger without an offset"
    ),
    pytest.param(small(grant="[]"), "ledger.yaml", "unknown field `grant`", id="a section that is none"),
    pytest.param(small(owners="{}"), "ledger.yaml:2", "got `object`", id="a section that is no list"),
    pytest.param(small(owners="[{id: a}, {id: a}, {id: office}]"), "ledger.yaml:2", "stands twice", id="an owner twice"),
    pytest.param(
        small(owners="[]"), "ledger.yaml:3", 'owner "office" is not among owners', id="a dataset of an owner that is not listed"
    ),
    pytest.param(
        small(people="[{id: a, accounts: [x]}, {id: b, accounts: [x]}]"),
        "ledger.yaml:4",
        'belongs to "a" too',
        id="an account twice",
    ),
    pytest.param(
        small(people="[{id: a, accounts: [x], leaves: 2026-01-01T00:00:00}]"),
        "ledger.yaml:4",
        "without an offset",
        id="a leave",
    ),
    pytest.param(small(grants=granted("lin", "x")), "ledger.yaml:5", 'no dataset "x"', id="a grant on an unknown dataset"),
    pytest.param(small(grants=granted("hall")), "ledger.yaml:5", "is a group", id="a group that is not named as one"),
    pytest.param(
        small(grants=granted("lin", more=", end: 2025-01-01T00:00:00Z")),
        "ledger.yaml:5",
        "ends before",
        id="an end before its start",
    ),
    pytest.param(
        small(grants=granted("lin", more=", end: 2027-01-01T00:00:00")), "ledger.yaml:5", "without an offset", id="an end"
    ),
    pytest.param(
        small(grants=granted("lin", more=", until: x")), "ledger.yaml:5", "unknown field `until`", id="a key that is none"
    ),
    pytest.param(
        small(datasets='[{name: "a*", system: s, owner: office}]'), "ledger.yaml:3", "ends in *", id="a dataset with a wildcard"
    ),
    pytest.param(
        small(datasets="[{name: a, system: s, owner: office, fields: [{name: f, type: T}]}]"),
        "ledger.yaml:3",
        "has a type and no grade",
        id="a typed field without a grade",
    ),
    pytest.param(
        small(datasets="[{name: a, system: s, owner: office, grade: general-1, fields: [{name: f}, {name: f}]}]"),
        "ledger.yaml:3",
        'field "f" stands twice',
        id="a field twice",
    ),
    pytest.param(
        small(datasets="[{name: a, system: s, owner: office, grade: general-1, fields: [{name: f, confidence: 101}]}]"),
        "ledger.yaml:3",
        "not within 0 and 100",
        id="a confidence beyond 100",
    ),
]


@pytest.mark.parametrize(("text", "where", "what"), WRONG)
def test_a_problem_names_its_line(text: str, where: str, what: str) -> None:
    _, problems = load(text)
    assert [problem for problem in problems if where in problem and what in problem], problems


def test_all_problems_come_at_once_and_what_is_good_is_kept() -> None:
    book, problems = load(
        small(
            people="[{id: a, accounts: [x]}, {id: b, accounts: [x]}, {name: c}]",
            grants=granted("lin")[:-1] + ', {id: g2, grantee: lin, datasets: ["y"], start: 2026-01-01T00:00:00Z}]',
        )
    )
    assert len(problems) == 3
    assert ([person.id for person in book.entries.people], [grant.id for grant in book.entries.grants]) == (["a"], ["g1"])


def test_an_import_makes_the_next_revision_and_the_same_import_none() -> None:
    book, _ = load(small(grants=granted("lin")))
    news, _ = load(small(grants=granted("lin", more=", end: 2026-12-01T00:00:00Z")))
    after, problems = merge(book, news.entries)
    assert (after.revision, problems) == (2, [])
    assert [str(change) for change in diff(book.entries, after.entries)] == [
        "grants g1: end (nothing) → 2026-12-01T00:00:00Z",
    ]
    assert merge(after, news.entries) == (after, [])


def test_an_import_keeps_what_it_does_not_name() -> None:
    book, _ = load(small(grants=granted("lin")))
    other = '[{name: "other", system: s, owner: office, grade: general-1}]'
    after, problems = merge(book, load(small(datasets=other, people="[]"))[0].entries)
    assert problems == []
    assert sorted(dataset.name for dataset in after.entries.datasets) == ["other", CERTS]
    assert [str(change) for change in diff(book.entries, after.entries)] == ["datasets other: added"]
    assert after.grants("lin", CERTS)


def test_an_import_that_does_not_fit_changes_nothing() -> None:
    book, _ = load(small())
    after, problems = merge(book, load(small(people="[{id: p-new, accounts: [lin]}]"))[0].entries)
    assert after is book
    assert 'account "lin" belongs to "p-lin" too' in str(problems[0])


def test_a_later_import_of_something_else_makes_no_judgement_younger() -> None:
    book, _ = load(small())
    before = book.labels(CERTS)
    later = small(as_of="2027-01-01T00:00:00Z", datasets="[{name: b, system: s, owner: office, grade: core}]")
    assert merge(book, load(later)[0].entries)[0].labels(CERTS) == before


def test_what_was_observed_is_proposed_with_its_evidence_and_not_applied() -> None:
    book, _ = load(small())
    labels = propose(book, {(CERTS, "url.query", "CN_RESIDENT_ID"): 90, (CERTS, "url.query", "CN_MOBILE"): 10}, AS_OF)
    assert [(label.type, label.confidence, label.grade, label.author) for label in labels] == [
        ("CN_MOBILE", 6, "general-4", "observed"),
        ("CN_RESIDENT_ID", 84, "general-4", "observed"),
    ]
    assert labels[1].evidence == ("90 of 100 values found in this field",)
    assert len(book.labels(CERTS)) == 1


def test_a_proposal_that_a_person_accepted_is_proposed_no_more() -> None:
    book, _ = load(small())
    counts = {(CERTS, "url.query", "CN_RESIDENT_ID"): 90}
    after, problems = accept(book, propose(book, counts, AS_OF, {"CN_RESIDENT_ID": "general-3"})[0], "chen")
    assert (problems, after.revision, propose(after, counts, AS_OF)) == ([], 2, [])
    label = after.labels(CERTS)[1]
    assert (label.field, label.grade, label.confidence, label.author) == ("url.query", "general-3", 100, "chen")


def test_a_proposal_on_an_unknown_dataset_cannot_be_accepted() -> None:
    book, _ = load(small())
    after, problems = accept(book, propose(book, {("x", "f", "T"): 1}, AS_OF)[0], "chen")
    assert after is book
    assert 'no dataset "x"' in str(problems[0])


@settings(max_examples=100, deadline=None)
@given(number=st.integers(1, 10**6), more=st.integers(0, 10**6))
def test_confidence_is_a_share_and_grows_with_evidence(number: int, more: int) -> None:
    low = confidence(number, number + more)
    assert 0 <= low <= 100 * number / (number + more) + 0.5
    assert confidence(10 * number, 10 * (number + more)) >= low


def test_rows_print_every_section() -> None:
    book, _ = load(example())
    assert book.rows("datasets")[0]["grade"] == "general-4"
    assert book.rows("fields")[0]["dataset"] == CERTS
    assert [len(book.rows(section)) for section in ("owners", "people", "grants")] == [1, 1, 1]
