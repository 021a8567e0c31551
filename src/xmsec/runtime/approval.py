"""What people decide of playbook runs, for the shell and for the console: the one way to begin, approve, refuse.

Whoever decides also carries the run on, as far as it goes without a person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from xmsec.model.errors import ConfigError
from xmsec.model.ids import intent_id
from xmsec.model.ports import Connector
from xmsec.model.types import Incident
from xmsec.respond.chain import Entry
from xmsec.respond.drive import Driver, Runs
from xmsec.respond.playbook import Playbook
from xmsec.respond.run import Next, about, following

LONGEST = 1_000  # characters of a reason


class Means(msgspec.Struct, frozen=True):
    """What incidents are answered with. incident: finds one by its id, for runs whose record does not tell of it."""

    playbooks: Mapping[str, Playbook]
    runs: Runs
    connectors: Mapping[str, Connector]
    incident: Callable[[str], Incident]

    def playbook(self, name: str) -> Playbook:
        """Return a playbook. Raises ConfigError when content has none of this name."""
        found = self.playbooks.get(name)
        if found is None:
            raise ConfigError(f'no playbook "{name}"', where="playbooks/", remedy="see xmsec playbook list")
        return found

    def driver(self, run: str, by: str) -> Driver:
        """Return what goes on with a run that has begun. Raises ConfigError."""
        entries = self.runs.entries(run)
        if not entries:
            raise ConfigError(f'no run "{run}"', remedy="see xmsec playbook list")
        began = entries[0].body
        incident = about(entries) or self.incident(began.get("incident", run))
        return Driver(self.playbook(began.get("playbook", "")), incident, self.runs, self.connectors, by)

    def stands(self, entries: Sequence[Entry]) -> Next | None:
        """Say where a run stands; None when its playbook left the content, or its record is no record."""
        known = self.playbooks.get(entries[0].body.get("playbook", "")) if entries else None
        return None if known is None else following(known, entries)


class Word(msgspec.Struct, frozen=True):
    """What a person says of the step that waits.

    refused: why it shall not be done; done, again: what they saw of a step of which nobody knows whether it happened; seen: how
    many entries of the run they had before them, so that the same said twice is one word.
    """

    by: str
    step: str
    refused: str | None = None
    done: bool = False
    again: bool = False
    seen: int | None = None

    def was_said(self, entries: Sequence[Entry]) -> bool:
        """Whether this was said of the step since its run was looked at."""
        kinds = ("approved", "applied") if self.refused is None else ("refused",)
        return self.seen is not None and any(one.step == self.step and one.kind in kinds for one in entries[self.seen :])


def begin(means: Means, playbook: str, incident: Incident, by: str) -> tuple[str, Next]:
    """Begin a run, one a playbook and incident, and go on until a person is needed; return its id and where it stands."""
    run = intent_id(playbook, incident.id)
    driver = Driver(means.playbook(playbook), incident, means.runs, means.connectors, by)
    with means.runs.hold(run):
        driver.start(run)
        return run, driver.carry(run)


def decide(means: Means, run: str, word: Word) -> Next:
    """Record a person's word on the step that a run waits with, and go on. Raises PolicyError when that step does not wait."""
    if word.refused is not None and not 0 < len(word.refused.strip()) <= LONGEST:
        raise ConfigError("no reason", where=f"{run} {word.step}", remedy=f"write 1 to {LONGEST} characters")
    driver = means.driver(run, word.by)
    with means.runs.hold(run):
        if word.was_said(means.runs.entries(run)):
            pass
        elif word.refused is not None:
            driver.refuse(run, word.step, word.refused.strip())
        else:
            driver.approve(run, word.step, done=word.done, again=word.again)
        return driver.carry(run)


def resume(means: Means, run: str, by: str) -> Next:
    """Go on with a run that was interrupted; a step whose end is not recorded is asked for at its target."""
    driver = means.driver(run, by)
    with means.runs.hold(run):
        return driver.carry(run)
