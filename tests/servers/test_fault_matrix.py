"""Every fault on real servers, each struck twice in a run or more: what one undisturbed process tells, no more and no less.

The toys' road is the oracle: cheap, and its three detectors care for order, windows and single events. The shipped road under a
kill is in test_one_result.py and test_recordings_on_kafka.py.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest
from elasticsearch import Elasticsearch
from tests import toys
from tests.servers import real
from tests.servers.gateway import Gateway, gateway
from tests.servers.toy_scene import (
    ALL,
    BUSY,
    CITY,
    PARTITIONS,
    PATIENCE_S,
    Cases,
    Crowd,
    Indexed,
    Reader,
    Rows,
    Sent,
    Told,
    Wire,
    Worker,
    are_final,
    as_rows,
    assert_told,
    in_one_process,
    letters,
    records,
    stored,
    traffic,
)
from tests.servers.toy_worker import STREAMS

from xmsec.model.errors import InputError
from xmsec.model.types import Finding, Raw
from xmsec.runtime.faust.ending import INTERRUPTED
from xmsec.runtime.faust.letters import Letter, Totals
from xmsec.runtime.faust.topics import Cluster, ensure
from xmsec.store.elastic_ensure import ensure as ensure_indices

pytestmark = [pytest.mark.servers, pytest.mark.faults]

PADDING_BYTES = 2 << 20
TRICKLE = 10  # records at a time that no source falls silent with: they take turns, eight of them


@dataclass(frozen=True)
class Size:
    """How much goes through, how long the broker and Elasticsearch are away, how much a small disk holds."""

    records: int
    broker_away_s: float
    elastic_away_s: float
    room: str
    patience_s: float
    at_once: int
    crowd: Crowd


QUICK = Size(3_000, 3, 3, "160m", 2 * PATIENCE_S, 4, BUSY)
LONG = Size(300_000, 30, 60, "2g", 1_800, 1, CITY)


@dataclass
class Scene:
    """A deployment under way. door: the way to Elasticsearch, where findings go there."""

    size: Size
    folder: Path
    cluster: Cluster
    broker: real.Server
    stack: ExitStack
    node: real.Server | None = None
    door: Gateway | None = None

    def __post_init__(self) -> None:
        self.wire, self.cases = Wire(self.cluster), Cases(self.cluster)
        self.stack.callback(self.disconnect)
        self.workers: list[Worker] = []
        self.waiting: deque[Sent] = deque()
        self._indexed = Indexed(self.folder)

    def join(self, roles: Sequence[str] = ALL) -> None:
        """One worker more."""
        folder = self.folder / f"worker-{len(list(self.folder.glob('worker-*')))}"
        url = self.door.url if self.door else ""
        worker = Worker(self.cluster.bootstrap, self.cluster.prefix, folder, roles, url)
        self.stack.callback(worker.kill)
        self.workers.append(worker)

    def send(self, count: int) -> None:
        """Send the next of the traffic."""
        self.wire.send([self.waiting.popleft() for _ in range(min(count, len(self.waiting)))])

    def disconnect(self) -> None:
        """Let the broker go: kafka-python leaves sockets behind that nobody answered."""
        self.wire.close()
        self.cases.close()

    def connect(self) -> None:
        """Go on with a broker that is there again."""
        self.wire, self.cases = Wire(self.cluster, self.wire.raws), Cases(self.cluster)

    def told(self) -> Told | Rows:
        """What is in the store."""
        if self.node is None:
            return self._indexed.told
        with self._elastic() as client:
            return stored(client, self.cluster.prefix)

    def are_final(self) -> int:
        """How many findings of those in the store are final."""
        if self.node is None:
            return final(self._indexed.told.findings.values())
        with self._elastic() as client:
            return are_final(client, self.cluster.prefix)

    def _elastic(self) -> Elasticsearch:
        assert self.node
        return Elasticsearch(self.node.start().rpartition(" ")[2])


@dataclass(frozen=True)
class Fault:
    """What happens `times`: `before` a part of the traffic is sent, and when it has begun to come out (`strike`).

    grown: how many messages of cases that is, and how long they are waited for. alter: what the traffic is instead;
    clean: whether it must tell what the unaltered one tells. alone: whether it strikes a server that others use.
    """

    strike: Callable[[Scene], None] = lambda _: None
    before: Callable[[Scene], None] = lambda _: None
    roles: Sequence[Sequence[str]] = (ALL,)
    alter: Callable[[list[Sent]], list[Sent]] = list
    base: Callable[[int, int, Crowd], list[Sent]] = traffic
    clean: bool = False
    elastic: bool = False
    alone: bool = False
    small_disk: bool = False
    times: int = 2
    grown: tuple[int, float] = (5, PATIENCE_S)


def kill_the_first(scene: Scene) -> None:
    scene.workers[0].kill()
    scene.workers[0].start()


def restart(scene: Scene) -> None:
    scene.workers[0].stop()
    scene.workers[0].start()


def one_joins_and_another_leaves(scene: Scene) -> None:
    scene.join()
    scene.cases.grow(1, 5)
    scene.workers.pop(0).stop()


def kill_the_broker(scene: Scene) -> None:
    scene.disconnect()
    scene.broker.kill()
    Event().wait(scene.size.broker_away_s)
    scene.broker.start()
    scene.connect()


def stop_while_the_broker_is_away(scene: Scene) -> None:
    """It ends in its time; what it held is read again."""
    scene.disconnect()
    scene.broker.kill()
    scene.workers[0].stop(INTERRUPTED)
    Event().wait(scene.size.broker_away_s)
    scene.broker.start()
    scene.workers[0].start()
    scene.connect()


def kill_elasticsearch_in_a_bulk(scene: Scene) -> None:
    assert scene.node
    assert scene.door
    scene.door.midway = scene.node.kill


def start_elasticsearch(scene: Scene) -> None:
    assert scene.node
    assert scene.door
    door, node = scene.door, scene.node
    real.until(lambda: door.midway is None)
    assert door.midway is None, "no bulk request came"
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(start_later, node, scene.size.elastic_away_s)
        while not starting.done():
            scene.send(TRICKLE)
            Event().wait(0.5)
        starting.result()


def start_later(server: real.Server, away_s: float) -> None:
    real.until(lambda: not server.answers())
    Event().wait(away_s)
    server.start()


def refuse_bulks(scene: Scene) -> None:
    assert scene.door
    scene.door.answers.extend((429, 429, 503, 429, 413, 429, 429, 429, 429))


def fill_the_disk(scene: Scene) -> None:
    """The broker dies of it, and comes back when there is room."""
    scene.disconnect()
    ballast = scene.broker.folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass
    real.until(lambda: not scene.broker.answers(), 60)
    assert not scene.broker.answers(), "the broker lives on a full disk"
    scene.broker.kill()
    ballast.unlink()
    scene.broker.start()
    scene.connect()


def with_ids(records: int, seed: int, crowd: Crowd) -> list[Sent]:
    """Records that all have ids, once each."""
    once = {(one.stream, one.partition, one.line, one.given_id): one for one in traffic(records, seed, crowd)}
    return [msgspec.structs.replace(one, given_id=f"id-{number}") for number, one in enumerate(once.values())]


def in_time(records: int, seed: int, crowd: Crowd) -> list[Sent]:
    """Records with ids, none later than two minutes."""
    chance = random.Random(seed)
    sent = []
    for number, one in enumerate(with_ids(records, seed, crowd)):
        said = {"t": number / 20 - chance.choice((0, 0, 1, 2)), **crowd.acts(chance)}
        sent.append(msgspec.structs.replace(one, line=msgspec.json.encode(said)))
    return sent


def repeated(sent: list[Sent]) -> list[Sent]:
    """A third come again, some of them twice, up to a minute later."""
    chance = random.Random(1)
    placed = [(float(number), one) for number, one in enumerate(sent)]
    again = [(place + chance.randrange(20) + 0.5, one) for place, one in placed for _ in range(2) if chance.random() < 0.2]
    return [one for _, one in sorted([*placed, *again], key=lambda both: both[0])]


def shuffled(sent: list[Sent]) -> list[Sent]:
    """Two minutes' records in any order: with their own two minutes that is within the lateness of five."""
    chance = random.Random(2)
    blocks = [sent[start : start + 40] for start in range(0, len(sent), 40)]
    return [one for block in blocks for one in chance.sample(block, len(block))]


