"""Use is summed from what was recorded: each event once, wherever a process dies, and longer than recordings are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.every_store import Sqlite
from tests.ledgers import bare

from xmsec.model.ports import Outcome, Use, UseQuery
from xmsec.model.types import Context, Event, Position, Tick
from xmsec.store.counted import recording_into
from xmsec.store.recording import ENTRY, Recording

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TOKEN = "⟨CN_MOBILE:5f2a9c1e00112233⟩"


def event(number: int, user: str | None, datasets: tuple[str, ...] = ("people",), **given: Any) -> Context:
    time = given.pop("time", NOON + number * HOUR)
    place = Position("a.web", "0", number)
    received = NOON + number * timedelta(seconds=20)
    fields = {} if user is None else {"user.id": user}
    made = Event(f"e{number}", time, received, place, given.pop("system", "a"), "a.web", fields, datasets, **given)
    return Context(made, (), (), None, (), None, (), False)


def batch(*passed: Context | Tick) -> Outcome:
    return bare(passed=passed)


class Home:
    """A store with its recording, opened again after each end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def live(self, batches: Sequence[Outcome], seal_bytes: int = 1 << 30, *, ends: bool = False) -> None:
        """Record and commit; unless it ends, it dies after the last commit."""
        with closing(Sqlite(self.folder)) as store:
            recording = recording_into(store, self.folder / "recordings", "")
            recording._seal_bytes = seal_bytes
            for one in batches:
                store.commit([one], meta=recording.append([one]))
            if ends:
                recording.seal()

    def uses(self, **asked: Any) -> Sequence[Use]:
        with closing(Sqlite(self.folder)) as store:
            return store.reader.uses(UseQuery(**asked))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_each_account_and_dataset_is_counted_with_its_first_and_last_use(home: Home) -> None:
    home.live([batch(event(0, "lin"), event(1, "wu")), batch(event(30, "lin", ("people", "cases")))], ends=True)
    assert home.uses() == [
        Use("a", "people", "lin", 2, NOON, NOON + 30 * HOUR),
        Use("a", "cases", "lin", 1, NOON + 30 * HOUR, NOON + 30 * HOUR),
        Use("a", "people", "wu", 1, NOON + HOUR, NOON + HOUR),
    ]


@pytest.mark.parametrize(
    ("passed", "accounts"),
    [
        pytest.param(event(0, None), [""], id="an event without an account has none"),
        pytest.param(event(0, TOKEN), ["⟨CN_MOBILE⟩"], id="an account that is a token counts under its type"),
        pytest.param(event(0, "lin", ()), [], id="an event without a dataset uses none"),
        pytest.param(event(0, "lin", flags=("cut", "far_future")), [], id="an event of the far future has no day"),
        pytest.param(event(0, "lin", flags=("rejected",)), [], id="of a record that no parser took nothing is known"),
        pytest.param(event(0, "lin", flags=("cut",)), ["lin"], id="a record that was cut is use"),
        pytest.param(Tick("a.web", "0", NOON, "idle"), [], id="a tick is no use"),
    ],
)
def test_what_is_use(home: Home, passed: Context | Tick, accounts: list[str]) -> None:
    home.live([batch(passed)], ends=True)
    assert [use.account for use in home.uses()] == accounts


@pytest.mark.parametrize(
    ("asked", "accounts"),
    [
        ({}, ["lin", "wu", "zhao"]),
        ({"systems": ("b",)}, ["zhao"]),
        ({"datasets": ("people",)}, ["lin", "wu"]),
        ({"accounts": ("wu", "zhao", *map(str, range(1_200)))}, ["wu", "zhao"]),
        ({"since": NOON + 2 * HOUR}, ["wu", "zhao"]),
        ({"until": NOON + 2 * HOUR}, ["lin"]),
        ({"limit": 1}, ["lin"]),
    ],
    ids=lambda asked: " ".join(asked) if isinstance(asked, dict) else "",
)
def test_use_is_asked_by_system_dataset_account_and_time(home: Home, asked: dict[str, Any], accounts: list[str]) -> None:
    some = batch(event(0, "lin"), event(1, "lin"), event(2, "wu"), event(3, "zhao", ("cases",), system="b"))
    home.live([some], ends=True)
    assert sorted(use.account for use in home.uses(**asked)) == accounts


def test_use_shows_within_a_minute_while_the_part_is_open(home: Home) -> None:
    home.live([batch(event(number, "lin")) for number in range(6)])  # received 20 s apart
    assert [use.events for use in home.uses()] == [4]


def test_what_an_earlier_version_recorded_is_counted_at_the_next_start(home: Home) -> None:
    with closing(Sqlite(home.folder)) as store:
        recording = Recording(home.folder / "recordings", None, seal_bytes=1)
        for number in range(3):
            store.commit([one := batch(event(number, "lin"))], meta=recording.append([one]))
    home.live([])
    assert [use.events for use in home.uses()] == [3]


def test_use_outlives_its_recording_and_leaves_after_more_than_a_year(home: Home) -> None:
    home.live([batch(event(0, "lin"))], ends=True)
    home.live([batch(event(1, "wu", time=NOON + timedelta(days=390)))], ends=True)
    (home.folder / "recordings" / "00000001.parquet").unlink()
    home.live([])
    assert {use.account for use in home.uses()} == {"lin", "wu"}
    home.live([batch(event(2, "wu", time=NOON + timedelta(days=401)))], ends=True)
    assert {use.account for use in home.uses()} == {"wu"}


def lives() -> st.SearchStrategy[list[tuple[int, bool]]]:
    """How many batches each life commits, and whether it ends or dies."""
    return st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=5)


@settings(max_examples=40, deadline=None)
@given(lives=lives(), seal_bytes=st.sampled_from([1, 20_000, 1 << 30]), lost=st.integers(0, 5))
def test_deaths_change_no_count(lives: list[tuple[int, bool]], seal_bytes: int, lost: int) -> None:
    made = [batch(event(2 * number, "lin"), event(2 * number + 1, f"user-{number % 3}")) for number in range(40)]
    with TemporaryDirectory() as folder:
        home, rest = Home(Path(folder)), iter(made)
        for number, ends in lives:
            home.live(list(_next(rest, number)), seal_bytes, ends=ends)
            _torn(home, lost)
        home.live(list(rest), seal_bytes, ends=True)
        counted = {use.account: use.events for use in home.uses()}
    expected = Counter(one.event.fields["user.id"] for outcome in made for one in outcome.passed if isinstance(one, Context))
    assert counted == expected


def _next(batches: Iterator[Outcome], number: int) -> Iterator[Outcome]:
    for _, one in zip(range(number), batches, strict=False):
        yield one


def _torn(home: Home, lost: int) -> None:
    """Leave behind what a process wrote to the recording and did not commit."""
    with closing(Sqlite(home.folder)) as store:
        entry = store.meta().get(ENTRY)
    if entry and lost and (path := home.folder / "recordings" / f"{int(entry.split()[0]):08d}.open").exists():
        path.write_bytes(path.read_bytes() + bytes(lost))
