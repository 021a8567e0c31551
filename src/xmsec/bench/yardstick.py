"""Two yardsticks for the road's speed: the least that any road must do, and Presidio's engine alone on the same fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from xmsec.bench.clock import Taken, timed
from xmsec.bench.traffic import STREAM
from xmsec.classify.typed import holds, kind_of
from xmsec.content.classifiers import FLAGS, GRADES_FILE, LANGUAGES
from xmsec.content.load import files
from xmsec.model.types import Parsed, Position, Raw
from xmsec.pipeline.road import Road

_LINE = re.compile(
    r'(?P<host>\S+) \S+ (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<method>\S+) (?P<target>\S+)[^"]*" '
    r"(?P<status>\d{3}) (?P<size>\S+)"
)


def floor(path: Path) -> Taken:
    """Read each line of a file, match one regular expression, encode one JSON object."""

    def work() -> None:
        encode = msgspec.json.Encoder().encode
        with path.open("rb") as file:
            for line in file:
                match = _LINE.match(line.decode("utf-8", "replace"))
                encode(match.groupdict() if match else None)

    return timed(work)


def presidio(dirs: Sequence[Path], road: Road, lines: Sequence[bytes]) -> Taken:
    """Let Presidio's AnalyzerEngine look at the fields of some lines that classify would scan; no language model."""
    analyze = _engine(dirs)
    texts = [text for line in lines for text in _scanned(road.parse(_raw(line)))]
    analyze(texts[0] if texts else "")
    return timed(lambda: [analyze(text) for text in texts])


def _scanned(parsed: Parsed | None) -> list[str]:
    """Return the texts of a document whose fields' types do not say what they hold."""
    found = (
        [] if parsed is None else [(kind_of(name), value) for name, value in parsed.fields.items() if isinstance(value, str)]
    )
    return [text for kind, text in found if kind is None or not holds(kind, text)]


def _engine(dirs: Sequence[Path]) -> Callable[[str], Any]:
    """Return Presidio's engine with the shipped recognisers, loaded from their own files by Presidio itself."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NoOpNlpEngine
    from presidio_analyzer.recognizer_registry import RecognizerRegistryProvider

    recognizers: list[Any] = []
    for path in files(dirs, "classifiers"):
        if path.name != GRADES_FILE:
            recognizers += RecognizerRegistryProvider(conf_file=path).create_recognizer_registry().recognizers
    nlp = NoOpNlpEngine(models=[{"lang_code": language, "model_name": "no_op"} for language in LANGUAGES])
    nlp.load()
    registry = RecognizerRegistry(recognizers=recognizers, global_regex_flags=FLAGS, supported_languages=list(LANGUAGES))
    engine = AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=list(LANGUAGES))
    return lambda text: engine.analyze(text, "zh")


def _raw(line: bytes) -> Raw:
    return Raw(Position(STREAM, "bench", 0), datetime.now(UTC), line)
