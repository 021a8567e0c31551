"""Tokens of one value under the keys of several epochs, found by the links that were recorded while they could be."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from xmsec.classify.epochs import Keyring
from xmsec.model.types import Tick
from xmsec.pipeline.road import Taken


def linked(token: str, batches: Iterable[Taken], keyring: Keyring, now: datetime) -> list[str]:
    """Return the other tokens of a token's value, sorted; both ways, over several epochs, as far as their keys are there."""
    groups: dict[str, set[str]] = {}
    for later, link in sorted(_links(batches)):
        former = keyring.former(later, link, now)
        if former is not None:
            together = groups.get(later, {later}) | groups.get(former, {former})
            groups.update(dict.fromkeys(together, together))
    return sorted(groups.get(token, {token}) - {token})


def _links(batches: Iterable[Taken]) -> set[tuple[str, str]]:
    return {
        (span.token, span.link)
        for batch in batches
        for row in batch.passed
        if not isinstance(row, Tick)
        for span in row[1]
        if span.link
    }
