"""Playbook runs kept in Elasticsearch: taken by compare and set, killed in the middle of an act, each step done once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier, Thread

import pytest
from elasticsearch import Elasticsearch
from tests.command import called, new_home
from tests.playbooks import SEVEN, Aim, Run, dies_after_the_answer, dies_seven_times, is_left_to_a_person
from tests.servers.indexed import INCIDENTS, write

from xmsec.model.errors import PolicyError, ServiceError
from xmsec.respond.chain import Verdict
from xmsec.respond.drive import HeldError
from xmsec.store.elastic_ensure import ensure
from xmsec.store.elastic_lease import Holder
from xmsec.store.elastic_runs import Edge, ElasticRuns

pytestmark = [pytest.mark.servers, pytest.mark.faults]

NOW = datetime(2026, 10, 20, tzinfo=UTC)
INCIDENT = INCIDENTS[0]
LEASE_S = 1000.0  # on the tests' own clock: it passes when they say so


@pytest.fixture
def client(es_url: str, prefix: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(es_url) as made:
        ensure(made, "aaaa", prefix)
        yield made


@pytest.fixture
def aim(tmp_path: Path) -> Iterator[Aim]:
    with Aim(tmp_path / "content") as made:
        yield made


@pytest.fixture
def run(client: Elasticsearch, es_url: str, prefix: str, tmp_path: Path) -> Run:
    write(client, prefix, [], [INCIDENT])
    settings = {"XMSEC_CONTENT_DIRS": str(tmp_path / "content"), "XMSEC_ES_URL": es_url, "XMSEC_ES_PREFIX": prefix}
    return Run(new_home(tmp_path / "home", Path("/nowhere")), {**settings, "XMSEC_LEASE_S": "1"})


def test_each_step_is_done_once_however_often_its_run_dies(run: Run, aim: Aim) -> None:
    target = aim([*SEVEN])
    run.begin(INCIDENT.id[:8])
    dies_seven_times(run, target)


def test_a_run_that_dies_after_the_answer_does_not_act_again(run: Run, aim: Aim) -> None:
    target = aim(["answered"])
    run.begin(INCIDENT.id)
    dies_after_the_answer(run, target)


def test_what_nobody_can_ask_for_is_left_to_a_person(run: Run, aim: Aim) -> None:
    target = aim(["after"], verify=False)
    run.begin(INCIDENT.id)
    is_left_to_a_person(run, target)


def test_the_commands_speak_of_the_runs_in_the_index(run: Run, aim: Aim) -> None:
    aim([])
    run.begin(INCIDENT.id)
    (listed,) = [one for one in run.playbook("list") if "run" in one]
    assert (listed["incident"], listed["stands"].split()[0]) == (INCIDENT.id, "wait")
    assert run.playbook("rehearse", "contain-account", "--incident", INCIDENT.id)
    assert [kind for kind, _ in run.entries()] == ["started"]
    unknown = called("playbook", "show", "f" * 32, "--home", run.home, env=run.settings)
    assert unknown.returncode == 2


class Clock:
    """A clock that moves when it is waited on, or told to."""

    def __init__(self) -> None:
        self.at = 0.0
        self.meanwhile: Callable[[], object] = lambda: None

    def now(self) -> float:
        return self.at

    def wait(self, seconds: float) -> None:
        self.at += seconds
        self.meanwhile()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keeper(client: Elasticsearch, prefix: str, clock: Clock) -> Callable[[str], ElasticRuns]:
    """Make a keeper of runs of a name."""
    edge = Edge(lambda: NOW, clock.now, clock.wait)
    return lambda name: ElasticRuns(client, Holder(name, LEASE_S), edge, prefix)


def begun(runs: ElasticRuns, *names: str) -> None:
    for name in names:
        with runs.hold(name):
            runs.append(name, "started", "", {"playbook": "p", "incident": "i"}, "li")
            runs.append(name, "approved", "s1", {"command": "0"}, "li")


def test_of_many_that_begin_a_run_one_does(keeper: Callable[[str], ElasticRuns]) -> None:
    together, won, lost = Barrier(8), list[str](), list[str]()

    def begin(name: str) -> None:
        runs = keeper(name)
        try:
            with runs.hold("r1", patient=False):
                together.wait(30)
                runs.append("r1", "started", "", {"by": name}, name)
                won.append(name)
        except HeldError:
            lost.append(name)

    threads = [Thread(target=begin, args=(f"w{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    (entry,) = keeper("reader").entries("r1")
    assert entry.by == won[0]


def test_a_run_that_is_held_is_left_alone_until_its_holder_is_silent(
    keeper: Callable[[str], ElasticRuns], clock: Clock
) -> None:
    first, second = keeper("first"), keeper("second")
    begun(first, "r1")
    with first.hold("r1"):
        with pytest.raises(HeldError), second.hold("r1", patient=False):
            pass
        assert second.abandoned() == []
        clock.at += LEASE_S - 1
        assert second.abandoned() == []
        first.append("r1", "applying", "s1", {"command": "0"}, "li")  # it lives
        clock.at += 2
        assert second.abandoned() == []
        clock.at += LEASE_S
        assert second.abandoned() == ["r1"]
        with second.hold("r1", patient=False):
            with pytest.raises(HeldError, match="taken"):
                first.append("r1", "applied", "s1", {"command": "0"}, "li")
            second.append("r1", "applied", "s1", {"command": "0"}, "li")
    assert [entry.kind for entry in second.entries("r1")] == ["started", "approved", "applying", "applied"]
    with first.hold("r1", patient=False):  # who let it go had it no more
        assert second.abandoned() == []


def test_runs_are_found_by_their_incident_and_an_altered_one_is_seen_alone(
    keeper: Callable[[str], ElasticRuns], client: Elasticsearch, prefix: str
) -> None:
    runs = keeper("first")
    begun(runs, "r2", "r1")
    assert {name: [one.kind for one in entries] for name, entries in runs.of(["i", "other"]).items()} == {
        "r1": ["started", "approved"],
        "r2": ["started", "approved"],
    }
    assert runs.of(["other"]) == runs.of([]) == {}
    client.update(index=f"{prefix}-runs-0", id="r1", doc={"entries": [], "hash": ""}, refresh=True)
    assert [runs.follows(one) for one in ("r1", "r2", "none")] == [False, True, False]


def test_who_asks_patiently_gets_the_run_of_a_dead_holder(
    keeper: Callable[[str], ElasticRuns], clock: Clock, client: Elasticsearch, prefix: str
) -> None:
    runs = keeper("second")
    begun(runs, "r1")
    client.update(index=f"{prefix}-runs-0", id="r1", doc={"holder": "dead"})
    with runs.hold("r1"):
        assert LEASE_S <= clock.at < 2 * LEASE_S


def test_who_asks_patiently_is_refused_by_a_living_holder(keeper: Callable[[str], ElasticRuns], clock: Clock) -> None:
    first, second = keeper("first"), keeper("second")
    begun(first, "r1")
    with first.hold("r1"):
        clock.meanwhile = lambda: first.append("r1", "applying", "s1", {"command": "0"}, "li")
        with pytest.raises(HeldError), second.hold("r1"):
            pass
    assert clock.at < LEASE_S


def test_the_record_is_whole_and_what_is_done_to_it_is_seen(
    keeper: Callable[[str], ElasticRuns], client: Elasticsearch, prefix: str
) -> None:
    runs = keeper("one")
    begun(runs, "r1", "r2", "r3")
    assert runs.runs() == ["r1", "r2", "r3"]
    assert runs.verify() == Verdict(6)
    index = f"{prefix}-runs-0"
    kept = client.get(index=index, id="r2")["_source"]

    def altered(entries: Sequence[dict[str, object]]) -> Verdict:
        client.index(index=index, id="r2", document={**kept, "entries": entries}, refresh=True)
        return runs.verify()

    one, two = kept["entries"]
    assert altered([one]) == Verdict(3, 2, "r2")
    assert altered([two]) == Verdict(3, 1, "r2")
    assert altered([one, {**two, "by": "another"}]) == Verdict(4, 2, "r2")
    assert altered([{"odd": 1}]) == Verdict(3, 1, "r2")
    with pytest.raises(PolicyError, match="altered"), runs.hold("r2"):
        pass
    client.delete(index=index, id="r2", refresh=True)
    assert runs.verify() == Verdict(4, 1, "r2")
    client.index(index=index, id="r2", document={**kept, "entries": [one], "hash": one["hash"]}, refresh=True)
    assert runs.verify() == Verdict(5, 2, "r2")


def test_a_write_whose_answer_was_lost_is_recognised(
    keeper: Callable[[str], ElasticRuns], client: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from elastic_transport import ConnectionTimeout

    runs, update = keeper("one"), client.update
    begun(runs, "r1")

    def cut_off(**given: object) -> None:
        update(**given)  # type: ignore[arg-type]  # what it was given goes on as it is
        raise ConnectionTimeout("no answer")

    with runs.hold("r1"):
        with monkeypatch.context() as patched:
            patched.setattr(client, "update", cut_off)
            with pytest.raises(ServiceError):
                runs.append("r1", "applying", "s1", {"command": "0"}, "li")
        runs.append("r1", "applied", "s1", {"command": "0"}, "li")
    assert runs.verify() == Verdict(3)
