"""CACAO `manual`: a person carries it out and says so by approving the step."""

from __future__ import annotations

from collections.abc import Mapping

from xmsec.model.errors import PolicyError
from xmsec.model.ports import Plan, WorkflowStep


class Manual:
    """Says what a person is to do."""

    command = "manual"

    def plan(self, step: WorkflowStep) -> Plan:
        """Return the person's task."""
        return Plan("a person", "not done", str(step.body.get("command", "")))

    def apply(self, step: WorkflowStep, key: str) -> Mapping[str, str]:
        """Refuse: only a person's approval marks it done. Raises PolicyError."""
        raise PolicyError("a person carries this out", where=step.id, remedy="approve the step when it is done")

    def verify(self, step: WorkflowStep, key: str) -> bool | None:
        """Return None: only the person knows."""
        return None

    def undo(self, step: WorkflowStep, key: str) -> None:
        """Refuse: only a person can take it back. Raises PolicyError."""
        raise PolicyError("a person takes this back", where=step.id, remedy="ask who approved it")
