"""Workers and commands on a Kafka with TLS, logins and an authorizer, with the rights that docs/kafka.md grants alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import TopicAuthorizationFailedError
from tests import command as processes
from tests import toys
from tests.servers.secured import PASSWORD, Secured, granted, secured
from tests.servers.toy_scene import Reader, Sent, Wire, assert_told, in_one_process, indexed, traffic
from tests.servers.toy_worker import STREAMS
from tests.typed import Typed, typed

from xmsec.cli.kafka import access
from xmsec.cli.settings import Settings
from xmsec.content.load import shipped
from xmsec.content.scenarios import load_scenarios
from xmsec.model.clock import EPOCH
from xmsec.model.errors import ConfigError
from xmsec.model.types import Position, Raw, Rejected, Tick
from xmsec.pipeline.tokenise import tokenise
from xmsec.runtime.faust.access import arguments
from xmsec.runtime.faust.again import publish
from xmsec.runtime.faust.rights import ROLES, needs
from xmsec.runtime.faust.topics import Cluster, ensure
from xmsec.store.archive import Archive
from xmsec.store.merged import read_archive

pytestmark = pytest.mark.servers

Command = Callable[..., Typed]
LINE = "generic.web"
USERS = {"xmsec-setup", *(f"xmsec-{role}" for role in ROLES), "shipper-web", "xmsec-replay", "xmsec-retry", "nobody"}
TOYS = ("classify", "detect", "index", "record")  # respond reads and writes the same as index
NO_LOGIN = {"XMSEC_KAFKA_USER": "", "XMSEC_KAFKA_PASSWORD_FILE": ""}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    users = {**dict.fromkeys(USERS, "SCRAM-SHA-512"), "by-256": "SCRAM-SHA-256"}
    with secured(tmp_path_factory.mktemp("secured") / "site", users) as made:
        file(made.folder / "key", processes.KEY)
        file(made.folder / "wrong", "not-the-password")
        made.folder.joinpath("open").write_text(PASSWORD)
        made.folder.joinpath("open").chmod(0o644)
        ensure(Cluster(made.plain, (*STREAMS, LINE)), 4)
        bury(made, Position("generic.syslog", "0", 0))  # a right to read is missed only where there is something to read
        yield made


def bury(site: Secured, position: Position) -> None:
    """Write a dead letter."""
    with closing(KafkaProducer(bootstrap_servers=site.plain)) as producer:
        letter = msgspec.json.encode(Rejected(position, "parse", "no-match", EPOCH))
        producer.send("xmsec.dead", letter, partition=0).get(timeout=30)


def blamed(told: Typed) -> list[str]:
    """The errors that were said; a worker remarks besides that Elasticsearch, which is not there, does not answer."""
    return [line for line in told.err if line.startswith("xmsec: ")]


def file(path: Path, text: str) -> None:
    path.write_text(text + "\n")
    path.chmod(0o600)


@pytest.fixture
def command(site: Secured, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command as a user, with what is changed of its settings; an empty setting is none."""

    def run(user: str, changed: Mapping[str, str], *words: str) -> Typed:
        for name in [name for name in os.environ if name.startswith("XMSEC_")]:
            monkeypatch.delenv(name)
        home = {"XMSEC_HOME": str(site.folder), "XMSEC_KEY_FILE": str(site.folder / "key")}
        for name, value in {**home, **site.settings(user), **changed}.items():
            if value:
                monkeypatch.setenv(name, place(site, value))
        return typed(capsys, *words)

    return run


def place(site: Secured, text: str) -> str:
    """Fill in what only this site knows."""
    tls = site.doors["SASL_SSL"]
    return text.format(
        tls=tls, host=tls.replace("localhost", "127.0.0.1"), plain=site.plain, folder=site.folder, other=site.made.other_ca,
        sent=site.doors["SASL_PLAINTEXT"], certified=site.doors["SSL"], chain=site.made.chain, key=site.made.key
    )  # fmt: skip


