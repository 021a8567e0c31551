"""Gateways' own logs: APISIX and Kong."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.parsers import LINES, TIME, parsed

from xmsec.model.errors import InputError
from xmsec.model.types import Fields

gateways = pytest.mark.parametrize("form", ["apisix", "kong"])


def changed(form: str, **changes: Any) -> Fields:
    record = json.loads(LINES[form])
    for name, value in changes.items():
        record[name] = record[name] | value if isinstance(value, dict) and name in record else value
    return parsed(form, json.dumps(record).encode()).fields


@gateways
def test_who_asked_for_what_and_how_it_ended(form: str) -> None:
    document = parsed(form, LINES[form])
    expected = {
        "source.ip": "203.0.113.9",
        "user.name": "lin",
        "http.request.method": "GET",
        "url.path": "/find",
        "url.query": "q=SLOT",
        "http.response.status_code": 200,
        "event.outcome": "success",
        "http.response.bytes": 153,
        "user_agent.original": "agent SLOT",
    }
    assert {name: document.fields.get(name) for name in expected} == expected
    assert document.time == TIME


@gateways
def test_the_host_that_was_asked_stands_apart_from_its_port(form: str) -> None:
    fields = changed(form, request={"headers": {"Host": "a.example:9080"}})
    assert (fields["url.domain"], fields["url.port"]) == ("a.example", 9080)


@gateways
def test_durations_are_nanoseconds(form: str) -> None:
    assert parsed(form, LINES[form]).fields["event.duration"] in (12_500_000, 12_000_000)


@gateways
@pytest.mark.parametrize("name", ["authorization", "Cookie", "apikey", "x-api-key"])
def test_a_header_that_carries_a_credential_is_left_out(form: str, name: str) -> None:
    fields = changed(form, request={"headers": {name: "hidden", "X-Forwarded-For": "198.51.100.4", "User-Agent": ["a", "b"]}})
    assert "hidden" not in str(fields)
    assert (fields["network.forwarded_ip"], fields["user_agent.original"]) == ("198.51.100.4", "a")


@gateways
def test_bodies_are_kept_to_be_classified(form: str) -> None:
    fields = changed(form, request={"body": "phone=1"}, response={"body": {"a": ["x", "y"]}})
    assert fields["http.request.body.content"] == "phone=1"
    assert fields["http.response.body.content.a"] == ["x", "y"]


@gateways
@pytest.mark.parametrize(
    "changes",
    [
        {"client_ip": None},
        {"consumer": None},
        {"consumer": "x"},
        {"request": {"headers": None, "method": "no method!", "uri": 7, "url": None}},
        {"response": {"status": None, "size": -1}},
        {"latencies": {"request": "x"}, "latency": "x"},
    ],
    ids=["client", "no consumer", "odd consumer", "request", "response", "latency"],
)
def test_what_is_missing_or_odd_is_left_out(form: str, changes: dict[str, Any]) -> None:
    with suppress(InputError):
        changed(form, **changes)


@gateways
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_any_value_anywhere_is_a_document_or_a_reason(form: str, value: Any) -> None:
    record = json.loads(LINES[form])
    for part in (record, record["request"], record["response"], record["consumer"]):
        for name in list(part):
            kept, part[name] = part[name], value
            with suppress(InputError):
                parsed(form, json.dumps(record).encode())
            part[name] = kept
