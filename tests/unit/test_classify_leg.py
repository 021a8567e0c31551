"""What the classify leg leaves, replaces and says, field by field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.identifiers import CACHE, KEY, TIME, parsed, shipped

from xmsec.classify import road
from xmsec.classify.road import RENAMED, classifier, text_of
from xmsec.classify.token import UNTOKENISED, check_value, identity, token
from xmsec.content.streams import Sample, Stream, Title
from xmsec.model.ids import event_id

PHONE, EMAIL, RESIDENT, CARD = "13800138000", "li@example.cn", "350203199003071236", "6228480402564890018"
CITY = Stream(
    id="city.web",
    title=Title("城市", "City"),
    format="json",
    identities=("user.name", "source.address", "peer"),
    typed=("order.no",),
    scan=("http.version",),
    samples=(Sample(line="{}"),),
)
LEG = classifier(shipped(), {"city.web": CITY}, KEY, CACHE)
PHONE_TOKEN = token(KEY, "CN_MOBILE", PHONE)


def tokened(fields: dict[str, Any], **more: Any) -> Any:
    return LEG([parsed(fields=fields, **more)])[0]


def test_an_event_takes_over_what_was_parsed() -> None:
    document = parsed(7, fields={"a": "b"}, datasets=("d",), stage="use", flags=("cut",), given_id="g-1")
    ((event, spans),) = LEG([document])
    assert event.id == event_id(document.position, identity(KEY, "g-1"))
    assert (event.time, event.received, event.system, event.stream) == (TIME, TIME, "city", "city.web")
    assert (event.fields, event.datasets, event.stage, event.flags) == ({"a": "b"}, ("d",), "use", ("cut",))
    assert spans == ()


@pytest.mark.parametrize(
    "field, value",
    [
        ("source.ip", "112.48.1.77"),
        ("source.ip", "2001:db8::1"),
        ("host.mac", "00-1A-2B-3C-4D-5E"),
        ("event.created", "2026-11-24T08:00:00.123456+08:00"),
        ("http.response.body.bytes", 13800138000),
        ("event.duration", 13800138000),
        ("order.no", PHONE),
        ("source.address", "112.48.1.77"),
        ("user.name", "10.1.2.3"),
        ("peer", "00:1A:2B:3C:4D:5E"),
        ("message", "order 20261124083000 took 1764000000000 ms"),
        ("n", True),
        ("n", None),
        ("n", 123456),
        ("ratio", 0.13800138),
    ],
)
def test_what_is_typed_or_an_actors_address_stays(field: str, value: Any) -> None:
    event, spans = tokened({field: value})
    assert event.fields == {field: value}
    assert spans == ()


@pytest.mark.parametrize(
    "field, value, kind",
    [
        ("source.ip", PHONE, "CN_MOBILE"),
        ("source.ip", f"unknown {RESIDENT}", "CN_RESIDENT_ID"),
        ("http.request.method", PHONE, "CN_MOBILE"),
        ("event.created", PHONE, "CN_MOBILE"),
        ("http.version", PHONE, "CN_MOBILE"),
        ("url.path", "/ip/112.48.1.77/x", "IP_ADDRESS"),
        ("amount", float(PHONE), "CN_MOBILE"),
        ("phone", "14201234567", "CN_MOBILE"),
        ("nested", [{"who": {"tel": PHONE}}], "CN_MOBILE"),
        ("nested", {"who": RESIDENT}, "CN_RESIDENT_ID"),
    ],
)
def test_a_value_in_a_place_of_another_type_is_replaced(field: str, value: Any, kind: str) -> None:
    event, (span,) = tokened({field: value})
    assert span.type == kind
    assert text_of(event.fields[field])[span.start : span.end] == span.token


@pytest.mark.parametrize("value", [PHONE, EMAIL, RESIDENT])
def test_an_identity_that_is_itself_a_value_is_its_token(value: str) -> None:
    event, (span,) = tokened({"user.name": value})
    assert event.fields["user.name"] == span.token


def test_the_same_person_has_one_token_in_every_way_of_writing() -> None:
    event, spans = tokened({"a": f"+86 {PHONE}", "b": f"电话:{PHONE}", "c": int(PHONE), "d": "１３８ ００１３ ８０００"})
    assert {span.token for span in spans} == {PHONE_TOKEN}
    assert event.fields["b"] == f"电话:{PHONE_TOKEN}"


def test_several_values_of_one_field_keep_their_order_and_offsets() -> None:
    event, spans = tokened({"message": f"{PHONE},{EMAIL};{PHONE}"})
    text = event.fields["message"]
    assert [span.type for span in spans] == ["CN_MOBILE", "EMAIL_ADDRESS", "CN_MOBILE"]
    assert text == f"{PHONE_TOKEN},{spans[1].token};{PHONE_TOKEN}"
    assert [text[span.start : span.end] for span in spans] == [span.token for span in spans]


def test_of_values_inside_one_another_the_longest_is_replaced() -> None:
    event, (span,) = tokened({"message": f"发给{PHONE}@139.com"})
    assert (span.type, span.kept) == ("EMAIL_ADDRESS", {"domain": "139.com"})
    assert event.fields["message"] == f"发给{span.token}"


def test_a_value_that_shows_when_its_neighbour_is_gone_is_replaced_too() -> None:
    event, spans = tokened({"message": f"{EMAIL}{PHONE}"})
    assert [span.type for span in spans] == ["EMAIL_ADDRESS", "CN_MOBILE"]
    assert event.fields["message"] == spans[0].token + spans[1].token


def test_a_token_is_never_scanned_again() -> None:
    digits = "⟨CN_MOBILE:4111111111111111⟩"
    assert tokened({"message": digits, "card": f"卡号{digits}"})[1] == ()


def test_kept_attributes_are_relative_to_the_events_time() -> None:
    child = "350203201303071230"[:17] + "1"
    number = next(child[:17] + last for last in "0123456789X" if tokened({"a": child[:17] + last})[1])
    document = parsed(fields={"a": number})
    young, grown = (msgspec.structs.replace(document, time=datetime(year, 6, 1, tzinfo=UTC)) for year in (2026, 2032))
    assert LEG([young])[0][1][0].kept == {"province": "35", "minor": "under-14"}
    assert LEG([grown])[0][1][0].kept == {"province": "35", "minor": "no"}


def test_a_field_that_is_too_long_is_replaced_whole_and_flagged() -> None:
    event, spans = tokened({"message": "a" * 65537, "list": ["b", "a" * 65537], "c": PHONE}, flags=("cut",))
    assert event.fields == {"message": UNTOKENISED, "list": ["b", UNTOKENISED], "c": PHONE_TOKEN}
    assert event.flags == ("cut", "untokenised:message", "untokenised:list")
    assert [span.field for span in spans] == ["c"]


def test_a_field_name_that_holds_a_value_holds_its_token() -> None:
    event, spans = tokened({f"seen.{PHONE}.times": 3, f"seen.+86{PHONE}.times": 4, "b": 1})
    assert event.fields == {
        f"seen.{PHONE_TOKEN}.times": 3,
        f"seen.{PHONE_TOKEN}.times_": 4,
        "b": 1,
        RENAMED: [PHONE_TOKEN, PHONE_TOKEN],
    }
    assert [(span.field, span.token) for span in spans] == [(RENAMED, PHONE_TOKEN)] * 2


def test_a_datasets_name_and_a_producers_id_hold_no_value() -> None:
    event, _ = tokened({}, datasets=("postgres://10.1.2.3:5432.people", f"file:/{PHONE}.csv"), given_id=PHONE)
    assert event.datasets == ("postgres://10.1.2.3:5432.people", f"file:/{PHONE_TOKEN}.csv")
    assert event.given_id == identity(KEY, PHONE)


def test_what_it_forgets_changes_no_result() -> None:
    leg = classifier(shipped(), {"city.web": CITY}, KEY, CACHE)
    documents = [parsed(n, fields={"a": f"text {n % 3}", f"k{n % 5}": PHONE}) for n in range(20)]
    expected = leg(documents)
    leg([parsed(n, fields={"a": f"text {n}"}) for n in range(road.REMEMBERED + 1)])
    assert leg(documents) == expected
    leg([parsed(n, fields={"source.ip": f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"}) for n in range(road.REMEMBERED + 1)])
    assert leg(documents) == expected
    leg([parsed(n, fields={f"name{n}": "a"}) for n in range(road.SHAPES + 1)])
    assert leg(documents) == expected


def test_the_text_of_a_clean_field_may_be_a_value_in_another() -> None:
    number = "14201234567"  # a segment that nobody has: a value only where a word says so
    first, second = LEG([parsed(fields={"n": number}), parsed(1, fields={"mobile_no": number})])
    assert (len(first[1]), len(second[1])) == (0, 1)


def test_another_key_gives_other_tokens_and_another_check_value() -> None:
    assert token(b"x" * 32, "CN_MOBILE", PHONE) != PHONE_TOKEN
    assert check_value(b"x" * 32) != check_value(KEY)


def test_a_type_is_part_of_the_fingerprint() -> None:
    assert token(KEY, "A", "1")[3:] != token(KEY, "B", "1")[3:]
