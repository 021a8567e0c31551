"""What a deployment is told from outside: which word counts, and how a wrong one is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from xmsec.cli.settings import Settings, settings
from xmsec.model.errors import ConfigError


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, under no setting."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("XMSEC_")]:
        monkeypatch.delenv(name)


def test_without_a_word_the_defaults_hold() -> None:
    assert settings() == Settings()
    assert settings().home == Path(".xmsec")


def test_a_command_goes_before_the_environment_and_that_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("xmsec.toml").write_text('home = "file"\ntimezone = "UTC"\nhost = "0.0.0.0"\n')
    monkeypatch.setenv("XMSEC_HOME", "environment")
    monkeypatch.setenv("XMSEC_TIMEZONE", "Asia/Urumqi")
    told = settings(Path("command"))
    assert (told.home, told.timezone, told.host) == (Path("command"), "Asia/Urumqi", "0.0.0.0")
    assert settings().home == Path("environment")


def test_content_directories_are_written_like_path_or_as_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("xmsec.toml").write_text('content_dirs = ["a", "b"]\n')
    assert settings().content_dirs == (Path("a"), Path("b"))
    monkeypatch.setenv("XMSEC_CONTENT_DIRS", os.pathsep.join(("c", "", "d")))
    assert settings().content_dirs == (Path("c"), Path("d"))


def test_the_key_is_in_the_home_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(Path("here")).key_path == Path("here/key")
    monkeypatch.setenv("XMSEC_KEY_FILE", "/elsewhere/key")
    assert settings(Path("here")).key_path == Path("/elsewhere/key")


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (
            'timezone = "Mars"\n',
            "setting timezone: no such zone; write an IANA name, Asia/Shanghai; XMSEC_TIMEZONE or xmsec.toml",
        ),
        (
            'kafka_prefix = "a.b"\n',
            "setting kafka_prefix: not the beginning of a topic name; write letters, digits and single hyphens, 60 at most; "
            "XMSEC_KAFKA_PREFIX or xmsec.toml",
        ),
        ('hme = "here"\n', "setting hme: Extra inputs are not permitted; XMSEC_HME or xmsec.toml; correct it"),
        ("home = \n", "not TOML; xmsec.toml; correct it"),
    ],
    ids=["no such zone", "a prefix with a dot in it", "a misspelt name", "no TOML"],
)
def test_a_wrong_setting_is_named_in_one_line(file: str, said: str) -> None:
    Path("xmsec.toml").write_text(file)
    with pytest.raises(ConfigError) as told:
        settings()
    assert str(told.value).startswith(said)
