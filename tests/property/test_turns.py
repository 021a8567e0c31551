"""A partition's messages are taken in their order, none left out, whatever a consumer drops, repeats or overtakes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xmsec.runtime.faust.turns import SURE, Turns


@st.composite
def partitions(draw: st.DrawFn) -> list[int]:
    """The offsets that a topic holds: with holes where a transaction's markers stand."""
    steps = draw(st.lists(st.sampled_from((1, 1, 1, 2, 3)), min_size=1, max_size=20))
    return [sum(steps[:place]) for place in range(len(steps))]


def carried(log: list[int], fault: st.DataObject) -> list[int]:
    """What is taken from a consumer that now and then hands on something else than the next message that it was asked for."""
    turns: Turns[str] = Turns()
    turns["p"] = 0
    taken: list[int] = []
    place = 0
    faults = fault.draw(
        st.lists(st.tuples(st.integers(0, 30), st.integers(0, 19)), max_size=SURE), label="when, and what instead"
    )
    instead = dict(faults)
    for step in range(400):
        if place >= len(log):
            break
        offset = log[place]
        if step in instead:  # a message that was under way: read before, or ahead of its turn
            offset = log[instead[step] % len(log)]
        place = log.index(offset) + 1
        turn = turns.take("p", offset)
        if turn == "now":
            taken.append(offset)
        elif turn == "seek":
            place = next(number for number, held in enumerate(log) if held >= turns["p"])
    return taken


@given(partitions(), st.data())
def test_every_message_is_taken_once_and_in_order(log: list[int], data: st.DataObject) -> None:
    assert carried(log, data) == log


def test_a_true_hole_is_believed_after_it_was_read_again_and_again() -> None:
    turns: Turns[str] = Turns()
    turns["p"] = 4
    assert [turns.take("p", 6) for _ in range(SURE + 1)] == ["seek"] * SURE + ["now"]
    assert turns.take("p", 7) == "now"
    assert turns.take("p", 6) == "again"
