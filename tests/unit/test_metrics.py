"""Figures as Prometheus reads them: families, names and labels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.every_store import Sqlite, outcomes

from xmsec.runtime.metrics import Metric, counted, exposition, gauge
from xmsec.runtime.vitals import Vitals
from xmsec.sources.readable import unreadable
from xmsec.store.sqlite import connect

SAMPLE = re.compile(r'(?P<name>[a-z_]+)(\{(?P<labels>[a-z]+="(\\.|[^"\\])*"(,[a-z]+="(\\.|[^"\\])*")*)\})? (?P<value>\S+)')
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def read(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Read the exposition format as a scraper does."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for line in text.split("\n")[:-1]:
        if not line.startswith("#"):
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            pairs = re.findall(r'([a-z]+)="((?:\\.|[^"\\])*)"', sample["labels"] or "")
            labels = tuple((name, re.sub(r'\\[\\"n]', lambda one: ESCAPES[one[0]], value)) for name, value in pairs)
            found.setdefault(sample["name"], {})[labels] = float(sample["value"])
    return found


@given(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_what_is_written_is_read_back(rows: Mapping[str, float]) -> None:
    metric = gauge("xmsec_things", "Things.", ("of",), {(label,): value for label, value in rows.items()})
    expected = {"xmsec_things": {(("of", label),): value for label, value in rows.items()}} if rows else {}
    assert read(exposition([metric])) == expected


def test_counts_become_families_by_what_they_count() -> None:
    told = {
        ("parsed", "a.b", ""): 7,
        ("late", "a.b", ""): 1,
        ("rejected", "a.b", "parse:no-match"): 3,
        ("tokens", "a.b", "CN_MOBILE"): 9,
        ("untokenised", "a.b", "message"): 2,
    }
    assert exposition(counted(told)).splitlines() == [
        "# HELP xmsec_records_total Records by what became of them.",
        "# TYPE xmsec_records_total counter",
        'xmsec_records_total{what="late",stream="a.b"} 1',
        'xmsec_records_total{what="parsed",stream="a.b"} 7',
        "# HELP xmsec_rejected_records_total Records that a leg refused; each is a dead letter.",
        "# TYPE xmsec_rejected_records_total counter",
        'xmsec_rejected_records_total{stream="a.b",leg="parse",reason="no-match"} 3',
        "# HELP xmsec_tokens_total Values that became tokens.",
        "# TYPE xmsec_tokens_total counter",
        'xmsec_tokens_total{stream="a.b",type="CN_MOBILE"} 9',
        "# HELP xmsec_untokenised_fields_total Fields replaced whole.",
        "# TYPE xmsec_untokenised_fields_total counter",
        'xmsec_untokenised_fields_total{stream="a.b",field="message"} 2',
    ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Sqlite]:
    with closing(Sqlite(tmp_path)) as store:
        store.commit(outcomes(60))
        yield store


@pytest.fixture
def vitals(store: Sqlite, tmp_path: Path) -> Vitals:
    return Vitals(tmp_path / "store.sqlite", ZoneInfo("Asia/Shanghai"), {"toy-counts": 2.0})


def figures(vitals: Vitals, store: Sqlite, now: datetime) -> list[Metric]:
    return vitals.metrics(store.connection, lambda: now)


def test_a_store_is_told_in_figures(store: Sqlite, vitals: Vitals) -> None:
    told = read(exposition(figures(vitals, store, datetime(2026, 1, 1, tzinfo=UTC))))
    (kept,) = store.connection.execute("SELECT count(*) FROM findings WHERE exception = ''").fetchone()
    assert sum(told["xmsec_findings"].values()) == kept > 0
    assert sum(told["xmsec_states"].values()) == store.connection.execute("SELECT count(*) FROM states").fetchone()[0]
    assert told["xmsec_store_bytes"][()] >= 8192
    assert {dict(labels)["stream"] for labels in told["xmsec_event_time_timestamp_seconds"]} == {"toys.a", "toys.b"}
    for metric in figures(vitals, store, datetime(2026, 1, 1, tzinfo=UTC)):
        assert metric.name.endswith("_total") == (metric.kind == "counter")


def test_a_budget_is_used_by_the_entities_of_the_day(store: Sqlite, tmp_path: Path) -> None:
    rows = store.connection.execute("SELECT detector, time, entity_id FROM findings").fetchall()
    detector, last, _ = max(rows, key=lambda row: row[1])
    entities = {entity for name, _, entity in rows if name == detector}
    vitals = Vitals(tmp_path / "store.sqlite", ZoneInfo("UTC"), {detector: 4.0})
    at = datetime.fromtimestamp(last / 1e6, UTC)
    told, later = (read(exposition(figures(vitals, store, now))) for now in (at, at + timedelta(days=1)))
    assert told["xmsec_alert_budget_used_ratio"] == {(("detector", detector),): len(entities) / 4}
    assert later["xmsec_alert_budget_used_ratio"] == {(("detector", detector),): 0}
    assert told["xmsec_alert_budget_entities"] == {(("detector", detector),): 4}


def test_a_store_that_takes_writes_is_ready_and_nothing_is_left_behind(vitals: Vitals, tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    assert vitals.problems() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_store_that_is_gone_or_another_one_is_not_ready(vitals: Vitals, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.rename(tmp_path / "kept")
    assert vitals.problems() == [f"the store cannot be written (No such file or directory): {path}"]
    connect(path).close()
    assert vitals.problems() == [f"the store was replaced: {path}"]


def test_a_store_that_another_process_holds_is_not_ready(vitals: Vitals, store: Sqlite, tmp_path: Path) -> None:
    with store.transaction():
        assert vitals.problems() == [f"the store cannot be written (OperationalError): {tmp_path / 'store.sqlite'}"]


def test_a_folder_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").touch()
    assert unreadable([f"{tmp_path}/logs/*.log", f"{tmp_path}/l*/none.log", f"{tmp_path}/logs/a.log"]) == []
    assert unreadable([f"{tmp_path}/mnt/**/*.log"]) == [f"no such folder: {tmp_path}/mnt"]
