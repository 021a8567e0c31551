"""What receivers are sent: signatures after their documentation, and formats after their specifications."""

from __future__ import annotations

import hmac
import json
import re
from base64 import b64decode, b64encode
from hashlib import sha256
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.receivers import told

from xmsec.model.clock import EPOCH
from xmsec.model.errors import ConfigError
from xmsec.model.types import Entity, Event, Explanation, Position
from xmsec.notify import formats
from xmsec.notify.notice import Gathered, Message, notice_of
from xmsec.notify.robots import TEXT_BYTES, fitting
from xmsec.notify.sign import dingtalk, feishu, standard
from xmsec.notify.words import lines, subject

ZONE = ZoneInfo("Asia/Shanghai")
EVENT = Event(
    "e1",
    EPOCH,
    EPOCH,
    Position("office.web", "f", 0),
    "office",
    "office.web",
    {"user.id": "u7", "source.ip": "192.0.2.7"},
    datasets=("postgres://here/people",),
)


def test_a_webhook_is_signed_as_standard_webhooks_says() -> None:
    secret, body = "whsec_" + b64encode(b"k" * 24).decode(), b'{"a":1}'
    headers = standard(secret, "msg_1", 1_614_265_330, body)
    expected = hmac.new(b"k" * 24, b"msg_1.1614265330." + body, sha256).digest()
    assert headers["webhook-id"] == "msg_1"
    assert headers["webhook-signature"] == "v1," + b64encode(expected).decode()


def test_a_webhooks_secret_that_is_no_base64_is_refused() -> None:
    with pytest.raises(ConfigError, match="not base64"):
        standard("whsec_§", "a", 0, b"")


def test_dingtalk_is_signed_over_time_and_secret_by_the_secret() -> None:
    query = parse_qs(dingtalk("SECabc", 1_700_000_000_123).removeprefix("&"))
    assert query["timestamp"] == ["1700000000123"]
    assert b64decode(query["sign"][0]) == hmac.new(b"SECabc", b"1700000000123\nSECabc", sha256).digest()


def test_feishu_is_signed_over_nothing_by_time_and_secret() -> None:
    signed = feishu("abc", 1_700_000_000)
    assert b64decode(signed["sign"]) == hmac.new(b"1700000000\nabc", b"", sha256).digest()


def test_ocsf_is_a_detection_finding_with_all_that_the_schema_requires() -> None:
    document = formats.ocsf(told("a", evidence=(EVENT,)), "1.0", again=False)
    required = {"activity_id", "category_uid", "class_uid", "type_uid", "time", "severity_id", "metadata", "finding_info"}
    assert required <= document.keys()
    assert (document["class_uid"], document["category_uid"], document["type_uid"]) == (2004, 2, 200401)
    assert formats.ocsf(told("a"), "1.0", again=True)["type_uid"] == 200402
    assert document["finding_info"]["uid"] == "a"
    assert document["finding_info"]["analytic"]["type_id"] == 1
    assert {"product", "version"} <= document["metadata"].keys()
    assert document["evidences"][0]["actor"] == {"user": {"uid": "u7"}}
    assert document["resources"] == [{"type": "dataset", "uid": "postgres://here/people"}]


@pytest.mark.parametrize(
    ("severity", "ocsf", "cef"),
    [("informational", 1, "1"), ("low", 2, "3"), ("medium", 3, "5"), ("high", 4, "8"), ("critical", 5, "10")],
)
def test_severities_keep_their_order_everywhere(severity: str, ocsf: int, cef: str) -> None:
    finding = told("a", severity=severity)
    assert formats.ocsf(finding, "1", again=False)["severity_id"] == ocsf
    assert formats.cef(finding, "1").split("|")[6] == cef


def test_ecs_is_an_alert_of_its_rule_and_its_entity() -> None:
    document = formats.ecs(told("a", entity=Entity("address", "192.0.2.7")), "1.0")
    assert (document["event"]["kind"], document["rule"]["id"], document["source"]) == (
        "alert",
        "mass-lookup",
        {"ip": "192.0.2.7"},
    )
    assert json.loads(json.dumps(document)) == document


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60))
def test_whatever_a_log_said_a_cef_line_has_its_seven_bars_and_one_line(text: str) -> None:
    written = formats.cef(told("a", title=text, explanation=(Explanation(text, text),), entity=Entity("user", f"u{text}")), "1")
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", written.split(" externalId=")[0].partition("externalId")[0])) == 7
    assert written.isprintable()
    assert re.findall(r"(?:^|[ |])(externalId|msg)=", written) == ["externalId", "msg"] or not text


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=60))
def test_whatever_a_log_said_a_message_gets_no_line_of_it(text: str) -> None:
    finding = told("a", explanation=(Explanation("what", text),), entity=Entity("user", f"u{text}"))
    message = Message("m", EPOCH, notice_of(finding))
    assert all(line.isprintable() for line in [subject(message, "zh"), *lines(message, "zh", ZONE)])
    assert len(lines(message, "en", ZONE)) == 7


def test_words_come_in_one_language_and_local_time() -> None:
    message = Message("m", EPOCH, notice_of(told("a", grade="general-4")))
    assert subject(message, "zh") == "[xmsec] [高] 批量查询"
    assert subject(message, "en") == "[xmsec] [high] Mass lookup"
    assert "时间:1970-01-01 08:00 – 1970-01-01 09:00" in lines(message, "zh", ZONE)
    assert "why: subjects: 120 (7)" in lines(message, "en", ZONE)


def test_a_folded_message_counts_by_kind_and_shows_the_gravest() -> None:
    gathered = Gathered("storm", EPOCH, EPOCH, {"mass-lookup": 28}, {"high": 27, "critical": 1}, (notice_of(told("a")),))
    message = Message("m", EPOCH, gathered=gathered)
    assert subject(message, "zh") == "[xmsec] [严重] 同类告警 28 条已合并"
    assert "mass-lookup × 28" in lines(message, "en", ZONE)


def test_a_text_is_cut_at_a_line_to_what_every_robot_takes() -> None:
    text = fitting("\n".join(["数据安全" * 20] * 60))
    assert len(text.encode()) <= TEXT_BYTES
    assert text.endswith("\n…")
    assert fitting("short") == "short"
