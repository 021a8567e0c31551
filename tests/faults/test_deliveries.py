"""Deliveries to real receivers, and their faults: away, busy, refusing, hanging up; and our own restarts."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from threading import Event, Lock
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.contract.every_store import Sqlite, outcomes
from tests.receivers import collector, mailbox, told, web

from xmsec.content.load import parse
from xmsec.content.notify import destination_of
from xmsec.model.types import Finding
from xmsec.notify.send import Us, carrier
from xmsec.notify.syslog import Wire
from xmsec.notify.target import Target, UndeliveredError
from xmsec.runtime.courier import Courier, Edge, Route, Tally, ToMachines, ToPeople
from xmsec.store.feed import StoreFeed
from xmsec.store.outbox import Outbox

NOON = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
EDGE = Edge(lambda: NOON, ZoneInfo("Asia/Shanghai"))
US = Us("1.0", "here", UTC)
WHSEC = "whsec_c2VjcmV0c2VjcmV0c2VjcmV0"
Open = Callable[[], Outbox]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """The outbox of one home, opened as often as a process starts."""
    boxes: list[Outbox] = []

    def again() -> Outbox:
        boxes.append(Outbox(tmp_path))
        return boxes[-1]

    yield again
    for one in boxes:
        one.close()


def route(url: str, text: str, **facts: Any) -> Route:
    destination = destination_of(parse(Path("notify/one.yaml"), "title: {zh: 甲, en: A}\n" + text))
    made = carrier(destination, Target(url, **facts), US)
    return Route(destination, made.carry, made.close)


def machine(url: str, form: str = "ecs") -> Route:
    return route(url, f"channel: webhook\nformat: {form}", secret=WHSEC)


def ids(asked: list[Any]) -> list[str]:
    return [json.loads(one.body)["event"]["id"] for one in asked]


def test_findings_arrive_signed_in_their_order_and_a_restart_sends_none_twice(opened: Open) -> None:
    with web() as server:
        box = opened()
        line = ToMachines(machine(server.url), box, box, Tally(), EDGE)
        box.put([told("a"), told("b")])
        line.step(NOON)
        box.put([told("c")])
        again = opened()
        ToMachines(machine(server.url), again, again, Tally(), EDGE).step(NOON)
        assert ids(server.asked) == ["a", "b", "c"]
        assert {"webhook-id", "webhook-timestamp", "webhook-signature"} <= server.asked[0].headers.keys()


def test_what_was_before_a_destination_is_not_told(opened: Open) -> None:
    with web() as server:
        box = opened()
        box.put([told("old")])
        line = ToMachines(machine(server.url), box, box, Tally(), EDGE)
        box.put([told("new")])
        line.step(NOON)
        assert ids(server.asked) == ["new"]


def test_a_finding_that_grows_and_closes_is_told_again_as_an_update(opened: Open) -> None:
    with web() as server:
        box = opened()
        line = ToMachines(machine(server.url, "ocsf"), box, box, Tally(), EDGE)
        for finding in (told("a"), told("a", count=13), told("a", count=14, state="final"), told("a", count=14, state="final")):
            box.put([finding])
            line.step(NOON)
        assert [json.loads(one.body)["type_uid"] for one in server.asked] == [200401, 200402]


@pytest.mark.parametrize(
    "fault", [(503, {}, b""), (429, {"Retry-After": "40"}, b""), (0, {}, b"")], ids=["busy", "429", "hangs up"]
)
def test_a_receiver_that_is_busy_gets_it_later_under_the_same_id(opened: Open, fault: Any) -> None:
    with web(fault, (200, {}, b"")) as server:
        box, tally = opened(), Tally()
        line = ToMachines(machine(server.url), box, box, tally, EDGE)
        box.put([told("a"), told("b")])
        rest_s = line.step(NOON)
        assert rest_s == (40 if fault[0] == 429 else 1)
        line.step(NOON + timedelta(seconds=rest_s))
        assert ids(server.asked) == ["a", "a", "b"]
        assert server.asked[0].headers["webhook-id"] == server.asked[1].headers["webhook-id"]
        assert tally.outcomes == {("one", "failed"): 1, ("one", "sent"): 2}


def test_a_receiver_that_is_down_loses_nothing_over_a_restart(opened: Open) -> None:
    with web() as server:
        url = server.url
    box = opened()
    line = ToMachines(machine(url), box, box, Tally(), EDGE)
    box.put([told("a"), told("b")])
    assert line.step(NOON) == 1.0
    with web() as server:
        again = opened()
        ToMachines(machine(server.url), again, again, Tally(), EDGE).step(NOON)
        assert ids(server.asked) == ["a", "b"]


def test_what_a_receiver_never_takes_stops_nothing_behind_it(opened: Open) -> None:
    with web((400, {}, b""), (200, {}, b"")) as server:
        box, tally = opened(), Tally()
        line = ToMachines(machine(server.url), box, box, tally, EDGE)
        box.put([told("a"), told("b")])
        line.step(NOON)
        assert ids(server.asked) == ["a", "b"]
        assert tally.outcomes == {("one", "refused"): 1, ("one", "sent"): 1}


def test_what_nobody_took_for_three_days_is_given_up(opened: Open) -> None:
    with web((503, {}, b"")) as server:
        box, tally = opened(), Tally()
        line = ToMachines(machine(server.url), box, box, tally, EDGE)
        box.put([told("a")])
        line.step(NOON)
        line.step(NOON + timedelta(hours=73))
        assert tally.outcomes["one", "given-up"] == 1
        assert line.step(NOON + timedelta(hours=73)) == 1.0


ROBOT = "channel: dingtalk\nfold: {more_than: 2, minutes: 10}\nquiet: {start: '22:00', end: '07:00'}"


def test_a_storm_reaches_a_group_as_few_messages_that_count_all(opened: Open) -> None:
    with web() as server:
        box = opened()
        line = ToPeople(route(server.url + "/send?access_token=t", ROBOT, secret="SEC"), box, box, Tally(), EDGE)
        box.put([told(f"f{number}") for number in range(150)])
        line.step(NOON)
        again = opened()
        line = ToPeople(route(server.url + "/send?access_token=t", ROBOT, secret="SEC"), again, again, Tally(), EDGE)
        line.step(NOON + timedelta(minutes=10))
        texts = [json.loads(one.body)["text"]["content"] for one in server.asked]
        assert len(texts) == 3
        assert "148" in texts[2]
        assert server.asked[0].path.startswith(f"/send?access_token=t&timestamp={NOON.timestamp():.0f}000&sign=")


def test_the_night_survives_a_restart_and_ends_with_one_message(opened: Open) -> None:
    night, morning = NOON + timedelta(hours=11), NOON + timedelta(hours=19)
    with web() as server:
        box = opened()
        line = ToPeople(route(server.url, ROBOT), box, box, Tally(), EDGE)
        box.put([told("a"), told("b", severity="critical"), told("c", detector="other")])
        line.step(night)
        again, tally = opened(), Tally()
        line = ToPeople(route(server.url, ROBOT), again, again, tally, EDGE)
        line.step(night)
        assert [json.loads(one.body)["text"]["content"][:12] for one in server.asked] == ["[xmsec] [严重]"]
        assert tally.held == {("one",): 2}
        line.step(morning)
        assert "静默时段内共 2 条告警" in json.loads(server.asked[1].body)["text"]["content"]


@pytest.mark.parametrize(
    ("channel", "answer", "rest_s"),
    [
        ("dingtalk", b'{"errcode":130101,"errmsg":"send too fast"}', 60),
        ("wecom", b'{"errcode":45009}', 60),
        ("feishu", b'{"code":11232}', 60),
        ("feishu", b'{"code":19021}', 1),
        ("dingtalk", b"<html>", 1),
    ],
)
def test_a_robot_that_answers_200_and_means_no_is_asked_again(opened: Open, channel: str, answer: bytes, rest_s: int) -> None:
    with web((200, {}, answer), (200, {}, b'{"errcode":0}')) as server:
        box, tally = opened(), Tally()
        line = ToPeople(route(server.url, f"channel: {channel}", secret="SEC"), box, box, tally, EDGE)
        box.put([told("a")])
        line.step(NOON)
        line.step(NOON + timedelta(seconds=rest_s - 0.5))
        assert len(server.asked) == 1
        line.step(NOON + timedelta(seconds=rest_s))
        assert tally.outcomes == {("one", "failed"): 1, ("one", "sent"): 1}


def test_a_mail_says_it_in_words_and_a_busy_server_is_asked_again(opened: Open) -> None:
    with mailbox(451) as box_of_mails:
        box, tally = opened(), Tally()
        text = "channel: mail\nlanguage: zh"
        target = {"sender": "xmsec@city.example", "recipients": ("duty@city.example",)}
        line = ToPeople(route(f"smtp://127.0.0.1:{box_of_mails.port}", text, **target), box, box, tally, EDGE)
        box.put([told("a")])
        line.step(NOON)
        line.step(NOON + timedelta(seconds=1))
        (mail,) = (message_from_bytes(one, policy=policy.default) for one in box_of_mails.mails)
        assert mail["Subject"] == "[xmsec] [高] 批量查询"
        assert "对象:user u7" in mail.get_content()
        assert mail["Message-ID"].endswith("@city.example>")
        assert tally.outcomes == {("one", "failed"): 1, ("one", "sent"): 1}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    name = ["-addext", "subjectAltName=IP:127.0.0.1"]
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=here"
    subprocess.run(
        [*words.split(), *name, "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    return cert, key


def served(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(*certificate)
    return found


MAIL = {"sender": "x@city.example", "recipients": ("d@city.example",), "user": "u", "password": "p"}


def test_a_login_is_sent_over_tls_or_not_at_all(certificate: tuple[Path, Path]) -> None:
    def carried(port: int) -> None:
        message = route(f"smtp://127.0.0.1:{port}", "channel: mail", ca=str(certificate[0]), **MAIL)
        from xmsec.notify.notice import Message

        message.carry(Message("m", NOON, test=True), NOON)

    with mailbox(certificate=served(certificate)) as box:
        carried(box.port)
        assert "AUTH" not in box.spoken
        assert "TLS AUTH" in box.spoken
    with mailbox() as box, pytest.raises(UndeliveredError, match="login stays here"):
        carried(box.port)
    assert "AUTH" not in box.spoken


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_a_soc_gets_one_cef_line_a_finding(opened: Open, certificate: tuple[Path, Path], kind: str) -> None:
    with collector(served(certificate) if kind == "tls" else None) as soc:
        box = opened()
        facts = {"ca": str(certificate[0])} if kind == "tls" else {}
        way = route(f"{kind}://127.0.0.1:{soc.port}", "channel: syslog\nformat: cef", **facts)
        line = ToMachines(way, box, box, Tally(), EDGE)
        box.put([told("a"), told("b")])
        line.step(NOON)
        first, second = (soc.lines.get(timeout=20).decode() for _ in range(2))
        assert first.startswith("<107>1 2026-11-25T04:00:00Z here xmsec - sigma - \ufeffCEF:0|xmsec|xmsec|1.0|mass-lookup|")
        assert "externalId=b" in second
        way.close()


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_a_receiver_that_hung_up_is_connected_to_again(certificate: tuple[Path, Path], kind: str) -> None:
    with collector(served(certificate) if kind == "tls" else None) as soc:
        wire = Wire(Target(f"{kind}://127.0.0.1:{soc.port}", ca=str(certificate[0])))
        wire.send(b"one")
        assert soc.lines.get(timeout=20) == b"one"
        soc.hang_up()
        while not wire.ended:
            pass
        wire.send(b"two")
        assert soc.lines.get(timeout=20) == b"two"
        wire.close()


def test_a_receiver_whose_certificate_nobody_knows_gets_nothing(certificate: tuple[Path, Path]) -> None:
    with collector(served(certificate)) as soc:
        with pytest.raises(UndeliveredError, match="SSLCertVerificationError"):
            Wire(Target(f"tls://127.0.0.1:{soc.port}")).send(b"one")
        assert soc.lines.empty()


def test_a_soc_takes_datagrams_too(opened: Open) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as soc:
        soc.bind(("127.0.0.1", 0))
        soc.settimeout(20)
        box = opened()
        line = ToMachines(
            route(f"udp://127.0.0.1:{soc.getsockname()[1]}", "channel: syslog\nformat: cef"), box, box, Tally(), EDGE
        )
        box.put([told("a", title="批" * 5_000)])
        line.step(NOON)
        assert soc.recv(65_536).decode().startswith("<107>1 ")


def test_the_embedded_store_tells_what_it_committed_each_finding_at_its_last_change(tmp_path: Path, opened: Open) -> None:
    store = Sqlite(tmp_path)
    feed, box = StoreFeed(tmp_path / "store.sqlite"), opened()
    with web() as server:
        line = ToMachines(machine(server.url), feed, box, Tally(), EDGE)
        store.commit(outcomes(60))
        while line.step(NOON) == 0.0:
            pass
        wanted = {one["id"] for one in store.reader.page(_all()).rows}
        assert len(wanted) > 3
        assert set(ids(server.asked)) == wanted
        assert len(ids(server.asked)) == len(wanted)
        store.commit(outcomes(60))
        line.step(NOON)
        assert len(server.asked) == len(wanted)
    feed.close()
    store.close()


def _all() -> Any:
    from xmsec.model.ports import Query

    return Query("findings", limit=1000)


def test_what_an_exception_covers_is_told_to_nobody(opened: Open) -> None:
    with web() as server:
        box = opened()
        line = ToMachines(machine(server.url), box, box, Tally(), EDGE)
        box.put([told("a", exception="known"), told("b")])
        line.step(NOON)
        assert ids(server.asked) == ["b"]


def test_no_value_can_leave_because_a_finding_holds_tokens_only() -> None:
    """What carries takes findings, whose evidence are events: of the types, none can hold what a record said."""
    hints = {name: str(kind) for name, kind in Finding.__annotations__.items()}
    assert hints["evidence"] == "tuple[Event, ...]"
    assert not {name for name, kind in hints.items() if "Raw" in kind or "Parsed" in kind}


def test_a_slow_receiver_stops_no_other(opened: Open) -> None:
    stuck, told_of = Event(), Event()
    text = "title: {zh: 甲, en: A}\nchannel: webhook\nformat: ecs"
    slow, fast = (destination_of(parse(Path(f"notify/{name}.yaml"), text)) for name in ("slow", "fast"))
    routes = [Route(slow, lambda *_: stuck.wait(20) and None), Route(fast, lambda *_: told_of.set())]
    box, turn = opened(), Lock()
    edge = Edge(lambda: NOON, UTC, lambda: turn)
    try:
        with Courier(routes, box, box, edge) as courier:
            box.put([told("a")])
            assert told_of.wait(20)
            assert any(metric.name == "xmsec_delivery_lag_findings" for metric in courier.metrics())
            stuck.set()
    finally:
        stuck.set()
