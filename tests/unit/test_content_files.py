"""YAML files of content: what is refused, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from xmsec.content.load import parse
from xmsec.model.errors import ContentError

PATH = Path("some.yaml")


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("a: 1\nb: 18446744073709551616\n", "not YAML: a number beyond 64 bits; write it in quotes", 2),
        ("a: 1\nb: [-9223372036854775809]\n", "not YAML: a number beyond 64 bits; write it in quotes", 2),
        ("a: 1\na: 2\n", 'not YAML: key "a" stands twice', 2),
        ("? [a]\n: b\n", "not YAML: a key that is no text", 1),
        ("a: &x 1\nb: *x\n", "not YAML: an alias; write it out", 1),
    ],
    ids=["a large number", "a small number", "a key twice", "a list as key", "an alias"],
)
def test_what_no_content_may_hold_is_named_with_its_line(text: str, what: str, line: int) -> None:
    with pytest.raises(ContentError) as refused:
        parse(PATH, text)
    assert (refused.value.what, refused.value.where) == (what, f"{PATH}:{line}")


def test_numbers_of_64_bits_are_numbers_and_longer_ones_in_quotes_are_text() -> None:
    text = "a: 18446744073709551615\nb: -9223372036854775808\nc: '18446744073709551616'\nd: 0o17\ne: 0x1f\n"
    assert parse(PATH, text).body == {"a": 2**64 - 1, "b": -(2**63), "c": "18446744073709551616", "d": 15, "e": 31}


def test_a_mapping_of_many_keys_is_read_in_one_pass() -> None:
    text = "".join(f"k{number}: 0\n" for number in range(60_000))
    assert len(parse(PATH, text).body) == 60_000
