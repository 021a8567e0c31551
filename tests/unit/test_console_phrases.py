"""What the engine says of a finding is said in Chinese, and what a log says stays as it is."""

from __future__ import annotations

import pytest

from xmsec.console.phrases import Part, Phrases
from xmsec.console.texts import catalogue

PHRASES = Phrases(catalogue().texts)


@pytest.mark.parametrize(
    ("part", "text", "chinese"),
    [
        ("what", "distinct user.target.id in 7d", "7 天内不同 user.target.id 的个数"),
        ("what", "events in 1h30m", "1 小时 30 分钟内事件数"),
        ("what", "distinct_subjects", "不同数据主体数"),
        ("what", "grant on db.person", "对 db.person 的授权"),
        ("what", "user.name", "user.name"),
        ("value", "none on postgres://a/b.c", "对 postgres://a/b.c 无授权"),
        ("value", "1.23% (1 of 81)", "1.23%（81 条中 1 条）"),
        ("value", "at least 4h", "至少 4 小时"),
        ("value", "g1, from 2026-01-01 until 2026-02-01", "g1，自 2026-01-01 至 2026-02-01"),
        ("value", "g1, from 2026-01-01", "g1，自 2026-01-01 起"),
        ("value", "5m", "5m"),
        ("value", "grant", "grant"),
        ("value", "events in none", "events in none"),
        ("usual", "less than 30m", "少于 30 分钟"),
        ("usual", "own p50 0, p99 12,842", "本对象中位 0，P99 12,842"),
        ("usual", "< 60", "< 60"),
        ("usual", "", ""),
        ("label", "CN_MOBILE was recognised in this field", "在此字段中识别出 CN_MOBILE"),
        ("label", "no table grades T: general-4 until a person decides", "分级表未列 T，在人工认定之前按一般 4 级"),
        ("label", "9 of 10 values found in this field", "该字段 10 个识别值中有 9 个"),
    ],
)
def test_a_phrase_is_found_by_its_english(part: Part, text: str, chinese: str) -> None:
    assert PHRASES.say(part, text, "zh") == chinese
    assert PHRASES.say(part, text, "en") == text
