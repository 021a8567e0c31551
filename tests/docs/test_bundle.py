"""The offline bundle: it installs without a registry, says when a file was changed, and what it installs runs."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "LANG": "C.UTF-8"}


def packed(folder: Path, lock: Path) -> Path:
    """Pack a bundle of this lock file and unpack it elsewhere."""
    needs = "a package index, and pip in the environment; run: make bundle"
    environment = {**os.environ, "OUT": str(folder / "dist"), "LOCK": str(lock)}
    made = subprocess.run([ROOT / "scripts" / "bundle.sh"], env=environment, capture_output=True, text=True, timeout=500)
    if made.returncode and "pip" in made.stderr + made.stdout and "ERROR" in made.stderr:
        pytest.skip(needs)
    assert made.returncode == 0, made.stderr
    checked = subprocess.run(["sha256sum", "--check", "--quiet", *(folder / "dist").glob("*.sha256")], cwd=folder / "dist")
    assert checked.returncode == 0
    (archive,) = (folder / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as bundle:
        bundle.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def install(bundle: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Install it as a machine does that reaches no registry."""
    environment = {**OFFLINE, "PATH": os.environ["PATH"], "HOME": str(target.parent), "PYTHON": sys.executable}
    return subprocess.run([bundle / "install.sh", target], env=environment, capture_output=True, text=True, timeout=500)


def test_a_bundle_that_was_changed_is_not_installed(tmp_path: Path) -> None:
    """With one small package in the lock: what it packs and how it is checked does not depend on how many there are."""
    lock = (ROOT / "production.lock").read_text().split("\n")
    first = next(place for place, line in enumerate(lock) if line.startswith("annotated-types=="))
    last = next(place for place in range(first + 1, len(lock)) if not lock[place].startswith(" "))
    (tmp_path / "one.lock").write_text("\n".join(lock[first:last]) + "\n")
    bundle = packed(tmp_path, tmp_path / "one.lock")
    names = {path.name for path in bundle.iterdir()}
    assert names >= {"SHA256SUMS", "install.sh", "production.lock", "wheels", "content", "LICENSE", "NOTICE", "operations.md"}
    assert {path.name.partition("-")[0] for path in (bundle / "wheels").iterdir()} == {"annotated_types", "xmsec"}
    with (bundle / "wheels" / next(path.name for path in (bundle / "wheels").glob("xmsec-*"))).open("ab") as file:
        file.write(b"x")
    refused = install(bundle, tmp_path / "target")
    assert refused.returncode == 1
    assert "a file is not what SHA256SUMS says" in refused.stderr
    assert not (tmp_path / "target").exists()


@pytest.mark.long
def test_a_bundle_installs_without_a_registry_and_runs_the_demo(tmp_path: Path) -> None:
    bundle = packed(tmp_path, ROOT / "production.lock")
    target = tmp_path / "opt" / "xmsec"
    installed = install(bundle, target)
    assert installed.returncode == 0, installed.stderr
    assert installed.stdout.startswith("xmsec ")
    alone = {"HOME": str(tmp_path), "PATH": os.defpath, "LANG": "C.UTF-8", **OFFLINE}
    xmsec = target / "bin" / "xmsec"
    demo = [xmsec, "demo", "--once", "--events", "14000", "--home", tmp_path / "home"]
    done = subprocess.run(demo, env=alone, cwd=tmp_path, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert " mass-lookup " in done.stdout
    asked = subprocess.run([xmsec, "topics", "describe"], env=alone, cwd=tmp_path, capture_output=True, text=True)
    assert (asked.returncode, "Kafka does not answer" in asked.stderr) == (3, True), "the extras are there"
    again = install(bundle, target)
    assert (again.returncode, "upgrading" in again.stderr) == (0, True)
