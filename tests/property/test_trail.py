"""A trail is what reading everything would give, wherever it was recorded, and without reading what cannot hold it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.every_store import Sqlite, outcomes
from tests.trails import KEYS, MADE_UNDER, START, archived, name, row

from xmsec.classify.epochs import Epoch, Keyring
from xmsec.classify.token import token
from xmsec.model.clock import EPOCH
from xmsec.model.errors import ConfigError, PolicyError
from xmsec.model.ports import Outcome, Query
from xmsec.model.types import Context, Event, Position, Span, Tick
from xmsec.runtime.linked import names, standing
from xmsec.runtime.trail import Asked, Seen, Why, answer, trail
from xmsec.store.archive import Archive
from xmsec.store.inquiries import NAME, Inquiries
from xmsec.store.recording import Recording
from xmsec.store.rewrite import Renewal, rewrite
from xmsec.store.sealed import opened
from xmsec.store.search import Effort, linking, unsealed
from xmsec.store.terms import ENTRY, Terms, filled, holding

ACTORS: Sequence[dict[str, Any]] = (
    {"user.id": "u1"},
    {"user.name": 'quo"ted\\名'},
    {"user.id": 7, "source.ip": "192.0.2.1"},
    {"source.ip": "192.0.2.1"},
    {"host.name": "u1"},
    {"note": '"user.id":"u1"'},
)


@st.composite
def traffic(draw: st.DrawFn) -> list[tuple[Event, tuple[Span, ...]]]:
    made = draw(
        st.lists(st.tuples(st.sampled_from(ACTORS), st.lists(st.integers(0, 4), max_size=3), st.integers(0, 90)), max_size=30)
    )
    return [row(number, *facts) for number, facts in enumerate(made)]


def told(asked: Asked, seen: Seen) -> list[tuple[Any, ...]]:
    return [(one.actor.id, one.count, one.subjects, one.first_seen, one.time, one.events) for one in trail(asked, seen).touches]


def naive(asked: Asked, rows: Iterable[tuple[Event, tuple[Span, ...]]]) -> set[str]:
    fields = ("user.id", "user.name", "host.name", "source.ip")
    return {
        event.id
        for event, spans in rows
        if asked.wanted.within(event.time)
        and (
            any(span.token in asked.names for span in spans)
            if asked.of == "subject"
            else any(str(event.fields.get(field)) in asked.names for field in fields if field in event.fields)
        )
    }


ASKED = st.one_of(
    st.builds(lambda number: Asked("subject", (name(number),)), st.integers(0, 5)),
    st.builds(lambda who: Asked("actor", (who,)), st.sampled_from(["u1", 'quo"ted\\名', "7", "192.0.2.1", "nobody"])),
)


@settings(max_examples=60, deadline=None)
@given(rows=traffic(), asked=ASKED, size=st.integers(1, 9), bounds=st.tuples(st.integers(0, 60), st.integers(1, 60)))
def test_a_trail_is_what_reading_everything_gives(
    rows: list[tuple[Event, tuple[Span, ...]]], asked: Asked, size: int, bounds: tuple[int, int]
) -> None:
    start = START + timedelta(minutes=bounds[0])
    asked = msgspec.structs.replace(asked, start=start, end=start + timedelta(minutes=bounds[1]))
    with TemporaryDirectory() as folder:
        frames = [rows[place : place + size] for place in range(0, len(rows), size)]
        archive = archived(Path(folder), [*frames, [Tick("city.web", "0", START, "idle")]])
        archived(Path(folder), frames[:2], "9999999999")  # a worker that was cut off wrote some of it again
        found = trail(asked, Seen([archive]))
        expected = naive(asked, rows)
        assert sum(one.count for one in found.touches) == len(expected)
        assert {event for one in found.touches for event in one.events} <= expected


@settings(max_examples=60, deadline=None)
@given(held=st.sets(st.text(max_size=12), max_size=300))
def test_a_filter_never_denies_what_it_holds(held: set[str]) -> None:
    said = SimpleNamespace(num_row_groups=1, metadata={ENTRY.encode(): b64encode(filled(held).tobytes())})
    file: Any = SimpleNamespace(metadata=said)  # all that is looked at
    assert all(holding(file, [one]) == [0] for one in held)


def many(groups: int) -> Iterator[list[tuple[Event, tuple[Span, ...]]]]:
    for group in range(groups):
        yield [row(1000 * group + place, {"user.id": f"g{group}"}, [10_000 * group + place], place) for place in range(300)]


def test_what_cannot_hold_it_is_not_read(tmp_path: Path) -> None:
    archive = archived(tmp_path, many(40))
    found = trail(Asked("subject", (name(70_005),)), Seen([archive]))
    assert (found.files, found.groups) == (40, 40)
    assert found.read <= 4
    assert [one.actor.id for one in found.touches] == ["g7"]
    assert trail(Asked("actor", ("g39",)), Seen([archive])).touches[0].count == 300


def test_a_search_ends_where_it_is_told_to_and_says_so(tmp_path: Path) -> None:
    archive = archived(tmp_path, many(3))
    asked = Asked("actor", ("g1",))
    whole = trail(asked, Seen([archive]))
    assert (whole.cut, whole.events) == (False, 300)
    some = trail(asked, Seen([archive], most=7))
    assert (some.cut, some.events) == (True, 7)
    looks = iter([False, False, False, True])
    late = trail(Asked("subject", (name(20_001),)), Seen([archive], enough=lambda: next(looks, True)))
    assert (late.cut, late.events) == (True, 0)
    foreign = trail(asked, Seen([archive], systems=frozenset(("elsewhere",))))
    assert (foreign.cut, foreign.events) == (False, 0)


def test_findings_are_no_more_than_are_taken_in(tmp_path: Path) -> None:
    with closing(Sqlite(tmp_path)) as store:
        store.commit(outcomes(60))
        some = trail(Asked("actor", ("user-1",)), Seen([], store.reader, most=1))
        assert (len(some.findings), some.cut) == (1, True)


def test_somebodys_latest_questions_are_told_the_newest_first(tmp_path: Path) -> None:
    record = Inquiries(tmp_path)
    assert record.latest("li", 2) == []
    for by in ("li", "wang", "li", "li"):
        answer(record, Why(by, "request"), Asked("actor", ("u1",)), Seen([]), lambda: EPOCH)
    record.append("asked", "li", {"reason": "was cut off"}, EPOCH)
    told = record.latest("li", 3)
    assert [(one.number, answered and answered.number) for one, answered in told] == [(9, None), (7, 8), (5, 6)]


def test_a_file_of_before_there_were_filters_is_read(tmp_path: Path) -> None:
    archive = archived(tmp_path, many(1))
    (path,) = tmp_path.rglob("*.parquet")
    table = pq.read_table(path)
    about = {key: value for key, value in pq.ParquetFile(path).metadata.metadata.items() if key == b"xmsec.about"}
    pq.write_table(table.replace_schema_metadata(about), path)
    found = trail(Asked("subject", (name(5),)), Seen([archive]))
    assert (found.read, [one.count for one in found.touches]) == (1, [1])


def test_a_file_that_went_over_to_another_key_says_what_it_holds_by_then(tmp_path: Path) -> None:
    archive = archived(tmp_path, many(1))
    ((path, _),) = ((name, size) for name, size in archive.names() if name.endswith(".parquet"))
    later = token(KEYS[1], "CN_MOBILE", "5")
    renewal = Renewal(2, "aaaa+bbbb", lambda *_: 1, {name(5): later}, lambda one: one)
    with archive.open(path) as source, opened(source, path) as file:
        content = rewrite(file, renewal).content
    archive.put(path, content)
    assert [one.count for one in trail(Asked("subject", (later,)), Seen([archive])).touches] == [1]
    assert trail(Asked("subject", (name(5),)), Seen([archive])).touches == []


def outcome(rows: Sequence[tuple[Event, tuple[Span, ...]]]) -> Outcome:
    given: dict[str, Any] = dict.fromkeys(("findings", "incidents", "intents", "rejected"), ())
    given |= {name: {} for name in ("counts", "proposals", "clocks", "states")}
    return Outcome(passed=[Context(*one) for one in rows], watermark=None, revisions=MADE_UNDER, **given)


def test_an_embedded_recording_is_followed_into_its_open_part(tmp_path: Path) -> None:
    recording = Recording(tmp_path, None, "aaaa")
    recording.append([outcome([row(0, {"user.id": "u1"}, [1], 0)])])
    recording.seal()
    entry = recording.append([outcome([row(1, {"user.id": "u2"}, [1], 1)])])["recording"]
    asked = Asked("subject", (name(1),))
    found = trail(asked, Seen([Archive(str(tmp_path))], open=unsealed(tmp_path, entry, asked.wanted)))
    assert [one.actor.id for one in found.touches] == ["u1", "u2"]


def test_findings_are_those_of_who_touched_it_that_rest_on_it(tmp_path: Path) -> None:
    with closing(Sqlite(tmp_path)) as store:
        store.commit(outcomes(60))
        rows = store.reader.page(Query("findings", limit=1000)).rows
        about = trail(Asked("actor", ("user-1",)), Seen([], store.reader)).findings
        assert {one["id"] for one in about} == {one["id"] for one in rows if one["entity"]["id"] == "user-1"}
        assert about


def test_a_trail_goes_over_a_rotation_of_the_key(tmp_path: Path) -> None:
    turn = START + timedelta(minutes=10)
    keyring = Keyring([Epoch.of(KEYS[0]), Epoch.of(KEYS[1], "hmac-sha256", 2, turn, timedelta(days=30))])
    frames = []
    for minute in (0, 20):
        at = START + timedelta(minutes=minute)
        pen = keyring.pen(at, at)
        told_as = pen.token("CN_MOBILE", "1")
        link = pen.link("CN_MOBILE", "1") if pen.link else ""
        event = Event(
            f"e{minute}", at, at, Position("city.web", "0", minute), "city", "city.web", {"user.id": "u", "text": told_as}
        )
        frames.append([(event, (Span("text", 0, 29, "CN_MOBILE", "r", 1.0, told_as, {}, link),))])
    archive = archived(tmp_path, frames)
    for one in (name(1), token(KEYS[1], "CN_MOBILE", "1")):
        known = names(one, linking(archive, Effort()), keyring, turn)
        assert trail(Asked("subject", known), Seen([archive])).touches[0].count == 2
    assert {name(1), token(KEYS[1], "CN_MOBILE", "1")} <= {*standing([name(1), token(KEYS[1], "CN_MOBILE", "1")], keyring)}


def test_who_asked_and_why_is_on_record_before_anything_is_read(tmp_path: Path) -> None:
    class Away:
        def page(self, *_: object) -> Any:
            raise ConfigError("away")

        count = page

    record = Inquiries(tmp_path)
    with pytest.raises(ConfigError, match="away"):
        answer(record, Why("li", "request 7"), Asked("actor", ("u1",)), Seen([], Away()), lambda: EPOCH)
    (asked,) = record.entries()
    assert (asked.what, asked.by, asked.body["reason"]) == ("asked", "li", "request 7")
    answer(record, Why("li", "request 8"), Asked("actor", ("u1",)), Seen([]), lambda: EPOCH)
    assert [one.what for one in record.entries()] == ["asked", "asked", "answered"]
    assert record.broken() is None
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_without_a_reason_nothing_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="without a reason"):
        answer(Inquiries(tmp_path), Why("li", "  "), Asked("actor", ("u1",)), Seen([]), lambda: EPOCH)
    assert Inquiries(tmp_path).entries() == []


@pytest.mark.parametrize("harm", ["cut", "altered", "torn"])
def test_behind_an_altered_record_nothing_is_answered(tmp_path: Path, harm: str) -> None:
    record = Inquiries(tmp_path)
    for number in range(3):
        record.append("asked", "li", {"reason": f"{number}"}, EPOCH)
    lines = (tmp_path / NAME).read_bytes().splitlines(keepends=True)
    changed = {
        "cut": lines[1:],
        "altered": [lines[0], lines[1].replace(b'"1"', b'"9"'), lines[2]],
        "torn": [lines[0], lines[1][:9]],
    }
    (tmp_path / NAME).write_bytes(b"".join(changed[harm]))
    assert record.broken() is not None
    with pytest.raises(PolicyError, match="altered"):
        record.append("asked", "li", {}, EPOCH)


def test_a_filter_is_made_of_what_a_row_group_holds() -> None:
    from xmsec.store.columns import table

    terms = Terms()
    terms.add(table([row(0, {"user.id": "u1"}, [1], 0)], MADE_UNDER))
    assert set(terms.entry()) == {ENTRY}
