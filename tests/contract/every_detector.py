"""The detectors that `test_every_detector.py` tries: a new kind adds one line to the list, and the suite brings the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import strategies as st
from tests.learned import anomaly
from tests.matches import correlation, matching, sigma
from tests.strategies import contexts

from xmsec.content.load import parse
from xmsec.detect.entity import default_keys
from xmsec.detect.fold import About
from xmsec.detect.hours import hours
from xmsec.detect.kinds.contract import Breach, Contract, Terms
from xmsec.detect.kinds.coverage import Coverage, Sorts
from xmsec.detect.kinds.silence import Expected, Silence
from xmsec.ledger.book import Book
from xmsec.model.ports import Detector
from xmsec.model.types import Context

SOME_FIELDS = st.sets(st.sampled_from(("user.id", "url.query", "url.path"))).map(
    lambda names: dict.fromkeys(sorted(names), "v")
)
FLAGS = ((), (), ("untokenised:url.query",), ("cut", "untokenised:a", "untokenised:b"), ("far_future",))
BOOK, _ = Book.load(
    parse(
        Path("ledger.yaml"),
        """
as_of: 2026-01-01T00:00:00Z
owners: [{id: office}]
datasets:
  - {name: "postgres://certs:5432/certs.holder", system: certs, owner: office, grade: general-3}
  - {name: "postgres://tax:5432/tax.payer", system: tax, owner: office, grade: general-4}
people: [{id: p1, accounts: [lin], department: hall}]
grants:
  - id: g1
    grantee: department:hall
    datasets: ["postgres://certs:5432/*"]
    start: 2026-01-01T00:00:00Z
    end: 2026-03-03T12:00:00Z
    fields: [holder_name, status]
  - {id: g2, grantee: wang, datasets: ["postgres://*"], start: 2026-03-03T00:00:00Z}
""",
    )
)
ZONE = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True)
class Trial:
    """A detector, and events that give it something to say. hears_rejected: only coverage reads rejected records;
    many: one detector for many files, each with a version of its own."""

    name: str
    make: Callable[[], Detector[Any]]
    contexts: st.SearchStrategy[list[Context]]
    hears_rejected: bool = False
    many: bool = False


def every_detector() -> list[Trial]:
    """Return one trial a kind of detector (two where it has two ways)."""
    return [
        Trial("silence", silence, contexts(st.just({}), seconds=86_400)),
        Trial("silence in office hours", silence_in_hours, contexts(st.just({}), seconds=6 * 86_400)),
        *(Trial(f"contract: {breach}", lambda breach=breach: contract(breach), used()) for breach in get_args(Breach)),
        Trial("contract: all of them", lambda: contract(*get_args(Breach)), used()),
        Trial("anomaly", lambda: anomaly("user-hour"), busy()),
        Trial("coverage", coverage, contexts(SOME_FIELDS, flags=FLAGS), hears_rejected=True),
        Trial("sigma", sigma, matching(), many=True),
        Trial("correlation: event_count", lambda: correlation(None), matching()),
        Trial("correlation: value_count", lambda: correlation("url.path"), matching()),
    ]


def busy() -> st.SearchStrategy[list[Context]]:
    """Contexts of two accounts, each event of which stands for twelve of its kind in as many seconds."""
    fields = st.fixed_dictionaries(
        {
            "user.id": st.sampled_from(("u00", "stranger")),
            "source.ip": st.sampled_from(("10.9.0.1", "10.9.0.2", "10.9.0.3")),
            "http.response.status_code": st.sampled_from((200, 403)),
            "http.response.body.bytes": st.integers(0, 1 << 30),
        }
    )
    return contexts(fields, flags=FLAGS, seconds=7_200).map(lambda made: [each for context in made for each in twelve(context)])


def twelve(context: Context) -> list[Context]:
    event = context.event
    return [
        msgspec.structs.replace(
            context,
            event=msgspec.structs.replace(
                event,
                id=f"{event.position.offset:030x}{place:02x}",
                time=event.time + timedelta(seconds=place),
                fields=event.fields if "rejected" in event.flags else event.fields | {"url.path": f"/{event.id[-4:]}/{place}"},
            ),
        )
        for place in range(12)
    ]


def contract(*breaches: Breach) -> Detector[Any]:
    about = About("ungranted", "1", "contract", "授权 · Grant", "high")
    return Contract(about, Terms(breaches), default_keys, ZONE)


def used() -> st.SearchStrategy[list[Context]]:
    """Contexts of accounts that use datasets, as a ledger knows them."""
    fields = st.fixed_dictionaries(
        {"user.name": st.sampled_from(("lin", "wang", "stranger"))},
        optional={"xmsec.fields": st.sampled_from((["holder_name"], ["holder_id", "holder_name"], "status, holder_id"))},
    )
    return contexts(fields, streams=("city.web",)).map(lambda made: [in_ledger(context) for context in made])


def in_ledger(context: Context) -> Context:
    event = context.event
    if "rejected" in event.flags:
        return context
    datasets = ("postgres://certs:5432/certs.holder", "postgres://tax:5432/tax.payer")[: 1 + event.position.offset % 2]
    event = msgspec.structs.replace(event, datasets=datasets)
    labels = tuple(label for dataset in datasets for label in BOOK.labels(dataset))
    grants = tuple(grant for dataset in datasets for grant in BOOK.grants(event.fields["user.name"], dataset))
    return msgspec.structs.replace(context, event=event, labels=labels, grants=grants)


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
