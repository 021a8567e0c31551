"""A playbook's run in a home is killed with -9 in the middle of an act; continued, it does each step once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command import rows, xmsec
from tests.playbooks import SEVEN, Aim, Run, dies_after_the_answer, dies_seven_times, is_left_to_a_person

pytestmark = pytest.mark.faults

PROBE = b'203.0.113.7 - - [24/Nov/2025:08:00:%02d +0800] "GET /wp-login.php HTTP/1.1" 404 512 "-" "x"\n'


@pytest.fixture
def aim(tmp_path: Path) -> Iterator[Aim]:
    with Aim(tmp_path / "content") as made:
        yield made


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Run:
    return Run(home, {"XMSEC_CONTENT_DIRS": str(tmp_path / "content")})


def begin(run: Run) -> None:
    """Find an incident, and begin its run."""
    given = b"".join(PROBE % at for at in range(5))
    done = xmsec("scan", "-", "--home", run.home, "--format", "jsonl", given=given, env=run.settings)
    run.begin(rows(done.stdout)[0]["incident"])


def test_each_step_is_done_once_however_often_its_run_dies(run: Run, aim: Aim) -> None:
    target = aim([*SEVEN])
    begin(run)
    dies_seven_times(run, target)


def test_a_run_that_dies_after_the_answer_does_not_act_again(run: Run, aim: Aim) -> None:
    target = aim(["answered"])
    begin(run)
    dies_after_the_answer(run, target)


def test_what_nobody_can_ask_for_is_left_to_a_person(run: Run, aim: Aim) -> None:
    target = aim(["after"], verify=False)
    begin(run)
    is_left_to_a_person(run, target)
