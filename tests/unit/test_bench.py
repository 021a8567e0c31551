"""Benches at their smallest: the shape of what they print, and that nothing in it is empty."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from tests.command import called

from xmsec.bench.clock import Legs
from xmsec.bench.detection import Watch, detection, judged
from xmsec.bench.network import network_costs
from xmsec.bench.pipeline import Asked, pipeline
from xmsec.bench.traffic import MIXES, lines, newcomers, real_log
from xmsec.content.load import shipped
from xmsec.content.scenarios import load_scenarios
from xmsec.runtime.truth import Row

LEGS = ["classify", "commit", "detect", "enrich", "group", "match", "parse", "read", "record", "seal"]
START = datetime(2026, 10, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Any:
    asked = Asked(events=300, memory_events=400, runs=1)
    cache = tmp_path_factory.mktemp("cache")
    return json.loads(msgspec.json.encode(pipeline([shipped()], cache, ZoneInfo("Asia/Shanghai"), asked, lambda _: None)))


@pytest.mark.parametrize("mix", [mix.name for mix in MIXES])
def test_each_mix_has_its_speed_its_legs_and_its_ratios(figures: Any, mix: str) -> None:
    told = figures[mix]
    assert told["events_per_s"] > 0
    assert sorted(told["legs"]) == LEGS
    assert told["floor_ratio"] > 0
    assert told["presidio_ratio"] > 0


def test_memory_and_help_are_measured(figures: Any) -> None:
    assert isinstance(figures["bytes_per_key"], float)
    assert figures["memory"]["states"] > 300
    assert figures["help_ms"] > 0


def test_records_over_http_are_measured_beside_the_road_over_a_file(tmp_path: Path) -> None:
    costs = network_costs([shipped()], tmp_path / "cache", ZoneInfo("Asia/Shanghai"), Asked(1_500, 0, runs=1), lambda _: None)
    assert sorted(costs) == ["intake_ndjson", "intake_ndjson_gzip", "intake_text", "road_over_a_file", "road_over_http"]
    assert all(cost.us > 0 and cost.events_per_s > 0 for cost in costs.values())


def test_pages_and_news_of_a_served_console_are_measured() -> None:
    ran = called("bench", "console", "--findings", "300", "--clients", "2", "--seconds", "1")
    told = json.loads(ran.stdout)
    assert all(page["median_ms"] > 0 and page["size"] > 0 for page in told["pages"].values())
    assert [run["clients"] for run in told["news"]] == [0, 2]
    assert told["news"][1]["arrived"] > 0


def test_a_mix_holds_the_real_log_and_as_many_values_as_it_says() -> None:
    nothing, some, every = (list(lines(mix, 1_000)) for mix in MIXES)
    assert [line.decode() for line in nothing] == list(real_log()[:1_000])
    assert sum(line != same for line, same in zip(some, nothing, strict=True)) == 300
    assert sum(line != same for line, same in zip(every, nothing, strict=True)) == 1_000


def test_a_repeated_log_goes_on_in_time() -> None:
    turn = len(real_log())
    (first,) = lines(MIXES[0], 1, 0)
    (again,) = lines(MIXES[0], 1, turn)
    assert again == first.replace(b"17/May/2015", b"21/May/2015") != first


def test_every_newcomer_has_an_address_of_its_own() -> None:
    assert len({line.split(b" ")[0] for line in newcomers(2_000, 500)}) == 2_000


def test_a_leg_does_not_count_the_leg_that_it_calls() -> None:
    legs = Legs()
    legs.time("outer", lambda: legs.time("inner", lambda: sum(range(300_000))))
    assert legs.used_s["outer"] < legs.used_s["inner"]


def finding(detector: str, entity: str, after_h: float, severity: str = "high") -> dict[str, Any]:
    start = START + timedelta(hours=after_h)
    window = {"start": start.isoformat(), "end": (start + timedelta(hours=1)).isoformat()}
    return {
        "id": f"{detector} {entity} {after_h}",
        "detector": detector,
        "severity": severity,
        "entity": {"type": "user", "id": entity},
        "window": window,
    }


TRUTH = [
    Row("leak", "s", START, START + timedelta(hours=2), {"type": "user", "id": "u1"}, ("slow-leak",)),
    Row("odd", "s", START, START + timedelta(hours=2), {"type": "user", "id": "u2"}),
]


@pytest.mark.parametrize(
    ("told", "recall", "false", "silent"),
    [
        pytest.param([finding("slow-leak", "u1", 1)], 1.0, [], True, id="found"),
        pytest.param([finding("slow-leak", "u1", 3)], 0.0, [("slow-leak", "user u1", 1)], True, id="not in its time"),
        pytest.param([finding("other", "u1", 1)], 0.0, [], True, id="by a detector that was not expected"),
        pytest.param([finding("other", "u3", 1)], 0.0, [("other", "user u3", 1)], True, id="somebody else"),
        pytest.param([finding("other", "u3", 1, "low")], 0.0, [], True, id="too little to be an alarm"),
        pytest.param([finding("other", "u2", 1)], 0.0, [("other", "user u2", 1)], False, id="an oddity accused"),
    ],
)
def test_what_was_told_is_compared_with_what_happened(
    told: list[dict[str, Any]], recall: float, false: list[tuple[str, str, int]], silent: bool
) -> None:
    watch = Watch(START - timedelta(days=1))
    watch.events, watch.told = 100, {one["id"]: START + timedelta(hours=1) for one in told}
    found = judged(1, TRUTH, told, watch)
    assert (found.recall, list(found.false), found.oddities[0].silent) == (recall, false, silent)


def test_detection_on_a_small_simulated_system_says_what_it_found() -> None:
    scenarios = list(load_scenarios([shipped()])[0].values())
    found = detection([shipped()], scenarios[:1], seed=7, events=1_000)
    assert found.events > 0
    assert {one.name for one in found.scenarios} >= {"mass-lookup", "source-silent"}
    assert 0 < found.recall <= 1
    assert all(one.late_s is not None and one.late_s >= 0 for one in found.scenarios if one.found)
