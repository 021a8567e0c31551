"""What the pages on the API and on security say: requests that are answered, and tests that are there."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest
from tests.docs.test_readme import typed
from tests.rooms import bearer
from tests.unit.test_console_guard import Asking, asking_toys

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"(?m)^\| (?P<ids>\d[^|]*) \| [^|]+ \| (?P<met>[^|]+) \|(?P<tests>[^|]*)\|$")


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asking]:
    with asking_toys(tmp_path) as ask:
        yield ask


def test_every_request_of_the_page_is_answered(ask: Asking) -> None:
    token = bearer(ask.desk, "operator").removeprefix("Bearer ")
    headers = {"authorization": f"Bearer {token}"}
    first = {
        table: json.loads(ask(f"/api/{table}?limit=1", **headers).text)["rows"][0]["id"] for table in ("findings", "incidents")
    }
    tag = ask(f"/api/findings/{first['findings']}", **headers).headers["etag"]
    known = {"URL": "", "TOKEN": token, "ID": first["findings"], "INCIDENT": first["incidents"], "ETAG": tag, "KEY": "8c1d"}
    page = (ROOT / "docs" / "api.md").read_text("utf-8").replace("\\\n", " ")
    asked = []
    for program, *words in typed(page):
        if program != "curl":
            continue
        words = [Template(word).substitute(known) for word in words]
        options = list(zip(words[:-1:2], words[1:-1:2], strict=True))
        sent = {
            name.lower().replace("-", "_"): value for name, value in (one.split(": ", 1) for key, one in options if key == "-H")
        }
        method, body = dict(options).get("-X", "GET"), dict(options).get("--data", "")
        answer = ask.send(method, words[-1], body.encode(), **sent)
        asked.append((method, words[-1].partition("?")[0], answer.status // 100))
    assert len(asked) >= 5
    assert {status for _, _, status in asked} == {2}


def lines() -> list[dict[str, str]]:
    return [found.groupdict() for found in ROW.finditer((ROOT / "docs" / "security.md").read_text("utf-8"))]


def present() -> set[str]:
    trees = (ast.parse(path.read_text("utf-8")) for path in (ROOT / "tests").rglob("test_*.py"))
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_test_that_the_table_names_is_there() -> None:
    named = {name for line in lines() for name in re.findall(r"`(\w+)`", line["tests"])}
    assert len(named) > 50
    assert sorted(named - present()) == []


def test_every_chapter_of_the_standard_is_answered_and_what_is_open_is_said() -> None:
    chapters = {int(found) for line in lines() for found in re.findall(r"(\d+)\.\d", line["ids"])}
    assert chapters == {*range(1, 15)}
    silent = [line["ids"] for line in lines() if not line["tests"].strip() and "**" not in line["met"]]
    assert silent == ["5.2.6", "7.3.4", "8.2.2, 8.2.3"]  # read, not tested
