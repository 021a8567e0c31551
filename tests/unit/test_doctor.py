"""What the doctor sees on a machine, and what it says to do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from tests.command import KEY
from tests.typed import typed

from xmsec.classify.token import check_value
from xmsec.cli.checks import LOCAL, Verdict
from xmsec.cli.settings import settings
from xmsec.model.errors import ConfigError
from xmsec.model.types import Clock
from xmsec.store.sqlite import SqliteStore
from xmsec.store.unfinished import RESTORING

STREAM = """
id: office.door
title: {zh: 门禁, en: Doors}
format: json
map: {"@timestamp": ts, user.name: who}
identities: [user.name]
paths: ["/nowhere/*.log"]
samples:
  - line: '{"ts":"2025-03-03T09:00:00+08:00","who":"lin"}'
    fields: {user.name: lin}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a key and a store, nobody else's business."""
    (home := tmp_path / "home").mkdir(mode=0o700)
    (home / "key").write_text(KEY)
    (home / "key").chmod(0o600)
    with closing(SqliteStore(home / "store.sqlite", {})) as store:
        store.claim(check_value(bytes.fromhex(KEY)))
    return home


def seen(home: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, tuple[str, str, str]]]:
    """Ask the doctor; return its exit code and the gravest line of each check."""
    told = typed(capsys, "doctor", "--home", home, "--format", "jsonl")
    lines = [json.loads(line) for line in told.out]
    graver = sorted(lines, key=lambda line: ("ok", "warn", "fail").index(line["state"]))
    return told.code, {line["check"]: (line["state"], line["says"], line["remedy"]) for line in graver}


def test_a_deployment_that_is_well_has_nothing_to_fix(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, checks = seen(home, capsys)
    assert code == 0, checks
    assert {state for state, _, _ in checks.values()} <= {"ok", "warn"}
    assert checks["key"][1].endswith(f"check value {check_value(bytes.fromhex(KEY))}")
    assert checks["content"][0] == "warn", "no model was trained yet"
    local = {"dependencies", "settings", "key", "permissions", "clock", "disk", "content", "sources", "store", "sign-on"}
    assert {*checks} == local


GRANT = '[[grants]]\ngroup = "soc"\nrole = "viewer"\nsystems = ["*"]\n'
NAMED = 'issuer = "https://sso.example"\nclient_id = "x"\n'
SIGN_ON: dict[str, tuple[str | None, str, str]] = {
    "none": (None, "ok", "local people alone"),
    "whole": (NAMED + GRANT, "ok", "https://sso.example: 1 grants"),
    "nobody has a role": (NAMED, "warn", "no group has a role"),
    "not TOML": ("issuer", "fail", "not TOML"),
    "no such role": (NAMED + GRANT.replace("viewer", "root"), "fail", 'no role "root"'),
    "no secret there": (f'{NAMED}client_secret_file = "/nowhere/secret"\n', "fail", "secret cannot be read"),
    "no CA there": (f'{NAMED}ca = "/nowhere/ca.pem"\n', "fail", "CA cannot be read"),
}


@pytest.mark.parametrize(("declaration", "state", "says"), SIGN_ON.values(), ids=SIGN_ON)
def test_what_is_declared_of_single_sign_on_is_checked_without_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declaration: str | None, state: str, says: str
) -> None:
    if declaration is not None:
        (tmp_path / "oidc.toml").write_text(declaration)
        monkeypatch.setenv("XMSEC_OIDC", str(tmp_path / "oidc.toml"))
    try:
        (verdict,) = LOCAL["sign-on"](settings(tmp_path))
    except ConfigError as error:
        verdict = Verdict("fail", str(error))
    assert (verdict.state, says in verdict.says) == (state, True), verdict


def sql(home: Path, *statements: str) -> None:
    with closing(sqlite3.connect(home / "store.sqlite")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def tomorrow(home: Path) -> None:
    body = msgspec.msgpack.encode(Clock(received=datetime.now(UTC) + timedelta(days=1))).hex()
    sql(home, f"INSERT INTO clocks VALUES ('a.b', '0', x'{body}')")


def damaged(home: Path) -> None:
    sql(home, "PRAGMA journal_mode = DELETE")
    (home / "store.sqlite").write_bytes(b"no database" * 1000)


WRONG: dict[str, tuple[str, Callable[[Path], object], str, str]] = {
    "a key that others can read": ("key", lambda home: (home / "key").chmod(0o644), "readable by others", "chmod 600 "),
    "no key": ("key", lambda home: (home / "key").unlink(), "no key file", "xmsec keys create"),
    "another key": ("store", lambda home: (home / "key").write_text("7c" * 32), "made with another key", "use its key file"),
    "a newer store": ("store", lambda home: sql(home, "PRAGMA user_version = 999"), "a newer xmsec", "upgrade xmsec"),
    "no database": ("store", damaged, "cannot be read (DatabaseError)", "restore a backup"),
    "a clock that went back": ("clock", tomorrow, "the clock went back", "by NTP"),
    "a restore that was killed": ("permissions", lambda home: (home / RESTORING).mkdir(), "has not ended", "restore FILE"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_with_what_to_do(what: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check, breaks, says, remedy = WRONG[what]
    breaks(home)
    code, checks = seen(home, capsys)
    state, said, to_do = checks[check]
    assert (code, state) == (1, "fail"), checks
    assert says in said
    assert remedy in to_do


def test_a_home_that_everybody_may_look_into_is_a_warning(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.chmod(0o755)
    code, checks = seen(home, capsys)
    assert (code, checks["permissions"][0], checks["permissions"][2]) == (0, "warn", f"chmod o-rwx {home}")


def test_a_source_that_is_not_mounted_is_named(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "content/streams/office").mkdir(parents=True)
    (tmp_path / "content/streams/office/door.yaml").write_text(STREAM)
    monkeypatch.setenv("XMSEC_CONTENT_DIRS", str(tmp_path / "content"))
    code, checks = seen(home, capsys)
    assert (code, checks["sources"][:2]) == (1, ("fail", "office.door: no such folder: /nowhere"))


def test_a_machine_without_a_home_is_told_how_to_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, checks = seen(tmp_path / "none", capsys)
    assert code == 1
    assert checks["permissions"][:2] == ("warn", f"no home yet: {tmp_path / 'none'}")
    assert checks["key"][0] == "fail"
    assert not (tmp_path / "none").exists()
