"""Recordings brought under the present key: no older token is left, what belongs together stays so, wherever it was killed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsec.classify.epochs import Epoch, Keyring
from xmsec.classify.token import TOKEN
from xmsec.model.errors import ConfigError
from xmsec.model.types import Event, Position, Revisions, Span, Tick
from xmsec.pipeline.road import Taken
from xmsec.runtime.linked import linked
from xmsec.runtime.recorded import taken
from xmsec.runtime.retoken import Renewed, retoken
from xmsec.store.archive import Archive
from xmsec.store.holds import Hold, lift, place
from xmsec.store.inventory import inventory
from xmsec.store.merged import read_archive
from xmsec.store.recorder import Origin, Recorder

DAY = timedelta(days=1)
TURN = datetime(2026, 12, 1, 16, tzinfo=UTC)
LINK = 10
EPOCHS = (
    Epoch.of(b"a" * 32),
    Epoch.of(b"b" * 32, "hmac-sm3", 2, TURN, LINK * DAY),
    Epoch.of(b"c" * 32, "hmac-sha256", 3, TURN + 20 * DAY, LINK * DAY),
)
few = settings(max_examples=25, deadline=None)


class Seen(NamedTuple):
    """A value that a record of some day holds."""

    value: int
    day: int


Lives = list[list[Seen]]  # by file
seen = st.builds(Seen, st.integers(0, 5), st.integers(-3, 9))
lives = st.lists(st.lists(seen, min_size=1, max_size=4), min_size=1, max_size=5)


def latest(life: list[Seen]) -> int:
    """The last day of a file: files are sealed one after the other."""
    return max(one.day for one in life)


def ring(count: int) -> Keyring:
    return Keyring(EPOCHS[:count])


def row(one: Seen, number: int, keyring: Keyring) -> tuple[Event, tuple[Span, ...]]:
    """A record as classify writes it: tokens in a text, a list, a name, an account and a dataset's name."""
    at = TURN + one.day * DAY + timedelta(seconds=number)
    pen = keyring.pen(at, at)
    written, link = ("CN_MOBILE", f"1395920{one.value:04d}"), ""
    token = pen.token(*written)
    if pen.link is not None:
        link = pen.link(*written)
    fields = {"url.path": f"/a/{token}/b", "user.id": token, "tags": ["x", token], f"n.{token}": 7}
    spans = (Span("url.path", 3, 3 + len(token), "CN_MOBILE", "cn", 1.0, token, {"carrier": "x"}, link),)
    return Event(f"e{number}", at, at, Position("a.web", "0", number), "a", "a.web", fields, (f"d.{token}",)), spans


@contextmanager
def recorded(made: Lives, known: int = 2) -> Iterator[Archive]:
    """Files of workers that knew the epochs which had begun, and one that was sealed under all."""
    with TemporaryDirectory() as name:
        archive, number = Archive(name), 0
        for life in sorted(made, key=latest):
            keyring = ring(known if latest(life) >= 0 else 1)
            worker = Recorder(archive, Origin("0123456789", keyring.check))
            for one in life:
                rows = [row(one, number, keyring), Tick("a.web", "0", TURN + one.day * DAY, "idle")]
                worker.add(0, number, rows, Revisions("c", 1), 0.0)
                number += 1
            worker.written(*worker.seal(0))
        yield archive


def renew(archive: Archive, keyring: Keyring, day: float, stop: int | None = None) -> list[Renewed]:
    """Rewrite, but stop after some files as if killed."""
    files = [(archive, kept) for kept in inventory(archive, None, ())]
    return list(islice(retoken(files, [archive], keyring, TURN + day * DAY, True), stop))


def back(archive: Archive, keyring: Keyring) -> list[tuple[Event, tuple[Span, ...]]]:
    return [one for batch in read_archive(archive, keyring.check) for one in batch if not isinstance(one, Tick)]


def taken_of(archive: Archive, keyring: Keyring) -> Iterator[Taken]:
    return (taken(batch) for batch in read_archive(archive, keyring.check))


def tokens_by_value(before: Lives, rows: Sequence[tuple[Event, tuple[Span, ...]]]) -> dict[int, set[str]]:
    """All tokens in all that a row says, by the value that it was written with."""
    values = [one.value for life in sorted(before, key=latest) for one in life]
    found: dict[int, set[str]] = {}
    for event, spans in rows:
        text = msgspec.json.encode([event.fields, event.datasets, spans]).decode()
        told = TOKEN.findall(text)
        assert len(told) >= 5
        found.setdefault(values[event.position.offset], set()).update(told)
    return found


@few
@given(lives, st.lists(st.integers(0, 3), max_size=3))
def test_killed_anywhere_no_older_token_is_left_and_each_value_has_one(made: Lives, kills: list[int]) -> None:
    both = ring(2)
    with recorded(made) as archive:
        before = tokens_by_value(made, back(archive, both))
        for stop in kills:
            renew(archive, both, LINK - 0.5, stop)
        renew(archive, both, LINK - 0.5)
        rows = back(archive, both)
        found = tokens_by_value(made, rows)
        again = renew(archive, both, LINK - 0.5)
    assert again == []
    assert [(event.id, event.time, event.position) for event, _ in rows] == [
        (f"e{number}", event.time, Position("a.web", "0", number)) for number, (event, _) in enumerate(rows)
    ]
    new = {value: both.pen(TURN, TURN).token("CN_MOBILE", f"1395920{value:04d}") for value in found}
    for value, tokens in found.items():
        assert len(tokens) == 1
        assert not tokens & {both.pen(TURN - DAY, TURN).token("CN_MOBILE", f"1395920{other:04d}") for other in range(6)}
        if new[value] in before[value]:
            assert tokens == {new[value]}
    assert len({token for tokens in found.values() for token in tokens}) == len(found)
    for event, spans in rows:
        assert [event.fields["url.path"][one.start : one.end] for one in spans] == [one.token for one in spans]
        assert [one.kept for one in spans] == [{"carrier": "x"}]
        assert all(bool(one.link) == (event.time >= TURN) for one in spans)


