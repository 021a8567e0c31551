"""What is recorded is read back as it was, wherever the writer was killed and however often it was sealed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsec.model.errors import ConfigError, InputError
from xmsec.model.ports import Outcome
from xmsec.model.types import Context, Event, Position, Revisions, Span, Tick
from xmsec.store import recording
from xmsec.store.columns import Row
from xmsec.store.recording import ENTRY, SEAL_AFTER, Recording, read

START = datetime(2026, 3, 2, tzinfo=UTC)
few = settings(max_examples=40, deadline=None)
times = st.integers(0, 10_000_000_000).map(lambda micros: START + timedelta(microseconds=micros))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
spans = st.lists(
    st.builds(
        Span,
        field=texts,
        start=st.integers(0, 99),
        end=st.integers(0, 99),
        type=st.just("CN_MOBILE"),
        recogniser=texts,
        score=st.floats(0, 1),
        token=st.just("⟨CN_MOBILE:0011223344556677⟩"),
        kept=st.dictionaries(texts, texts, max_size=2),
    ),
    max_size=2,
).map(tuple)
events = st.builds(
    Event,
    id=texts,
    time=times,
    received=times,
    position=st.builds(Position, st.just("city.web"), texts, st.integers(0, 1 << 62), st.integers(0, 9)),
    system=st.just("city"),
    stream=st.just("city.web"),
    fields=st.dictionaries(
        texts | st.sampled_from(["user.id", "event.action"]), scalars | st.lists(scalars, max_size=2), max_size=4
    ),
    datasets=st.lists(texts, max_size=2).map(tuple),
    stage=st.sampled_from([None, "use", "provide"]),
    flags=st.lists(texts, max_size=2).map(tuple),
    given_id=st.none() | texts,
)
ticks = st.builds(Tick, st.just("city.web"), texts, times, st.sampled_from(["open", "idle", "ended"]))
batches = st.lists(st.lists(ticks | st.tuples(events, spans), max_size=4), max_size=6)


def outcome(rows: Sequence[Row]) -> Outcome:
    return Outcome(
        passed=[row if isinstance(row, Tick) else Context(*row) for row in rows],
        findings=(),
        incidents=(),
        intents=(),
        rejected=(),
        counts={},
        proposals={},
        clocks={},
        states={},
        watermark=None,
        revisions=Revisions("c", 1),
    )


def back(folder: Path, committed: str | None, start: datetime | None = None, end: datetime | None = None) -> list[Row]:
    return [row for batch in read(folder, committed, start, end) for row in batch]


@few
@given(batches, st.sampled_from([1, 400, 1 << 20]))
def test_what_was_recorded_is_read_back(made: list[list[Row]], seal_bytes: int) -> None:
    with TemporaryDirectory() as name:
        folder, committed = Path(name), None
        kept = Recording(folder, None, seal_bytes=seal_bytes)
        for batch in made:
            committed = kept.append([outcome(batch)])[ENTRY]
        assert back(folder, committed) == [row for batch in made for row in batch]
        kept.seal()
        assert back(folder, committed) == [row for batch in made for row in batch]
        assert Recording(folder, committed).seal() is None


@few
@given(made=batches, killed=st.lists(st.integers(0, 3), min_size=6, max_size=6), torn=st.binary(max_size=20))
def test_killed_between_append_and_commit_nothing_is_lost_or_there_twice(
    made: list[list[Row]], killed: list[int], torn: bytes
) -> None:
    """What was appended without a commit comes again, perhaps after half a frame, perhaps after it was sealed."""
    with TemporaryDirectory() as name:
        folder, committed = Path(name), None
        for batch, times_killed in zip(made, killed, strict=False):
            for _ in range(times_killed):
                Recording(folder, committed, seal_bytes=300).append([outcome(batch)])
                with sorted(folder.glob("*.open"))[-1].open("ab") as file:
                    file.write(torn)
            committed = Recording(folder, committed, seal_bytes=300).append([outcome(batch)])[ENTRY]
        assert back(folder, committed) == [row for batch in made[: len(killed)] for row in batch]


@few
@given(made=st.lists(st.tuples(events, spans), min_size=1, max_size=12), cut=times)
def test_a_span_of_event_time_is_cut_the_same_from_open_and_sealed_parts(made: list[Row], cut: datetime) -> None:
    with TemporaryDirectory() as name:
        kept = Recording(Path(name), None)
        committed = kept.append([outcome(made)])[ENTRY]
        wanted = [row for row in made if isinstance(row, tuple) and row[0].time >= cut]
        assert back(Path(name), committed, start=cut) == wanted
        kept.seal()
        assert back(Path(name), committed, start=cut) == wanted
        assert back(Path(name), committed, end=cut) == [row for row in made if row not in wanted]


def tick(hours: float) -> Outcome:
    return outcome([Tick("city.web", "p", START + timedelta(hours=hours), "idle")])


def test_an_hour_is_sealed(tmp_path: Path) -> None:
    kept = Recording(tmp_path, None)
    for hours in (0, 0.5, SEAL_AFTER / timedelta(hours=1), 1.1):
        kept.append([tick(hours)])
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["00000001.parquet", "00000002.open"]


@pytest.mark.parametrize("left", ["both", "part"])
def test_killed_while_sealing_nothing_is_lost_or_there_twice(tmp_path: Path, left: str) -> None:
    kept = Recording(tmp_path, None)
    committed = kept.append([tick(0), tick(1)])[ENTRY]
    before = (tmp_path / "00000001.open").read_bytes()
    kept.seal()
    (tmp_path / "00000001.open").write_bytes(before)
    if left == "part":
        (tmp_path / "00000001.parquet").rename(tmp_path / "00000001.part")
    again = Recording(tmp_path, committed)
    committed = again.append([tick(2)])[ENTRY]
    assert [row.received for row in back(tmp_path, committed) if isinstance(row, Tick)] == [
        START + timedelta(hours=hours) for hours in range(3)
    ]


def test_less_than_was_committed_is_refused(tmp_path: Path) -> None:
    committed = Recording(tmp_path, None).append([tick(0)])[ENTRY]
    (tmp_path / "00000001.open").write_bytes(b"")
    with pytest.raises(ConfigError, match="holds 0 bytes"):
        Recording(tmp_path, committed)


def test_a_damaged_frame_is_named_by_file_and_place(tmp_path: Path) -> None:
    committed = Recording(tmp_path, None).append([tick(0)])[ENTRY]
    path = tmp_path / "00000001.open"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(InputError, match=r"damaged-frame; .*00000001\.open:0"):
        back(tmp_path, committed)


def test_another_key_is_refused_by_name(tmp_path: Path) -> None:
    Recording(tmp_path, None, "aaaa")
    with pytest.raises(ConfigError, match="check value aaaa"):
        Recording(tmp_path, None, "bbbb")


def test_other_tools_can_read_the_columns(tmp_path: Path) -> None:
    kept = Recording(tmp_path, None, "aaaa")
    event = Event("e", START, START, Position("city.web", "p", 7), "city", "city.web", {"user.id": "u", "event.action": "read"})
    kept.append([outcome([(event, ())])])
    path = kept.seal()
    found = pq.read_table(path)
    assert found.select(["kind", "id", "time", "user", "action", "offset", "content", "ledger"]).to_pylist() == [
        {"kind": "event", "id": "e", "time": START, "user": "u", "action": "read", "offset": 7, "content": "c", "ledger": 1}
    ]
    assert msgspec.json.decode(found["fields"][0].as_py()) == event.fields
    assert pq.read_metadata(path).metadata[b"xmsec.key_check"] == b"aaaa"


def test_many_batches_make_few_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "GROUP_ROWS", 50)
    kept = Recording(tmp_path, None)
    committed = kept.append([tick(0) for _ in range(120)])[ENTRY]
    path = kept.seal()
    assert pq.read_metadata(path).num_row_groups == 3
    assert len(back(tmp_path, committed)) == 120


def test_a_rotated_key_begins_a_new_file_so_that_each_says_which_keys_its_rows_had(tmp_path: Path) -> None:
    first, second = [Tick("city.web", "a", START, "idle")], [Tick("city.web", "b", START, "idle")]
    committed = Recording(tmp_path, None, "aaaa").append([outcome(first)])[ENTRY]
    turned = Recording(tmp_path, committed, "aaaa+bbbb")
    committed = turned.append([outcome(second)])[ENTRY]
    turned.seal()
    checks = [pq.read_metadata(path).metadata[b"xmsec.key_check"] for path in sorted(tmp_path.glob("*.parquet"))]
    assert checks == [b"aaaa", b"aaaa+bbbb"]
    assert back(tmp_path, committed) == [*first, *second]
    assert (tmp_path / "key_check").read_text() == "aaaa+bbbb"
