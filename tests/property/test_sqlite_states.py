"""The states of a store answer as the states in memory do, whatever is touched, committed and asked in between."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.test_sqlite import nothing

from xmsec.model.ports import Held, Outcome, Owned
from xmsec.model.states import Memory
from xmsec.model.types import Key
from xmsec.store.sqlite import SqliteStore

START = datetime(2026, 3, 2, tzinfo=UTC)

owned = st.tuples(st.sampled_from(("a", "b")), st.builds(Key, st.just("user"), st.sampled_from(("x", "y", "z\0", ""))))
moments = st.integers(0, 4).map(lambda hour: START + timedelta(hours=hour))
touches = st.dictionaries(owned, st.none() | st.builds(Held, st.integers(0, 9), st.none() | moments), max_size=5)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.one_of(touches, st.just("commit"), moments, st.none()), max_size=14))
def test_states_on_disk_equal_states_in_memory(steps: list[dict[Owned, Held | None] | str | datetime | None]) -> None:
    memory = Memory()
    waiting: list[Outcome] = []
    with TemporaryDirectory() as folder, closing(SqliteStore(Path(folder) / "s", {"a": int, "b": int})) as store:
        states = store.states()
        for number, step in enumerate(steps):
            if isinstance(step, dict):
                memory.absorb(step, {})
                states.absorb(step, {})
                waiting.append(nothing(number, states=step))
            elif step == "commit":
                store.commit(waiting)
                waiting = []
            else:
                assert sorted(states.due(step)) == sorted(memory.due(step))
            for owner in ("a", "b"):
                for value in ("x", "y", "z\0", ""):
                    assert states.get(owner, Key("user", value)) == memory.get(owner, Key("user", value))
