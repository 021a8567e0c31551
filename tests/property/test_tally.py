"""What a store keeps beside findings, so that lists and counts are quick, is what looking at everything gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.every_acts import Sqlite

from xmsec.model.clock import EPOCH, from_rfc3339
from xmsec.model.ports import Query
from xmsec.model.types import LEVELS, SEVERITIES, Act, Entity, Finding, Incident, Status, Window
from xmsec.store.acts import SqliteActs
from xmsec.store.read import SqliteReader
from xmsec.store.sqlite import SqliteStore

COLUMNS = ("severity", "system", "detector", "entity.type", "stage", "grade", "status")
FINDINGS, INCIDENTS = [f"f{number}" for number in range(6)], ["i0", "i1", "i2"]
Op = Callable[[SqliteStore], object]

hours = st.integers(0, 96)
findings = st.builds(
    lambda name, hour, severity, system, stage, grade, exception: Finding(
        id=name,
        time=EPOCH + timedelta(hours=hour),
        first_seen=EPOCH,
        detector=f"of-{system}",
        version="1",
        kind="sigma",
        title="t",
        severity=severity,
        risk=hour,
        system=system,
        stream=f"{system}.s",
        entity=Entity("user", "u"),
        count=1,
        window=Window(EPOCH, EPOCH + timedelta(hours=1)),
        state="open",
        stage=stage,
        grade=grade,
        exception=exception,
    ),
    st.sampled_from(FINDINGS),
    hours,
    st.sampled_from(SEVERITIES),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["store", None]),
    st.sampled_from([LEVELS[0], None]),
    st.sampled_from([None, None, "known"]),
)
incidents = st.builds(
    lambda name, members, systems: Incident(
        id=name,
        opened=EPOCH,
        entity=Entity("user", "u"),
        severity="low",
        risk=1,
        findings=tuple(sorted(members)),
        detectors=("of-a",),
        systems=systems,
    ),
    st.sampled_from(INCIDENTS),
    st.sets(st.sampled_from(FINDINGS), max_size=4),
    st.sampled_from([(), ("a",), ("a", "b")]),
)
commits = st.builds(
    lambda news, groups: lambda store: Sqlite(store).write(news, groups),
    st.lists(findings, max_size=4),
    st.lists(incidents, max_size=2),
)
triages = st.builds(
    lambda key, of, status, who: Act(
        id=key, kind="status", incident=of[0], findings=of[1], at=EPOCH, by="li", status=status, assignee=who
    ),
    st.uuids().map(str),
    st.tuples(st.sampled_from(INCIDENTS), st.lists(st.sampled_from(FINDINGS), max_size=3, unique=True).map(tuple)),
    st.sampled_from(get_args(Status)),
    st.sampled_from([None, "", "wang"]),
)
merges = st.builds(
    lambda key, of: Act(id=key, kind="merge", incident=INCIDENTS[0], incidents=(of,), at=EPOCH, by="li"),
    st.uuids().map(str),
    st.sampled_from(INCIDENTS[1:]),
)
moves = st.builds(
    lambda key, of: Act(id=key, kind="move", incident=INCIDENTS[2], incidents=(INCIDENTS[1],), findings=of, at=EPOCH, by="li"),
    st.uuids().map(str),
    st.lists(st.sampled_from(FINDINGS), min_size=1, max_size=2, unique=True).map(tuple),
)
acts = st.one_of(triages, merges, moves).map(lambda act: lambda store: SqliteActs(lambda: store.connection).put(act))


@settings(deadline=None, max_examples=100)
@given(ops=st.lists(st.one_of(commits, acts), max_size=12), since=st.none() | hours, until=st.none() | hours)
def test_counts_and_statuses_are_those_of_all_rows(ops: Sequence[Op], since: int | None, until: int | None) -> None:
    with TemporaryDirectory() as folder, closing(SqliteStore(Path(folder) / "s", {})) as store:
        for op in ops:
            op(store)
        kept = "SELECT id, incident, status, assignee FROM findings ORDER BY id"
        assert (
            store.connection.execute(kept).fetchall() == store.connection.execute("SELECT * FROM shown ORDER BY 1").fetchall()
        )
        reader = SqliteReader(store.connection)
        bounds = [None if hour is None else EPOCH + timedelta(hours=hour) for hour in (since, until)]
        query = Query("findings", since=bounds[0], until=bounds[1], limit=100)
        rows = reader.page(query).rows
        for by in ((), *((name,) for name in COLUMNS), COLUMNS):
            assert Counter(reader.count(query, by)) == Counter(tuple(_value(row, name) for name in by) for row in rows), by
        of = Counter(system for row in reader.page(Query("incidents", limit=100)).rows for system in row["systems"])
        assert {system: count for (system,), count in reader.count(Query("incidents"), ("system",)).items()} == of
        if since is not None:
            start = EPOCH + timedelta(hours=since)
            for step, by in ((timedelta(hours=7), "severity"), (timedelta(minutes=90), "system"), (timedelta(days=1), "grade")):
                steps = Counter(((from_rfc3339(row["time"]) - start) // step, (_value(row, by),)) for row in rows)
                assert Counter(reader.course(query, step, (by,))) == steps
        assert store.connection.execute("SELECT count(*) FROM tally WHERE total <= 0").fetchone() == (0,)


def _value(row: dict[str, Any], name: str) -> str:
    return str(row["entity"]["type"] if name == "entity.type" else row[name] or "")
