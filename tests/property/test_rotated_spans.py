"""Correlations whose spans hold a rotation of the key: what docs/keys.md says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.matches import RULES, correlation
from tests.strategies import at, event

from xmsec.classify.epochs import Epoch, Keyring
from xmsec.model.clock import FAR
from xmsec.model.types import Context

SPAN = timedelta(hours=6)
TURN = at(18 * 3600)
OLD = Epoch.of(b"k" * 32)
BOTH = Keyring([OLD, Epoch.of(b"n" * 32, number=2, start=TURN, link=timedelta(days=30))])
Token = Callable[[datetime, str], str]

moments = st.lists(st.tuples(st.integers(0, 36 * 3600), st.sampled_from("abcd")), min_size=1, max_size=30)


def unturned(_: datetime, value: str) -> str:
    return Keyring([OLD]).pen(TURN, TURN).token("X", value)


def turned(time: datetime, value: str) -> str:
    return BOTH.pen(time, TURN).token("X", value)


def told(
    made: Sequence[tuple[int, str]], threshold: int, fields: Callable[[datetime, str], dict[str, str]]
) -> dict[tuple[str, datetime], int]:
    """How often each finding counts, by entity and window."""
    contexts = [
        Context(event(number, second, fields=fields(at(second), value)), matches=RULES[:1])
        for number, (second, value) in enumerate(made)
    ]
    detector = correlation("url.path", threshold, SPAN)
    fresh = [(key, context) for context in contexts for key in detector.keys(context)]
    states, _ = detector.step({key: detector.start() for key, _ in fresh}, fresh)
    found = detector.advance(dict(states), FAR)[1]
    return {(one.entity.id, one.window.start): one.count for one in found}


@settings(max_examples=100, deadline=None)
@given(made=moments, threshold=st.integers(1, 8))
def test_distinct_values_of_an_account_lose_nothing_and_at_most_double(made: list[tuple[int, str]], threshold: int) -> None:
    def of(token: Token, least: int) -> dict[tuple[str, datetime], int]:
        return told(made, least, lambda time, value: {"source.ip": "10.0.0.1", "url.path": token(time, value)})

    usual, now = of(unturned, threshold), of(turned, threshold)
    assert {place: count for place, count in usual.items() if now.get(place, 0) < count} == {}
    half = of(unturned, -(-threshold // 2))
    for place in now.keys() - usual.keys():
        assert place[1] < TURN < place[1] + 2 * SPAN, "elsewhere nothing is told that was not"
        assert place in half, "a count is at most doubled"


@settings(max_examples=100, deadline=None)
@given(made=moments, threshold=st.integers(1, 3))
def test_who_is_keyed_by_a_token_is_told_as_before_but_in_spans_that_hold_the_rotation(
    made: list[tuple[int, str]], threshold: int
) -> None:
    def of(token: Token) -> dict[tuple[str, datetime], int]:
        numbered = iter(range(len(made)))
        return told(made, threshold, lambda time, value: {"source.ip": token(time, value), "url.path": str(next(numbered) % 5)})

    after = {turned(TURN, value): unturned(TURN, value) for value in "abcd"}
    now = {(after.get(entity, entity), start): count for (entity, start), count in of(turned).items()}
    apart = [
        {place: count for place, count in found.items() if not place[1] < TURN < place[1] + 2 * SPAN}
        for found in (of(unturned), now)
    ]
    assert apart[0] == apart[1]
