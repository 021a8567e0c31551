"""The wheel, away from the checkout: it holds the content, and runs the demo in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTENT = ("streams", "classifiers", "detectors", "playbooks", "assessments", "scenarios")
INCIDENTS = ("mass-lookup", "certificate-enumeration", "slow-leak", "ungranted-use", "source-silent", "account-two-places")

# runs a script, and ends with 99 when anything opens or lists a path of the checkout
WATCH = """
import os, runpy, sys

checkout, environment, script, *sys.argv = sys.argv[1:]
sys.argv = [script, *sys.argv]

def watch(event, args):
    if event in ("open", "os.listdir", "os.scandir") and args and isinstance(args[0], (str, bytes, os.PathLike)):
        path = os.path.join(os.path.abspath(os.fsdecode(args[0])), "")
        if path.startswith(checkout) and not path.startswith(environment):
            os.write(2, f"reads {path}".encode())
            os._exit(99)

sys.addaudithook(watch)
runpy.run_path(script, run_name="__main__")
"""


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=env, cwd=cwd, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def listed(top: Path, folder: str) -> set[str]:
    """The files below a folder, but for what Python leaves there."""
    paths = (path for path in (top / folder).rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    return {path.relative_to(top).as_posix() for path in paths}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_all_content(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("xmsec/shipped/")}
    assert {f"xmsec/shipped/{name}" for folder in CONTENT for name in listed(ROOT, folder)} == inside
    assert {name.split("/")[2] for name in inside} == {*CONTENT}


def test_the_wheel_holds_what_the_code_reads_besides(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert listed(ROOT / "src", "xmsec") <= inside
    assert any(name.endswith("licenses/NOTICE") for name in inside)


def test_the_wheel_runs_the_demo_in_an_empty_folder_and_reads_nothing_else(wheel: Path, tmp_path: Path) -> None:
    target, work, home = (tmp_path / name for name in ("target", "work", "home"))
    work.mkdir()
    home.mkdir()
    uv = Path(sys.executable).with_name("uv")
    run(uv, "pip", "install", "--quiet", "--offline", "--no-cache", "--no-deps", "--target", target, wheel)
    watch = tmp_path / "watch.py"
    watch.write_text(WATCH)
    packages = sysconfig.get_path("purelib")
    alone = {"HOME": str(home), "PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": f"{target}{os.pathsep}{packages}"}
    # -S: the environment's packages come from PYTHONPATH, so its link to the checkout is not followed
    started = (sys.executable, "-S", "-P", watch, f"{ROOT}/", f"{Path(sys.prefix)}/", target / "bin" / "xmsec")
    done = run(*started, "demo", "--once", "--events", "14000", env=alone, cwd=work)

    assert all(f" {name} " in done.stdout for name in INCIDENTS)
    assert [path.name for path in work.iterdir()] == [".xmsec"]
    assert list(home.iterdir()) == []
    where = run(*started[:-1], _where(tmp_path), env=alone, cwd=work).stdout.split()
    assert [Path(path).is_relative_to(target) for path in where] == [True, True]


def _where(tmp_path: Path) -> Path:
    """A script that says which package and which content were used."""
    script = tmp_path / "where.py"
    script.write_text("import xmsec\nfrom xmsec.content.load import shipped\nprint(xmsec.__file__, shipped())\n")
    return script


def test_the_watch_sees_what_it_is_to_see(tmp_path: Path) -> None:
    watch, script = tmp_path / "watch.py", tmp_path / "reads.py"
    watch.write_text(WATCH)
    script.write_text(f"open({str(ROOT / 'README.md')!r}).read()\n")
    done = subprocess.run(
        [sys.executable, "-S", watch, f"{ROOT}/", f"{Path(sys.prefix)}/", script], capture_output=True, text=True
    )
    assert (done.returncode, "README.md" in done.stderr) == (99, True)
