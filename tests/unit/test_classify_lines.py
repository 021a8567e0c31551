from __future__ import annotations

from itertools import pairwise

import pytest
from tests.identifiers import CACHE, KEY, shipped

from xmsec.classify.text import Entity, line_classifier
from xmsec.classify.token import masked, token

CLASSIFY = line_classifier(shipped(), KEY, cache=CACHE)
RESIDENT = "350203199003071236"


def test_an_entity_says_all_but_the_value() -> None:
    (entity,) = CLASSIFY(f"身份证{RESIDENT}")
    assert entity == Entity(
        type="CN_RESIDENT_ID",
        start=3,
        end=21,
        score=1.0,
        grade="general-4",
        masked="350203***********6",
        token=token(KEY, "CN_RESIDENT_ID", RESIDENT),
        recogniser="cn_resident_id",
    )


@pytest.mark.parametrize(
    "line, start, end",
    [
        (f"𠮷𠮷{RESIDENT}", 2, 20),
        (f"a\u200b{RESIDENT[:9]}\u200b{RESIDENT[9:]}", 2, 21),
        ("号３５０２０３１９９００３０７１２３６", 1, 19),
        (f"⟨X:{RESIDENT}⟩", 3, 21),
    ],
    ids=["beyond the basic plane", "split by invisible characters", "full width", "in a forged token"],
)
def test_offsets_are_those_of_the_line_as_it_was(line: str, start: int, end: int) -> None:
    (entity,) = CLASSIFY(line.replace("a\u200b", "，\u200b"))
    assert (entity.start, entity.end) == (start, end)
    assert entity.token == token(KEY, "CN_RESIDENT_ID", RESIDENT)


def test_entities_come_in_order_without_overlaps() -> None:
    entities = CLASSIFY("闽D12345 li@example.cn 13800138000 10.1.2.3")
    assert [entity.type for entity in entities] == ["CN_PLATE", "EMAIL_ADDRESS", "CN_MOBILE", "IP_ADDRESS"]
    assert all(first.end <= second.start for first, second in pairwise(entities))


def test_a_languages_context_words_are_its_own() -> None:
    chinese = line_classifier(shipped(), KEY, "zh", CACHE)
    english = line_classifier(shipped(), KEY, "en", CACHE)
    assert [len(said("护照E12345678")) for said in (chinese, english)] == [1, 0]
    assert [len(said("passport E12345678")) for said in (chinese, english)] == [0, 1]


@pytest.mark.parametrize("line", ["", " ", "\0", "\ud800", "⟨", "订单20261124083000"])
def test_a_line_without_a_value_has_no_entity(line: str) -> None:
    assert CLASSIFY(line) == []


@pytest.mark.parametrize(
    "value, first, last, shown", [("ab", 1, 1, "**"), ("abc", 1, 1, "a*c"), ("", 0, 0, ""), ("abc", 0, 0, "***")]
)
def test_a_masked_value_shows_its_ends_and_never_all(value: str, first: int, last: int, shown: str) -> None:
    assert masked(value, first, last) == shown