@contextmanager
def working(site: Secured, role: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of one role under that role's own user, by the protocol that its settings name."""
    folder.mkdir()
    words = [sys.executable, "-m", "tests.servers.toy_worker", site.doors["SASL_SSL"], "xmsec", str(folder), role]
    with (folder / "log").open("wb") as log:
        environment = processes.environment(site.settings(f"xmsec-{role}"))
        process = subprocess.Popen(words, stdout=log, stderr=log, env=environment)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_workers_with_the_rights_that_the_page_grants_do_all_their_work(site: Secured, tmp_path: Path) -> None:
    cluster = Cluster(site.plain, STREAMS)
    with Wire(cluster) as wire, Reader(cluster, "cases") as cases, ExitStack() as stack:
        wire.send([*traffic(600, seed=9), Sent(STREAMS[0], 1, b"{broken")])
        expected = in_one_process(wire.raws)
        started = {role: stack.enter_context(working(site, role, tmp_path / role)) for role in TOYS}
        cases.until(lambda _: indexed(tmp_path) == expected)
        logs = {role: (tmp_path / role / "log").read_text() for role in TOYS}
        assert_told(expected, indexed(tmp_path), cluster, wire.raws)
        with Reader(cluster, "dead") as dead:
            dead.until(lambda values: len(values) > 0)
            assert dead.values
        for role, process in started.items():
            assert PASSWORD not in Path(f"/proc/{process.pid}/cmdline").read_text() + logs[role]
        started["record"].terminate()
        assert started["record"].wait(60) == 0, logs["record"]
    archive = Archive(str(tmp_path / "record" / "recordings"))
    rows = [row for batch in read_archive(archive, "toys") for row in batch if not isinstance(row, Tick)]
    assert {row[0].position for row in rows} == {raw.position for raw in wire.raws}


@pytest.mark.parametrize("role", ROLES)
def test_the_page_grants_each_role_what_it_needs_and_nothing_more(role: str) -> None:
    cluster = Cluster("nowhere:1", STREAMS)
    given: dict[str, set[str]] = {}
    groups = set()
    for acl in granted():
        pattern = acl.resource_pattern
        if acl.principal != f"User:xmsec-{role}":
            continue
        if pattern.resource_type.name == "GROUP":
            groups.add((pattern.resource_name, acl.operation.name))
        for name in cluster.topics:
            if name == pattern.resource_name or (
                pattern.pattern_type.name == "PREFIXED" and name.startswith(pattern.resource_name)
            ):
                given.setdefault(name, set()).add(acl.operation.name)
    assert {name: frozenset(operations) for name, operations in given.items()} == needs(cluster, role)
    assert groups == {(cluster.group(role), "READ")}


def test_a_shipper_writes_its_own_stream_and_no_other(site: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in site.settings("shipper-web").items():
        monkeypatch.setenv(name, value)
    given = arguments(access(Settings()))
    producer = KafkaProducer(bootstrap_servers=site.doors["SASL_SSL"], max_block_ms=20_000, **given)
    producer.send(f"xmsec.raw.{LINE}", b"line").get(timeout=30)
    with pytest.raises(TopicAuthorizationFailedError):
        producer.send(f"xmsec.raw.{STREAMS[0]}", b"line").get(timeout=30)
    producer.close()


def test_recordings_go_to_a_topic_with_the_right_to_write_it_alone(site: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.superuser() as admin:
        admin.create_topics({"again": {"num_partitions": 2}}, wait_for_metadata=True)
    for name, value in site.settings("xmsec-replay").items():
        monkeypatch.setenv(name, value)
    own = Cluster(site.doors["SASL_SSL"], STREAMS, access=access(Settings()))
    raws = [Raw(Position(STREAMS[0], "0", number), EPOCH, b'{"t": 1, "user": "u", "action": "read"}') for number in range(9)]
    assert publish(own, "again", [tokenise(raws, toys.road())], toys.road()) == 9
    with pytest.raises(ConfigError, match=r'^no topic "xmsec\.tokened" that this login sees; '):
        publish(own, "xmsec.tokened", [tokenise(raws, toys.road())], toys.road())


def test_dead_letters_are_listed_and_sent_again_with_the_rights_that_the_page_grants(site: Secured, command: Command) -> None:
    line = b'192.0.2.7 - - [20/Oct/2026:10:00:00 +0800] "GET / HTTP/1.1" 200 5 "-" "curl/8"'
    with closing(KafkaProducer(bootstrap_servers=site.plain)) as producer:
        offset = producer.send(f"xmsec.raw.{LINE}", line, partition=2).get(timeout=30).offset
    bury(site, Position(LINE, "2", offset))
    told = command("xmsec-retry", {}, "dead", "list", "--stream", LINE)
    assert (told.code, [row["retry"] for row in told.rows]) == (0, ["yes"])
    again = command("xmsec-retry", {}, "dead", "retry", "--stream", LINE)
    assert (again.code, [row["retried"] for row in again.rows]) == (0, [1])


FEED = Path(__file__).parents[2] / "deploy" / "feed.py"


def test_the_simulators_feed_logs_in_as_a_shipper_does(site: Secured, tmp_path: Path) -> None:
    uses = load_scenarios([shipped()])[0]["onestop-service"].streams.values()
    cluster = Cluster(site.plain, tuple(use.stream for use in uses))
    ensure(cluster, 4)
    for use in uses:
        path = tmp_path / use.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"one\ntwo\n")
    words = [sys.executable, str(FEED), str(tmp_path), "onestop-service"]
    fed = {
        user: subprocess.run(words, capture_output=True, text=True, env=processes.environment(site.settings(user)), timeout=120)
        for user in ("xmsec-retry", "shipper-web")
    }
    assert (fed["xmsec-retry"].returncode, fed["xmsec-retry"].stdout) == (0, f"sent {2 * len(uses)} lines of onestop-service\n")
    assert fed["shipper-web"].returncode == 1
    assert fed["shipper-web"].stderr.startswith("feed.py: Kafka does not let this login use a topic; ")
    consumer = KafkaConsumer(bootstrap_servers=site.plain)
    ends = consumer.end_offsets([TopicPartition(cluster.raw(use.stream), number) for use in uses for number in range(4)])
    consumer.close()
    assert sum(ends.values()) == 2 * len(uses)


SET_UP = ("topics", "ensure", "--streams", LINE)
WAYS: dict[str, tuple[str, Mapping[str, str]]] = {
    "SCRAM-SHA-512 over TLS": ("xmsec-setup", {}),
    "two brokers, one away": ("xmsec-setup", {"XMSEC_KAFKA_BOOTSTRAP": "127.0.0.1:9, {tls}"}),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_right_login_is_let_in(way: str, command: Command) -> None:
    told = command(*WAYS[way], "topics", "describe", "--format", "jsonl")
    assert (told.code, told.err) == (0, [])
    shown = {row["topic"]: row for row in told.rows}
    assert shown["xmsec.events"]["partitions"] == 4
    assert "retention.ms=172800000" in shown[f"xmsec.raw.{LINE}"]["settings"]


CERTIFIED = {**NO_LOGIN, "XMSEC_KAFKA_SECURITY": "ssl", "XMSEC_KAFKA_BOOTSTRAP": "{certified}"}
SENT = {"XMSEC_KAFKA_SECURITY": "sasl_plaintext", "XMSEC_KAFKA_CA": "", "XMSEC_KAFKA_BOOTSTRAP": "{sent}"}
OURS = {"XMSEC_KAFKA_CERT": "{chain}", "XMSEC_KAFKA_KEY": "{key}"}
NONE_OF_OURS = "Kafka does not let this login see any of our topics; "
WRONG: dict[str, tuple[str, Mapping[str, str], int, str]] = {
    "another CA": ("xmsec-setup", {"XMSEC_KAFKA_CA": "{other}"}, 2, "Kafka's certificate is not trusted; {tls}; name the CA"),
    "no CA": ("xmsec-setup", {"XMSEC_KAFKA_CA": ""}, 2, "Kafka's certificate is not trusted; {tls}; name the CA"),
    "no such CA file": ("xmsec-setup", {"XMSEC_KAFKA_CA": "{folder}/none"}, 2, "no CA file; {folder}/none; correct XMSEC_"),
    "a CA file with none": ("xmsec-setup", {"XMSEC_KAFKA_CA": "{folder}/key"}, 2, "holds no certificate; {folder}/key; "),
    "another host": (
        "xmsec-setup",
        {"XMSEC_KAFKA_BOOTSTRAP": "{host}"},
        2,
        "Kafka's certificate is for another host; {host}; ",
    ),
    "wrong password": (
        "xmsec-setup",
        {"XMSEC_KAFKA_PASSWORD_FILE": "{folder}/wrong"},
        2,
        "Kafka refuses the login; {tls}, user xmsec-setup; check XMSEC_KAFKA_USER, XMSEC_KAFKA_PASSWORD_FILE",
    ),
    "no such user": ("xmsec-setup", {"XMSEC_KAFKA_USER": "gone"}, 2, "Kafka refuses the login; {tls}, user gone; check "),
    "another SCRAM": ("by-256", {}, 2, "Kafka refuses the login; {tls}, user by-256; check XMSEC_KAFKA_USER"),
    "a mechanism that is off": (
        "xmsec-setup",
        {"XMSEC_KAFKA_SASL_MECHANISM": "PLAIN"},
        2,
        "Kafka does not take this SASL mechanism (PLAIN); {tls}, user xmsec-setup; set another",
    ),
    "a mechanism that is none": ("nobody", {"XMSEC_KAFKA_SASL_MECHANISM": "NTLM"}, 2, "setting kafka_sasl_mechanism: "),
    "an open password file": (
        "xmsec-setup",
        {"XMSEC_KAFKA_PASSWORD_FILE": "{folder}/open"},
        2,
        "secret is readable by everybody; {folder}/open; chmod 600",
    ),
    "no password": ("nobody", {"XMSEC_KAFKA_PASSWORD_FILE": ""}, 2, "a login without user or password; XMSEC_KAFKA_SECURITY="),
    "a login for nothing": ("nobody", {"XMSEC_KAFKA_SECURITY": "ssl"}, 2, "a login is set, and none is made; "),
    "a CA for nothing": (
        "nobody",
        {"XMSEC_KAFKA_SECURITY": "sasl_plaintext"},
        2,
        "certificates are set, and nothing is encrypted",
    ),
    "a certificate alone": ("nobody", {"XMSEC_KAFKA_CERT": "{chain}"}, 2, "a certificate without its key, or the reverse; "),
    "a key of another": (
        "nobody",
        {"XMSEC_KAFKA_CERT": "{other}", "XMSEC_KAFKA_KEY": "{key}"},
        2,
        "no certificate with its key; {other}; ",
    ),
    "not there": ("xmsec-setup", {"XMSEC_KAFKA_BOOTSTRAP": "localhost:9"}, 3, "Kafka does not answer; localhost:9; start it"),
    "no port": ("nobody", {"XMSEC_KAFKA_BOOTSTRAP": "localhost"}, 2, "setting kafka_bootstrap: not an address; "),
    "a port that is plain": (
        "xmsec-setup",
        {"XMSEC_KAFKA_BOOTSTRAP": "{plain}"},
        3,
        "Kafka ends the connection; {plain}; check",
    ),
    "plain where it is TLS": (
        "nobody",
        {**NO_LOGIN, "XMSEC_KAFKA_SECURITY": "plaintext", "XMSEC_KAFKA_CA": ""},
        3,
        "Kafka ends the connection; {tls}; check XMSEC_KAFKA_SECURITY (plaintext)",
    ),
    "no login where one is due": (
        "nobody",
        {**SENT, **NO_LOGIN, "XMSEC_KAFKA_SECURITY": "plaintext"},
        3,
        "Kafka ends the connection; {sent}; check XMSEC_KAFKA_SECURITY (plaintext)",
    ),
    "a login where none is due": (
        "nobody",
        {"XMSEC_KAFKA_BOOTSTRAP": "{certified}", **OURS},
        2,
        "Kafka wants no login there; ",
    ),
    "no certificate of ours": ("nobody", CERTIFIED, 2, "Kafka wants a certificate of ours; {certified}; set XMSEC_KAFKA_CERT"),
    "nobody by certificate": ("nobody", {**CERTIFIED, **OURS}, 2, f"{NONE_OF_OURS}{{certified}}; give it what docs/kafka.md"),
    "nobody by PLAIN": (
        "plain-user",
        {**SENT, "XMSEC_KAFKA_SASL_MECHANISM": "PLAIN"},
        2,
        f"{NONE_OF_OURS}{{sent}}, user plain-user; give it",
    ),
    "nobody by SCRAM": ("nobody", {}, 2, f"{NONE_OF_OURS}{{tls}}, user nobody; give it"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_setting_is_one_line(wrong: str, command: Command, site: Secured) -> None:
    user, changed, code, said = WRONG[wrong]
    told = command(user, changed, "topics", "describe")
    assert (told.code, told.out) == (code, [])
    (line,) = told.err
    assert line.startswith(f"xmsec: {place(site, said)}")
    assert PASSWORD not in line
    assert "not-the-password" not in line


LACKS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "another role's user": ("xmsec-index", ("worker", "classify", "--streams", LINE), "read topic xmsec.raw.generic.web; "),
    "a topic that is only looked at": (
        "xmsec-index",
        ("worker", "record", "--streams", LINE),
        "describe topic xmsec.raw.generic.web; ",
    ),
    "a right to read": ("xmsec-setup", ("worker", "classify", "--streams", LINE), "read topic xmsec.control; "),
    "dead letters that are hidden": ("shipper-web", ("dead", "list"), "read topic xmsec.dead; "),
    "dead letters that are only written": ("xmsec-index", ("dead", "list"), "use a topic; "),
    "set-up": ("xmsec-detect", SET_UP, "see our topics and their settings; "),
    "set-up of some": ("shipper-web", SET_UP, "see our topics and their settings; "),
}


@pytest.mark.parametrize("lack", LACKS)
def test_a_right_that_is_missing_is_one_line(lack: str, command: Command, site: Secured) -> None:
    user, words, said = LACKS[lack]
    told = command(user, {}, *words)
    assert (told.code, told.out) == (2, [])
    assert blamed(told) == [place(site, f"xmsec: Kafka does not let this login {said}{{tls}}, user {user}; {REMEDY}")]


REMEDY = "give it what docs/kafka.md lists for its role"


def test_a_group_that_may_not_be_read_is_one_line(command: Command, site: Secured) -> None:
    with site.superuser() as admin:
        acls = [
            acl
            for acl in granted()
            if acl.principal == "User:xmsec-classify" and acl.resource_pattern.resource_type.name == "GROUP"
        ]
        admin.delete_acls(acls)
        try:
            told = command("xmsec-classify", {}, "worker", "classify", "--streams", LINE)
        finally:
            admin.create_acls(acls)
    assert told.code == 2
    assert blamed(told) == [
        place(site, f"xmsec: Kafka does not let this login read group xmsec-classify; {{tls}}, user xmsec-classify; {REMEDY}")
    ]


def test_topics_that_are_missing_are_one_line(command: Command, site: Secured) -> None:
    told = command("xmsec-classify", {}, "worker", "classify", "--streams", "generic.syslog")
    assert (told.code, told.out) == (2, [])
    assert blamed(told) == [
        place(site, "xmsec: topics are missing: xmsec.raw.generic.syslog; {tls}; run `xmsec topics ensure`")
    ]


def test_doctor_says_which_roles_a_login_may_take(command: Command) -> None:
    told = command("xmsec-index", {}, "doctor", "--production", "--streams", LINE, "--format", "jsonl")
    says = [row["says"] for row in told.rows if row["check"] == "kafka" and row["says"].startswith("no worker")]
    assert [line.split(": ")[0] for line in says] == [
        "no worker classify",
        "no worker detect",
        "no worker notify",
        "no worker record",
        "no worker respond",
    ]
    assert {row["state"] for row in told.rows if row["says"] in says} == {"warn"}
    assert PASSWORD not in "".join(told.out + told.err)


def test_what_shows_how_kafka_is_spoken_to_shows_no_password(site: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in site.settings("nobody").items():
        monkeypatch.setenv(name, value)
    own = access(Settings())
    assert own.password == PASSWORD
    assert PASSWORD not in repr(Cluster("nowhere:1", STREAMS, access=own)) + str(own) + f"{own!s}{own!r}"


def test_set_up_creates_and_corrects_with_the_rights_that_the_page_grants(command: Command) -> None:
    shorter = {"XMSEC_KAFKA_RAW_HOURS": "24"}
    raw = ("xmsec.raw.generic.cef", "xmsec.raw.generic.leef")
    made = command("xmsec-setup", {}, "topics", "ensure", "--streams", "generic.cef")
    assert made.out == [f"{raw[0]} created, partitions 4, replicas 1"]
    altered = command("xmsec-setup", shorter, "topics", "ensure", "--streams", "generic.cef,generic.leef")
    assert altered.out == [
        f"{raw[1]} created, partitions 4, replicas 1",
        f"{raw[0]} retention.ms 172800000 → 86400000",
    ]
    assert (altered.code, altered.err) == (0, [])
