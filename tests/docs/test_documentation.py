"""What a stranger looks up is there: commands, settings, errors, keys of content files, fields of records."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.surface import commands, routes

from xmsec.bench.detection import Found, Judged
from xmsec.classify.text import Entity
from xmsec.cli.settings import Settings
from xmsec.content import classifiers, detectors, exceptions, notify, recipes, scenario, streams
from xmsec.detect.kinds import contract, correlation, coverage, silence
from xmsec.ledger import dataset, entries, grant, label
from xmsec.model import errors
from xmsec.model.types import KEY_KINDS, LEVELS, SEVERITIES, Event, Finding, Incident, Span
from xmsec.parse.table import FORMATS
from xmsec.respond.chain import Entry
from xmsec.runtime.summary import summary
from xmsec.store.rows import dead_row, event_row, finding_row, incident_row, span_row

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAIRS = (("README.md", "README.zh-CN.md"),)
REFERENCE = ("commands", "settings", "errors", "content", "records")


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text("utf-8")


def section(name: str, heading: str) -> str:
    """A part of a page: from a heading that begins so to the next of its rank."""
    found = re.search(rf"(?ms)^## {re.escape(heading)}.*?(?=^## |\Z)", page(name))
    assert found, heading
    return found[0]


def spoken(text: str) -> set[str]:
    """The words that a text writes as code."""
    spans = re.findall(r"`([^`\n]+)`", text)
    return {word for span in spans for word in (span, *re.findall(r"[\w.@-]+", span), *span.split("."))}


def test_every_command_is_listed_as_it_is_typed() -> None:
    shared = re.compile(r" \[(--home PATH|--format table\|json\|jsonl)\]")
    listed = re.findall(r"^- `(xmsec [^`]+)`$", page("commands"), re.M)
    assert sorted(listed) == sorted(shared.sub("", command.usage) for command in commands())


def test_every_route_and_its_parameters_are_listed() -> None:
    api = spoken(section("commands", "API"))
    for route in routes():
        path, _, parameters = route.partition(" ")[2].partition("?")
        assert {path, *filter(None, parameters.partition(" ")[0].split("&"))} <= api


def test_every_setting_is_listed_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(XMSEC_\w+)` \| (.+?) \|", page("settings"), re.M))
    assert sorted(rows) == sorted(f"XMSEC_{name.upper()}" for name in Settings.model_fields)
    for name, field in Settings.model_fields.items():
        if field.default:
            assert rows[f"XMSEC_{name.upper()}"] == f"`{field.default}`"


def test_every_error_is_listed_with_its_exit_code() -> None:
    rows = dict(re.findall(r"^\| `(\w+Error)` \| (\d+) \|", page("errors"), re.M))
    family = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and name.endswith("Error")}
    assert rows == {name: str(kind.exit_code) for name, kind in family.items() if issubclass(kind, errors.XmsecError)}


def test_every_exit_code_is_listed() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \| ", page("errors"), re.M)}
    assert listed == {0, *(value for name, value in vars(errors).items() if name.startswith("EXIT_"))}


def reasons() -> Iterator[str]:
    """The reasons that the code gives as a word, wherever it refuses a record."""
    for path in sorted((ROOT / "src" / "xmsec").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("InputError", "Rejected"):
                for told in (part for argument in node.args for part in ast.walk(argument)):
                    if isinstance(told, ast.Constant) and re.fullmatch(r"[a-z]+(-[a-z]+)+", str(told.value)):
                        yield str(told.value)


def test_every_reason_of_a_dead_letter_is_listed() -> None:
    assert sorted({*reasons()} - spoken(page("errors"))) == []


CONTENT: list[tuple[str, str, list[type[Any]]]] = [
    ("content", "Streams", [streams.Stream, streams.DatasetRule, streams.Sample]),
    ("content", "Classifiers", [classifiers.Recogniser, classifiers.Pattern, classifiers.Spoken, classifiers.Masked]),
    ("content", "Classifiers", [classifiers.Extras, classifiers.Example, classifiers._File]),
    ("content", "Classifiers", [classifiers.Grades, classifiers.TypeGrade, classifiers.Combination, classifiers.Volume]),
    ("content", "Detectors", [detectors._Head, detectors.Case, detectors.Given, detectors.Expected, detectors.KnownFalse]),
    ("content", "Detectors", [contract._Body, silence._Body, coverage._Body, coverage._Sort]),
    ("content", "Detectors", [correlation._Body, correlation._Condition]),
    ("content", "Exceptions", [exceptions.ExceptionFile, exceptions.Trial]),
    ("content", "Destinations", [notify.Destination, notify.Where, notify.Quiet, notify.Folding, notify.Try, notify.Told]),
    ("content", "Models", [recipes.Recipe, recipes.Forest, recipes.Training, recipes.Hours]),
    (
        "content",
        "Ledger",
        [entries.Entries, dataset.Owner, dataset.Dataset, label.Field, grant.Member, grant.Given, grant.Quota],
    ),
    ("scenarios", "Keys of a scenario file", [scenario.Scenario, scenario.StreamUse, scenario.Group, scenario.Place]),
    ("scenarios", "Keys of a scenario file", [scenario.Roaming, scenario.Behaviour, scenario.Draw, scenario.Step]),
    ("scenarios", "Keys of a scenario file", [scenario.Choice, scenario.Happening, scenario.Lapse]),
]


@pytest.mark.parametrize(("name", "heading", "kinds"), CONTENT, ids=lambda value: value if isinstance(value, str) else "")
def test_every_key_of_a_content_file_is_listed(name: str, heading: str, kinds: list[type[Any]]) -> None:
    listed = spoken(section(name, heading))
    for kind in kinds:
        assert sorted({field.encode_name for field in msgspec.structs.fields(kind)} - listed) == [], kind


def test_every_log_format_and_every_word_with_a_meaning_is_listed() -> None:
    listed = spoken(page("content")) | spoken(page("records"))
    assert {*FORMATS, *SEVERITIES, *KEY_KINDS} <= listed
    assert {level for level in LEVELS if not level.startswith("general-")} | {"general-4", "general-1"} <= listed


def names(kind: type[Any]) -> set[str]:
    return set(kind.__struct_fields__)


FINDING = {*names(Finding), "incident", "status", "assignee"}
INCIDENT = {*names(Incident), "related", "status", "assignee"}
RECORDS: dict[str, tuple[str, set[str]]] = {
    "finding": ("Finding", FINDING),
    "incident": ("Incident", INCIDENT),
    "event": ("Event", names(Event) - {"given_id"}),
    "span": ("Event", names(Span)),
    "entity of a line": ("Event", names(Entity)),
    "entry of a run": ("Others", names(Entry)),
    "dead letter": ("Others", {"stream", "position", "leg", "reason", "at"}),
    "summary": ("Others", {*summary({}, [], {}, [])}),
    "bench detection": ("Others", {*names(Judged), *names(Found)}),
}


@pytest.mark.parametrize("what", RECORDS)
def test_every_field_of_a_record_is_listed(what: str) -> None:
    heading, fields = RECORDS[what]
    assert sorted(fields - spoken(section("records", heading))) == []


def test_records_are_written_with_the_fields_that_are_listed() -> None:
    written = {
        finding_row: FINDING,
        incident_row: INCIDENT,
        event_row: RECORDS["event"][1],
        span_row: RECORDS["span"][1],
        dead_row: RECORDS["dead letter"][1],
    }
    for row, fields in written.items():
        source = ast.parse(Path(row.__code__.co_filename).read_text("utf-8"))
        (function,) = (node for node in source.body if isinstance(node, ast.FunctionDef) and node.name == row.__name__)
        keys = {
            str(key.value)
            for node in ast.walk(function)
            if isinstance(node, ast.Dict)
            for key in node.keys
            if isinstance(key, ast.Constant)
        }
        assert keys - {"type", "id", "start", "end"} <= fields


@pytest.mark.parametrize("name", REFERENCE)
def test_a_reference_page_speaks_both_languages(name: str) -> None:
    for part in re.split(r"(?m)^## ", page(name)):
        assert re.search(r"[一-鿿]{2}", part), part[:40]
        assert re.search(r"[a-z]{4}", part), part[:40]


def links(path: Path) -> Iterator[tuple[str, str]]:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if not target.startswith(("http:", "https:")):
            file, _, anchor = target.partition("#")
            yield file, anchor


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as the usual hosts make them."""
    headings = re.findall(r"(?m)^#+ (.+)$", path.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))], ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for file, anchor in links(path):
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_both_languages_name_the_same_things(english: str, chinese: str) -> None:
    one, other = ((ROOT / name).read_text("utf-8") for name in (english, chinese))
    other = re.sub(r"(docs/pictures/\w+)-zh", r"\1-en", other)  # each shows its own language
    for pattern in (r"`([^`\n]+)`", r"\]\(((?!README)[^)]+)\)", r"(?m)^(#+) "):
        assert sorted(re.findall(pattern, one)) == sorted(re.findall(pattern, other))
    blocks = [
        [re.sub(r"\s+#.*", "", line) for line in re.findall(r"(?m)^(?:make|xmsec|source) .*$", text)] for text in (one, other)
    ]
    assert blocks[0] == blocks[1]


def test_every_decision_has_a_number_of_its_own_under_which_it_stands() -> None:
    decisions = sorted((DOCS / "adr").glob("*.md"))
    assert [path.name[:4] for path in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        assert path.read_text("utf-8").startswith(f"# {path.name[:4]} ")
