from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.identifiers import shipped

from xmsec.classify.grade import grader
from xmsec.model.types import Label, Span

GRADE = grader(shipped().grades)
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def spans(*types: str, **kept: str) -> list[Span]:
    return [Span("a", 0, 1, kind, "r", 1.0, f"⟨{kind}:{number:016x}⟩", dict(kept)) for number, kind in enumerate(types)]


def label(grade: str, kind: str = "X") -> Label:
    return Label("d", "f", kind, grade, 90, (), (), NOW, "li")  # type: ignore[arg-type] # a test names it as text


def test_nothing_has_no_grade() -> None:
    assert GRADE([], []) is None


@pytest.mark.parametrize(
    "types, level",
    [
        (("CN_USCC",), "general-1"),
        (("EMAIL_ADDRESS",), "general-2"),
        (("CN_MOBILE",), "general-3"),
        (("CN_MOBILE", "CN_RESIDENT_ID"), "general-4"),
        (("CN_PLATE", "EMAIL_ADDRESS"), "general-3"),
        (("CN_MOBILE", "EMAIL_ADDRESS"), "general-4"),
        (("NEVER_HEARD_OF",), "general-4"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else value,
)
def test_the_gravest_wins_and_combinations_raise(types: tuple[str, ...], level: str) -> None:
    grade = GRADE(spans(*types), [])
    assert grade is not None
    assert grade.level == level
    assert grade.why


def test_a_reason_names_the_clause() -> None:
    grade = GRADE(spans("CN_BANK_CARD"), [])
    assert grade is not None
    assert grade.why == ("CN_BANK_CARD: PIPL article 28: financial account",)


def test_a_childs_data_is_sensitive() -> None:
    grade = GRADE(spans("EMAIL_ADDRESS", minor="under-14"), [])
    assert grade is not None
    assert grade.level == "general-4"


def test_a_label_may_be_graver_than_every_value() -> None:
    grade = GRADE(spans("CN_MOBILE"), [label("important"), label("general-1")])
    assert grade is not None
    assert (grade.level, grade.why) == ("important", ("label X of d",))


def test_a_thousand_people_in_one_event_are_important() -> None:
    few, many = GRADE(spans(*["CN_MOBILE"] * 999), []), GRADE(spans(*["CN_MOBILE"] * 1000), [])
    assert few is not None
    assert many is not None
    assert (few.level, many.level) == ("general-3", "important")


def test_the_same_value_a_thousand_times_is_one() -> None:
    grade = GRADE(spans("CN_MOBILE") * 1000, [])
    assert grade is not None
    assert grade.level == "general-3"


def test_order_does_not_matter() -> None:
    several = spans("CN_MOBILE", "EMAIL_ADDRESS", "CN_PLATE")
    assert GRADE(several, []) == grader(shipped().grades)(several[::-1], [])
