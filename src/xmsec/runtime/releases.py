"""Content, models and ledger of a deployment as one signed message, and as a road again on another machine.

A release is all that workers go by. It is signed with the deployment's keys: who can write to Kafka and has no key can neither
make one nor change one. Its name says its number, by which releases follow one another, and a hash of what it holds.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from hashlib import blake2b
from pathlib import Path
from typing import Any

import cramjam
import msgspec

from xmsec.classify.epochs import Keyring
from xmsec.content.exceptions import FOLDER as EXCEPTIONS
from xmsec.content.load import files
from xmsec.content.recipes import Recipe
from xmsec.detect.modelfile import newest
from xmsec.model.errors import ContentError, PolicyError
from xmsec.model.ids import digest
from xmsec.model.ports import Detector, Shaped
from xmsec.model.types import Revisions
from xmsec.runtime.assemble import Deployment, assemble

WORKED_BY = ("streams", "classifiers", "detectors", "playbooks", EXCEPTIONS)  # the rest is no business of these hops
KEPT = 16  # releases in topic and folder: the frames and windows of an earlier one are long behind
MOST_BYTES = 15 << 20  # what our topics take, less what Kafka adds; all that is shipped takes 40 KB, a model some 100 KB
_NAME = re.compile(r"([1-9][0-9]{0,13})-[0-9a-f]{16}")
_SAFE = re.compile(r"[^/\\\0]+(/[^/\\\0]+)*")
_encode = msgspec.msgpack.Encoder().encode


class Release(msgspec.Struct, frozen=True):
    """What is published.

    number: of the moment, growing; key_check: of the keys that its tokens are made under; files: by their path.
    """

    number: int
    published: datetime
    key_check: str
    files: dict[str, bytes]


class Named(msgspec.Struct, frozen=True):
    """A release that was read, and its name: what frames call the content that they were made under."""

    name: str
    release: Release


class _Signed(msgspec.Struct, frozen=True):
    body: bytes
    signatures: dict[str, bytes]


def number_of(content: str) -> int:
    """Return the number of the release that a content revision names; 0 for one that was never published.

    >>> number_of("20261125093000-5f2a9c1e00112233"), number_of("5f2a9c1e00112233")
    (20261125093000, 0)
    """
    found = _NAME.fullmatch(content)
    return int(found[1]) if found else 0


def number_at(moment: datetime, before: int) -> int:
    """Return the number of a release: its second, in UTC, so that numbers grow also when nothing is known of those before.

    >>> number_at(datetime(2026, 11, 25, 9, 30, tzinfo=UTC), 0)
    20261125093000
    """
    return max(int(f"{moment.astimezone(UTC):%Y%m%d%H%M%S}"), before + 1)


def gathered(dirs: Iterable[Path], home: Path, recipes: Iterable[Recipe], zone: tzinfo) -> dict[str, bytes]:
    """Return the files that workers go by: content as it is laid over one another, each recipe's model, ledger, exceptions."""
    dirs = list(dirs)
    found: dict[str, Path] = {}
    for folder in WORKED_BY:
        for path in files(dirs, folder, (".yaml", ".yml", ".json")):
            top = next(each for each in reversed(dirs) if path.is_relative_to(each / folder))
            found[f"content/{path.relative_to(top).as_posix()}"] = path
    for recipe in recipes:
        model = newest(home / "models" / recipe.id, recipe.digest, str(zone))
        if model is not None:
            found[f"models/{recipe.id}/{model.name}"] = model
    for path in files([home], EXCEPTIONS):
        found[path.relative_to(home).as_posix()] = path
    for path in sorted((home / "ledger").glob("*.yaml"))[-1:]:
        found[f"ledger/{path.name}"] = path
    return {name: found[name].read_bytes() for name in sorted(found)}


def sealed(release: Release, keyring: Keyring) -> tuple[str, bytes]:
    """Return a release's name and the message that carries it. Raises PolicyError when it is too large."""
    body = bytes(cramjam.zstd.compress(_encode(release)))
    value = _encode(_Signed(body, keyring.signatures(body, release.published)))
    if len(value) > MOST_BYTES:
        what = f"content and models are {len(value) >> 20} MiB packed, a release takes {MOST_BYTES >> 20}"
        raise PolicyError(what, where="content publish", remedy="remove models that no recipe needs")
    return _name(release, body), value


