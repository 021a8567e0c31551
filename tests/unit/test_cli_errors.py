"""What goes wrong at the command line: one line that says what, where and what to do, an exit code, and nothing on stdout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.command import environment, new_home
from tests.surface import commands
from tests.typed import typed

from xmsec.store.sqlite import SqliteStore


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an empty store; no test here changes more of it than its cache."""
    folder = tmp_path_factory.mktemp("deployment")
    home = new_home(folder / "home", folder)
    SqliteStore(home / "store.sqlite", {}).close()
    return home


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("frobnicate", 2, "xmsec: No such command 'frobnicate'; xmsec; see xmsec --help"),
        ("scan", 2, "xmsec: Missing argument 'paths'; xmsec scan; see xmsec scan --help"),
        ("scan --bogus x", 2, "xmsec: No such option: --bogus; xmsec scan; see xmsec scan --help"),
        ("scan /nowhere/access.log", 2, "xmsec: cannot be read: No such file or directory; /nowhere/access.log; "),
        ("scan / --stream generic.web", 2, "xmsec: is a directory; /; name its files, such as DIR/*.log"),
        ("scan x --fail-on grave", 2, 'xmsec: no severity "grave"; --fail-on; one of informational, low, '),
        ("scan x --stream no.such", 2, 'xmsec: no stream "no.such"; --stream; one of generic.apisix, '),
        ("classify x --input csv", 1, "xmsec: classify --input csv is not covered yet; this version; "),
        ("replay --from yesterday", 2, "xmsec: "),
        (
            "dead retry /nowhere/access.log --stream generic.web",
            2,
            "xmsec: cannot be read: No such file or directory; /nowhere/",
        ),
        ("incidents show abc", 2, 'xmsec: no incidents begin with "abc"; this home; see xmsec incidents list'),
        ("playbook run nope --incident abc", 2, 'xmsec: no playbook "nope"; playbooks/; see xmsec playbook list'),
        ("playbook show abc", 2, 'xmsec: no runs begin with "abc"; this home; see xmsec playbook list'),
        ("ledger show bananas", 2, 'xmsec: no section "bananas"; ledger show; one of datasets, '),
        (
            "ledger import /nowhere/ledger.yaml",
            2,
            "xmsec: Invalid value for 'path': file '/nowhere/ledger.yaml' does not exist; ",
        ),
        ("detectors train nope", 2, 'xmsec: no model "nope"; detectors train; all, or one of user-day, user-hour'),
        ("simulate --out x --scenario nope", 2, 'xmsec: no scenario "nope"; --scenario; one of onestop-service'),
        ("bench detection --seeds one", 2, "xmsec: not numbers; --seeds; write 11,12,13"),
        ("demo --events 0", 2, "xmsec: Invalid value for '--events': "),
        ("keys create", 2, "xmsec: a key is there already; "),
        ("run --port 0", 2, "xmsec: no stream names paths, none listens, nobody may send; streams/; "),
    ],
    ids=lambda value: value if isinstance(value, str) and not value.startswith("xmsec: ") else "",
)
def test_what_goes_wrong_is_one_line(
    arguments: str, code: int, said: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = arguments.split()
    takes = next((one.usage for one in commands() if one.name in (words[0], " ".join(words[:2]))), "")
    told = typed(capsys, *words, *(("--home", home) if "--home" in takes else ()))
    assert (told.code, told.out, len(told.err)) == (code, [], 1), told
    assert told.err[0].startswith(said)


@pytest.mark.parametrize("group", ["", "detectors", "playbook", "keys"])
def test_a_group_without_a_command_shows_its_help(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = typed(capsys, *group.split())
    assert told.code == 2
    assert any("Commands" in line for line in told.out)


CLASSIFY = "echo 18-13800138000 | {0} classify - --home {1}"


@pytest.mark.parametrize(
    "coding", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "gbk"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}]
)
def test_json_is_utf_8_whatever_the_locale(coding: dict[str, str], home: Path) -> None:
    done = shell(CLASSIFY, home, coding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "⟨CN_MOBILE:" in done.stdout.decode()


def test_a_closed_standard_stream_is_an_open_one_that_says_nothing(home: Path) -> None:
    before = (home / "store.sqlite").read_bytes()
    done = shell(CLASSIFY + " >&-; echo $?; {0} doctor --home {1} <&- >&- 2>&-; echo $?", home, {})
    assert (done.stdout, done.stderr) == (b"0\n0\n", b"")
    assert (home / "store.sqlite").read_bytes() == before


def shell(line: str, home: Path, given: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    command = f"{sys.executable} -c 'from xmsec.cli.entry import main; main()'"
    said = ["sh", "-c", line.format(command, home)]
    return subprocess.run(said, capture_output=True, env=environment() | given, check=False)


@pytest.mark.parametrize(
    ("missing", "arguments"), [("faust", ["worker"]), ("kafka", ["topics", "describe"]), ("elasticsearch", ["index", "status"])]
)
def test_a_command_whose_extra_is_not_installed_says_which(missing: str, arguments: list[str], home: Path) -> None:
    start = f"import sys; sys.modules[{missing!r}] = None; from xmsec.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", start, *arguments, "--home", home], capture_output=True, text=True, env=environment()
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"xmsec: {missing} is not installed; ")
    assert done.stderr.endswith("; pip install 'xmsec[kafka,elastic]'\n")
