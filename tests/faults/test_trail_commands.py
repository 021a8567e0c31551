"""`xmsec trail` and `xmsec notify` as commands, over a small deployment of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.command import called, new_home, rows
from tests.receivers import web

pytestmark = pytest.mark.faults

MOBILE = "13959200417"
DAY = "".join(
    f'{{"@timestamp":"2025-03-03T09:00:{number:02}+08:00","user":{{"id":"u{number % 3}"}},'
    f'"event":{{"action":"read"}},"message":"call {MOBILE if number % 3 else "nobody"}"}}\n'
    for number in range(30)
)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory, warm: Path) -> Path:
    folder = tmp_path_factory.mktemp("trail")
    home = new_home(folder / "home", warm)
    (folder / "day.log").write_text(DAY)
    done = called("scan", folder / "day.log", "--stream", "generic.ecs", "--home", home)
    assert done.returncode == 0, done.stderr.decode()
    return home


def test_a_value_is_followed_and_kept_nowhere(scanned: Path) -> None:
    done = called("trail", "subject", "-", "--reason", "request 7", "--home", scanned, given=f"手机 {MOBILE}\n".encode())
    assert done.returncode == 0, done.stderr.decode()
    touches = [one for one in rows(done.stdout) if one["what"] == "touch"]
    assert {one["actor"]: one["count"] for one in touches} == {"user u1": 10, "user u2": 10}
    told = b"".join(path.read_bytes() for path in scanned.rglob("*") if path.is_file()) + done.stdout + done.stderr
    assert MOBILE.encode() not in told
    (token,) = {
        part for one in rows(called("trail", "asked", "--home", scanned).stdout) for part in [one["body"].get("names")] if part
    }
    again = called("trail", "subject", token, "--reason", "request 7", "--home", scanned)
    assert rows(again.stdout) == rows(done.stdout)
    bounded = called("trail", "actor", "u1", "--reason", "r", "--home", scanned, "--to", "2025-03-03T01:00:10Z")
    assert [one["count"] for one in rows(bounded.stdout) if one["what"] == "touch"] == [3]


@pytest.mark.parametrize(
    ("given", "what"),
    [("hello", b"no values"), (f"{MOBILE} 13800138000", b"2 values")],
    ids=["no value", "two values"],
)
def test_what_is_no_one_value_is_refused_and_not_repeated(scanned: Path, given: str, what: bytes) -> None:
    done = called("trail", "subject", "-", "--reason", "r", "--home", scanned, given=given.encode())
    assert done.returncode == 2
    assert what in done.stderr
    assert MOBILE.encode() not in done.stderr


def test_another_key_is_refused(scanned: Path, tmp_path: Path) -> None:
    other = tmp_path / "key"
    other.write_text("6c" * 32)
    other.chmod(0o600)
    asked = ("trail", "subject", "-", "--reason", "r", "--home", scanned)
    done = called(*asked, env={"XMSEC_KEY_FILE": str(other)}, given=f"手机 {MOBILE}".encode())
    assert (done.returncode, done.stdout) == (2, b""), done.stderr


def test_a_reason_must_be_given(scanned: Path) -> None:
    assert called("trail", "actor", "u1", "--home", scanned).returncode == 2
    assert called("trail", "subject", "⟨CN_MOBILE:1⟩", "--reason", "r", "--home", scanned).returncode == 2


def test_a_destination_is_listed_tested_and_linted(tmp_path: Path) -> None:
    (tmp_path / "content/notify").mkdir(parents=True)
    (tmp_path / "content/notify/duty.yaml").write_text("title: {zh: 值班, en: Duty}\nchannel: dingtalk\n")
    (tmp_path / "content/notify/soc.yaml").write_text("title: {zh: 中心, en: Centre}\nchannel: webhook\nformat: ocsf\n")
    with web() as server:
        targets = tmp_path / "targets.toml"
        targets.write_text(f'[duty]\nurl = "{server.url}/send?access_token=t0ken"\nsecret = "SECret"\n')
        targets.chmod(0o600)
        env = {"XMSEC_CONTENT_DIRS": str(tmp_path / "content"), "XMSEC_NOTIFY_TARGETS": str(targets)}
        listed = called("notify", "list", "--home", tmp_path, env=env)
        assert [(one["name"], bool(one["problem"])) for one in rows(listed.stdout)] == [("duty", False), ("soc", True)]
        sent = called("notify", "test", "duty", "--home", tmp_path, env=env)
        assert (sent.returncode, len(server.asked)) == (0, 1)
        assert "测试消息" in server.asked[0].body.decode()
        for output in (listed, sent):
            assert b"t0ken" not in output.stdout + output.stderr
            assert b"SECret" not in output.stdout + output.stderr
        targets.chmod(0o644)
        assert b"readable by everybody" in called("notify", "list", "--home", tmp_path, env=env).stderr
    down = called("notify", "test", "soc", "--home", tmp_path, env=env)
    assert (down.returncode, b"readable by everybody" in down.stderr) == (2, True)
    linted = called("detectors", "test", tmp_path / "content/notify", "--home", tmp_path)
    assert linted.returncode == 0, linted.stderr.decode()
