"""Stream files: loading, samples, guessing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.parsers import LINES, ZONE, raw_of, stream_of

from xmsec.content.streams import Stream, check_samples, load_streams
from xmsec.model.errors import ConfigError, InputError
from xmsec.parse.guess import guess
from xmsec.parse.road import parser

TOP = Path(__file__).parents[2]
STREAMS, PROBLEMS = load_streams([TOP])
GENERIC = {name: stream for name, stream in STREAMS.items() if name.startswith("generic.")}


def load_one(folder: Path, text: str) -> tuple[dict[str, Stream], list[str]]:
    path = folder / "streams" / "office" / "web.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    good, problems = load_streams([folder])
    return good, [str(problem).removeprefix(f"not ; {path}") for problem in problems]


GOOD = """\
id: office.web
title: {zh: 办公, en: Office}
format: combined
samples:
  - line: x
    rejected: no-match
"""


def test_a_stream_needs_little(tmp_path: Path) -> None:
    good, problems = load_one(tmp_path, GOOD)
    assert problems == []
    assert (good["office.web"].system, good["office.web"].lateness_s, good["office.web"].silence_s) == ("office", 300, None)


@pytest.mark.parametrize(
    ("change", "line", "what"),
    [
        (("office.web", "office.weeb"), 1, "is not that of its path"),
        (("format:", "formad:"), 1, "formad"),
        (("format: combined", "format: combined\ntimezone: Mars/Base"), 4, "timezone"),
        (("format: combined", "format: combined\nlateness_s: -1"), 4, ">= 0"),
        (("format: combined", "format: combined\ndrop: [a]\nscan: [a]"), 4, "is dropped and used"),
        (("format: combined", "format: combined\nlines: {}"), 4, "none or several"),
        (("format: combined", "format: combined\nlines: {quotes: true, begins: a}"), 4, "none or several"),
        (("format: combined", "format: combined\nlines: {array: true, ends: a}"), 4, "none or several"),
        (("format: combined", "format: combined\nlines: {begins: '('}"), 4, "no regular expression"),
        (("rejected: no-match", "rejekted: no-match"), 5, "rejekted"),
        (("    rejected: no-match\n", "    time: 2026-11-24T00:00:00\n"), 6, "timezone"),
    ],
    ids=[
        "id",
        "key",
        "zone",
        "negative",
        "dropped",
        "no framing",
        "two framings",
        "no end",
        "expression",
        "sample key",
        "time without zone",
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, change: tuple[str, str], line: int, what: str) -> None:
    good, problems = load_one(tmp_path, GOOD.replace(*change))
    assert good == {}
    assert what in problems[0]
    assert f"web.yaml:{line}" in problems[0]


def test_shipped_streams_load_and_their_samples_hold() -> None:
    parse = parser(GENERIC, ZONE)
    assert [str(problem) for problem in PROBLEMS if "generic" in problem.where] == []
    assert {name: check_samples(stream, parse) for name, stream in GENERIC.items()} == {name: [] for name in GENERIC}


def test_a_sample_that_does_not_hold_is_told_without_its_value(tmp_path: Path) -> None:
    text = """\
id: office.web
title: {zh: 办公, en: Office}
format: combined
samples:
  - line: '192.0.2.1 - lin [24/Nov/2026:08:00:00 +0800] "GET /secret HTTP/1.1" 200 5'
    fields: {user.name: other, http.response.status_code: "200", url.domain: x}
    absent: [source.ip]
    time: 2026-11-24T08:00:00Z
    flags: [cut]
  - line: x
  - line: '192.0.2.1 - - [24/Nov/2026:08:00:00 +0800] "GET / HTTP/1.1" 200 5'
    rejected: no-match
