"""A small ledger of two systems, what the stream observed beside it, and both as a console reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.contract.every_store import Sqlite
from tests.trails import MADE_UNDER, followed

from xmsec.content.classifiers import Grades
from xmsec.content.detectors import Title
from xmsec.ledger.dataset import Dataset, Owner
from xmsec.ledger.entries import Entries
from xmsec.ledger.grant import Given, Member
from xmsec.ledger.label import Field
from xmsec.model.ports import Observer, Outcome
from xmsec.model.types import Proposals
from xmsec.runtime.assemble import keep_ledger
from xmsec.runtime.ledgers import Ledgers
from xmsec.runtime.reasons import Newest
from xmsec.store.states import micros
from xmsec.store.uses import DAY_MICROS, DayUse, add

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
CERTS, CASES = "postgres://certs/public.certificate", "postgres://office/public.case"
SEEN = {(CERTS, "url.query", "CN_MOBILE"): 90, (CERTS, "url.query", "CN_BANK_CARD"): 10, (CASES, "note", "CN_MOBILE"): 5}
LEDGER = Entries(
    AS_OF,
    owners=(Owner("approval", "审批局"),),
    datasets=(
        Dataset(CERTS, "city", "approval", "证照", "general-3", fields=(Field("holder", "CN_NAME"), Field("url.query"))),
        Dataset(CASES, "office", "approval", "案件", fields=(Field("id", "CN_RESIDENT_ID", "general-4"),)),
    ),
    people=(Member("p-lin", ("lin.mei", "lin"), "hall", "clerk"), Member("p-wu", ("wu",), "hall")),
    grants=(
        Given("G-1", "role:clerk", (CERTS,), AS_OF, purpose="窗口办件"),
        Given("G-2", "batch", ("postgres://certs/*",), AS_OF, datetime(2026, 2, 1, tzinfo=UTC)),
    ),
)


def kept(home: Path) -> None:
    """Make the ledger a home's first revision."""
    assert keep_ledger(home, LEDGER)[2] == []


def bare(**given: Any) -> Outcome:
    """An outcome of this and of nothing else."""
    empty: dict[str, Any] = dict.fromkeys(("passed", "findings", "incidents", "intents", "rejected"), ())
    empty |= {name: {} for name in ("counts", "proposals", "clocks", "states")}
    return Outcome(**{**empty, **given}, watermark=None, revisions=MADE_UNDER)


def observe(store: Sqlite, counts: Proposals) -> None:
    """Let the stream see these once more."""
    store.commit([bare(proposals=counts)])


def use(store: Sqlite, account: str, dataset: str, times: Iterable[datetime], system: str = "city") -> None:
    """Let an account use a dataset at these moments."""
    moments = list(map(micros, times))
    with store.transaction() as connection:
        add(connection, [DayUse(at // DAY_MICROS, dataset, account, system, 1, at, at) for at in moments])


def about(home: Path, observer: Callable[[], Observer]) -> dict[str, Any]:
    """What a console's records say of trails and of the ledger, over a test's own home. observer: of its store."""
    book = Newest(home)
    return {"trails": followed(home), "book": book, "ledgers": Ledgers(home, book, Grades(Title("表", "table")), observer)}
