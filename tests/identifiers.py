"""Valid identifiers, made by hand from their standards, and the shipped recognisers compiled once for all tests."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from hypothesis import strategies as st

from xmsec.classify.recognise import Recognisers
from xmsec.content.classifiers import Classifiers, Recogniser, load_classifiers
from xmsec.model.types import Parsed, Position

ROOT = Path(__file__).parents[1]
CACHE = Path(gettempdir()) / "xmsec-tests-prefilter"  # by content hash, so runs share it
KEY = b"a key of thirty-two bytes, tests"
TIME = datetime(2026, 11, 24, 8, tzinfo=UTC)
PROVINCES = "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新"


@cache
def shipped() -> Classifiers:
    classifiers, problems = load_classifiers([ROOT])
    assert not problems, problems
    return classifiers


@cache
def recognisers() -> Recognisers:
    return Recognisers(shipped().recognisers, CACHE)


def examples(recogniser: Recogniser) -> list[tuple[str, str, str | None]]:
    """Return its positives as (text, value in it, canonical form where the file names it)."""
    return [
        (one, one, None) if isinstance(one, str) else (one.text, one.value, one.canonical) for one in recogniser.xmsec.positives
    ]


def parsed(number: int = 0, stream: str = "city.web", **more: Any) -> Parsed:
    fields = more.pop("fields", {})
    return Parsed(Position(stream, "p", number), TIME, TIME, fields, **more)


def _resident_id(region: str, day: datetime, sequence: int) -> str:
    body = f"{region}{day:%Y%m%d}{sequence:03d}"
    weights = [2 ** (17 - place) % 11 for place in range(17)]
    total = sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11
    return body + "10X98765432"[total]


def _luhn(body: str) -> str:
    for last in "0123456789":
        total = 0
        for place, digit in enumerate(reversed(body + last)):
            doubled = int(digit) * (1 + place % 2)
            total += doubled // 10 + doubled % 10
        if total % 10 == 0:
            return body + last
    raise AssertionError


_DAYS = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2026, 1, 1))
RESIDENT_IDS = st.builds(_resident_id, st.sampled_from(["350203", "110105", "440308", "650103"]), _DAYS, st.integers(0, 999))
MOBILES = st.builds(
    lambda start, rest: f"{start}{rest:08d}", st.sampled_from(["138", "186", "199", "170"]), st.integers(0, 10**8 - 1)
)
CARDS = st.builds(
    lambda start, rest: _luhn(f"{start}{rest:012d}"), st.sampled_from(["622848", "621700"]), st.integers(0, 10**12 - 1)
)
PLATES = st.builds(
    lambda province, city, digits: f"{province}{city}{digits:05d}",
    st.sampled_from(PROVINCES),
    st.sampled_from("ABCDE"),
    st.integers(0, 99999),
)
EMAILS = st.builds("{}@{}.{}".format, st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True), st.sampled_from(["xm", "mail"]),
                   st.sampled_from(["cn", "com", "gov.cn"]))  # fmt: skip
ADDRESSES = st.builds("{}.{}.{}.{}".format, st.integers(11, 120), *[st.integers(1, 254)] * 3)
VALUES = st.one_of(RESIDENT_IDS, MOBILES, CARDS, PLATES, EMAILS, ADDRESSES)
NOISE = st.text("0123456789abcXx 中号码@.-/:=&?_()+\n", max_size=20)