"""
    good, _ = load_one(tmp_path, text)
    assert check_samples(good["office.web"], parser(good, ZONE)) == [
        "sample 1: time is 2026-11-24T00:00:00+00:00, expected 2026-11-24T08:00:00+00:00",
        "sample 1: user.name: another value (str, length 3)",
        "sample 1: http.response.status_code: another value (int)",
        "sample 1: url.domain: missing",
        "sample 1: source.ip: present, expected to be absent",
        "sample 1: flags: not as expected",
        "sample 2: rejected as no-match, expected a document",
        "sample 3: accepted, expected to be rejected as no-match",
    ]


def test_a_record_of_an_unknown_stream_is_refused() -> None:
    with pytest.raises(InputError, match=r"^unknown-stream$"):
        parser(GENERIC, ZONE)(raw_of(b"x"))


def test_an_unknown_format_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="log format"):
        parser({"test.one": stream_of("morse")}, ZONE)


FITS = {
    "apisix": "generic.apisix",
    "cef": "generic.cef",
    "combined": "generic.web",
    "debezium": "generic.debezium",
    "ecs": "generic.ecs",
    "kong": "generic.kong",
    "leef": "generic.leef",
    "mysql-audit": "generic.mysql",
    "nginx-json": "generic.web",
    "openlineage": "generic.openlineage",
    "pgaudit": "generic.postgresql",
    "postgresql-json": "generic.postgresql-json",
    "postgresql-stderr": "generic.postgresql-stderr",
    "rfc5424": "generic.syslog",
    "syslog": "generic.syslog",
}


@pytest.mark.parametrize(("form", "name"), FITS.items(), ids=FITS.keys())
def test_a_file_of_unknown_origin_finds_its_stream(form: str, name: str) -> None:
    assert guess([b"", b"\xef\xbb\xbf" + LINES[form], b"damaged", LINES[form]], GENERIC, ZONE) == name


@pytest.mark.parametrize(
    ("name", "place"),
    [(name, place) for name in sorted(GENERIC) for place, sample in enumerate(GENERIC[name].samples) if not sample.rejected],
)
def test_a_sample_alone_finds_its_stream(name: str, place: int) -> None:
    assert guess(GENERIC[name].samples[place].line.encode().split(b"\n"), GENERIC, ZONE) == name


def test_a_stream_of_a_system_is_taken_when_no_generic_one_fits() -> None:
    streams = {**GENERIC, "test.one": stream_of("json")}
    assert guess([LINES["json"]], streams, ZONE) == "test.one"


@pytest.mark.parametrize(
    ("lines", "what"),
    [([], "no line"), ([b"\n", b""], "no line"), ([b"the quick brown fox"], r"no stream fits.*tried generic\.openlineage")],
    ids=["empty", "blank", "prose"],
)
def test_what_fits_nothing_is_said_with_what_was_tried(lines: list[bytes], what: str) -> None:
    with pytest.raises(InputError, match=what):
        guess(lines, GENERIC, ZONE)


def test_several_streams_that_fit_are_named() -> None:
    streams = {"a.one": stream_of("json"), "b.two": stream_of("json")}
    with pytest.raises(InputError, match=r"several streams fit.*a\.one, b\.two"):
        guess([LINES["json"]], streams, ZONE)


MORSE = """\
from datetime import UTC, datetime
from xmsec.parse.reading import Reading

def morse(stream, zone):
    return lambda text, received: Reading(received, {"message": "\\u27e8CN_MOBILE:00\\u27e9 " + text, "url.query": "a+b"})
"""


def test_an_installed_package_brings_a_format_and_its_fields_are_cleaned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "morse_code.py").write_text(MORSE, encoding="utf-8")
    known = tmp_path / "morse_code-1.0.dist-info"
    known.mkdir()
    (known / "METADATA").write_text("Metadata-Version: 2.1\nName: morse-code\nVersion: 1.0\n", encoding="utf-8")
    (known / "entry_points.txt").write_text("[xmsec.parsers]\nmorse = morse_code:morse\nlost = no_such:x\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    document = parser({"test.one": stream_of("morse")}, ZONE)(raw_of(b"..."))
    assert document is not None
    assert document.fields == {"message": "‹CN_MOBILE:00› ...", "url.query": "a b"}
    with pytest.raises(ConfigError, match="does not load: ModuleNotFoundError"):
        parser({"test.one": stream_of("lost")}, ZONE)
