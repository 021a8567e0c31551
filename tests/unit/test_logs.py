"""Remarks and logs: text for people, JSON lines for collectors, and never a value."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from tests.command import called, environment, new_home, xmsec

from xmsec.cli.logs import JsonLines

VALUE = "13800138000"


def written(name: str, text: str, *arguments: object, error: Exception | None = None) -> dict[str, object]:
    """Write one log record as JSON."""
    told = (type(error), error, None) if error else None
    record = logging.LogRecord(name, logging.WARNING, "/somewhere/consumer.py", 7, text, arguments, told)
    return dict(json.loads(JsonLines().format(record)))


def test_our_own_words_are_written_whole() -> None:
    said = written("xmsec.worker", "not sent, trying again: %s", "TimeoutError")
    assert (said["level"], said["logger"], said["message"]) == (
        "warning",
        "xmsec.worker",
        "not sent, trying again: TimeoutError",
    )


@pytest.mark.parametrize(
    ("text", "arguments", "kept"),
    [("cannot decode %r", (VALUE,), "cannot decode %r"), (f"cannot decode {VALUE}", (), ""), ("%s", (VALUE,), "%s")],
    ids=["with arguments", "put together", "nothing but an argument"],
)
def test_what_another_library_put_into_its_text_is_left_out(text: str, arguments: tuple[object, ...], kept: str) -> None:
    said = written("aiokafka.consumer", text, *arguments, error=ValueError(VALUE))
    assert VALUE not in json.dumps(said)
    assert (said["message"], said["at"], said["error"]) == (kept, "consumer:7", "ValueError")


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (("scan", "/nowhere/x", "--log", "json"), {}),
        (("--log=json", "scan", "/nowhere/x"), {}),
        (("scan", "/nowhere/x"), {"XMSEC_LOG": "json"}),
    ],
    ids=["behind the command", "before it", "from the environment"],
)
def test_an_error_is_one_json_line_where_that_is_asked_for(
    arguments: tuple[str, ...], env: dict[str, str], tmp_path: Path
) -> None:
    done = called(*arguments, env={**env, "XMSEC_HOME": str(new_home(tmp_path / "home", tmp_path))})
    (line,) = done.stderr.splitlines()
    said = json.loads(line)
    assert (done.returncode, said["level"], said["exit"]) == (2, "error", 2)
    assert said["message"].startswith("cannot be read: No such file or directory; /nowhere/x; ")


def test_what_holds_on_the_command_line_goes_before_the_environment(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home", tmp_path)
    done = called("scan", "/nowhere/x", "--log", "text", "--home", home, env={"XMSEC_LOG": "json"})
    assert done.stderr.startswith(b"xmsec: cannot be read: ")


def test_remarks_are_json_lines_and_results_are_not_touched(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text('10.0.0.1 - - [03/Mar/2025:09:00:00 +0800] "GET /x?tel=13800138000 HTTP/1.1" 200 5 "-" "curl"\nnonsense\n')
    scan = ("scan", log, "--stream", "generic.web", "--home", new_home(tmp_path / "home", tmp_path), "--format", "table")
    done = called(*scan, "--log", "json")
    assert done.returncode == 0, done.stderr
    assert all({"time", "level", "message"} <= json.loads(line).keys() for line in done.stderr.splitlines())
    assert VALUE.encode() not in done.stdout + done.stderr


def test_loggers_of_a_worker_write_json_lines() -> None:
    script = "import logging; from xmsec.cli.logs import begin; begin(); logging.getLogger('faust').error('lost %s', '1')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment({"XMSEC_LOG": "json"}))
    said = json.loads(done.stderr)
    assert (said["level"], said["logger"], said["message"]) == ("error", "faust", "lost %s")


def test_the_version_is_told() -> None:
    done = xmsec("--version")
    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, b"xmsec", b"")