def clocks_off(sent: list[Sent]) -> list[Sent]:
    """One partition's producer is ten minutes ahead, another's ten minutes behind; the messages' stamps are, too."""
    off = {(STREAMS[0], 0): 10, (STREAMS[1], 1): -10}

    def move(one: Sent) -> Sent:
        minutes = off.get((one.stream, one.partition))
        if minutes is None or one.line is None or not one.line.endswith(b"}"):
            return one
        said = msgspec.json.decode(one.line)
        line = msgspec.json.encode({**said, "t": said["t"] + minutes})
        return msgspec.structs.replace(one, line=line, stamp_ms=(30 + minutes) * 60_000)

    return [move(one) for one in sent]


def odd_messages(sent: list[Sent]) -> list[Sent]:
    """Between the others: 2 MB that are a record and 2 MB that are none, no value, nothing, what is not JSON or not UTF-8."""
    large = (b'{"t":9,"user":"user-1","action":"forbidden","pad":"%s"}' % (b"x" * PADDING_BYTES), b"x" * PADDING_BYTES)
    odd = (*large, None, b"", b"not json", b"\xff\xfe\x00", b"[]", b'{"t":"9"}', b"\n\n")
    mixed: list[Sent] = []
    for number, one in enumerate(sent):
        mixed.append(one)
        if number % (len(sent) // 40) == 7:
            mixed.append(msgspec.structs.replace(one, line=odd[number % len(odd)], given_id=None))
    return mixed


FAULTS = {
    "kill-9-classify": Fault(kill_the_first, roles=(("classify",), ("detect", "index"))),
    "kill-9-detect": Fault(kill_the_first, roles=(("detect",), ("classify", "index"))),
    "kill-9-index": Fault(kill_the_first, roles=(("index",), ("classify", "detect"))),
    "kill-9-all-roles": Fault(kill_the_first, roles=(ALL, ALL)),
    "join-and-leave": Fault(one_joins_and_another_leaves),
    "kill-9-broker": Fault(kill_the_broker, alone=True),
    "stop-without-broker": Fault(stop_while_the_broker_is_away, roles=((*ALL, "record"),), alone=True),
    "kill-9-elasticsearch": Fault(start_elasticsearch, kill_elasticsearch_in_a_bulk, elastic=True, alone=True),
    "429": Fault(before=refuse_bulks, elastic=True),
    "full-disk": Fault(fill_the_disk, small_disk=True),
    "duplicates": Fault(base=with_ids, alter=repeated, clean=True),
    "reordering": Fault(base=in_time, alter=shuffled, clean=True),
    "clock-off": Fault(alter=clocks_off),
    "odd-messages": Fault(alter=odd_messages),
    "twenty-restarts": Fault(restart, roles=((*ALL, "record"),), times=20, grown=(1, 2)),
}


EVERY_TIME = frozenset({"kill-9-all-roles", "duplicates", "odd-messages"})  # the others: in make test-long
AT_LENGTH = (pytest.mark.long, pytest.mark.timeout(7_200))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[real.Server]:
    """A broker that may be killed."""
    server = real.kafka(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[real.Server]:
    """An Elasticsearch that may be killed."""
    server = real.elasticsearch(tmp_path_factory.mktemp("elasticsearch"))
    server.start()
    yield server
    server.kill()


@contextmanager
def small_disk(folder: Path, room: str) -> Iterator[Path]:
    """A file system of its own with so much room; skips the test where it cannot be had."""
    if os.geteuid():
        pytest.skip("needs root, to mount a small file system")
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "xmsec", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@dataclass(frozen=True)
class Servers:
    """What faults share."""

    broker: real.Server
    node: real.Server | None


@contextmanager
def scene_of(fault: Fault, size: Size, servers: Servers, prefix: str, folder: Path) -> Iterator[Scene]:
    """Servers, topics and workers for a fault."""
    with ExitStack() as stack:
        if fault.small_disk:
            broker = real.kafka(stack.enter_context(small_disk(folder / "disk", size.room)))
            stack.callback(broker.kill)
        else:
            broker = servers.broker
        cluster = Cluster(broker.start().rpartition(" ")[2], STREAMS, prefix)
        ensure(cluster, PARTITIONS)
        scene = Scene(size, folder, cluster, broker, stack)
        if fault.elastic:
            scene.node = servers.node
            assert scene.node
            url = scene.node.start().rpartition(" ")[2]
            with Elasticsearch(url) as client:
                ensure_indices(client, "aaaa", prefix)
            scene.door = stack.enter_context(gateway(url))
        for roles in fault.roles:
            scene.join(roles)
        yield scene


def assert_ends_well(scene: Scene, expected: Told) -> None:
    """What is in the store, and what was refused, is what it must be."""
    awaited: Any = as_rows(expected) if scene.node else expected
    all_final = final(expected.findings.values())
    scene.cases.until(lambda _: scene.are_final() == all_final and scene.told() == awaited, scene.size.patience_s)
    try:
        assert_told(expected, scene.told(), scene.cluster, scene.wire.raws)
    except AssertionError as error:
        for worker in scene.workers:
            error.add_note(f"{worker.folder.name}: {worker.log.read_text()[-2_000:]}")
        raise
    refused = {raw.position for raw in scene.wire.raws if is_refused(raw)}
    counted = Counter(position.stream for position in refused)
    with Reader(scene.cluster, "dead") as dead:
        dead.until(lambda values: refusals(values) == counted)
        assert refusals(dead.values) == counted
        assert letters(dead.values) <= refused


def refusals(values: Sequence[bytes]) -> Counter[str]:
    """Of each stream, how many dead letters there are: beyond a thousand of a kind they are only counted."""
    heard = Totals()
    for value in values:
        heard.hear(msgspec.json.decode(value, type=Letter))
    return sum((Counter({stream: count}) for (stream, _, _), count in heard.counts.items()), Counter())


def final(findings: Iterable[Finding]) -> int:
    return sum(one.state == "final" for one in findings)


def is_refused(raw: Raw) -> bool:
    try:
        toys.parse(raw)
    except InputError:
        return True
    return False


def play(name: str, size: Size, servers: Servers, folder: Path) -> None:
    fault = FAULTS[name]
    clean = fault.base(size.records, sum(name.encode()), size.crowd)
    sent = fault.alter(clean)
    step = len(sent) // (fault.times + 1)
    with scene_of(fault, size, servers, f"{name}-{size.records}", folder) as scene:
        scene.waiting.extend(sent)
        for _ in range(fault.times):
            fault.before(scene)
            scene.send(step)
            scene.cases.grow(*fault.grown)
            fault.strike(scene)
        scene.send(len(sent))
        raws = [raw for number, one in enumerate(clean) for raw in records(one, number)] if fault.clean else scene.wire.raws
        expected = in_one_process(raws)
        assert len(expected.findings) > size.records // 20
        assert_ends_well(scene, expected)


class Stage:
    """Plays the faults that are wanted: some at once, for they mostly wait; those that strike what others use, alone."""

    def __init__(self, wanted: Sequence[tuple[str, Size]], folder: Path, servers: Servers) -> None:
        self._servers, self._folder = servers, folder
        self._pools = [ThreadPoolExecutor(size.at_once) for size in (QUICK, LONG)]
        self._wanted = [one for one in wanted if not FAULTS[one[0]].alone]
        self._played: dict[tuple[str, Size], Future[None]] = {}

    def _begin(self, name: str, size: Size) -> Future[None]:
        folder = self._folder / f"{name}-{size.records}"
        folder.mkdir()
        return self._pools[size is LONG].submit(play, name, size, self._servers, folder)

    def play(self, name: str, size: Size) -> None:
        """Raise what went wrong with one."""
        same = [one for one in self._wanted if one[1] == size]
        self._played |= {one: self._begin(*one) for one in same if not FAULTS[name].alone and one not in self._played}
        if FAULTS[name].alone:
            wait(self._played.values())
            self._played[name, size] = self._begin(name, size)
        self._played[name, size].result()

    def close(self) -> None:
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, broker: real.Server) -> Iterator[Stage]:
    items: Any = [item for item in request.session.items if item.path == request.path]
    wanted = [(item.callspec.params["name"], item.callspec.params["size"]) for item in items]
    node = request.getfixturevalue("node") if any(FAULTS[name].elastic for name, _ in wanted) else None
    made = Stage(wanted, tmp_path_factory.mktemp("faults"), Servers(broker, node))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *(
            pytest.param(name, QUICK, id=f"{name}-quick", marks=() if name in EVERY_TIME else pytest.mark.long)
            for name in FAULTS
        ),
        *(pytest.param(name, LONG, id=f"{name}-300000", marks=AT_LENGTH) for name in FAULTS),
    ],
)
def test_a_fault_changes_nothing(name: str, size: Size, stage: Stage) -> None:
    stage.play(name, size)
