"""What a rotation of the key does to findings, models and distinct counts: what docs/adr/0010 states, on a simulated system."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.command import CACHE
from tests.office import ZONE
from tests.shipped import ROOT

from xmsec.classify.epochs import Epoch, Keyring
from xmsec.content.load import read
from xmsec.content.scenarios import load_scenarios
from xmsec.detect.sketch import EXACT, STANDARD_ERROR
from xmsec.ledger.read import entries_of
from xmsec.model.clock import DAY
from xmsec.model.states import Memory
from xmsec.model.types import Finding, Position, Raw, Tick
from xmsec.pipeline.batch import carry_on
from xmsec.pipeline.road import Taken
from xmsec.pipeline.tokenise import tokenise
from xmsec.runtime.assemble import Deployment, assemble, keep_ledger
from xmsec.runtime.linked import linked
from xmsec.runtime.recorded import replay, taken, train_on
from xmsec.runtime.retoken import retoken
from xmsec.simulate.scenario import Plan, plan, run
from xmsec.simulate.write import write
from xmsec.store.archive import Archive
from xmsec.store.inventory import inventory
from xmsec.store.merged import read_archive
from xmsec.store.recorder import Origin, Recorder

MIDNIGHT = datetime(2026, 10, 22, tzinfo=ZONE).astimezone(UTC)  # the second week's Thursday
NOON = MIDNIGHT + timedelta(hours=14, minutes=20)
RECEIVED = datetime(2026, 10, 26, tzinfo=UTC)  # all at once, within the while
OLD = Epoch.of(b"k" * 32)
TOKEN = re.compile(r"⟨[A-Z_0-9]+:[0-9a-f]{16}⟩")


def keyring(start: datetime, how: Any = "hmac-sm3") -> Keyring:
    """Two epochs, the second of which begins at a moment, under another hash."""
    return Keyring([OLD, Epoch.of(b"n" * 32, how, 2, start, 30 * DAY)])


class Ran(msgspec.Struct):
    """What one keyring made of the traffic."""

    keyring: Keyring
    taken: Sequence[Taken]
    findings: dict[str, Finding]


class City:
    """A simulated system in a home whose models learned from its first week, under the old key alone."""

    def __init__(self, home: Path) -> None:
        self.home, self.plan = home, plan(load_scenarios([ROOT])[0]["onestop-service"], 303, 26_000)
        CACHE.mkdir(exist_ok=True)
        (home / "cache").symlink_to(CACHE)
        entries, _ = entries_of(read(write(self.plan, home / "traffic").ledger))
        assert entries is not None
        keep_ledger(home, entries)
        bare = self.deployment(Keyring([OLD]))
        first = [batch for batch in self.made_of(bare) if _time(batch) < self.plan.calendar.at(7 * 86_400_000)]
        for recipe in bare.recipes.values():
            train_on(recipe, bare.road, iter(first), home / "models", ZONE)

    def deployment(self, keyring: Keyring) -> Deployment:
        return assemble([ROOT], self.home, keyring, ZONE)

    def made_of(self, made: Deployment) -> list[Taken]:
        return [tokenise(batch, made.road) for batch in batches(self.plan)]

    def run(self, keyring: Keyring) -> Ran:
        made = self.deployment(keyring)
        assert not made.missing
        states, found, taken = Memory(), {}, self.made_of(made)
        for batch in taken:
            outcome = carry_on(batch, made.road, states)
            states.absorb(outcome.states, outcome.clocks)
            found |= {finding.id: finding for finding in outcome.findings}
        return Ran(keyring, taken, found)


def batches(planned: Plan) -> Iterator[list[Raw | Tick]]:
    """The traffic in batches of an hour or so."""
    uses = planned.scenario.streams
    offsets = dict.fromkeys(uses, 0)
    batch: list[Raw | Tick] = [Tick(use.stream, name, RECEIVED, "open") for name, use in uses.items()]
    for record in run(planned):
        name = record.stream
        batch.append(Raw(Position(uses[name].stream, name, offsets[name]), RECEIVED, record.text.encode()))
        offsets[name] += 1
        if len(batch) >= 500:
            yield batch
            batch = []
    yield [*batch, *(Tick(use.stream, name, RECEIVED, "ended") for name, use in uses.items())]


def _time(batch: Taken) -> datetime:
    return max((row[0].time for row in batch.passed if not isinstance(row, Tick)), default=RECEIVED)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return City(tmp_path_factory.mktemp("city"))


@pytest.fixture(scope="module")
def before(city: City) -> Ran:
    """Without a rotation."""
    return city.run(Keyring([OLD]))


@pytest.fixture(scope="module")
def at_midnight(city: City) -> Ran:
    return city.run(keyring(MIDNIGHT))


@pytest.fixture(scope="module")
def at_noon(city: City) -> Ran:
    return city.run(keyring(NOON))


def told(ran: Ran, crossed: datetime | None = None) -> dict[tuple[Any, ...], int]:
    """How often each finding with a readable entity counts; crossed: only those whose window does not hold this moment."""
    return {
        (one.detector, one.entity, one.window.start, one.severity): one.count
        for one in ran.findings.values()
        if not TOKEN.search(one.entity.id) and (crossed is None or not one.window.start < crossed < one.window.end)
    }


def test_a_rotation_at_midnight_changes_no_finding_of_a_window_up_to_a_day(before: Ran, at_midnight: Ran) -> None:
    usual = told(before, MIDNIGHT)
    assert told(at_midnight, MIDNIGHT) == usual
    assert {detector for detector, *_ in usual} >= {"mass-lookup", "certificate-enumeration", "user-hour"}
    assert any(start >= MIDNIGHT for _, _, start, _ in usual), "something must be found after the rotation"


def test_a_rotation_loses_no_finding_of_an_account_wherever_it_falls(before: Ran, at_midnight: Ran, at_noon: Ran) -> None:
    for turned in (at_midnight, at_noon):
        lost = {place for place, count in told(before).items() if told(turned).get(place, 0) < count}
        assert not lost


def test_models_trained_before_tell_the_same_after(before: Ran, at_midnight: Ran) -> None:
    def scores(ran: Ran) -> dict[tuple[Any, ...], dict[str, float]]:
        return {
            (one.detector, one.entity, one.window, one.count): {
                why.what: float(why.value.replace(",", "").removesuffix(" %")) for why in one.explanation
            }
            for one in ran.findings.values()
            if one.kind == "anomaly" and not TOKEN.search(one.entity.id)
        }

    was, now = scores(before), scores(at_midnight)
    assert was.keys() == now.keys()
    assert was
    for place, why in was.items():
        for what, value in why.items():  # beyond 256 distinct things a count is an estimate, and other tokens err otherwise
            estimated = what.startswith("distinct_") and value > EXACT
            assert now[place][what] == (pytest.approx(value, rel=4 * STANDARD_ERROR) if estimated else value), (place, what)


def test_every_event_but_its_tokens_is_what_it_was(before: Ran, at_noon: Ran) -> None:
    def events(ran: Ran) -> list[Any]:
        return [row for batch in ran.taken for row in batch.passed if not isinstance(row, Tick)]

    turned = 0
    for (was, was_spans), (now, now_spans) in zip(events(before), events(at_noon), strict=True):
        assert (was.id, was.time) == (now.id, now.time)
        later = now.time >= NOON
        assert [span.token for span in was_spans] == [
            at_noon.keyring.former(span.token, span.link, RECEIVED) if later else span.token for span in now_spans
        ]
        assert all(bool(span.link) == later for span in now_spans)
        turned += later and bool(now_spans)
    assert turned > 500


def test_tokens_are_linked_both_ways_while_it_lasts(before: Ran, at_midnight: Ran) -> None:
    keys = at_midnight.keyring
    spans = [span for batch in at_midnight.taken for row in batch.passed if not isinstance(row, Tick) for span in row[1]]
    later = next(span for span in spans if span.link)
    former = keys.former(later.token, later.link, RECEIVED)
    assert former is not None
    end = MIDNIGHT + 30 * DAY
    for now, found in ((RECEIVED, True), (end - timedelta(seconds=1), True), (end, False)):
        assert linked(later.token, at_midnight.taken, keys, now) == [former] * found
        assert linked(former, at_midnight.taken, keys, now) == [later.token] * found


def subjects(ran: Ran, length: timedelta) -> dict[tuple[str, int], set[str]]:
    """Who looked whom up in which window, by token: what distinct counts rest on."""
    found: dict[tuple[str, int], set[str]] = {}
    for batch in ran.taken:
        for row in batch.passed:
            if not isinstance(row, Tick):
                window = (row[0].time - MIDNIGHT) // length
                for span in row[1]:
                    found.setdefault((str(row[0].fields.get("user.name")), window), set()).add(span.token)
    return found


def test_distinct_counts_are_exact_at_midnight_and_at_most_doubled_in_the_one_window_that_holds_the_rotation(
    before: Ran, at_midnight: Ran, at_noon: Ran
) -> None:
    for length in (timedelta(hours=1), DAY):
        usual = {place: len(seen) for place, seen in subjects(before, length).items()}
        assert {place: len(seen) for place, seen in subjects(at_midnight, length).items()} == usual
        grown = {place: len(seen) - usual[place] for place, seen in subjects(at_noon, length).items()}
        assert {window for (_, window), more in grown.items() if more} <= {(NOON - MIDNIGHT) // length}
        assert all(0 <= more <= usual[place] for place, more in grown.items())
        if length == DAY:
            assert any(grown.values())


def test_recordings_brought_under_the_present_key_replay_as_if_it_had_never_been_rotated(
    city: City, before: Ran, at_noon: Ran, tmp_path: Path
) -> None:
    """Windows that hold the rotation too, and entities that are tokens themselves, up to their names."""
    made, archive = city.deployment(at_noon.keyring), Archive(str(tmp_path / "shelf"))
    worker = Recorder(archive, Origin("0123456789", at_noon.keyring.check))
    for number, batch in enumerate(at_noon.taken):
        worker.add(0, number, batch.passed, made.road.revisions, 0.0)
        if number % 20 == 19:
            worker.written(*worker.seal(0))
    worker.written(*worker.seal(0))
    files = [(archive, kept) for kept in inventory(archive, None, ())]
    assert len(files) > 1
    assert len(list(retoken(files, [archive], at_noon.keyring, RECEIVED, True))) >= len(files) // 2

    batches = (taken(rows) for rows in read_archive(archive, at_noon.keyring.check))
    found = {finding.id: finding for finding in replay(made.road, batches)}
    assert told(Ran(at_noon.keyring, (), found)) == told(before)

    def of_tokens(findings: dict[str, Finding]) -> Counter[tuple[Any, ...]]:
        named = [one for one in findings.values() if TOKEN.search(one.entity.id)]
        return Counter((one.detector, one.window, one.severity, one.count) for one in named)

    assert of_tokens(found) == of_tokens(before.findings)
