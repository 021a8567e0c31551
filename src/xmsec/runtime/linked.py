"""Tokens of one value under the keys of several epochs, found by the links that were recorded while they could be."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from xmsec.classify.epochs import Keyring, renewed
from xmsec.model.types import Tick
from xmsec.pipeline.road import Taken


def linked(token: str, batches: Iterable[Taken], keyring: Keyring, now: datetime) -> list[str]:
    """Return the other tokens of a token's value, sorted; both ways, over several epochs, as far as their keys are there.

    What stands for it in recordings that went over to a later key is one of them.
    """
    links, again = _recorded(batches, _again(token, keyring))
    groups = _groups(links, keyring, now)
    return sorted((groups.get(token, set()) | again) - {token})


def names(token: str, links: Iterable[tuple[str, str]], keyring: Keyring, now: datetime) -> tuple[str, ...]:
    """Return all tokens that a token's value may have, itself among them, by links that were recorded; sorted."""
    together = _groups(links, keyring, now).get(token, {token})
    return tuple(sorted(together.union(*(_again(one, keyring) for one in together))))


def standing(tokens: Iterable[str], keyring: Keyring) -> tuple[str, ...]:
    """Return a value's tokens of several epochs, and what may stand for them under later keys; sorted."""
    found = set(tokens)
    return tuple(sorted(found.union(*(_again(one, keyring) for one in found))))


def _groups(links: Iterable[tuple[str, str]], keyring: Keyring, now: datetime) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for later, link in sorted(links):
        former = keyring.former(later, link, now)
        if former is not None:
            together = groups.get(later, {later}) | groups.get(former, {former})
            groups.update(dict.fromkeys(together, together))
    return groups


def _again(token: str, keyring: Keyring) -> set[str]:
    """Return what may stand for a token under later keys."""
    found = [token]
    for epoch in keyring.epochs[1:]:
        if epoch.key is not None:
            found += [renewed(one, epoch) for one in found]
    return set(found[1:])


def _recorded(batches: Iterable[Taken], wanted: set[str]) -> tuple[set[tuple[str, str]], set[str]]:
    """Return all links, and which of some tokens were recorded."""
    links: set[tuple[str, str]] = set()
    seen: set[str] = set()
    for batch in batches:
        for row in batch.passed:
            for span in () if isinstance(row, Tick) else row[1]:
                if span.link:
                    links.add((span.token, span.link))
                if span.token in wanted:
                    seen.add(span.token)
    return links, seen
