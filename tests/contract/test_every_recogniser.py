"""One suite over every recogniser; a new file in `classifiers/` brings its examples, and the suite brings the tests."""

from __future__ import annotations

import json
from operator import attrgetter

import msgspec
import pytest
from tests.identifiers import CACHE, KEY, examples, parsed, recognisers, shipped

from xmsec.classify.kept import KEPT
from xmsec.classify.recognise import Recognisers
from xmsec.classify.road import classifier
from xmsec.classify.text import line_classifier
from xmsec.classify.validators.table import VALIDATORS
from xmsec.content.classifiers import Recogniser, engine_problems

every_recogniser = pytest.mark.parametrize("recogniser", shipped().recognisers, ids=attrgetter("name"))
REQUIRED = {
    *("CN_RESIDENT_ID", "CN_USCC", "CN_MOBILE", "CN_BANK_CARD", "CN_PLATE", "EMAIL_ADDRESS", "IP_ADDRESS"),
    *("CN_CERTIFICATE_ID", "CN_RESIDENCE_PERMIT"),
}
LEG = classifier(shipped(), {}, KEY, CACHE)
WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


def found(text: str, set_of: Recognisers | None = None) -> set[tuple[str, str]]:
    used = set_of or recognisers()
    hits, unsettled = used.find([text])
    assert not unsettled
    return {(used.content[hit.which].supported_entity, text[hit.start : hit.end]) for hit in hits.get(0, ())}


def test_the_required_types_are_there() -> None:
    assert {one.supported_entity for one in shipped().recognisers} >= REQUIRED


def test_the_set_engine_takes_every_pattern() -> None:
    assert engine_problems(shipped().recognisers) == []


@every_recogniser
def test_its_positives_are_found_whole(recogniser: Recogniser) -> None:
    for text, value, _ in examples(recogniser):
        assert (recogniser.supported_entity, value) in found(text)


@every_recogniser
def test_its_negatives_are_not_found(recogniser: Recogniser) -> None:
    for text in recogniser.xmsec.negatives:
        assert recogniser.supported_entity not in {kind for kind, _ in found(text)}


@every_recogniser
def test_each_way_of_writing_a_value_has_one_canonical_form(recogniser: Recogniser) -> None:
    for text, value, canonical in examples(recogniser):
        hits, _ = recognisers().find([text])
        (hit,) = [hit for hit in hits[0] if text[hit.start : hit.end] == value]
        if canonical is not None:
            assert recognisers().canonical(hit, text) == canonical


@every_recogniser
def test_chinese_characters_may_stand_beside_a_value(recogniser: Recogniser) -> None:
    for text, value, _ in examples(recogniser):
        if text == value and recogniser.supported_entity not in ("PRIVATE_KEY", "CREDENTIAL_URL"):  # those end at a space
            assert (recogniser.supported_entity, value) in found(f"登记{value}完成")


@every_recogniser
def test_full_width_characters_hide_no_value(recogniser: Recogniser) -> None:
    for text, value, _ in examples(recogniser):
        if text == value:
            assert (recogniser.supported_entity, value.translate(WIDE)) in found(f"（{value.translate(WIDE)}）")


@pytest.mark.parametrize("recogniser", [one for one in shipped().recognisers if one.xmsec.refuses], ids=attrgetter("name"))
def test_one_changed_character_is_refused_as_often_as_its_standard_says(recogniser: Recogniser) -> None:
    validator = VALIDATORS[recogniser.xmsec.validator or ""]
    values = [value for _, value, _ in examples(recogniser) if value.isascii()]
    proved = [value for value in values if validator(value)]
    values = proved or values  # where a form with a check stands beside an older one without, the former
    changed = [
        value[:place] + digit + value[place + 1 :]
        for value in values
        for place, old in enumerate(value)
        for digit in "0123456789"
        if old.isdigit() and digit != old
    ]
    refused = sum(validator(value) is False or (bool(proved) and not validator(value)) for value in changed)
    assert refused >= recogniser.xmsec.refuses * len(changed)


@every_recogniser
def test_the_prefilter_changes_no_result(recogniser: Recogniser) -> None:
    used = recognisers()
    everything = range(sum(len(one.all_patterns()) for one in used.content))
    for text in (*(text for text, _, _ in examples(recogniser)), *recogniser.xmsec.negatives):
        plain = text.lower()
        for tried in (text, plain, f"号{text}号", f"_{text}_", f"ſ{text}K"):
            assert used.verify(tried, [number for _, number in used.candidates([tried])]) == used.verify(tried, everything)


@every_recogniser
def test_no_value_is_in_any_output(recogniser: Recogniser) -> None:
    for text, value, _ in examples(recogniser):
        tokened = LEG([parsed(fields={"url.query": text, "labels": [text, 1], "message": f"前 {text}"})])
        written = msgspec.json.encode(tokened).decode() + repr(tokened) + repr(LEG)
        assert json.dumps(value, ensure_ascii=False)[1:-1] not in written
        assert value not in repr(line_classifier(shipped(), KEY, cache=CACHE)(text))


@every_recogniser
def test_what_it_keeps_and_how_it_is_graded_is_known(recogniser: Recogniser) -> None:
    assert set(recogniser.xmsec.kept.values()) <= KEPT.keys()
    assert recogniser.supported_entity in shipped().grades.types


@pytest.mark.parametrize("name", sorted(VALIDATORS))
def test_a_validator_never_raises(name: str) -> None:
    for text in (
        "",
        " ",
        "-",
        ".",
        "1",
        "1" * 9,
        "1" * 15,
        "1" * 17,
        "1" * 18,
        "X" * 18,
        "1２3" * 6,
        "\0",
        "中" * 18,
        "eyJ" + "_" * 99,
        "@",
        "a@",
    ):
        assert VALIDATORS[name](text) in (True, False, None)


@every_recogniser
def test_presidio_itself_loads_its_file(recogniser: Recogniser) -> None:
    assert recogniser.name in {one.name for one in presidio_recognisers()}


def presidio_recognisers() -> list[object]:
    from tests.presidio_twin import loaded

    return loaded()
