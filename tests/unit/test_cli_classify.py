"""`xmsec classify --input lines`: type, place, grade, mask and token of what is sensitive in each line, and never the value."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from tests.typed import Typed, typed

from xmsec.content.classifiers import Example, Recogniser, load_classifiers
from xmsec.content.load import shipped
from xmsec.model.types import LEVELS

COMMAND = (sys.executable, "-c", "from xmsec.cli.main import main; main()")
KEYS = ["type", "start", "end", "score", "grade", "masked", "token", "recogniser"]
RECOGNISERS = load_classifiers([shipped()])[0].recognisers
TYPES = sorted({one.supported_entity for one in RECOGNISERS})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def classified(capsys: pytest.CaptureFixture[str], home: Path, text: str | bytes, *options: str) -> Typed:
    """Classify a file that holds a text."""
    path = home / "text"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return typed(capsys, "classify", path, "--home", home, *options)


def examples(kind: str) -> list[tuple[Recogniser, str, str]]:
    """Return the texts that a type's recognisers must find something in, with the value where it is named."""
    found = []
    for one in RECOGNISERS:
        if one.supported_entity == kind:
            for positive in one.xmsec.positives:
                example = positive if isinstance(positive, Example) else Example(positive, "")
                if "\n" not in example.text:
                    found.append((one, example.text, example.value))
    return found


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_is_found_and_shown_as_the_contract_writes_it(
    kind: str, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    given = examples(kind)
    told = classified(capsys, home, "".join(f"{text}\n" for _, text, _ in given))
    assert [row["n"] for row in told.rows] == list(range(1, len(given) + 1))
    for (_, text, value), row in zip(given, told.rows, strict=True):
        assert list(row) == ["n", "entities"]
        (one, *_) = [entity for entity in row["entities"] if entity["type"] == kind]
        assert list(one) == KEYS
        assert value in ("", text[one["start"] : one["end"]])
        assert re.fullmatch(r"⟨[A-Z][A-Z0-9_]*:[0-9a-f]{16}⟩", one["token"])
        assert one["grade"] in LEVELS
        assert 0.5 <= one["score"] <= 1.0


@pytest.mark.parametrize("kind", TYPES)
def test_a_mask_shows_no_more_than_a_beginning_and_the_last_character(
    kind: str, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    told = classified(capsys, home, "".join(f"{text}\n" for _, text, _ in examples(kind)))
    shown = {one.name: one.xmsec.masked for one in RECOGNISERS}
    for row in told.rows:
        for one in row["entities"]:
            first, last = shown[one["recogniser"]].first, shown[one["recogniser"]].last
            hidden = one["masked"][first : len(one["masked"]) - last] if len(one["masked"]) > first + last else one["masked"]
            assert first <= 6
            assert last <= 1
            assert set(hidden) == {"*"}


ID, MOBILE, CARD, MAIL = "11010519491231002X", "13800138000", "6222600260001072444", "zhang.san@example.com"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"身份证{ID}", [("CN_RESIDENT_ID", 3, 21)]),
        (f"😀😀 手机号 {MOBILE}。", [("CN_MOBILE", 7, 18)]),
        (f"👨‍👩‍👧 {MOBILE}", [("CN_MOBILE", 6, 17)]),
        (f"\U0002000b氏 {MOBILE} 与 {ID}", [("CN_MOBILE", 3, 14), ("CN_RESIDENT_ID", 17, 35)]),
        (f"{ID},{MOBILE},{MAIL}", [("CN_RESIDENT_ID", 0, 18), ("CN_MOBILE", 19, 30), ("EMAIL_ADDRESS", 31, 52)]),
        (f"{MOBILE} {MOBILE}", [("CN_MOBILE", 0, 11), ("CN_MOBILE", 12, 23)]),
        ("电话１３８００１３８０００转", [("CN_MOBILE", 2, 13)]),
        ("138\u200b00138000 x", [("CN_MOBILE", 0, 12)]),
        ("11010519491231002x", [("CN_RESIDENT_ID", 0, 18)]),
        (f"e\u0301 {MOBILE}", [("CN_MOBILE", 3, 14)]),
        ("110105194912310021", []),
        ("订单 20261124000123456789", []),
        ("", []),
        ("⟨CN_MOBILE:8624873a1a871241⟩", []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_offsets_count_characters_of_the_line_as_given(
    line: str, expected: list[tuple[str, int, int]], capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    (row,) = classified(capsys, home, line + "\n").rows
    assert [(one["type"], one["start"], one["end"]) for one in row["entities"]] == expected


def test_entities_stand_in_order_and_do_not_overlap(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    texts = [text for kind in TYPES for _, text, _ in examples(kind)]
    told = classified(capsys, home, "".join(f"{one} ; {other} ; {one}\n" for one, other in pairwise(texts)))
    for row in told.rows:
        places = [(one["start"], one["end"]) for one in row["entities"]]
        assert places == sorted(places)
        assert all(left[1] <= right[0] for left, right in pairwise(places))


def test_the_line_is_written_as_the_contract_shows_it(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    told = classified(capsys, home, f"身份证{ID}\nnothing\n")
    before = '{"n":1,"entities":[{"type":"CN_RESIDENT_ID","start":3,"end":21,"score":1.0,"grade":"general-4",'
    assert told.out[0].startswith(before + '"masked":"110105***********X","token":"⟨CN_RESIDENT_ID:')
    assert told.out[0].endswith('⟩","recogniser":"cn_resident_id"}]}')
    assert told.out[1:] == ['{"n":2,"entities":[]}']


def test_a_value_has_one_token_however_it_is_written_and_another_under_another_key(
    capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    text = f"{MOBILE}\n+86 138-0013-8000\n电话１３８００１３８０００\n"
    tokens = [row["entities"][0]["token"] for row in classified(capsys, home, text).rows]
    other = [row["entities"][0]["token"] for row in classified(capsys, tmp_path, text).rows]
    assert len(set(tokens)) == len(set(other)) == 1
    assert tokens[0] != other[0]


def test_no_value_is_in_the_output(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    told = classified(capsys, home, f"{ID} {MOBILE} {MAIL}\n银行卡 {CARD}\n")
    assert [value for value in (ID, MOBILE, CARD, MAIL) if value in "".join(told.out)] == []


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (f"{MOBILE}\r\n{MOBILE}".encode(), 2),
        (gzip.compress(f"{MOBILE}\n{MOBILE}\n".encode()), 2),
        (b"\xef\xbb\xbf" + MOBILE.encode(), 1),
        (MOBILE.encode() + b" \xff\xfe\n", 1),
        (b"", 0),
    ],
    ids=["CRLF and no end", "gzip", "byte order mark", "not UTF-8", "empty"],
)
def test_a_file_is_read_however_it_was_written(
    content: bytes, lines: int, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    told = classified(capsys, home, content)
    assert (told.code, told.err) == (0, [])
    assert [[(one["start"], one["end"]) for one in row["entities"]] for row in told.rows] == [[(0, 11)]] * lines


def test_one_language_uses_its_own_context_words(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    found = {
        lang: [len(row["entities"]) for row in classified(capsys, home, "手机14201234567\nphone: 14201234567\n", *lang).rows]
        for lang in ((), ("--lang", "zh"), ("--lang", "en"))
    }
    assert found == {(): [1, 1], ("--lang", "zh"): [1, 0], ("--lang", "en"): [0, 1]}


@pytest.mark.parametrize("form", ["json", "csv"])
def test_what_comes_later_says_so_in_one_line(form: str, capsys: pytest.CaptureFixture[str], home: Path) -> None:
    told = classified(capsys, home, "{}", "--input", form)
    assert (told.code, told.out) == (1, [])
    assert told.err == [
        f"xmsec: classify --input {form} is not covered yet; this version; give its text line by line: --input lines"
    ]


@pytest.mark.parametrize(
    "arguments", [("nowhere.txt",), ("--input", "xml", "x"), ("--lang", "fr", "x"), ("/",)], ids=lambda one: " ".join(one)
)
def test_wrong_usage_is_one_line(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = typed(capsys, "classify", *arguments, "--home", home)
    assert (told.code, told.out, len(told.err)) == (2, [], 1)


def test_standard_input_is_read_and_no_heavy_library_is_loaded(home: Path) -> None:
    code = "import sys; from xmsec.cli.main import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    ran = subprocess.run(
        [sys.executable, "-c", code, "classify", "-", "--home", home], input=MOBILE.encode(), capture_output=True, check=True
    )
    assert b'"type":"CN_MOBILE","start":0,"end":11' in ran.stdout
    loaded = {name.partition(".")[0] for name in ran.stderr.decode().split()}
    assert not loaded & {"presidio_analyzer", "sklearn", "pyarrow", "sigma", "spacy"}


def test_for_a_person_each_value_is_a_row(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    told = classified(capsys, home, "13800138000 [red]\nnothing\n18-13800138000, a@b.example.cn\n", "--format", "table")
    rows = [line.split() for line in told.out if "⟨" in line]
    assert [(row[0], row[1], row[2]) for row in rows] == [
        ("1", "0–11", "CN_MOBILE"),
        ("3", "3–14", "CN_MOBILE"),
        ("3", "16–30", "EMAIL_ADDRESS"),
    ]
    assert "13800138000" not in "".join(told.out)


def test_an_array_of_lines_holds_what_the_lines_hold(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    lines = classified(capsys, home, "13800138000\n\n")
    array = classified(capsys, home, "13800138000\n\n", "--format", "json")
    assert json.loads("\n".join(array.out)) == lines.rows


@pytest.mark.parametrize(("form", "first"), [("table", "2026-11-24T00:00:00Z"), ("json", "["), ("jsonl", '{"event":{')])
def test_events_too_are_printed_as_asked(form: str, first: str, capsys: pytest.CaptureFixture[str], home: Path) -> None:
    path = home / "web.log"
    path.write_text('192.0.2.1 - lin [24/Nov/2026:08:00:00 +0800] "GET /?m=13800138000 HTTP/1.1" 200 5\nno\n', "utf-8")
    told = typed(capsys, "parse", path, "--stream", "generic.web", "--home", home, "--format", form)
    assert (told.code, told.err) == (0, ["rejected 1 × parse:no-match"])
    assert any(line.strip().startswith(first) for line in told.out)
    assert any("⟨CN_MOBILE:" in line for line in told.out)
