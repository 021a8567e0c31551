"""What a worker counts, and how it is told while the work goes on."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from threading import Event

import pytest
from tests.contract.every_store import outcomes

from xmsec.model.errors import ServiceError
from xmsec.runtime.faust import meter as counting
from xmsec.runtime.faust.meter import Meter
from xmsec.runtime.faust.telling import telling
from xmsec.runtime.metrics import exposition

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def test_it_is_told_once_more_at_the_end() -> None:
    times: list[int] = []
    with telling(lambda: times.append(1), 1_000.0):
        assert times == []
    assert times == [1]


def test_who_does_not_answer_holds_up_no_end() -> None:
    answered = Event()

    def tell() -> None:
        answered.wait(600)

    with telling(tell, 0.001):
        pass
    assert not answered.is_set()
    answered.set()


@pytest.mark.parametrize("error", [ServiceError("away"), RuntimeError("⟨CN_MOBILE⟩")], ids=["away", "broken"])
def test_what_is_wrong_is_said_once_and_ends_nothing(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    often, times = Event(), 0

    def tell() -> None:
        nonlocal times
        times += 1
        if times == 5:
            often.set()
        raise error

    with caplog.at_level(logging.WARNING), telling(tell, 0.001):
        assert often.wait(60)
    assert len(caplog.records) == 1
    assert "⟨" not in caplog.text


def test_fields_without_an_end_are_not_remembered_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PLACES", 2)
    meter = Meter()
    for name in ("a", "b", "c", "a"):
        meter.observe({("d", name, "CN_MOBILE"): 1})
    assert meter.counted({}, NOW).sums["observed"] == {("d", "a", "CN_MOBILE"): 2, ("d", "b", "CN_MOBILE"): 1}


def test_refusals_are_told_by_stream_and_measured_by_reason() -> None:
    meter = Meter()
    for outcome in outcomes(60):
        meter.reject(outcome.rejected)
    assert meter.counted({}, NOW).sums["refused"] == {(stream, "parse", "not-json"): 5 for stream in ("toys.a", "toys.b")}
    assert 'xmsec_dead_letters_total{leg="parse",reason="not-json"} 10' in exposition(meter.metrics(NOW))
