"""What Presidio drops without a word, and what would be slow or missed, is an error that names its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.identifiers import ROOT

from xmsec.content.classifiers import load_classifiers, pattern_problem

GOOD = r"""
supported_languages: [zh, en]
global_regex_flags: 154
recognizers:
  - name: cn_thing
    supported_entity: CN_THING
    supported_languages:
      - {language: zh, context: [东西]}
    patterns:
      - {name: digits, regex: '(?<![0-9])[0-9]{9}(?![0-9])', score: 0.6}
    xmsec:
      title: {zh: 东西, en: Thing}
      positives: ['123456789']
      negatives: ['1']
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    folder = tmp_path / "classifiers"
    folder.mkdir()
    (folder / "things.yaml").write_text(text)
    return [str(problem).replace(str(folder), "") for problem in load_classifiers([tmp_path])[1]]


def test_the_shipped_files_load() -> None:
    assert load_classifiers([ROOT])[1] == []


def test_a_good_file_loads(tmp_path: Path) -> None:
    assert problems(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    "old, new, line",
    [
        ("      - {language: zh, context: [东西]}", "      - zh", 8),
        ("language: zh", "language: zh-CN", 8),
        ("    xmsec:", "    context: [东西]\n    xmsec:", 5),
        ("global_regex_flags: 154", "global_regex_flags: 26", 3),
        ("[0-9]{9}", r"\A[0-9]{9}", 10),
        ("[0-9]{9}", "[0-9]+", 10),
        ("[0-9]{9}", "[0-9]{9,}", 10),
        ("[0-9]{9}", "[0-9]{1,9999}", 10),
        ("[0-9]{9}", "[0-9", 10),
        ("[0-9]{9}", "(?:[0-9]{9})?", 10),
        ("positives: ['123456789']", "positives: []", 13),
        ("      negatives: ['1']\n", "", 12),
        ("score: 0.6", "score: 1.6", 10),
        ("      title:", "      scan: {nothing: a}\n      title:", 12),
        ("    patterns:\n      - {name: digits, regex: '(?<![0-9])[0-9]{9}(?![0-9])', score: 0.6}\n", "", 5),
    ],
    ids=[
        *("plain language", "unknown language", "context beside languages", "other flags", "anchor", "plus", "open", "high"),
        *("not a pattern", "empty text", "no positive", "no negative", "score", "stray scan", "no pattern"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: int) -> None:
    assert old in GOOD
    (problem,) = problems(tmp_path, GOOD.replace(old, new, 1))
    assert f"things.yaml:{line}" in problem


def test_a_name_stands_once(tmp_path: Path) -> None:
    twice = GOOD + GOOD[GOOD.index("  - name") :]
    assert "twice" in problems(tmp_path, twice)[0]


def test_a_deny_list_is_a_pattern(tmp_path: Path) -> None:
    start = GOOD.index("    patterns:")
    text = GOOD[:start] + "    deny_list: [alpha+, beta]\n" + GOOD[GOOD.index("    xmsec:") :]
    assert problems(tmp_path, text) == []


@pytest.mark.parametrize("pattern", [r"[0-9]{1,64}", r"a++b", r"\+a", r"[+*]{2}a", r"[^]+]a", r"a{2,}+"])
def test_a_pattern_that_ends_is_no_problem(pattern: str) -> None:
    assert pattern_problem(pattern) is None
