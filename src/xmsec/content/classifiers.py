"""Classifier files: recognisers in Presidio's own YAML, and the table that grades what they find.

A recogniser file is one that Presidio itself can load (`RecognizerRegistryProvider(conf_file=…)`). What is ours stands under
each recogniser's own key `xmsec`, which Presidio leaves out without a word; its other silences (a language it does not know, a
context beside a plain list of languages, an unknown key) are errors here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from xmsec.content.load import Document, convert, files, load_each
from xmsec.model.errors import ContentError
from xmsec.model.types import Level

GRADES_FILE = "grades.yaml"
FLAGS = 154  # regex.I | M | S | ASCII: with Unicode's `\b` and `\w`, identifiers glued to Chinese are missed
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]*$")]
Type = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9_]*$")]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Score = Annotated[float, msgspec.Meta(ge=0, le=1)]
Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")


class Title(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A title for people, in both languages."""

    zh: Text
    en: Text


class Pattern(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One regular expression of a recogniser and the score of its hit."""

    name: Text
    regex: Text
    score: Score


class Spoken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A language and the words of it that make a hit more likely."""

    language: Language
    context: tuple[Text, ...] = ()


class Masked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many characters a masked value still shows: of its region or prefix, and at its end."""

    first: Annotated[int, msgspec.Meta(ge=0, le=6)] = 0
    last: Annotated[int, msgspec.Meta(ge=0, le=1)] = 0


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text, the value in it that has to be found, and its canonical form where that is worth a test."""

    text: Text
    value: Text
    canonical: str | None = None


class Extras(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What Presidio has no word for.

    validator: a name of `xmsec.classify.validators.table`; canonical: a name of `xmsec.classify.canonical`; type: the
    canonical type, whose token is shared (default: supported_entity); actor: such a value may identify an actor, so that it
    stays readable where a stream says so; kept: attributes that survive in a span, each with a name of `xmsec.classify.kept`;
    chance: the share of random strings of its shape that pass, which decides ties; refuses: the share of one-character changes
    of a valid value that are refused, or proved no more. scan: for a pattern that costs the set engine much, by its name, a
    simpler one that matches within every text where the pattern does.
    positives: values, or texts with the value in them; negatives: texts without a hit of this type.
    """

    title: Title
    positives: Annotated[tuple[Text | Example, ...], msgspec.Meta(min_length=1)]
    negatives: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
    validator: Name | None = None
    canonical: Name = "identifier"
    type: Type | None = None
    actor: bool = False
    masked: Masked = Masked()
    kept: dict[Name, Name] = {}
    chance: Score = 1.0
    refuses: Score = 0.0
    scan: dict[Text, Text] = {}
    references: tuple[Text, ...] = ()


class Recogniser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One recogniser as its file says it."""

    name: Name
    supported_entity: Type
    supported_languages: Annotated[tuple[Spoken, ...], msgspec.Meta(min_length=1)]
    xmsec: Extras
    patterns: tuple[Pattern, ...] = ()
    deny_list: tuple[Text, ...] = ()
    deny_list_score: Score = 1.0
    type: Literal["custom"] = "custom"

    @property
    def canonical_type(self) -> str:
        """The type whose token its values get."""
        return self.xmsec.type or self.supported_entity

    def all_patterns(self) -> tuple[Pattern, ...]:
        """Return its patterns, the deny list as the last one, written as Presidio writes it."""
        if not self.deny_list:
            return self.patterns
        words = "|".join(re.escape(word) for word in self.deny_list)
        return (*self.patterns, Pattern("deny_list", rf"(?:^|(?<=\W))({words})(?:(?=\W)|$)", self.deny_list_score))

    def scanned_patterns(self) -> tuple[str, ...]:
        """Return what the set engine is given for each of all patterns."""
        return tuple(self.xmsec.scan.get(pattern.name) or scannable(pattern.regex) for pattern in self.all_patterns())


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    supported_languages: tuple[Language, ...]
    global_regex_flags: Literal[154]
    recognizers: Annotated[tuple[Recogniser, ...], msgspec.Meta(min_length=1)]


class TypeGrade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The grade of one entity type, and the clause that gives it."""

    level: Level
    why: Text


class Combination(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values that are graver together: one of each group in the same event. A group's items are types, or `kept=value`."""

    id: Text
    all_of: Annotated[tuple[tuple[Text, ...], ...], msgspec.Meta(min_length=1)]
    level: Level
    why: Text


class Volume(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Many values in one event are graver than each: at least so many different tokens of these types."""

    id: Text
    types: Annotated[tuple[Type, ...], msgspec.Meta(min_length=1)]
    at_least: Annotated[int, msgspec.Meta(ge=2)]
    level: Level
    why: Text


class Grades(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table that grades spans."""

    title: Title
    references: tuple[Text, ...] = ()
    types: dict[Type, TypeGrade] = {}
    combinations: tuple[Combination, ...] = ()
    volumes: tuple[Volume, ...] = ()


class Classifiers(msgspec.Struct, frozen=True):
    """All recognisers of a deployment, by name, and the grades of what they find."""

    recognisers: tuple[Recogniser, ...]
    grades: Grades


def load_classifiers(dirs: Sequence[Path]) -> tuple[Classifiers, list[ContentError]]:
    """Load the classifiers of content directories; a later one replaces a file of the same name. Good ones and all problems."""
    paths = files(dirs, "classifiers")
    loaded, problems = load_each([path for path in paths if path.name != GRADES_FILE], load_recognisers)
    tables, worse = load_each([path for path in paths if path.name == GRADES_FILE], load_grades)
    by_name: dict[str, Recogniser] = {}
    for recogniser in (one for several in loaded for one in several):
        if recogniser.name in by_name:
            problems.append(ContentError(f'recogniser "{recogniser.name}" stands twice', remedy="rename one"))
        by_name.setdefault(recogniser.name, recogniser)
    recognisers = tuple(by_name[name] for name in sorted(by_name))
    grades = tables[-1] if tables else Grades(Title("无", "none"))
    return Classifiers(recognisers, grades), [*problems, *worse]


def load_recognisers(document: Document) -> tuple[Recogniser, ...]:
    """Turn one file into its recognisers. Raises ContentError with the line of the first problem."""
    recognisers = convert(document, _File).recognizers
    for error in lint(document, recognisers):
        raise error
    return recognisers


def load_grades(document: Document) -> Grades:
    """Turn the grade table's file into a record. Raises ContentError."""
    return convert(document, Grades)


REPEATS = 256  # the set engine unrolls bounded repeats: {0,16384} took it two minutes to compile
# an escape, a class, a possessive quantifier (linear), or one without an end or with a high one
_PARTS = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?:[*+]|\{\d+,\})\+|(?P<open>[*+]|\{\d+,\})|\{\d*,?(?P<high>\d+)\}\+?", re.DOTALL
)
_KEEP_OUT = re.compile(r"(?<!\\)((?:\\\\)*)\\K")
_BEHIND = re.compile(r"^\(\?<!\[(?!\^)((?:\\.|[^\]\\])+)\]\)")
_AHEAD = re.compile(r"\(\?!\[(?!\^)((?:\\.|[^\]\\])+)\](?:\|[^()]*)?\)$")
_ANCHORS = re.compile(r"(?<!\\)(?:\\\\)*\\[AZz]")


def lint(document: Document, recognisers: Sequence[Recogniser]) -> Iterator[ContentError]:
    """Name what would be dropped, missed or slow: anchors, patterns of any length, patterns that match nothing, no pattern."""
    for index, recogniser in enumerate(recognisers):
        at = f"$.recognizers[{index}]"
        if not recogniser.all_patterns():
            yield document.error(f'recogniser "{recogniser.name}" has no pattern', at, "write patterns or a deny_list")
        spoken = [one.language for one in recogniser.supported_languages]
        if len(set(spoken)) < len(spoken):
            yield document.error(f'recogniser "{recogniser.name}" names a language twice', at, "join their context words")
        strays = sorted(recogniser.xmsec.scan.keys() - {pattern.name for pattern in recogniser.patterns})
        if strays:
            yield document.error(f'scan names no pattern "{strays[0]}"', f"{at}.xmsec.scan", "name one of its patterns")
        for number, pattern in enumerate(recogniser.patterns):
            what = pattern_problem(pattern.regex)
            if what:
                yield document.error(f'pattern "{pattern.name}" {what[0]}', f"{at}.patterns[{number}].regex", what[1])


def pattern_problem(pattern: str) -> tuple[str, str] | None:
    r"""Return what is wrong with a pattern and what to do, or None.

    >>> pattern_problem(r"\d+"), pattern_problem(r"[0-9+]{1,9}\+")
    (('may go on for ever', 'write an upper bound, {1,64}, or a possessive quantifier, ++'), None)
    """
    import regex  # here, so that loading content does not cost the command line's start

    if _ANCHORS.search(pattern):
        return "uses \\A or \\Z, which the joined scan cannot see", "write ^ or $, or a lookaround"
    if any(part["open"] or int(part["high"] or 0) > REPEATS for part in _PARTS.finditer(pattern)):
        return "may go on for ever", "write an upper bound, {1,64}, or a possessive quantifier, ++"
    try:
        compiled = regex.compile(pattern, FLAGS)
    except regex.error as error:
        return f"is no regular expression: {error}", "correct it"
    if compiled.search("") is not None:
        return "matches the empty text", "ask for at least one character"
    return None


def scannable(pattern: str) -> str:
    r"""Return what the set engine is given: it matches wherever this pattern does, and as seldom elsewhere as can be had.

    The engine knows no `\K` and drops lookarounds, so a border of a value (`(?<![0-9])…(?![0-9])`) is written as a character
    that is taken in; texts stand between line feeds. The two letters beside a class fold to ASCII in Unicode, and there only.

    >>> scannable(r"(?<![0-9])\d{9}(?![0-9]|\.5)")
    '(?:^|[^0-9]|[\\x{17f}\\x{212a}])\\d{9}(?:$|[^0-9]|[\\x{17f}\\x{212a}])'
    """
    pattern = _KEEP_OUT.sub(r"\1", pattern)
    if _alternates(pattern):
        return pattern
    pattern = _BEHIND.sub(r"(?:^|[^\1]|[\\x{17f}\\x{212a}])", pattern)
    return _AHEAD.sub(r"(?:$|[^\1]|[\\x{17f}\\x{212a}])", pattern)


def _alternates(pattern: str) -> bool:
    """Whether a pattern is a choice at its top level."""
    depth = 0
    for part in re.finditer(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()|]", pattern, re.DOTALL):
        depth += {"(": 1, ")": -1}.get(part[0], 0)
        if part[0] == "|" and depth == 0:
            return True
    return False


def engine_problems(recognisers: Sequence[Recogniser]) -> list[str]:
    """Return the patterns that the set engine refuses, one line each; compiling takes a while, so loading does not ask."""
    import hyperscan

    problems: list[str] = []
    flags = hyperscan.HS_FLAG_UTF8 | hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_ALLOWEMPTY
    for recogniser in recognisers:
        for pattern, scanned in zip(recogniser.all_patterns(), recogniser.scanned_patterns(), strict=True):
            try:
                hyperscan.Database().compile(expressions=[scanned.encode()], flags=[flags], elements=1, ids=[0])
            except hyperscan.error as error:
                problems.append(f"{recogniser.name}/{pattern.name}: the set engine refuses it: {error}")
    return problems
