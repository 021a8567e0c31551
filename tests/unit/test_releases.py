"""Releases: signed, loaded whole or not at all, and what a worker makes of what it hears of them."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from tests.released import rule, write_content

from xmsec.classify.epochs import Epoch, Keyring
from xmsec.model.clock import EPOCH
from xmsec.model.errors import ConfigError, ContentError, PolicyError
from xmsec.runtime.assemble import Deployment, assemble
from xmsec.runtime.faust.control import Control
from xmsec.runtime.faust.roads import AwaitedError
from xmsec.runtime.releases import KEPT, Named, Release, Workshop, changes, gathered, number_at, number_of, opened, sealed

NOW = datetime.now(UTC)
FIRST, SECOND = Epoch.of(b"k" * 32), Epoch.of(b"l" * 32, number=2, start=NOW + timedelta(days=1), link=timedelta(days=30))
RING = Keyring([FIRST])
ROTATED = Keyring([FIRST, SECOND])


def release(folder: Path, number: int, keyring: Keyring = RING) -> bytes:
    """Publish what lies in a folder."""
    return sealed(Release(number, NOW, keyring.check, gathered([folder], folder, [], UTC)), keyring)[1]


def workshop(folder: Path) -> Workshop:
    return Workshop(folder / "releases", folder / "cache", UTC)


class Worker:
    """What a worker knows, and its own content."""

    def __init__(self, folder: Path, keyring: Keyring = RING, later: Keyring = RING) -> None:
        content = write_content(folder / "own")
        own = lambda: assemble([content], folder, self.control.keyring, UTC)  # noqa: E731 - asks what is made below
        self.control = Control(keyring, workshop(folder), own, lambda: later)
        self.taken: list[Deployment] = []
        self.control.taken = self.taken.append

    @property
    def number(self) -> int:
        return self.control.roads.number

    @property
    def owners(self) -> Sequence[str]:
        return sorted(self.control.roads.newest.detectors)


def test_a_release_is_what_its_folders_are(tmp_path: Path) -> None:
    named = opened(release(write_content(tmp_path / "c"), 7), RING, NOW)
    loaded = workshop(tmp_path).load(named, RING)
    direct = assemble([tmp_path / "c"], tmp_path / "c", RING, UTC)
    assert number_of(named.name) == 7
    assert loaded.road.revisions.content == named.name
    assert {one.id: one.version for one in loaded.files} == {one.id: one.version for one in direct.files}
    assert loaded.streams == direct.streams


def altered(value: bytes) -> bytes:
    signed = msgspec.msgpack.decode(value)
    body = bytearray(signed["body"])
    body[-1] ^= 1
    return msgspec.msgpack.encode({**signed, "body": bytes(body)})


def without_signatures(value: bytes) -> bytes:
    return msgspec.msgpack.encode({**msgspec.msgpack.decode(value), "signatures": {}})


@pytest.mark.parametrize("forge", [altered, without_signatures, lambda value: value[:-5], lambda _: b"{}"])
def test_what_the_deployment_did_not_sign_is_not_unpacked(tmp_path: Path, forge: Callable[[bytes], bytes]) -> None:
    value = release(write_content(tmp_path / "c"), 1)
    with pytest.raises(PolicyError):
        opened(forge(value), RING, NOW)


def test_another_deployments_release_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(PolicyError):
        opened(release(write_content(tmp_path / "c"), 1, Keyring([Epoch.of(b"x" * 32)])), RING, NOW)


def test_an_earlier_key_signs_as_long_as_its_while_lasts() -> None:
    rotated = Keyring([FIRST, msgspec.structs.replace(SECOND, start=NOW - timedelta(days=5), link=timedelta(days=30))])
    signed = RING.signatures(b"word", NOW)
    assert rotated.knows(b"word", signed, NOW)
    assert not rotated.knows(b"word", signed, NOW + timedelta(days=26))
    assert RING.knows(b"word", rotated.signatures(b"word", NOW), NOW)
    assert not rotated.knows(b"word", {**signed, rotated.epochs[1].check: b"forged"}, NOW)


def test_a_file_of_a_release_lies_nowhere_else(tmp_path: Path) -> None:
    wild = Named("1-0123456789abcdef", Release(1, NOW, "", {"content/../../out": b""}))
    with pytest.raises(ContentError):
        workshop(tmp_path).load(wild, RING)
    assert not (tmp_path / "out").exists()


def test_content_that_is_too_large_is_not_published() -> None:
    with pytest.raises(PolicyError, match="16 MiB packed"):
        sealed(Release(1, EPOCH, "", {"models/m/1.npz": random.Random(1).randbytes(16 << 20)}), RING)


def test_what_changes_is_said_and_what_becomes_of_it(tmp_path: Path) -> None:
    loaded = [
        workshop(tmp_path).load(opened(release(content, number), RING, NOW), RING)
        for number, content in enumerate(
            (
                write_content(tmp_path / "a", more="copy"),
                write_content(tmp_path / "b", level="high", timespan="2h", more="erase"),
            ),
            1,
        )
    ]
    assert changes(*loaded) == [
        "new: erase",
        "changed, its states go on: export",
        "changed, starts anew: many",
        "gone, what it holds is told when its windows close: copy",
    ]
    assert changes(None, loaded[0]) == []


def test_a_worker_goes_by_its_own_folders_until_something_is_published(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    before = worker.owners
    worker.control.hear([])
    assert (worker.number, worker.taken) == (0, [])
    worker.control.hear([release(write_content(tmp_path / "new", timespan="2h"), 1)])
    assert worker.number == 1
    assert [one.road.revisions.content for one in worker.taken] == [worker.control.roads.newest.revisions.content]
    assert worker.owners != before


def test_the_newest_release_holds_whatever_comes_again(tmp_path: Path) -> None:
    one, two = release(write_content(tmp_path / "a"), 1), release(write_content(tmp_path / "b", more="erase"), 2)
    worker = Worker(tmp_path)
    worker.control.hear([one, two, one])
    worker.control.hear([one])
    assert (worker.number, len(worker.taken)) == (2, 1)


def test_what_does_not_load_is_refused_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good, bad = write_content(tmp_path / "a"), write_content(tmp_path / "b")
    (bad / "detectors" / "office" / "erase.yaml").write_text(rule("erase").replace("condition: named", "condition: nothing"))
    worker = Worker(tmp_path)
    worker.control.hear([release(good, 1)])
    caplog.clear()
    with caplog.at_level(logging.WARNING, "xmsec.worker"):
        worker.control.hear([b"nonsense", release(bad, 2)])
    (passed, refused) = caplog.messages
    assert "passed over" in passed
    assert "release 2-" in refused
    assert "goes on with 1-" in refused
    assert "erase.yaml" in refused
    assert worker.number == 1


def test_a_frame_of_a_release_that_did_not_come_is_waited_for(tmp_path: Path) -> None:
    values = [release(write_content(tmp_path / "a", more=more), number) for number, more in ((1, ""), (2, "erase"))]
    names = [opened(value, RING, NOW).name for value in values]
    worker = Worker(tmp_path)
    worker.control.hear(values[:1])
    roads = worker.control.roads
    assert roads.of(msgspec.structs.replace(roads.newest.revisions, content=names[0])) is roads.newest
    newer = msgspec.structs.replace(roads.newest.revisions, content=names[1])
    with pytest.raises(AwaitedError):
        roads.of(newer)
    worker.control.hear(values[1:])
    assert roads.of(newer) is roads.newest


def test_a_late_starter_finds_the_detectors_of_states_that_were_left(tmp_path: Path) -> None:
    spans = ("1h", "2h", "3h")
    values = [release(write_content(tmp_path / "a", timespan=span), number) for number, span in enumerate(spans, 1)]
    early = Worker(tmp_path)
    owners = set()
    for value in values:
        early.control.hear([value])
        owners.update(one for one in early.owners if one.startswith("many"))
    late = Worker(tmp_path)
    late.control.hear(values)
    assert len(owners) == 3
    assert owners <= late.control.roads.passing(owners).detectors.keys()
    assert late.number == 3


def test_states_that_no_release_explains_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker(tmp_path)
    with caplog.at_level(logging.WARNING, "xmsec.worker"):
        worker.control.roads.passing({"left~01234567"})
        worker.control.roads.passing({"left~01234567"})
    assert len(caplog.messages) == 1


def test_a_worker_without_the_newest_key_takes_it_from_where_its_keys_come(tmp_path: Path) -> None:
    worker = Worker(tmp_path, later=ROTATED)
    worker.control.hear([release(write_content(tmp_path / "a"), 1, ROTATED)])
    assert worker.control.keyring.check == ROTATED.check
    assert worker.number == 1


def test_a_worker_that_cannot_have_the_newest_key_is_told_which(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    with pytest.raises(ConfigError, match="bring the key file that holds epoch 2"):
        worker.control.hear([release(write_content(tmp_path / "a"), 1, ROTATED)])
    assert worker.number == 0


def test_numbers_grow_also_where_nothing_is_known_of_those_before_or_the_clock_went_back() -> None:
    assert number_at(NOW, 0) < number_at(NOW + timedelta(seconds=1), 0)
    assert number_at(NOW, number_at(NOW + timedelta(days=1), 0)) == number_at(NOW + timedelta(days=1), 0) + 1
    assert number_of(f"{number_at(NOW, 0)}-0123456789abcdef") == number_at(NOW, 0)


def test_a_folder_keeps_as_many_releases_as_the_topic(tmp_path: Path) -> None:
    shop, content = workshop(tmp_path), write_content(tmp_path / "c")
    for number in range(1, KEPT + 3):
        shop.load(opened(release(content, number), RING, NOW), RING)
    assert sorted(number_of(path.name) for path in shop.folder.iterdir()) == list(range(3, KEPT + 3))
