"""Dead letters beyond a thousand are counted only: exactly, wherever workers are killed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsec.model.clock import EPOCH
from xmsec.model.types import Position, Rejected
from xmsec.runtime.faust import letters
from xmsec.runtime.faust.letters import Cap, Letter, Totals

REASONS = ("bad-json", "no-time")
messages = st.lists(st.lists(st.sampled_from(REASONS), max_size=4), min_size=1, max_size=40)  # each with its refused records


def refused(offset: int, reasons: Sequence[str], elsewhere: bool) -> tuple[list[Rejected], list[Position]]:
    """What a message is refused for. elsewhere: it is a frame, whose records lie at places of their own."""
    at = Position("toys.a", "0", offset)
    places = [
        Position("toys.b", "3", 7 * offset + n) if elsewhere else msgspec.structs.replace(at, part=n)
        for n in range(len(reasons))
    ]
    return [Rejected(place, "parse", reason, EPOCH) for place, reason in zip(places, reasons, strict=True)], [at] * len(reasons)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), sent=messages, elsewhere=st.booleans())
def test_totals_are_exact_whoever_was_killed_where(data: st.DataObject, sent: list[list[str]], elsewhere: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(letters, "KEPT", data.draw(st.integers(0, 6)))
        written = worked_off(data, sent, elsewhere)
        totals = Totals()
        for letter in written:
            totals.hear(msgspec.json.decode(msgspec.json.encode(letter), type=Letter))
        for reason in REASONS:
            group = ("toys.b" if elsewhere else "toys.a", "parse", reason)
            count = sum(reasons.count(reason) for reasons in sent)
            assert totals.counts.get(group, 0) == count
            kept = [one for one in totals.kept.values() if one.reason == reason]
            assert len({one.position for one in kept}) == len(kept) == min(len(kept), letters.KEPT)
            assert len(kept) == min(count, letters.KEPT)


def worked_off(data: st.DataObject, sent: list[list[str]], elsewhere: bool) -> list[Letter]:
    """What lives of workers write: each begins where the last commit was, and may leave a batch half told, or not committed."""
    written: list[Letter] = []
    committed, kills, cap = 0, data.draw(st.integers(0, 8)), Cap("0")
    while committed < len(sent):
        end = data.draw(st.integers(committed + 1, len(sent)))
        batch = [refused(offset, sent[offset], elsewhere) for offset in range(committed, end)]
        told = cap.letters([one for some, _ in batch for one in some], [at for _, ats in batch for at in ats])
        fate = data.draw(st.sampled_from(("done", "killed", "left", "said twice"))) if kills else "done"
        kills -= fate != "done"
        written += told[: data.draw(st.integers(0, len(told)))] if fate == "killed" else told
        if fate == "killed":
            cap = Cap(str(kills + 1))
        elif fate == "said twice":  # an acknowledgement was lost
            written += told
        if fate in ("done", "said twice"):
            committed = end
    return written


def test_a_flood_is_a_thousand_letters_and_one_tally_a_batch() -> None:
    cap, written = Cap("a"), list[Letter]()
    for start in range(0, 100_000, 500):
        written += cap.letters([Rejected(Position("toys.a", "0", start + n), "parse", "bad-json", EPOCH) for n in range(500)])
    assert len(written) == 1_000 + 198
    assert sum(len(msgspec.json.encode(one)) for one in written) < 250_000
    totals = Totals()
    for letter in written:
        totals.hear(letter)
    assert totals.counts == {("toys.a", "parse", "bad-json"): 100_000}


def test_letters_of_older_versions_are_heard() -> None:
    old = msgspec.json.encode(Rejected(Position("toys.a", "0", 3), "parse", "bad-json", EPOCH))
    totals = Totals()
    totals.hear(msgspec.json.decode(old, type=Letter))
    assert list(totals.kept.values()) == [Rejected(Position("toys.a", "0", 3), "parse", "bad-json", EPOCH)]
