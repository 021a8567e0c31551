"""The set recogniser behind Presidio's interface: one `EntityRecognizer` in the place of all of a deployment's.

Importing this costs Presidio's import (over a second), so only what needs Presidio imports it. Its results equal those of
Presidio's own pattern recognisers over the same files; context without a language model, and resolving overlaps between types,
are left to the caller (`Recognisers.find` has both).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from presidio_analyzer import EntityRecognizer, RecognizerResult

from xmsec.classify.canonical import normal
from xmsec.classify.recognise import Recognisers
from xmsec.content.classifiers import Language, Recogniser


class SetRecognizer(EntityRecognizer):
    """All recognisers of one language as one.

    Give it to a registry: `RecognizerRegistry(recognizers=[SetRecognizer(content, "zh")], supported_languages=["zh"])`.
    """

    def __init__(self, content: Sequence[Recogniser], language: Language, cache: Path | None = None) -> None:
        self._recognisers = Recognisers(content, cache, language)
        super().__init__(
            supported_entities=sorted({one.supported_entity for one in self._recognisers.content}),
            name="xmsec",
            supported_language=language,
        )

    def load(self) -> None:
        """Do nothing: it was compiled when it was made."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[Any]:
        """Return what is found of the asked entities; none asked means all."""
        plain = normal(text)
        hits = self._recognisers.verify(plain, (pattern for _, pattern in self._recognisers.candidates([plain])))
        results = []
        for hit in hits:
            one = self._recognisers.content[hit.which]
            if not entities or one.supported_entity in entities:
                metadata = {RecognizerResult.RECOGNIZER_NAME_KEY: one.name, RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: self.id}
                results.append(
                    RecognizerResult(one.supported_entity, hit.start, hit.end, hit.score, recognition_metadata=metadata)
                )
        return results
