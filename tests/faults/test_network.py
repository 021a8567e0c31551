"""Records over the network, through real sockets into a real process: safe once acknowledged, bounded when they flood."""

from __future__ import annotations

import gzip
import json
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.command import xmsec
from tests.doors import doors
from tests.faults.test_no_raw_value import assert_clean
from tests.faults.test_run import MOBILE, Service, count_of, line
from tests.values import VALUES

from xmsec.sources.spool import Entry, Spool

pytestmark = pytest.mark.faults

DEADLINE_S = 30
TOKEN, NARROW = "t" * 40, "n" * 40
HOSTS = """
id: office.hosts
title: {zh: 主机, en: Hosts}
format: syslog
identities: [host.name, process.name]
idle_s: 1
listen: [%s]
samples:
  - line: "<34>Oct 11 22:14:15 mymachine su[230]: 'su root' failed for lonvick on /dev/pts/8"
    fields: {host.name: mymachine}
"""


class Net(Service):
    """One life of the service, with what it says of its addresses."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def address(self, scheme: str) -> tuple[str, int]:
        (found,) = (said.split()[1] for said in self.told if said.startswith(f"listening {scheme}://"))
        host, _, port = found.rpartition("://")[2].rpartition(":")
        return host, int(port)

    def total(self, what: str, stream: str, name: str = "xmsec_records_total") -> int:
        """How often what was counted, over all details."""
        begun = f'{name}{{what="{what}",stream="{stream}"'
        if what == "rejected":
            begun = f'xmsec_rejected_records_total{{stream="{stream}"'
        return sum(int(one.rpartition(" ")[2]) for one in self.get("/metrics").splitlines() if one.startswith(begun))

    def post(self, body: bytes, path: str = "office.door", **headers: str) -> tuple[int, Any, Mapping[str, str]]:
        given = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-ndjson"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"{self.url}/api/events/{path}", body, given, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
                return answer.status, json.loads(answer.read()), answer.headers
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.loads(refused.read()), refused.headers


Start = Callable[..., Net]


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """The file of tokens: one may send everything, one a stream that is not there."""
    path = tmp_path / "tokens"
    hashed = {name: sha256(token.encode()).hexdigest() for name, token in (("ship", TOKEN), ("narrow", NARROW))}
    path.write_text(f"# who may send\nship {hashed['ship']} *\nnarrow sha256:{hashed['narrow']} office.h* other.*\n")
    return path


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """A deployment's own content."""
    return doors(tmp_path / "content")


@pytest.fixture
def serve(home: Path, content: Path, tokens: Path) -> Iterator[Start]:
    """Start the service over the same home."""
    lives: list[Net] = []

    def start(listen: str = "", **more: str) -> Net:
        if listen:
            (content / "streams/office/hosts.yaml").write_text(HOSTS % listen)
        lives.append(Net(home, {"XMSEC_CONTENT_DIRS": str(content), "XMSEC_INGEST_TOKENS": str(tokens), **more}))
        return lives[-1]

    yield start
    for life in lives:
        life.kill()


