"""The summary of a scan against what was planted in its input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.command import called

pytestmark = pytest.mark.faults

LINE = '203.0.113.9 - - [24/Nov/2025:08:00:00 +0800] "GET {target} HTTP/1.1" 200 512 "{referrer}" "x"\n'


def test_a_value_is_counted_once_for_each_time_that_a_line_holds_it(home: Path, tmp_path: Path) -> None:
    lines = [
        LINE.format(target="/q?tel=13800138000&name=x", referrer="-"),
        LINE.format(target="/q?tel=13800138000&again=13800138000", referrer="-"),
        LINE.format(target="/of/13900139000/orders", referrer="https://www.example.cn/?tel=13900139000"),
        LINE.format(target="/q?mail=lin%40example.cn", referrer="-"),
        "\n",
        "no line of a log, 13800138000\n",
    ]
    ended = called("scan", "-", "--home", home, "--summary", tmp_path / "s.json", given="".join(lines).encode())
    summary = json.loads((tmp_path / "s.json").read_bytes())
    assert ended.returncode == 0
    assert summary["tokens"] == {"CN_MOBILE": 5, "EMAIL_ADDRESS": 1}
    assert (summary["lines"], summary["blank"], summary["parsed"], summary["rejected"]) == (6, 1, 4, {"no-match": 1})
