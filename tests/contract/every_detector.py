"""The detectors that `test_every_detector.py` tries: a new kind adds one line to the list, and the suite brings the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from tests.strategies import contexts

from xmsec.detect.fold import About
from xmsec.detect.hours import hours
from xmsec.detect.kinds.coverage import Coverage, Sorts
from xmsec.detect.kinds.silence import Expected, Silence
from xmsec.model.ports import Detector
from xmsec.model.types import Context

SOME_FIELDS = st.sets(st.sampled_from(("user.id", "url.query", "url.path"))).map(
    lambda names: dict.fromkeys(sorted(names), "v")
)
FLAGS = ((), (), ("untokenised:url.query",), ("cut", "untokenised:a", "untokenised:b"), ("far_future",))
ZONE = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True)
class Trial:
    """A detector, and events that give it something to say. hears_rejected: only coverage reads rejected records."""

    name: str
    make: Callable[[], Detector[Any]]
    contexts: st.SearchStrategy[list[Context]]
    hears_rejected: bool = False


def every_detector() -> list[Trial]:
    """Return one trial a kind of detector (two where it has two ways)."""
    return [
        Trial("silence", silence, contexts(st.just({}), seconds=86_400)),
        Trial("silence in office hours", silence_in_hours, contexts(st.just({}), seconds=6 * 86_400)),
        Trial("coverage", coverage, contexts(SOME_FIELDS, flags=FLAGS), hears_rejected=True),
    ]


def coverage() -> Detector[Any]:
    sorts = Sorts(*(About(f"coverage-{name}", "1", "coverage", name, "low") for name in ("rejected", "untokenised", "missing")))
    asked = {"city.web": frozenset(("user.id", "url.query", "x"))}
    return Coverage(About("coverage", "1", "coverage", "覆盖 · Coverage", "low"), sorts, asked, ZONE)


def silence() -> Detector[Any]:
    about = About("silence", "1", "silence", "静默 · Silence", "high")
    return Silence(about, {"city.web": Expected("city", timedelta(minutes=30))}, ZONE)


def silence_in_hours() -> Detector[Any]:
    about = About("silence", "1", "silence", "静默 · Silence", "high")
    expected = Expected("city", timedelta(hours=5), hours("22:00-06:00", ("mon", "tue", "sat")))
    return Silence(about, {"city.web": expected, "city.db": expected}, ZONE)