@few
@given(lives, lives)
def test_what_is_seen_again_later_is_joined_by_the_next_run(made: Lives, later: Lives) -> None:
    both = ring(2)
    with recorded(made) as archive:
        renew(archive, both, 9.5)
        worker = Recorder(archive, Origin("9999999999", both.check))
        for number, one in enumerate(one for life in later for one in life):
            worker.add(0, number, [row(Seen(one.value, 9), number, both)], Revisions("c", 1), 0.0)
        worker.written(*worker.seal(0))
        renew(archive, both, 9.5)
        names = {one.value for life in later for one in life}
        rows = [one for one in back(archive, both) if one[0].time < TURN + 9 * DAY]
        found = tokens_by_value(made, rows) if rows else {}
    for value in names & found.keys():
        assert found[value] == {both.pen(TURN, TURN).token("CN_MOBILE", f"1395920{value:04d}")}


@few
@given(lives)
def test_after_the_while_or_without_the_earlier_key_nothing_is_joined_and_nothing_of_before_is_left(made: Lives) -> None:
    retired = Keyring([msgspec.structs.replace(EPOCHS[0], key=None), EPOCHS[1]])
    for keyring, day in ((ring(2), LINK + 1), (retired, 1)):
        with recorded(made) as archive:
            old = [token for event, _ in back(archive, ring(2)) if event.time < TURN for token in [event.fields["user.id"]]]
            renew(archive, keyring, day)
            rows = back(archive, ring(2))
            new = {event.fields["user.id"] for event, _ in rows if event.time < TURN}
            native = {event.fields["user.id"] for event, _ in rows if event.time >= TURN}
            assert not new & ({*old} | native)
            assert len(new) == len({*old})
            for token in {*old}:
                assert {*linked(token, taken_of(archive, ring(2)), retired, TURN)} & new


@few
@given(lives)
def test_over_two_rotations_it_goes_step_by_step(made: Lives) -> None:
    """Links lead from the first epoch to the second and from there to the third, as long as both can be opened."""
    three = Keyring([EPOCHS[0], EPOCHS[1], msgspec.structs.replace(EPOCHS[2], start=TURN + 5 * DAY)])
    with recorded(made) as archive:
        worker = Recorder(archive, Origin("9999999999", three.check))
        for value in range(6):
            worker.add(0, value, [row(Seen(value, 6), value, three)], Revisions("c", 1), 0.0)
        worker.written(*worker.seal(0))
        renew(archive, three, 9, 1)
        renew(archive, three, 9)
        rows = back(archive, three)
    last = three.pen(TURN + 6 * DAY, TURN + 6 * DAY)
    assert last.epoch.number == 3
    linked_on = {one.value for life in made for one in life if one.day >= 0}
    tokens = {event.fields["user.id"] for event, _ in rows}
    assert {last.token("CN_MOBILE", f"1395920{value:04d}") for value in linked_on} <= tokens
    assert len(tokens) <= 6 + len({one.value for life in made for one in life} - linked_on)
    assert not tokens & {ring(3).pen(TURN + DAY, TURN + DAY).token("CN_MOBILE", f"1395920{value:04d}") for value in range(6)}


def test_what_is_held_stays_as_it_is_until_the_hold_is_lifted() -> None:
    both = ring(2)
    with recorded([[Seen(1, -3)], [Seen(1, 2)]]) as archive:
        place(archive, Hold("c1", "court order", TURN, end=TURN - DAY))
        names = dict(archive.names())
        (told,) = renew(archive, both, 3)
        assert (told.held, told.done) == (["c1"], False)
        assert dict(archive.names()) == names
        lift(archive, "c1", TURN, "closed")
        (told,) = renew(archive, both, 3)
        assert (told.held, told.done, told.rows, told.changed) == ([], True, 2, 1)
        (old, new) = inventory(archive, None, ())
        assert (old.retokened, old.key_check) == (2, both.check)
        assert (new.retokened, new.key_check) == (0, both.check)
    with pytest.raises(ConfigError, match="made under epoch 2"), recorded([[Seen(1, 2)]]) as archive:
        back(archive, ring(1))


def test_a_worker_that_did_not_know_the_epoch_yet_wrote_under_the_one_before() -> None:
    both = ring(2)
    with recorded([[Seen(1, 1), Seen(2, 2)]], known=1) as archive:
        before = {event.fields["user.id"] for event, _ in back(archive, both)}
        renew(archive, both, 3)
        after = {event.fields["user.id"] for event, _ in back(archive, both)}
    assert len(after) == 2
    assert not before & after


@pytest.mark.parametrize(
    ("keyring", "said"), [(ring(1), "one key alone"), (ring(2), "epoch 2 begins at 2026-12-01")], ids=["one key", "not begun"]
)
def test_without_an_epoch_to_go_over_to_it_says_so(keyring: Keyring, said: str) -> None:
    with recorded([[Seen(1, -3)]]) as archive, pytest.raises(ConfigError, match=said):
        renew(archive, keyring, -1)
