"""schemathesis asks the API what its description allows, and what it does not: no answer breaks, none is undescribed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
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
from tests.rooms import Clock, answering, bearer, furnished

from xmsec.console.app import house, routes
from xmsec.console.given import Records
from xmsec.console.pages.table import PAGES
from xmsec.model.clock import UTC
from xmsec.model.ports import Query, Reader
from xmsec.runtime.approval import begin
from xmsec.runtime.service import application
from xmsec.store.read import SqliteReader
from xmsec.store.readers import Connections

EXAMPLES = 25
OF_A_PAGE = 8
HOST = "testserver"
VIEWS = sorted((view.method, view.path) for page in PAGES for view in page.views)
ENDLESS = re.compile("/live$")  # news never end
ASKED = [(method, path) for method, path in VIEWS if path.startswith("/api/") and not ENDLESS.search(path)]
SHOWN = [(method, path) for method, path in VIEWS if not path.startswith("/api/") and not ENDLESS.search(path)]
DESCRIBED = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


class Served(NamedTuple):
    """The API over the toys' records; known: ids that are there; run: of the incident among them."""

    schema: Any
    token: str
    known: list[str]
    run: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder, clock = tmp_path_factory.mktemp("api"), Clock()
    with furnished(folder, clock) as (store, connections, kept):
        acts, means = answering(connections, clock)
        records = Records(partial(_reader, connections), acts, means, UTC)
        shared = house(records, kept, clock, frozenset({HOST}), per_minute=1_000_000)
        app: Starlette = application(tuple, rooms=routes(shared))
        token = bearer(kept, "admin")
        schema = schemathesis.openapi.from_asgi("/api/openapi.json", app, headers={"authorization": token})
        known = [store.reader.page(Query(table, limit=1)).rows[0]["id"] for table in ("findings", "incidents")]
        run, _ = begin(means, "contain-account", means.incident(known[-1]), "wang")
        yield Served(schema, token, known, run)


def _reader(connections: Connections) -> Reader:
    return SqliteReader(connections.mine())


Check = Callable[[Any], object]


def try_out(served: Served, route: tuple[str, str], mode: GenerationMode, examples: int, check: Check) -> None:
    """Draw requests of a route, the same ones each time, with an id that is there, and check each."""
    method, path = route
    cases = served.schema[path][method].as_strategy(generation_mode=mode)

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
    @given(case=cases, known=st.sampled_from(served.known))
    def one(case: Any, known: str) -> None:
        for name, value in (("id", known), ("run", served.run)):
            if name in (case.path_parameters or {}):
                case.path_parameters[name] = value
        check(case)

    one()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["rightly", "wrongly"])
@pytest.mark.parametrize("route", ASKED, ids=" ".join)
def test_whatever_is_asked_the_answer_is_one_that_is_described(
    served: Served, route: tuple[str, str], mode: GenerationMode
) -> None:
    checks = [*DESCRIBED, positive_data_acceptance if mode is GenerationMode.POSITIVE else negative_data_rejection]

    def check(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:  # right by its form, and yet wrong: a cursor that nobody gave, a foreign tag
            for given_, name in ((case.query, "after"), (case.headers, "If-Match"), (case.headers, "Idempotency-Key")):
                (given_ or {}).pop(name, None)
        case.call_and_validate(checks=checks, headers={"authorization": served.token})

    try_out(served, route, mode, EXAMPLES, check)


@pytest.mark.parametrize("route", SHOWN, ids=" ".join)
def test_whatever_a_page_is_asked_it_does_not_break(served: Served, route: tuple[str, str]) -> None:
    def check(case: Any) -> None:
        case.call_and_validate(checks=[not_a_server_error], headers={"authorization": served.token}, allow_redirects=False)

    try_out(served, route, GenerationMode.POSITIVE, OF_A_PAGE, check)
