"""One suite over every log format; a new one brings a good line to `tests/parsers.py`, and the suite brings the tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.parsers import LINES, RECEIVED, TIME, ZONE, filled, parsed, raw_of, stream_of

from xmsec.model.clock import EPOCH, FAR
from xmsec.model.errors import InputError
from xmsec.model.types import Parsed, Raw
from xmsec.parse.percent import decoded_prose
from xmsec.parse.road import Parse, stream_parser
from xmsec.parse.table import FORMATS

PARSERS: dict[str, Parse] = {form: stream_parser(stream_of(form), ZONE) for form in FORMATS}
JSON_FORMATS = [
    "apisix",
    "debezium",
    "ecs",
    "json",
    "kong",
    "mysql-audit",
    "nginx-json",
    "openlineage",
    "postgresql-json",
    "web",
]
every_format = pytest.mark.parametrize("form", sorted(FORMATS))
VALUE = "350211199001011234"


def texts(document: Parsed) -> Iterator[str]:
    for name, value in document.fields.items():
        yield name
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str):
                yield item
    yield from document.datasets


def outcome(form: str, raw: Raw) -> Any:
    """Parse, and hold whatever comes to the promises of the leg."""
    document, refusal = read(form, raw)
    if refusal is not None:
        assert re.fullmatch(r"[a-z0-9-]{4,24}", str(refusal))
        assert refusal.__context__ is None
        return str(refusal)
    if document is not None:
        assert_sound(document)
    return document


def read(form: str, raw: Raw) -> tuple[Parsed | None, InputError | None]:
    try:
        return PARSERS[form](raw), None
    except InputError as error:
        return None, error


def assert_sound(document: Parsed) -> None:
    assert document.time.tzinfo is UTC
    assert EPOCH <= document.time < FAR
    assert all(isinstance(value, str | int | float | bool | list) for value in document.fields.values())
    for text in texts(document):
        assert not re.search("[\x00-\x1f\x7f-\x9f⟨⟩\ud800-\udfff\u200b-\u200f]", text)
        assert decoded_prose(text) == text


def test_every_format_has_a_good_line() -> None:
    assert LINES.keys() == FORMATS.keys()


@every_format
def test_a_good_line_gives_its_time_and_its_fields(form: str) -> None:
    document = PARSERS[form](raw_of(LINES[form]))
    assert document is not None
    assert (document.time, document.flags) == (TIME, ())
    assert document.fields


@every_format
def test_a_line_cut_at_any_byte_is_a_document_or_a_reason(form: str) -> None:
    line = LINES[form]
    for end in range(len(line)):
        outcome(form, raw_of(line[:end], cut=True))
        outcome(form, raw_of(line[end:]))


@every_format
@pytest.mark.parametrize("evil", [b"\0", b"\xff", b'"', b"\\", b"%", b"{", b"[", b" ", b"\xe2\x9f\xa8"], ids=repr)
def test_any_byte_may_be_another(form: str, evil: bytes) -> None:
    line = LINES[form]
    for at in range(len(line)):
        outcome(form, raw_of(line[:at] + evil + line[at + 1 :]))


@every_format
@given(line=st.binary(max_size=200))
def test_any_bytes_are_a_document_a_blank_line_or_a_reason(form: str, line: bytes) -> None:
    outcome(form, raw_of(line))


@every_format
@given(slot=st.text(max_size=40))
def test_any_text_in_a_field_is_clean_afterwards(form: str, slot: str) -> None:
    outcome(form, raw_of(LINES[form].replace(b"SLOT", slot.encode("utf-8", "replace"))))


@every_format
@given(slot=st.text(alphabet="%25uU\\xE5BCA0+3 =/?&\r", max_size=40))
def test_no_encoding_survives(form: str, slot: str) -> None:
    outcome(form, raw_of(LINES[form].replace(b"SLOT", slot.encode())))


@every_format
def test_line_ends_and_a_byte_order_mark_change_nothing(form: str) -> None:
    line = LINES[form]
    plain = PARSERS[form](raw_of(line))
    assert PARSERS[form](raw_of(line + b"\r\n")) == plain
    assert PARSERS[form](raw_of(line + b"\n")) == plain
    assert PARSERS[form](raw_of(b"\xef\xbb\xbf" + line)) == plain


@every_format
@pytest.mark.parametrize("line", [b"", b"\n", b"\r\n", b" \t ", b"\xef\xbb\xbf\r\n"], ids=repr)
def test_a_blank_line_is_no_document(form: str, line: bytes) -> None:
    assert PARSERS[form](raw_of(line)) is None


@every_format
def test_a_line_of_nuls_is_refused_and_nuls_before_a_line_are_flagged(form: str) -> None:
    assert outcome(form, raw_of(b"\0" * 512)) == "nul-line"
    assert outcome(form, raw_of(b"\0" * 512 + LINES[form])).flags == ("replaced",)


@every_format
def test_broken_utf8_is_replaced_and_flagged(form: str) -> None:
    document = filled(form, b"a\xffb")
    assert document.flags == ("replaced",)
    assert any("a\ufffdb" in text for text in texts(document))


@every_format
def test_a_time_far_in_the_future_is_flagged_and_kept(form: str) -> None:
    document = parsed(form, LINES[form], RECEIVED - timedelta(days=2))
    assert (document.time, document.flags) == (TIME, ("far_future",))


@every_format
def test_a_cut_line_is_flagged(form: str) -> None:
    document = PARSERS[form](raw_of(LINES[form], cut=True))
    assert document is not None
    assert document.flags == ("cut",)


TOKEN = "⟨CN_MOBILE:0011223344556677⟩"


@every_format
@pytest.mark.parametrize("forged", [TOKEN, quote(TOKEN), quote(quote(TOKEN))], ids=["plain", "encoded", "twice"])
def test_nobody_forges_a_token(form: str, forged: str) -> None:
    document = filled(form, forged.encode())
    assert any("‹CN_MOBILE" in text for text in texts(document))
    assert not any("⟨" in text or "%E2" in text for text in texts(document))


@every_format
@pytest.mark.parametrize("rounds", [1, 2, 3, 9])
def test_a_percent_encoded_value_is_there_to_be_found(form: str, rounds: int) -> None:
    encoded = "".join(f"%{ord(digit):02x}" for digit in VALUE)
    for _ in range(rounds - 1):
        encoded = encoded.replace("%", "%25")
    document = filled(form, encoded.encode())
    assert any(VALUE in text for text in texts(document))
    assert not any("%" in text for text in texts(document))


@every_format
def test_a_value_encoded_in_part_within_a_url_is_found(form: str) -> None:
    document = filled(form, b"/x?id=3502%31119900101%31234")
    assert not any("%3" in text for text in texts(document))
    assert any(VALUE in text for text in texts(document))


@every_format
def test_what_is_encoded_too_often_is_refused(form: str) -> None:
    assert outcome(form, raw_of(LINES[form].replace(b"SLOT", b"%41%41" + b"/?a=%" + b"25" * 40 + b"41"))) == "over-encoded"


@every_format
def test_neither_a_document_nor_an_error_shows_a_value(form: str) -> None:
    line = LINES[form].replace(b"SLOT", VALUE.encode())
    assert VALUE not in repr(filled(form, VALUE.encode()))
    for end in range(len(line)):
        refusal = read(form, raw_of(line[:end]))[1]
        assert refusal is None or VALUE[:6] not in repr(refusal) + str(refusal.__dict__)


@every_format
def test_what_was_read_before_changes_nothing(form: str) -> None:
    fresh = stream_parser(stream_of(form), ZONE)
    for n in range(50):
        outcome(form, raw_of(LINES[form].replace(b"SLOT", b"%d" % n)))
    assert fresh(raw_of(LINES[form])) == PARSERS[form](raw_of(LINES[form]))


@every_format
def test_constants_fill_gaps_and_dropped_fields_are_gone(form: str) -> None:
    some = next(iter(parsed(form, LINES[form]).fields))
    document = parsed(form, LINES[form], set={"event.module": "m", some: "other"}, drop=(some,))
    assert document.fields["event.module"] == "m"
    assert some not in document.fields


@pytest.mark.parametrize("form", JSON_FORMATS)
@pytest.mark.parametrize(
    "line",
    [
        b"[" * 20_000,
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b'{"a":NaN}',
        b'{"a":1e999}',
        b"{}",
    ],
    ids=["brackets", "20,000 deep", "40 deep", "NaN", "1e999", "empty"],
)
def test_hostile_json_is_refused(form: str, line: bytes) -> None:
    assert isinstance(outcome(form, raw_of(line)), str)


@every_format
def test_a_long_line_of_anything_is_a_document_or_a_reason(form: str) -> None:
    for evil in (b"[", b'" ', b' "', b"\\", b"%41", b"%25", b"a=", b"(", b" [", b'","', b'{"a":'):
        outcome(form, raw_of(LINES[form].replace(b"SLOT", evil * (50_000 // len(evil)))))
        outcome(form, raw_of(evil * (50_000 // len(evil))))
