"""Presidio over the same files, without a model and without a network: what the set recogniser is compared with."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

from tests.identifiers import CACHE, ROOT, shipped

from xmsec.classify.canonical import normal
from xmsec.classify.validators.table import VALIDATORS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of Presidio's own dependencies, at import
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NoOpNlpEngine
    from presidio_analyzer.recognizer_registry import RecognizerRegistryProvider

    from xmsec.classify.presidio import SetRecognizer

LANGUAGES = ["zh", "en"]
Result = tuple[str, int, int, float]


@cache
def loaded() -> list[Any]:
    """Presidio's own pattern recognisers of all shipped files, with our validators in the place of their hook."""
    files = [path for path in sorted((ROOT / "classifiers").glob("*.yaml")) if path.name != "grades.yaml"]
    validators = {one.name: VALIDATORS.get(one.xmsec.validator or "") for one in shipped().recognisers}
    recognisers = []
    for path in files:
        for one in RecognizerRegistryProvider(conf_file=str(path)).create_recognizer_registry().recognizers:
            if validators[one.name] is not None:
                one.validate_result = validators[one.name]
            recognisers.append(one)
    return recognisers


@cache
def engine(ours: bool) -> Any:
    nlp = NoOpNlpEngine(models=[{"lang_code": language, "model_name": "no_op"} for language in LANGUAGES])
    nlp.load()
    recognisers = [SetRecognizer(shipped().recognisers, one, CACHE) for one in ("zh", "en")] if ours else loaded()
    registry = RecognizerRegistry(recognizers=recognisers, global_regex_flags=154, supported_languages=LANGUAGES)
    return AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=LANGUAGES)


def results(text: str, language: str, *, ours: bool) -> list[Result]:
    """Return what an engine finds in a text, normal before both, in a total order."""
    found = engine(ours).analyze(normal(text), language=language)
    return sorted((one.entity_type, one.start, one.end, one.score) for one in found)
