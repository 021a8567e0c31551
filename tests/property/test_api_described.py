"""schemathesis asks the API what its description allows, and what it does not: no answer breaks, none is undescribed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import Any, NamedTuple

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error, response_schema_conformance, status_code_conformance
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, negative_data_rejection, positive_data_acceptance
from starlette.applications import Starlette
from tests.contract.every_store import Sqlite, outcomes
from tests.rooms import Clock, answering, bearer

from xmsec.console.app import Records, desk, house, routes
from xmsec.console.pages.table import PAGES
from xmsec.model.clock import UTC
from xmsec.model.ports import Query, Reader
from xmsec.runtime.service import application
from xmsec.store.read import SqliteReader
from xmsec.store.readers import Connections

EXAMPLES = 25
HOST = "testserver"
ENDLESS = {"/api/live"}  # news never end
ASKED = sorted(
    (view.method, view.path)
    for page in PAGES
    for view in page.views
    if view.path.startswith("/api/") and view.path not in ENDLESS
)
DESCRIBED = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


class Served(NamedTuple):
    """The API over the toys' records; known: ids that are there."""

    schema: Any
    token: str
    known: list[str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, clock = tmp_path_factory.mktemp("api"), Clock()
    with ExitStack() as stack:
        store = stack.enter_context(closing(Sqlite(folder)))
        store.commit(outcomes(60))
        connections = stack.enter_context(closing(Connections(folder / "store.sqlite")))
        kept = desk(folder, clock)
        stack.callback(kept.keep.close)
        acts, means = answering(connections, clock)
        records = Records(partial(_reader, connections), acts, means, UTC)
        shared = house(records, kept, clock, frozenset({HOST}), per_minute=1_000_000)
        app: Starlette = application(tuple, rooms=routes(shared))
        token = bearer(kept, "admin")
        schema = schemathesis.openapi.from_asgi("/api/openapi.json", app, headers={"authorization": token})
        known = [store.reader.page(Query(table, limit=1)).rows[0]["id"] for table in ("findings", "incidents")]
        yield Served(schema, token, known)


def _reader(connections: Connections) -> Reader:
    return SqliteReader(connections.mine())


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["rightly", "wrongly"])
@pytest.mark.parametrize(("method", "path"), ASKED, ids=[" ".join(one) for one in ASKED])
def test_whatever_is_asked_the_answer_is_one_that_is_described(served: Served, method: str, path: str, mode: Any) -> None:
    checks = [*DESCRIBED, positive_data_acceptance if mode is GenerationMode.POSITIVE else negative_data_rejection]

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=served.schema[path][method].as_strategy(generation_mode=mode), known=st.sampled_from(served.known))
    def asked(case: Any, known: str) -> None:
        if "id" in (case.path_parameters or {}):
            case.path_parameters["id"] = known
        if (
            mode is GenerationMode.POSITIVE
        ):  # these are right by their form, and yet wrong: a cursor that nobody gave, a foreign tag
            for given_, name in ((case.query, "after"), (case.headers, "If-Match"), (case.headers, "Idempotency-Key")):
                (given_ or {}).pop(name, None)
        case.call_and_validate(checks=checks, headers={"authorization": served.token})

    asked()
