"""The README's commands, as a stranger types them one after the other."""

from __future__ import annotations

import gzip
import re
import shlex
from importlib import resources
from pathlib import Path

import pytest
from tests.command import rows, xmsec
from tests.surface import Command, commands

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")
PAGES = (*READMES, "CONTRIBUTING.md", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md"))))
LOG = "/var/log/nginx/access.log"  # what a stranger has; here a part of a real server's log stands for it


def typed(text: str) -> list[list[str]]:
    """The lines of a page's shell blocks, word by word, without their remarks."""
    blocks = re.findall(r"(?ms)^```sh\n(.*?)^```", text)
    return [
        words
        for block in blocks
        for line in block.replace("\\\n", " ").splitlines()
        if (words := shlex.split(line, comments=True))
    ]


def spoken(text: str) -> list[list[str]]:
    """What a page calls a command or a target, in its blocks and in its sentences."""
    return [*typed(text), *(span.split() for span in re.findall(r"`((?:xmsec|make) [^`\n]+)`", text))]


def targets() -> set[str]:
    return set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))


@pytest.mark.parametrize("readme", READMES)
def test_the_shell_blocks_run_from_the_first_line_to_the_last(readme: str, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_bytes(gzip.decompress((resources.files("xmsec.bench") / "apache_access_sample.log.gz").read_bytes()))
    ran = []
    incident = ""
    for program, *words in typed((ROOT / readme).read_text("utf-8")):
        if program == "make":
            assert words[0] in targets()
        elif program == "xmsec":
            given = [str(log) if word == LOG else incident if word == "ID" else word for word in words]
            done = xmsec(*given, cwd=tmp_path, env={"USER": "stranger"})
            assert (done.returncode, done.stdout != b"") == (0, True), (words, done.stderr.decode())
            if words == ["incidents", "list"]:
                incident = rows(done.stdout)[0]["id"]
            ran.append(words)
        else:
            assert [program, *words] == ["source", ".venv/bin/activate"]
    assert len(ran) >= 4
    assert incident


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_calls_a_command_is_one(name: str) -> None:
    usage = {command.name: command.usage for command in commands()}
    groups = {command.split()[0] for command in usage}
    for program, *words in spoken((ROOT / name).read_text("utf-8")):
        if program == "make":
            assert words[0] in targets() or "=" in words[0], words
        elif program == "xmsec" and words[0] not in ("--help", "--version", "assess"):
            command = " ".join(words[:2]) if " ".join(words[:2]) in usage else words[0]
            assert command in usage or (command in groups and len(words) == 1), words
            options = {word.partition("=")[0] for word in words if re.match(r"\[?--[a-z]", word)}
            known = {*re.findall(r"--[a-z-]+", usage.get(command, "")), "--help", "--debug"}
            assert {option.strip("[]") for option in options} <= known, words


@pytest.mark.parametrize("command", list(commands()), ids=lambda command: command.name)
def test_the_example_in_a_commands_help_uses_options_that_it_has(command: Command) -> None:
    known = set(re.findall(r"--[a-z-]+", command.usage))
    assert set(re.findall(r"(?<!\w)--[a-z][a-z-]*", command.example)) <= known


@pytest.mark.parametrize("readme", READMES)
def test_the_first_screen_says_what_it_is_and_how_to_start(readme: str) -> None:
    first = (ROOT / readme).read_text("utf-8").splitlines()[:40]
    text = "\n".join(first)
    assert all(wanted in text for wanted in ("```mermaid", "make demo", "make test", "src/xmsec/runtime/faust"))