def body(count: int, start: int = 0, who: str = "lin") -> bytes:
    hours = (number // 3600 for number in range(start, start + count))
    lines = (line(number % 3600, who) for number in range(start, start + count))
    return "".join(one.replace("T09:", f"T{9 + hour:02}:") for hour, one in zip(hours, lines, strict=True)).encode()


def spooled(home: Path) -> list[Path]:
    return list((home / "spool").glob("*.raw"))


def test_what_was_answered_with_202_outlives_a_kill(serve: Start, home: Path) -> None:
    first = serve()
    status, told, _ = first.post(body(40))
    first.kill()
    assert (status, told) == (202, {"accepted": 40, "rejected": 0, "duplicate": 0})
    second = serve()
    second.until(lambda one: count_of(one, "lin") == 40)
    assert second.counted()["parsed"] == 40


def test_a_kill_under_load_loses_nothing_and_a_retried_request_adds_nothing(serve: Start, home: Path) -> None:
    """Each request says its key; the one whose answer the kill swallowed is sent again."""
    life = serve()
    sent = 0
    for death in range(2):
        killer = threading.Timer(0.4 + death / 4, life._process.kill)
        killer.start()
        while True:
            try:
                status, _, _ = life.post(body(50, 50 * sent), Idempotency_Key=f"request-{sent}")
            except (OSError, HTTPException):  # no answer, or half of one
                break
            assert status == 202
            sent += 1
        killer.join()
        life = serve()
        for repeated in range(max(sent - 3, 0), sent + 1):
            assert life.post(body(50, 50 * repeated), Idempotency_Key=f"request-{repeated}")[0] == 202
        sent += 1
    life.until(lambda one: one.counted().get("parsed") == 50 * sent)
    life.until(lambda one: count_of(one, "lin") == 50 * sent)
    life.until(lambda _: not spooled(home))
    assert life.counted().get("late", 0) == 0


def test_a_producers_own_id_is_taken_once_also_after_a_restart(serve: Start, home: Path) -> None:
    marked = b"".join(
        json.dumps({**json.loads(line(number, "lin")), "xmsec-id": f"own-{number}"}).encode() + b"\n" for number in range(5)
    )
    first = serve()
    assert first.post(marked)[1] == {"accepted": 5, "rejected": 0, "duplicate": 0}
    first.until(lambda _: not spooled(home))
    first.kill()
    second = serve()
    assert second.post(marked + body(1, 9))[1] == {"accepted": 1, "rejected": 0, "duplicate": 5}
    second.until(lambda one: count_of(one, "lin") == 6)


def test_after_the_commit_nothing_raw_remains_in_the_home(serve: Start, home: Path) -> None:
    """The journal is a raw place, for its owner alone, until its records are committed; ids may be values too."""
    life = serve("'udp://127.0.0.1:0'")
    notes = [dict(json.loads(line(number, "lin")), note=f"值 {value}") for number, value in enumerate(VALUES.values())]
    notes += [dict(one, **{"xmsec-id": f"{MOBILE}-{number}"}) for number, one in enumerate(notes)]
    assert life.post(b"\n".join(map(msgspec.json.encode, notes)), Idempotency_Key=MOBILE)[0] == 202
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(said(0) + " ".join(["", *VALUES.values()]).encode(), life.address("udp"))
    life.until(lambda one: (one.total("parsed", "office.door"), one.total("parsed", "office.hosts")) == (len(notes), 1))
    life.until(lambda _: not spooled(home))
    assert (home / "spool").stat().st_mode & 0o777 == 0o700
    assert life.end() == 4
    assert_clean(home)


def test_the_journal_is_for_its_owner_alone(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 0)
    spool.append([Entry("office.door", datetime(2026, 3, 2, tzinfo=UTC), (b"{}",))])
    spool.close()
    (path,) = (tmp_path / "spool").glob("*.raw")
    assert [one.stat().st_mode & 0o777 for one in (path, path.parent)] == [0o600, 0o700]


SHIPPED: dict[str, tuple[bytes, dict[str, str]]] = {
    "vector ndjson, gzip": (gzip.compress(body(3)), {"Content_Encoding": "gzip"}),
    "vector json": (b"[" + b",".join(body(3).split(b"\n")[:3]) + b"]", {"Content_Type": "application/json"}),
    "fluent bit json_lines": (body(3), {"Content_Type": "application/json", "User_Agent": "Fluent-Bit"}),
    "fluent bit json_stream": (body(3).replace(b"\n", b""), {"Content_Type": "application/json"}),
    "fluent bit gzip": (gzip.compress(body(3)), {"Content_Type": "application/json", "Content_Encoding": "gzip"}),
    "vector text": (body(3).rstrip(), {"Content_Type": "text/plain"}),
    "basic": (body(3), {"Authorization": f"Basic {b64encode(b'ship:' + TOKEN.encode()).decode()}"}),
}


def test_what_shippers_send_is_taken_as_it_is(serve: Start) -> None:
    life = serve()
    for name, (sent, headers) in SHIPPED.items():
        assert life.post(sent, **headers)[:2] == (202, {"accepted": 3, "rejected": 0, "duplicate": 0}), name
    asked = [
        urllib.request.Request(f"{life.url}/api/events/office.door{end}", headers={"Authorization": f"Bearer {TOKEN}"})
        for end in ("", "/", "/_license?human=false")
    ]
    for one in asked:
        with urllib.request.urlopen(one, timeout=DEADLINE_S) as answer:
            assert {"version", "license"} & json.loads(answer.read()).keys()
    docs = body(3).split(b"\n")[:3]
    bulk = b"".join(b'{"create":{"_index":"filebeat-9.1.0"}}\n' + one + b"\n" for one in docs)
    status, told, headers = life.post(bulk, "office.door/_bulk")
    assert (status, told["errors"], [one["create"]["status"] for one in told["items"]]) == (200, False, [201, 201, 201])
    assert headers["X-Elastic-Product"] == "Elasticsearch"
    life.until(lambda one: count_of(one, "lin") == 3 * len(SHIPPED) + 3)


REFUSED: dict[str, tuple[int, bytes, str, dict[str, str]]] = {
    "no token": (401, b"{}", "office.door", {"Authorization": ""}),
    "another token": (401, b"{}", "office.door", {"Authorization": "Bearer wrong"}),
    "another stream's token": (403, b"{}", "office.door", {"Authorization": f"Bearer {NARROW}"}),
    "unknown stream": (404, b"{}", "office.nothing", {}),
    "unknown stream, narrow token": (404, b"{}", "other.one", {"Authorization": f"Bearer {NARROW}"}),
    "too big": (413, b" " * ((16 << 20) + 1), "office.door", {}),
    "a bomb": (413, gzip.compress(b" " * (17 << 20)), "office.door", {"Content_Encoding": "gzip"}),
    "too many": (413, b"{}\n" * 200_001, "office.door", {}),
    "not gzip": (400, b"{}", "office.door", {"Content_Encoding": "gzip"}),
    "cut gzip": (400, gzip.compress(body(9))[:-9], "office.door", {"Content_Encoding": "gzip"}),
    "no array": (400, b'[{"a":1},', "office.door", {}),
    "over-long key": (400, b"{}", "office.door", {"Idempotency_Key": "k" * 513}),
    "zstd": (415, b"{}", "office.door", {"Content_Encoding": "zstd"}),
    "msgpack": (415, b"{}", "office.door", {"Content_Type": "application/msgpack"}),
    "odd bulk": (400, b'{"index":{}}\n', "office.door/_bulk", {}),
    "deleting": (400, b'{"delete":{}}\n{}\n', "office.door/_bulk", {}),
}


def test_what_is_wrong_gets_one_clear_line_and_adds_nothing(serve: Start, home: Path) -> None:
    life = serve()
    for name, (status, sent, path, headers) in REFUSED.items():
        got, told, answered = life.post(sent, path, **headers)
        assert (got, told["status"], answered["content-type"]) == (status, status, "application/problem+json"), name
        assert told["detail"], name
        assert "\n" not in told["detail"], name
    assert life.post(b"")[1] == {"accepted": 0, "rejected": 0, "duplicate": 0}
    assert not spooled(home)
    assert life.post(body(1) + b'"text"\n{"half": \n\n')[1] == {"accepted": 1, "rejected": 2, "duplicate": 0}
    life.until(lambda one: one.counted().get("rejected") is not None and one.total("rejected", "office.door") == 2)


def test_without_a_file_of_tokens_nobody_may_send(serve: Start, content: Path) -> None:
    doors(content, "/nowhere/*.log")
    life = serve(XMSEC_INGEST_TOKENS="")
    assert life.post(body(1))[0] == 401


def test_a_token_that_is_taken_out_of_the_file_is_refused_at_once(serve: Start, tokens: Path) -> None:
    life = serve()
    assert life.post(body(1))[0] == 202
    tokens.write_text("# nobody\n")
    assert life.post(body(1))[0] == 401
    tokens.write_text("nonsense\n")
    assert life.post(body(1))[0] == 503


def test_a_flood_beyond_the_bound_is_told_to_wait_and_what_was_accepted_is_whole(serve: Start, home: Path) -> None:
    """The road takes some 30,000 a second; eight senders at once bring more than the megabyte that may lie there."""
    life = serve(XMSEC_SPOOL_MB="1")
    bulk = body(2_000)
    accepted: list[int] = []
    waited: list[str] = []

    def send() -> None:
        for _ in range(3):
            status, told, headers = life.post(bulk)
            while status == 429:
                waited.append(headers["Retry-After"])
                time.sleep(0.05)
                status, told, headers = life.post(bulk)
            accepted.append(told["accepted"])

    senders = [threading.Thread(target=send) for _ in range(8)]
    for one in senders:
        one.start()
    most = 0
    while any(one.is_alive() for one in senders):
        with suppress(OSError):
            most = max(most, sum(path.stat().st_size for path in spooled(home)))
    assert sum(accepted) == 8 * 3 * 2_000
    assert {*waited} == {"1"}
    assert most < 16 << 20  # the bound, and what was on its way when it was reached
    life.until(lambda one: one.counted().get("parsed") == sum(accepted))


def said(number: int) -> bytes:
    return b"<34>2026-03-02T08:%02d:%02d+08:00 host%d su[230]: message %d" % (number // 60 % 60, number % 60, number, number)


def counted(messages: list[bytes]) -> bytes:
    return b"".join(b"%d %s" % (len(one), one) for one in messages)


def test_both_framings_datagrams_and_broken_senders_come_in_beside_each_other(serve: Start, home: Path) -> None:
    life = serve("'udp://127.0.0.1:0', 'tcp://127.0.0.1:0'")
    tcp = life.address("tcp")
    with socket.create_connection(tcp) as broken, socket.create_connection(tcp) as slow:
        slow.sendall(b"<34>2026-03-02T08:00:00+08:00 never")  # and no more
        broken.sendall(counted([said(0)]) + b"no length <34>")
        with socket.create_connection(tcp) as lines, socket.create_connection(tcp) as frames:
            lines.sendall(b"".join(said(number) + b"\n" for number in range(1, 11)) + said(11))
            frames.sendall(counted([said(12) + b"\nits second line", *map(said, range(13, 22))]))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            for number in range(22, 32):
                datagrams.sendto(said(number) + b"\n", life.address("udp"))
        with socket.create_connection(tcp) as long:
            long.sendall(said(32) + b"x" * 200_000 + b"\n" + said(33) + b"\n")
        life.until(lambda one: one.total("parsed", "office.hosts") == 34)
        assert life.total("cut", "office.hosts") == 1
        life.until(lambda one: one.total("bad-frame", "office.hosts", "xmsec_network_total") == 1)
        assert broken.recv(1) == b""
    life.until(lambda one: one.total("parsed", "office.hosts") == 35)
    life.until(lambda _: not spooled(home))
    assert life.end() == 4


def test_a_tcp_sender_has_to_wait_while_there_is_no_room_and_loses_nothing(serve: Start, home: Path) -> None:
    life = serve("'tcp://127.0.0.1:0'", XMSEC_SPOOL_MB="1")
    flood = b"".join(said(number) + b" " + b"x" * 300 + b"\n" for number in range(8_000))
    with socket.create_connection(life.address("tcp")) as sender:
        sender.sendall(flood)
    life.until(lambda one: one.total("parsed", "office.hosts") == 8_000)
    assert life.total("waited", "office.hosts", "xmsec_network_total") > 0


def test_what_the_kernel_dropped_is_counted_and_is_a_dead_letter(serve: Start, home: Path) -> None:
    life = serve("'udp://127.0.0.1:0'", XMSEC_SPOOL_MB="1")
    to = life.address("udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        sent = 0
        while life.total("dropped", "office.hosts", "xmsec_network_total") == 0:
            for _ in range(20_000):
                flood.sendto(said(sent) + b"x" * 800, to)
                sent += 1
    life.until(
        lambda one: one.total("parsed", "office.hosts") + one.total("dropped", "office.hosts", "xmsec_network_total") == sent
    )
    life.until(lambda one: "datagrams-dropped" in one.get("/metrics"))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority's certificate, and a server's and a client's that it signed."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, cwd=folder, capture_output=True)

    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    openssl(*new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority")
    signed = (*new, "-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE")
    for name, alternative in (("server", "DNS:localhost"), ("client", "DNS:client")):
        names = ("-subj", f"/CN={name}", "-addext", f"subjectAltName={alternative}")
        openssl(*signed, "-keyout", f"{name}.key", "-out", f"{name}.pem", *names)
    return folder


def secured(folder: Path, address: tuple[str, int], *, client: bool) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if client:
        context.load_cert_chain(folder / "client.pem", folder / "client.key")
    return context.wrap_socket(socket.create_connection(address), server_hostname="localhost")


def test_tls_asks_for_the_clients_certificate_and_lets_nobody_else_in(serve: Start, authority: Path) -> None:
    named = {"XMSEC_TLS_CERT": "server.pem", "XMSEC_TLS_KEY": "server.key", "XMSEC_TLS_CLIENT_CA": "ca.pem"}
    life = serve("'tls://127.0.0.1:0'", **{name: str(authority / file) for name, file in named.items()})
    address = life.address("tls")
    with socket.create_connection(address) as plain:
        plain.sendall(said(0) + b"\n")
        with suppress(ConnectionResetError):
            plain.recv(100)
    with suppress(OSError), secured(authority, address, client=False) as stranger:
        stranger.sendall(said(1) + b"\n")
        assert stranger.recv(1) == b""
    with secured(authority, address, client=True) as sender:
        sender.sendall(counted([said(2), said(3)]))
    life.until(lambda one: one.total("parsed", "office.hosts") == 2)


def wrong(content: Path, home: Path, listen: str, **env: str) -> bytes:
    (content / "streams/office/hosts.yaml").write_text(HOSTS % listen)
    done = xmsec("run", "--port", "0", "--home", home, env={"XMSEC_CONTENT_DIRS": str(content), **env})
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1), done.stderr
    return done.stderr


def test_what_is_wrong_with_an_address_a_certificate_or_the_tokens_is_one_line(
    content: Path, home: Path, tmp_path: Path
) -> None:
    assert b"XMSEC_TLS_CERT" in wrong(content, home, "'tls://127.0.0.1:0'")
    nothing = tmp_path / "nothing.pem"
    assert b"nothing.pem" in wrong(content, home, "'tls://127.0.0.1:0'", XMSEC_TLS_CERT=str(nothing))
    (bad := tmp_path / "bad").write_text("one two\n")
    assert b"bad:1" in wrong(content, home, "'tcp://127.0.0.1:0'", XMSEC_INGEST_TOKENS=str(bad))
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        assert f"{taken}, stream office.hosts".encode() in wrong(content, home, f"'{taken}'")


def test_what_lay_there_too_long_is_removed_unread_and_told(serve: Start, home: Path) -> None:
    spool = Spool(home / "spool", 0)
    spool.append([Entry("office.door", datetime(2026, 3, 2, tzinfo=UTC), (b"{}",))])
    spool.close()
    (left,) = spooled(home)
    os.utime(left, (0, 0))
    life = serve()
    assert not spooled(home)
    life.until(lambda one: "spool-expired" in one.get("/metrics"))
    assert life.total("parsed", "office.door") == 0
