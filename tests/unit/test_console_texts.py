"""What pages say: in both languages, and nowhere else than in the tables of texts."""

from __future__ import annotations

import re
from importlib import resources
from typing import get_args

import jinja2
import pytest
from jinja2 import nodes

from xmsec.console.access import ROLES
from xmsec.console.pages.table import PAGES
from xmsec.console.texts import catalogue
from xmsec.model.types import KEY_KINDS, LEVELS, SEVERITIES, STATUSES, ActKind, FindingKind, Stage
from xmsec.respond.chain import Kind
from xmsec.respond.run import Doing

TEXTS = catalogue()
TEMPLATES = {entry.name: entry.read_text("utf-8") for entry in resources.files("xmsec.console").joinpath("templates").iterdir()}
ENVIRONMENT = jinja2.Environment()
NAMED = {
    "base.severity-": SEVERITIES,
    "base.status-": STATUSES,
    "base.grade-": (*LEVELS, ""),
    "base.stage-": (*get_args(Stage), ""),
    "base.entity-": KEY_KINDS,
    "base.kind-": get_args(FindingKind),
    "account.role-": ROLES,
    "incidents.moment-": (*get_args(Kind), *get_args(ActKind), "finding"),
    "incidents.stands-": sorted({*get_args(Doing)} - {"wait"}),
    "incidents.step-": ("", "waits", *sorted({*get_args(Kind)} - {"started", "ended"})),
}


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_every_text_of_a_template_is_there(template: str) -> None:
    tree = ENVIRONMENT.parse(TEMPLATES[template])
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == "t" and isinstance(call.args[0], nodes.Const):
            assert TEXTS.has(call.args[0].value), call.args[0].value


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_no_template_says_anything_by_itself(template: str) -> None:
    said = "".join(
        str(data.data) if isinstance(data, nodes.TemplateData) else "x="
        for output in ENVIRONMENT.parse(TEMPLATES[template]).find_all(nodes.Output)
        for data in output.nodes
    )
    text = re.sub(r"<[^>]*>", " ", re.sub(r"<(style|script|kbd)\b.*?</\1>", " ", said, flags=re.S))
    assert re.findall(r"[A-Za-z\u3400-\u9fff]{2,}", re.sub(r"x=|&\w+;", " ", text)) == []


@pytest.mark.parametrize("prefix", NAMED)
def test_every_word_of_the_records_has_a_text(prefix: str) -> None:
    assert [f"{prefix}{word}" for word in NAMED[prefix] if not TEXTS.has(f"{prefix}{word}")] == []


@pytest.mark.parametrize("page", [page.name for page in PAGES if page.icon])
def test_every_room_has_a_title(page: str) -> None:
    assert TEXTS.has(f"{page}.title")


def test_both_languages_fill_in_the_same_values() -> None:
    named = re.compile(r"\{(\w*)\}")
    apart = [key for key, text in TEXTS.texts.items() if sorted(named.findall(text.zh)) != sorted(named.findall(text.en))]
    assert apart == []
