"""Who begins playbook runs: one for each intent, carried until a person is needed. Both runtimes do it so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from xmsec.model.errors import ServiceError, XmsecError
from xmsec.model.ports import Connector
from xmsec.model.types import Finding, Incident, Intent
from xmsec.respond.drive import Driver, HeldError, Runs, TargetError
from xmsec.respond.playbook import Playbook
from xmsec.respond.run import about

BY = "xmsec"  # who begins a run that nobody asked for by hand
REMEMBERED = 10_000  # runs that are known to have begun: an incident asks again with each of its findings


class Responder:
    """Begins runs, and goes on with those whose holder died. say: where it is told what stopped a run.

    playbooks: may be replaced by those of newer content.
    """

    def __init__(
        self,
        playbooks: Mapping[str, Playbook],
        runs: Runs,
        connectors: Mapping[str, Connector],
        say: Callable[[XmsecError], object],
    ) -> None:
        self.playbooks, self._runs, self._connectors, self._say = playbooks, runs, connectors, say
        self._begun: dict[str, None] = {}

    def begin(self, intent: Intent, incident: Incident) -> bool:
        """Begin a run unless it has begun; false when content has no such playbook.

        Raises ServiceError when the record does not answer; a target that does not leaves the run to `resume`.
        """
        playbook = self.playbooks.get(intent.playbook)
        if playbook is None:
            return False
        if intent.id in self._begun:
            return True
        if not self._runs.entries(intent.id):
            driver = Driver(playbook, incident, self._runs, self._connectors, BY)
            if not self._carry(driver, intent.id, begins=True):
                return True
        self._begun[intent.id] = None
        if len(self._begun) > REMEMBERED:
            del self._begun[next(iter(self._begun))]
        return True

    def take(self, _: Sequence[Finding], incidents: Sequence[Incident], intents: Sequence[Intent]) -> Mapping[str, str]:
        """Begin what is asked for; return the intents that no playbook answers, and why."""
        by_id = {incident.id: incident for incident in incidents}
        return {intent.id: "no-playbook" for intent in intents if not self.begin(intent, by_id[intent.incident])}

    def go_on(self) -> None:
        """Go on with runs whose holder died: what it was doing is asked for at the target."""
        for run in self._runs.abandoned():
            entries = self._runs.entries(run)
            incident = about(entries)
            playbook = self.playbooks.get(entries[0].body.get("playbook", "")) if entries else None
            if incident is not None and playbook is not None:
                self._carry(Driver(playbook, incident, self._runs, self._connectors, BY), run)

    def _carry(self, driver: Driver, run: str, *, begins: bool = False) -> bool:
        """Carry a run as far as it goes; false when another one holds it, who goes on with it."""
        try:
            with self._runs.hold(run, patient=False):
                if begins:
                    driver.start(run)
                driver.carry(run)
        except HeldError:
            return False
        except TargetError as error:
            self._say(error)
        except ServiceError:
            raise
        except XmsecError as error:
            self._say(error)
        return True
