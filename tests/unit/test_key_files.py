"""The key file in both its forms, and the key by a command: what is no key is named, and never quoted."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.command import called, xmsec

from xmsec.classify.epochs import Epoch, Keyring
from xmsec.classify.token import HASHES, check_value
from xmsec.cli.keycommand import ask_keys
from xmsec.cli.keyfile import create_keys, parse_keys, read_keys, replace_keys, written
from xmsec.model.clock import EPOCH
from xmsec.model.errors import ConfigError

ONE, TWO = "6b" * 32, "7c" * 32
FIRST = f"1 hmac-sha256 - - {ONE}\n"
SECOND = f"2 hmac-sm3 2026-12-02T00:00:00+08:00 30d {TWO}\n"


@st.composite
def keyrings(draw: st.DrawFn) -> Keyring:
    """Keyrings of up to five epochs, of which the first may be retired."""
    count, start = draw(st.integers(1, 5)), EPOCH
    retired = draw(st.integers(0, count - 1))
    epochs = []
    for number in range(1, count + 1):
        key, how = draw(st.binary(min_size=32, max_size=32)), draw(st.sampled_from(HASHES))
        if number > 1:
            start += timedelta(seconds=draw(st.integers(1, 10**8)))
        link = timedelta(seconds=draw(st.integers(0, 10**7))) if number > 1 else timedelta(0)
        epochs.append(Epoch(number, how, start, link, None if number <= retired else key, check_value(key, how)))
    return Keyring(epochs)


@given(keyrings())
def test_what_is_written_is_read_again(keyring: Keyring) -> None:
    assert parse_keys(written(keyring), "here").epochs == keyring.epochs


def test_a_key_file_of_before_there_were_epochs_is_one_epoch() -> None:
    old = parse_keys(f"{ONE}\n", "here")
    assert (old.check, written(old)) == (check_value(bytes.fromhex(ONE)), f"{ONE}\n")
    assert parse_keys(ONE, "here", "hmac-sm3").check == check_value(bytes.fromhex(ONE), "hmac-sm3")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        ONE[:-1],
        ONE + "00",
        FIRST + FIRST,
        SECOND,
        FIRST + SECOND.replace("2 ", "3 ", 1),
        FIRST + SECOND.replace("sm3", "md5"),
        FIRST + SECOND.replace("+08:00", ""),
        FIRST + SECOND.replace("30d", "month"),
        FIRST + SECOND.replace("30d", "-1d"),
        FIRST + SECOND.replace(TWO, TWO[:-2]),
        FIRST + SECOND.replace("2026", "1969"),
        FIRST + SECOND.replace(TWO, "retired:" + "0" * 16),
        FIRST + SECOND.replace(TWO, "retired:" + "0" * 16) + SECOND.replace("2 ", "3 ", 1).replace("2026", "2027"),
        FIRST.replace("- -", "- 1d"),
    ],
    ids=lambda text: f"{len(text)} characters",
)
def test_what_is_no_key_file_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_keys(text, "here")
    assert str(refused.value).startswith("not a key file; here")
    assert not any(key[:8] in str(refused.value) for key in (ONE, TWO))


def test_a_setting_that_is_not_the_newest_key_s_hash_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"the newest key's hash is hmac-sm3, the setting says hmac-sha256; here, XMSEC_TOKEN_HASH"
    ):
        parse_keys(FIRST + SECOND, "here", "hmac-sha256")


def test_a_key_made_under_sm3_says_so_itself(tmp_path: Path) -> None:
    made = create_keys(tmp_path / "key", "hmac-sm3")
    assert read_keys(tmp_path / "key").check == made.check
    assert made.check.startswith("sm3:")


def test_a_replaced_file_keeps_mode_and_place(tmp_path: Path) -> None:
    create_keys(tmp_path / "real")
    (tmp_path / "real").chmod(0o400)
    (tmp_path / "key").symlink_to("real")
    (tmp_path / "real.part").write_text("of one that was killed")
    replace_keys(tmp_path / "key", parse_keys(FIRST + SECOND, "here"))
    assert (tmp_path / "key").is_symlink()
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o400
    assert len(read_keys(tmp_path / "key").epochs) == 2
    assert not (tmp_path / "real.part").exists()


LATE = "the key command said nothing whole within 0.9 s; "


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


@pytest.mark.parametrize("text", [ONE, FIRST + SECOND], ids=["one key", "epochs"])
def test_a_command_s_output_is_a_key_file_s_text(text: str) -> None:
    assert ask_keys(python(f"print({text!r})"), None).check == parse_keys(text, "").check


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("/nowhere/key",), "the key command cannot be run: No such file or directory; XMSEC_KEY_COMMAND=/nowhere/key; "),
        (python(f"print('{ONE}'); raise SystemExit(3)"), "the key command ended with 3; "),
        (python("print('SECRET')"), "not a key file; "),
        (python("print('密')"), "not a key file; "),
        (python(""), "not a key file; "),
        (python(f"import time; print('{ONE}', flush=True); time.sleep(60)"), LATE),
        (python(f"import os, time; os.fork() or time.sleep(60); print('{ONE}')"), LATE),
        (python("while True: print('SECRET' * 99)"), LATE),
        (python("import sys, os; sys.stderr.write('SECRET'); os.abort()"), "the key command ended with -6; "),
    ],
    ids=["absent", "fails", "no key", "no ascii", "nothing", "hangs", "its child hangs", "endless", "is killed"],
)  # fmt: skip
def test_a_command_that_fails_gets_one_clear_line(
    command: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        ask_keys(command, None, 0.9)
    assert str(refused.value).startswith(said)
    assert f"XMSEC_KEY_COMMAND={command[0]}" in str(refused.value)
    chain = [str(one) for one in (refused.value, refused.value.__cause__) if one is not None]
    assert not any(secret in line for secret in (ONE, "SECRET") for line in chain)
    assert capfd.readouterr() == ("", "")


def test_a_command_is_run_once_and_without_a_shell(tmp_path: Path) -> None:
    script = tmp_path / "vault"
    script.write_text(f'#!/bin/sh\necho "$1" >> "{tmp_path}/asked"\necho {ONE}\n')
    script.chmod(0o700)
    given = {"XMSEC_KEY_COMMAND": f"{shlex.quote(str(script))} '$HOME; true'"}
    told = called("doctor", "--home", tmp_path / "home", env=given)
    assert (tmp_path / "asked").read_text() == "$HOME; true\n"
    assert ONE.encode() not in told.stdout + told.stderr
    assert b"$HOME" not in told.stdout
    assert not (tmp_path / "home" / "key").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"XMSEC_KEY_COMMAND": "echo x", "XMSEC_KEY_FILE": "key"}, b"given twice; XMSEC_KEY_FILE, XMSEC_KEY_COMMAND; "),
        ({"XMSEC_KEY_COMMAND": "echo 'x"}, b"setting key_command: "),
        ({"XMSEC_TOKEN_HASH": "md5"}, b"setting token_hash: "),
    ],
    ids=["twice", "an open quote", "another hash"],
)
def test_wrong_settings_get_one_line(given: dict[str, str], said: bytes, tmp_path: Path) -> None:
    told = called("keys", "check", "--home", tmp_path, env=given)
    assert (told.returncode, told.stderr.count(b"\n")) == (2, 1)
    assert told.stderr.startswith(b"xmsec: " + said)


def test_without_sm3_in_openssl_one_line_says_so(tmp_path: Path) -> None:
    settings = tmp_path / "openssl.cnf"  # what a machine in FIPS mode has: algorithms of a validated provider alone
    settings.write_text("openssl_conf = init\n[init]\nalg_section = evp\n[evp]\ndefault_properties = fips=yes\n")
    given = {"XMSEC_TOKEN_HASH": "hmac-sm3", "OPENSSL_CONF": str(settings)}
    told = xmsec("keys", "create", "--home", tmp_path / "home", env=given)
    assert (told.returncode, told.stderr.count(b"\n")) == (2, 1)
    assert told.stderr.startswith(b"xmsec: hmac-sm3 cannot be computed here: OpenSSL")
    usual = xmsec("keys", "create", "--home", tmp_path / "home", env={**given, "XMSEC_TOKEN_HASH": "hmac-sha256"})
    assert usual.returncode == 0
    assert os.access(tmp_path / "home" / "key", os.R_OK)


def test_a_key_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^cannot be read: Is a directory; "):
        read_keys(tmp_path)
