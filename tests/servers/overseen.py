"""A console over Elasticsearch beside workers that fill it: what it shows of streams, and a proposal that is accepted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from elasticsearch import Elasticsearch
from starlette.applications import Starlette
from tests.ledgers import AS_OF, about
from tests.rooms import Clock, answering, bearer
from tests.servers import real
from tests.unit.test_console_guard import Asking

from xmsec.console.app import desk, house, routes
from xmsec.console.given import Records
from xmsec.content.streams import load_streams
from xmsec.ledger.dataset import Dataset, Owner
from xmsec.ledger.entries import Entries
from xmsec.runtime.assemble import current_ledger, keep_ledger
from xmsec.runtime.service import application
from xmsec.store.elastic_acts import ElasticActs
from xmsec.store.elastic_read import ElasticReader
from xmsec.store.readers import Connections

CONTENT = Path(__file__).parents[2]


class Overseer:
    """Somebody who looks at the pages."""

    def __init__(self, ask: Asking, reader: ElasticReader, home: Path) -> None:
        self._ask, self._reader, self._home = ask, reader, home
        self._who = bearer(ask.desk, "admin")

    def look(self) -> str:
        """Return the page of sources as it is now."""
        return self._ask("/sources", authorization=self._who).text

    def until_told(self, records: int, refused: int) -> None:
        """Wait until workers have told of so much."""

        def told() -> bool:
            flows = self._reader.flows().values()
            enough = sum(flow.records for flow in flows) >= records
            return enough and sum(sum(flow.refused.values()) for flow in flows) >= refused

        real.until(told)
        assert told(), self._reader.flows()

    def row(self, stream: str) -> str:
        """Return what stands in a stream's row ten seconds after the look before, without markup."""
        self._ask.clock.pass_(seconds=10)
        row = next(row for row in self.look().split("<tr") if f">{stream}<" in row and "<th" not in row)
        return " ".join(re.sub(r"<[^>]*>", " ", row.partition(">")[2]).split())

    def accept(self, system: str) -> None:
        """Let a person take over the first label that is proposed for a dataset that workers saw."""
        name = min(self._reader.observed_datasets(100))
        owner = Owner("approval", "审批局")
        assert keep_ledger(self._home, Entries(AS_OF, owners=(owner,), datasets=(Dataset(name, system, owner.id),)))[2] == []
        page = f"/ledger/dataset?name={quote(name, safe='')}"
        proposed = self._ask(page, authorization=self._who).text.partition('id="proposals"')[2]
        field, kind = (re.findall(rf'name="{what}" value="([^"]*)"', proposed)[0] for what in ("field", "type"))
        form = {"verdict": "accept", "dataset": name, "field": field, "type": kind, "grade": "general-4", "reason": "seen"}
        assert self._ask("/ledger/review", form, authorization=self._who).status == 303
        proposed = self._ask(page, authorization=self._who).text.partition('id="proposals"')[2].partition("</section>")[0]
        assert f'value="{field}"' not in proposed or f'value="{kind}"' not in proposed
        book, _ = current_ledger(self._home)
        assert (field, kind) in [(one.field, one.type) for one in book.labels(name)]


@contextmanager
def overseen(client: Elasticsearch, home: Path) -> Iterator[Overseer]:
    """Open a console of its own home over the shipped content."""
    home.mkdir()
    clock, reader, connections = Clock(), ElasticReader(client), Connections(home / "none.sqlite")
    clock.time = datetime.now(UTC)
    kept = desk(home, clock)
    try:
        _, means = answering(connections, clock)
        facts = {**about(home, lambda: reader), "streams": load_streams([CONTENT])[0], "workers": True}
        records = Records(lambda: reader, ElasticActs(client), means, UTC, **facts)
        app: Starlette = application(tuple, rooms=routes(house(records, kept, clock)))
        yield Overseer(Asking(kept, app, clock), reader, home)
    finally:
        connections.close()
        kept.keep.close()