def opened(value: bytes, keyring: Keyring, now: datetime) -> Named:
    """Read a message. Raises PolicyError, before anything of it is unpacked, when this deployment did not sign it."""
    try:
        signed = msgspec.msgpack.decode(value, type=_Signed)
    except msgspec.DecodeError as error:
        raise PolicyError("is no release", where="control topic") from error
    if not keyring.knows(signed.body, signed.signatures, now):
        raise PolicyError("is not signed with a key of this deployment that is in use", where="control topic")
    release = msgspec.msgpack.decode(bytes(cramjam.zstd.decompress(signed.body)), type=Release)
    return Named(_name(release, signed.body), release)


def _name(release: Release, body: bytes) -> str:
    return f"{release.number}-{blake2b(body, digest_size=8).hexdigest()}"


class Workshop(msgspec.Struct, frozen=True):
    """Where releases are unpacked and loaded: a folder that keeps them, one for what is slow to compile, and the zone."""

    folder: Path
    cache: Path
    zone: tzinfo

    def load(self, named: Named, keyring: Keyring) -> Deployment:
        """Make a release's road. Raises ContentError when not all of it loads: half a release is none."""
        root = self._unpacked(named)
        made = assemble([root / "content"], root, keyring, self.zone, self.cache)
        if made.problems:
            first = made.problems[0]
            raise ContentError(f"{len(made.problems)} of its parts do not load: {first.what}", where=first.where)
        revisions = Revisions(named.name, made.ledger.revision)
        return msgspec.structs.replace(made, road=msgspec.structs.replace(made.road, revisions=revisions))

    def _unpacked(self, named: Named) -> Path:
        """Write a release's files below the folder, whole or not at all; what lies there already is what its name says."""
        root = self.folder / named.name
        if root.is_dir():
            return root
        part = self.folder / f".{named.name}.{os.getpid()}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for name, content in named.release.files.items():
            if not _SAFE.fullmatch(name) or ".." in name.split("/"):
                raise ContentError("a file of it has no place", where=named.name, remedy="publish again")
            path = part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        try:
            part.rename(root)
        except OSError:  # another worker of this home was first
            shutil.rmtree(part, ignore_errors=True)
        for stale in sorted(filter(number_of, os.listdir(self.folder)), key=number_of)[:-KEPT]:
            shutil.rmtree(self.folder / stale, ignore_errors=True)
        return root


def owner_of(detector: Detector[Any]) -> str:
    """Return who owns a detector's states where several releases live beside each other: its id, and its states' shape."""
    shape = detector.shape if isinstance(detector, Shaped) else detector.version
    return f"{detector.id}~{digest(detector.state.__name__, shape)[:8]}"


def changes(before: Deployment | None, after: Deployment) -> Sequence[str]:
    """Say what a release changes: detectors that are new and gone, and of those that changed, what becomes of their states."""
    was, now = _versions(before) if before else {}, _versions(after)
    both = [name for name in now if name in was and now[name] != was[name]]
    told = {
        "new": [name for name in now if name not in was],
        "changed, its states go on": [name for name in both if now[name][1] == was[name][1]],
        "changed, starts anew": [name for name in both if now[name][1] != was[name][1]],
        "gone, what it holds is told when its windows close": [name for name in was if name not in now],
    }
    said = [f"{what}: {', '.join(sorted(names))}" for what, names in told.items() if names and before]
    fresh = sorted(after.streams.keys() - before.streams.keys()) if before else []
    if fresh:
        said.append(f"new streams: {', '.join(fresh)}; `xmsec topics ensure`, and start the workers again to read them")
    if before and before.ledger.revision != after.ledger.revision:
        said.append(f"ledger revision {before.ledger.revision} → {after.ledger.revision}")
    return said


def _versions(deployment: Deployment) -> Mapping[str, tuple[str, str]]:
    """Return version and owner of every detector file, and of every detector that has none (a model)."""
    made = deployment.road.detectors
    owners = {name: owner_of(detector) for name, detector in made.items()}
    found = {name: (detector.version, owners[name]) for name, detector in made.items() if name != "sigma"}
    return found | {file.id: (file.version, owners.get(file.id) or owners.get("sigma", "")) for file in deployment.files}
