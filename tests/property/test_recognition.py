"""The set recogniser against brute force and against Presidio, and the leg against values in odd places."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import presidio_twin
from tests.identifiers import (
    ADDRESSES,
    CACHE,
    CARDS,
    EMAILS,
    KEY,
    MOBILES,
    NOISE,
    PLATES,
    RESIDENT_IDS,
    ROOT,
    VALUES,
    examples,
    parsed,
    recognisers,
    shipped,
)

from xmsec.classify.prefilter import Prefilter
from xmsec.classify.road import classifier, text_of
from xmsec.classify.token import TOKEN

CORPUS = [text for one in shipped().recognisers for text in (*(text for text, _, _ in examples(one)), *one.xmsec.negatives)]
TEXTS = st.lists(st.one_of(VALUES, NOISE, st.sampled_from(CORPUS)), max_size=6).map("".join)
PATTERNS = sum(len(one.all_patterns()) for one in recognisers().content)
LEG = classifier(shipped(), {}, KEY, CACHE)
WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
SCANNED = ("url.path", "url.query", "http.request.referrer", "user_agent.original", "user.name", "message", "labels.note")


@settings(max_examples=300)
@given(texts=st.lists(TEXTS, max_size=8))
def test_the_prefilter_omits_nothing_over_joined_texts(texts: list[str]) -> None:
    used = recognisers()
    candidates: dict[int, list[int]] = {}
    for text, pattern in used.candidates(texts):
        candidates.setdefault(text, []).append(pattern)
    for index, text in enumerate(texts):
        assert used.verify(text, candidates.get(index, [])) == used.verify(text, range(PATTERNS))


@given(
    texts=st.lists(st.text("ab1 \n中", max_size=9), max_size=6),
    words=st.lists(st.sampled_from(["a", "ab", "1 ", "中a", "b"]), max_size=4),
)
def test_literals_are_found_where_they_are(texts: list[str], words: list[str]) -> None:
    found = list(Prefilter(words, 0, literal=True).scan(texts))
    assert found == [(i, j) for i, text in enumerate(texts) for j, word in enumerate(words) if word in text]


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, language=st.sampled_from(["zh", "en"]))
def test_results_equal_those_of_presidios_own_recognisers(text: str, language: str) -> None:
    assert presidio_twin.results(text, language, ours=True) == presidio_twin.results(text, language, ours=False)


@pytest.mark.parametrize("text", CORPUS)
def test_results_equal_presidios_over_every_example(text: str) -> None:
    assert presidio_twin.results(text, "zh", ours=True) == presidio_twin.results(text, "zh", ours=False)


_ASK = """
from tests.identifiers import *
from tests.property.test_recognition import CORPUS
from tests import presidio_twin
used = recognisers()
for text in CORPUS:
    hits, _ = used.find([text])
    print([(h.start, h.end, used.content[h.which].name, h.score) for h in hits.get(0, ())])
    print(presidio_twin.results(text, "zh", ours=True) == presidio_twin.results(text, "zh", ours=False))
"""


def test_results_do_not_depend_on_the_hash_seed() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _ASK],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "77")
    }
    (one,) = said
    assert b"False" not in one


def strings(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def assert_settled(event: Any, spans: Any) -> None:
    """Every span's text is its token, and what came out holds nothing that a recogniser knows."""
    for span in spans:
        assert text_of(event.fields[span.field])[span.start : span.end] == span.token
        assert TOKEN.fullmatch(span.token)
    ((again, more),) = LEG([parsed(fields=event.fields)])
    assert (again.fields, more) == (event.fields, ())


@settings(max_examples=200, deadline=None)
@given(fields=st.dictionaries(st.sampled_from(SCANNED), st.one_of(TEXTS, st.lists(TEXTS, max_size=3)), max_size=5))
def test_what_comes_out_holds_nothing_that_a_recogniser_knows(fields: dict[str, Any]) -> None:
    ((event, spans),) = LEG([parsed(fields=fields)])
    assert_settled(event, spans)


def grouped(value: str, separator: str) -> str:
    """Write an identifier as people do: 6-8-4, 3-4-4, or fours."""
    sizes = {18: (6, 8, 4), 11: (3, 4, 4)}.get(len(value), (4, 4, 4, 4, 4))
    parts, at = [], 0
    for size in sizes:
        parts.append(value[at : at + size])
        at += size
    return separator.join(part for part in parts if part)


@settings(max_examples=300, deadline=None)
@given(
    value=VALUES,
    field=st.sampled_from(SCANNED),
    before=st.sampled_from(["", "/a/", "x=1&v=", "号码", "https://h.cn/?q=", "（", " "]),
    after=st.sampled_from(["", "/b", "&z=2", "已登记", "）", " "]),
    wide=st.booleans(),
    listed=st.booleans(),
)
def test_a_value_survives_nowhere(value: str, field: str, before: str, after: str, wide: bool, listed: bool) -> None:
    text = before + (value.translate(WIDE) if wide else value) + after
    ((event, spans),) = LEG([parsed(fields={field: ["x", [text], text] if listed else text, "event.action": "get"})])
    assert value not in msgspec.json.encode(event).decode()
    assert value.translate(WIDE) not in msgspec.json.encode(event).decode()
    assert spans
    assert_settled(event, spans)


@given(value=st.one_of(RESIDENT_IDS, MOBILES, CARDS), separator=st.sampled_from(" -"))
def test_separated_digits_have_the_token_of_the_plain_number(value: str, separator: str) -> None:
    plain, apart = LEG([parsed(fields={"message": value}), parsed(fields={"message": grouped(value, separator)})])
    assert {span.token for span in plain[1]} == {span.token for span in apart[1]}


@given(value=st.one_of(MOBILES, CARDS))
def test_a_json_number_becomes_a_token(value: str) -> None:
    ((event, spans),) = LEG([parsed(fields={"applicant.contact": int(value), "list": [1, int(value)], "n": 7})])
    assert event.fields["applicant.contact"] == spans[0].token
    assert event.fields["list"] == [1, spans[1].token]
    assert event.fields["n"] == 7


@settings(deadline=None)
@given(value=st.one_of(RESIDENT_IDS, MOBILES, CARDS, EMAILS, PLATES))
def test_a_value_in_a_field_name_becomes_a_token(value: str) -> None:
    ((event, spans),) = LEG([parsed(fields={f"people.{value}.count": 3, "a": 1})])
    assert value not in msgspec.json.encode(event).decode()
    assert any(span.token in name for span in spans for name in event.fields)
    assert 3 in event.fields.values()
    assert_settled(event, spans)


@given(first=MOBILES, second=st.one_of(EMAILS, ADDRESSES, CARDS), glue=st.sampled_from(["", ",", " ", "和"]))
def test_neighbours_are_both_replaced(first: str, second: str, glue: str) -> None:
    ((event, _),) = LEG([parsed(fields={"message": f"{second}{glue}{first}"})])
    if glue:
        assert first not in event.fields["message"]
        assert second not in event.fields["message"]
    ((again, more),) = LEG([parsed(fields=event.fields)])
    assert (again.fields, more) == (event.fields, ())


@settings(deadline=None)
@given(texts=st.lists(TEXTS, max_size=6), cut=st.integers(0, 6))
def test_batching_changes_nothing(texts: list[str], cut: int) -> None:
    batch = [parsed(number, fields={"message": text}) for number, text in enumerate(texts)]
    assert [*LEG(batch[:cut]), *LEG(batch[cut:])] == list(classifier(shipped(), {}, KEY, CACHE)(batch))
