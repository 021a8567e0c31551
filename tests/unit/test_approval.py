"""People's words on playbook runs: the same for the shell and for the console, each recorded once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.contract.every_acts import ADA, BOB, Engine, Sqlite
from tests.contract.every_store import CODECS
from tests.rooms import NOON, answering

from xmsec.model.errors import ConfigError, PolicyError
from xmsec.model.types import Finding
from xmsec.runtime.approval import Means, Word, begin, decide, resume
from xmsec.store.readers import Connections
from xmsec.store.sqlite import SqliteStore

PLAYBOOK = "contain-account"


def incident_of(connections: Connections, one: Finding) -> str:
    found = connections.mine().execute("SELECT incident FROM incident_findings WHERE finding = ?", (one.id,))
    return str(found.fetchone()[0])


class Begun:
    """A run that waits with its first step."""

    def __init__(self, means: Means, incident: str) -> None:
        self.means, self.incident = means, incident
        self.run, self.stands = begin(means, PLAYBOOK, means.incident(incident), "wang")

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.means.runs.entries(self.run)]

    def word(self, **more: object) -> Word:
        return Word("li", self.stands.step.id, **more)  # type: ignore[arg-type]  # as each test names them


@pytest.fixture
def connections(tmp_path: Path) -> Iterator[Connections]:
    with closing(SqliteStore(tmp_path / "store.sqlite", CODECS)) as store:
        Sqlite(store).write(*Engine().tells(*ADA, *BOB))
    with closing(Connections(tmp_path / "store.sqlite")) as made:
        yield made


@pytest.fixture
def begun(connections: Connections) -> Begun:
    _, means = answering(connections, lambda: NOON)
    (incident,) = (
        connections.mine().execute("SELECT incident FROM incident_findings WHERE finding = ?", (ADA[0].id,)).fetchone()
    )
    return Begun(means, incident)


def test_an_approval_that_is_sent_twice_is_one(begun: Begun) -> None:
    seen = len(begun.kinds())
    first = decide(begun.means, begun.run, begun.word(refused=None, seen=seen))
    assert begun.kinds()[:3] == ["started", "approved", "applied"]
    before = begun.kinds()
    assert decide(begun.means, begun.run, begun.word(seen=seen)) == first
    assert begun.kinds() == before
    with pytest.raises(PolicyError, match="does not wait"):
        decide(begun.means, begun.run, begun.word())


def test_what_is_refused_goes_on_as_after_a_failure_and_says_why(begun: Begun) -> None:
    seen = len(begun.kinds())
    stands = decide(begun.means, begun.run, begun.word(refused=" ordered by the department ", seen=seen))
    assert stands.step.id == begun.means.playbooks[PLAYBOOK].steps[begun.stands.step.id].otherwise
    refused = begun.means.runs.entries(begun.run)[1]
    assert (refused.kind, refused.by, refused.body["why"]) == ("refused", "li", "ordered by the department")
    with pytest.raises(PolicyError, match="does not wait"):
        decide(begun.means, begun.run, begun.word(seen=seen))


@pytest.mark.parametrize("why", ["", " ", "x" * 1001])
def test_a_refusal_needs_a_reason(begun: Begun, why: str) -> None:
    with pytest.raises(ConfigError, match="no reason"):
        decide(begun.means, begun.run, begun.word(refused=why))
    assert begun.kinds() == ["started"]


def test_a_run_is_begun_once_and_found_by_its_incident(begun: Begun, connections: Connections) -> None:
    assert begin(begun.means, PLAYBOOK, begun.means.incident(begun.incident), "li") == (begun.run, begun.stands)
    assert resume(begun.means, begun.run, "li") == begun.stands
    other = incident_of(connections, BOB[0])
    begin(begun.means, PLAYBOOK, begun.means.incident(other), "li")
    assert list(begun.means.runs.of([begun.incident])) == [begun.run]
    assert [one.kind for one in begun.means.runs.of([begun.incident])[begun.run]] == ["started"]
    assert len(begun.means.runs.of([begun.incident, other])) == 2
    assert begun.means.runs.of([]) == {}


def test_a_run_that_was_altered_is_seen_without_reading_the_others(begun: Begun, connections: Connections) -> None:
    other = incident_of(connections, BOB[0])
    run, _ = begin(begun.means, PLAYBOOK, begun.means.incident(other), "li")
    decide(begun.means, begun.run, begun.word())
    assert [begun.means.runs.follows(one) for one in (run, begun.run, "none")] == [True, True, False]
    connections.mine().execute("UPDATE chain SET by = 'another' WHERE number = 3")
    assert [begun.means.runs.follows(one) for one in (run, begun.run)] == [True, False]


def test_what_content_does_not_have_cannot_be_begun(begun: Begun) -> None:
    with pytest.raises(ConfigError, match="no playbook"):
        begin(begun.means, "none", begun.means.incident(begun.incident), "li")
    with pytest.raises(ConfigError, match="no run"):
        decide(begun.means, "none", begun.word())
