"""Carry a run as far as it goes without a person: record, act, record; and rehearse it without acting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from xmsec.model.errors import ConfigError, PolicyError, ServiceError, XmsecError
from xmsec.model.ports import Connector, Plan
from xmsec.model.types import Incident
from xmsec.respond.chain import Entry, Kind, Verdict
from xmsec.respond.playbook import Playbook
from xmsec.respond.run import ABOUT, Next, command_key, following, resolved, told_of


class Record(Protocol):
    """Where a run is recorded: entries are there to stay once `append` returns."""

    def entries(self, run: str) -> Sequence[Entry]:
        """Return what is recorded of a run, in order."""
        ...

    def append(self, run: str, kind: Kind, step: str, body: Mapping[str, str], by: str) -> Entry:
        """Record one more thing."""
        ...


class HeldError(ConfigError):
    """Another process goes on with this run."""


class TargetError(ServiceError):
    """A target does not answer: what became of a command is asked when its run goes on."""


class Runs(Record, Protocol):
    """The record of all runs, and who may go on with one: SQLite and Elasticsearch keep it alike."""

    def runs(self) -> Sequence[str]:
        """Return the runs in the order in which they began."""
        ...

    def hold(self, run: str, *, patient: bool = True) -> AbstractContextManager[None]:
        """Be the only one who goes on with a run, and may record something of it. Raises HeldError while another is.

        patient: find out first whether the other one still lives.
        """
        ...

    def abandoned(self) -> Iterable[str]:
        """Return runs whose holder has died, where that can be told."""
        ...

    def of(self, incidents: Sequence[str]) -> Mapping[str, Sequence[Entry]]:
        """Return the runs that began for these incidents, in the order in which they began, with what is recorded of them."""
        ...

    def follows(self, run: str) -> bool:
        """Whether each entry of a run follows from the one before it: a look that does not grow with other runs."""
        ...

    def verify(self) -> Verdict:
        """Check that no entry was altered, left out or put in between."""
        ...


class Rehearsed(msgspec.Struct, frozen=True):
    """What one command would do."""

    step: str
    name: str
    plan: Plan
    needs: str


class Driver:
    """Carries runs of one playbook for one incident."""

    def __init__(
        self, playbook: Playbook, incident: Incident, record: Record, connectors: Mapping[str, Connector], by: str
    ) -> None:
        self._playbook, self._incident = playbook, incident
        self._record, self._connectors, self._by = record, connectors, by

    def start(self, run: str) -> None:
        """Record that a run begins; a run that has begun is left as it is."""
        if not self._record.entries(run):
            body = {"playbook": self._playbook.id, "version": self._playbook.version, "incident": self._incident.id}
            body[ABOUT] = told_of(self._incident)
            self._record.append(run, "started", "", body, self._by)

    def carry(self, run: str) -> Next:
        """Go on until a person is needed or the run is over; return where it stands."""
        while True:
            entries = self._record.entries(run)
            following_step = following(self._playbook, entries)
            if following_step.doing in ("done", "failed"):
                if entries[-1].kind != "ended":
                    self._record.append(run, "ended", following_step.step.id, {"outcome": following_step.doing}, self._by)
                return following_step
            if following_step.doing == "wait":
                return following_step
            self._verify(run, following_step) if following_step.doing == "verify" else self._apply(run, following_step)

    def approve(self, run: str, step: str, *, done: bool = False, again: bool = False) -> None:
        """Record a person's word on the step that waits. Raises PolicyError when it is not that step that waits."""
        waiting = self._waiting(run, step)
        body = {"command": str(waiting.command)}
        unknown = waiting.why.startswith("whether")
        if unknown and done == again:
            raise PolicyError(waiting.why, where=f"{run} {step}", remedy="say --done or --again")
        if unknown:
            self._record.append(run, "applied" if done else "approved", step, {**body, "seen": "by a person"}, self._by)
            return
        self._record.append(run, "approved", step, body, self._by)
        if waiting.step.commands[waiting.command]["type"] == "manual":
            self._record.append(run, "applied", step, body, self._by)

    def refuse(self, run: str, step: str, why: str) -> None:
        """Record that a person does not want the step that waits; its run goes on as after a failure. Raises PolicyError."""
        waiting = self._waiting(run, step)
        self._record.append(run, "refused", step, {"command": str(waiting.command), "why": why}, self._by)

    def _waiting(self, run: str, step: str) -> Next:
        waiting = following(self._playbook, self._record.entries(run))
        if waiting.doing != "wait" or waiting.step.id != step:
            raise PolicyError(
                "this step does not wait for approval", where=f"{run} {step}", remedy=f"xmsec playbook show {run}"
            )
        return waiting

    def rehearse(self, run: str) -> list[Rehearsed]:
        """Say for each command what it would do, against what; nothing is changed and nothing recorded."""
        told = []
        for step in self._playbook.road():
            for number in range(len(step.commands)):
                command = resolved(self._playbook, step, number, self._incident, run)
                needs = "a person" if command.command == "manual" else step.extension.approval if step.acts else ""
                told.append(Rehearsed(step.id, step.name, self._connectors[command.command].plan(command), needs))
        return told

    def _apply(self, run: str, at: Next) -> None:
        command = resolved(self._playbook, at.step, at.command, self._incident, run)
        key = command_key(run, at.step.id, at.command)
        body = {"command": str(at.command), "key": key}
        self._record.append(run, "applying", at.step.id, body, self._by)
        self._note(run, at, lambda: {**body, **self._connectors[command.command].apply(command, key)})

    def _verify(self, run: str, at: Next) -> None:
        """A command was begun and its end is not recorded: ask the target whether it happened."""
        command = resolved(self._playbook, at.step, at.command, self._incident, run)
        key = command_key(run, at.step.id, at.command)
        body = {"command": str(at.command), "key": key}
        try:
            happened = self._connectors[command.command].verify(command, key)
        except ServiceError as error:
            raise TargetError(error.what, where=error.where, remedy=error.remedy) from error
        if happened is None:
            self._record.append(run, "unknown", at.step.id, body, self._by)
        elif happened:
            self._record.append(run, "applied", at.step.id, {**body, "seen": "at the target"}, self._by)
        else:
            self._note(run, at, lambda: {**body, **self._connectors[command.command].apply(command, key)})

    def _note(self, run: str, at: Next, act: Callable[[], Mapping[str, str]]) -> None:
        try:
            result = act()
        except ServiceError as error:  # nothing is known of what happened: the next resume asks the target
            raise TargetError(error.what, where=error.where, remedy=error.remedy) from error
        except XmsecError as error:
            self._record.append(run, "failed", at.step.id, {"command": str(at.command), "why": error.what}, self._by)
        else:
            self._record.append(run, "applied", at.step.id, result, self._by)
