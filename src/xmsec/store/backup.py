"""A home in one file, taken while it is written to: store, recordings, models and ledger of one moment.

The file is a tar archive packed with zstd; its last member, the manifest, says what the others must be, so that one which was
cut off is noticed. Recordings are append-only and their committed length is in the store, so the store's copy names the moment.
"""

from __future__ import annotations

import hashlib
import io
import os
import sqlite3
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import msgspec

from xmsec.model.errors import ConfigError, ServiceError
from xmsec.store.durable import sync_folder
from xmsec.store.recording import ENTRY

STORE = "store.sqlite"
RECORDINGS = "recordings"
MANIFEST = "manifest.json"
KEY = "key"
KEPT = ("models", "ledger", "exceptions")  # folders whose files come by rename, and are whole
_UNFINISHED = (".part", ".open")
_TRIES = 20  # a part that is sealed while the store is copied is tried again; that happens once an hour
CHUNK_BYTES = 1 << 20


class Entry(msgspec.Struct, frozen=True):
    """What one file must be."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds, and what it was made of. store_version: of its schema, 0 without a store."""

    version: int
    xmsec: str
    taken: datetime
    key_check: str
    content_revision: str
    store_version: int
    files: dict[str, Entry]


class About(msgspec.Struct, frozen=True):
    """What the home's caller knows of it."""

    xmsec: str
    taken: datetime
    key_check: str
    content_revision: str


def write(home: Path, file: Path, about: About, key: bytes | None = None) -> Manifest:
    """Write a home's backup; `file` appears when it is whole. key: goes in only when it is given.

    Raises ConfigError when `file` is there already, ServiceError when the store cannot be read.
    """
    if file.exists():
        raise ConfigError("a file is there already", where=str(file), remedy="name another: a backup replaces none")
    part = file.with_name(file.name + ".part")
    with _moment(home, part) as moment, _packed(part) as archive:
        files: dict[str, Entry] = {}
        for name, stream, size in moment.streams():
            files[name] = _add(archive, name, stream, size)
        if key is not None:
            files[KEY] = _add(archive, KEY, io.BytesIO(key), len(key))
        manifest = Manifest(
            1,
            about.xmsec,
            about.taken,
            about.key_check,
            about.content_revision,
            moment.store_version,
            dict(sorted(files.items())),
        )
        body = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        _add(archive, MANIFEST, io.BytesIO(body), len(body))
    part.rename(file)
    sync_folder(file.parent)
    return manifest


class _Moment:
    """A home as it was when its store was copied. open_part: held open, since sealing removes it."""

    def __init__(self, home: Path, copy: Path | None, entry: tuple[int, int], open_part: IO[bytes] | None) -> None:
        self._home, self._copy, self._open_part = home, copy, open_part
        self._number, self._length = entry
        self.store_version = 0 if copy is None else _version(copy)

    def streams(self) -> Iterator[tuple[str, IO[bytes], int]]:
        """Yield each file with what of it counts: its name, its bytes, how many."""
        if self._copy is not None:
            with self._copy.open("rb") as file:
                yield STORE, file, self._copy.stat().st_size
        if self._open_part is not None and self._length:
            yield f"{RECORDINGS}/{self._number:08d}.open", self._open_part, self._length
        for name in self._finished():
            with suppress(FileNotFoundError), (self._home / name).open("rb") as file:  # pruned meanwhile, by intention
                yield name, file, os.fstat(file.fileno()).st_size

    def _finished(self) -> Iterable[str]:
        after = f"{self._number:08d}.parquet"  # the part that the moment fell into, unless it was whole already, and later ones
        whole = self._open_part is None and self._length > 0
        later = {
            path
            for path in (self._home / RECORDINGS).glob("*.parquet")
            if self._copy is not None and (path.name > after or (path.name == after and not whole))
        }
        for path in sorted((self._home / RECORDINGS).rglob("*")):
            if path.is_file() and path.suffix not in _UNFINISHED and path not in later:
                yield path.relative_to(self._home).as_posix()
        for folder in KEPT:
            for path in sorted((self._home / folder).rglob("*")):
                if path.is_file() and path.suffix != ".part":
                    yield path.relative_to(self._home).as_posix()


@contextmanager
def _moment(home: Path, part: Path) -> Iterator[_Moment]:
    """Hold a moment of a home; its copy of the store lies beside the backup until then."""
    if not (home / STORE).exists():
        yield _Moment(home, None, (0, 0), None)
        return
    copy = part.with_name(part.name + ".store")
    try:
        for _ in range(_TRIES):
            number, length = _entry(home / STORE)
            with _opened(home / RECORDINGS / f"{number:08d}.open") as open_part:
                _copy(home / STORE, copy)
                entry = _entry(copy)
                # without an open part: nothing was recorded in it, or it had been sealed before, and holds what was committed
                if entry[0] == number and (open_part is not None or not entry[1] or length):
                    yield _Moment(home, copy, entry, open_part)
                    return
        raise ServiceError("the recording is sealed faster than it can be copied", where=str(home), remedy="try again")
    finally:
        copy.unlink(missing_ok=True)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes] | None]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        yield file


def _copy(store: Path, copy: Path) -> None:
    """Copy a store in one step, while others write; in WAL mode nobody waits for it."""
    copy.unlink(missing_ok=True)
    try:
        uri = f"{store.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # one file
            (told,) = target.execute("PRAGMA quick_check(1)").fetchone()
        copy.chmod(0o600)
    except sqlite3.Error as error:
        raise ServiceError(f"the store cannot be copied: {error}", where=str(store), remedy="check the disk") from error
    if told != "ok":
        raise ServiceError("the store is damaged", where=str(store), remedy="restore an earlier backup", retry=False)


def claimed(store: Path) -> str:
    """Return the check value of the key that a store's tokens were made with, "" when there are none; changes nothing."""
    return _meta(store, "key_check")


def _entry(store: Path) -> tuple[int, int]:
    """Return which part of the recording is open, and its committed length."""
    number, length = (_meta(store, ENTRY) or "1 0").split()
    return int(number), int(length)


def _meta(store: Path, key: str) -> str:
    """Read an entry as it is: a store that an older xmsec writes to is not migrated."""
    try:
        with closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    except sqlite3.Error as error:
        raise ServiceError(f"the store cannot be read: {error}", where=str(store), remedy="check the disk") from error
    return str(row[0]) if row else ""


def _version(store: Path) -> int:
    with closing(sqlite3.connect(store)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def _packed(part: Path) -> Iterator[tarfile.TarFile]:
    import pyarrow as pa  # heavy: only who backs up or restores needs it

    with part.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        with pa.CompressedOutputStream(file, "zstd") as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
            yield archive
        if not file.closed:
            file.flush()
            os.fsync(file.fileno())


class _Hashed:
    """Reads so many bytes of a stream, and knows their digest."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._left, self.digest = stream, size, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read on; a stream that is shorter than was said ends early, and tarfile refuses it."""
        chunk = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(chunk)
        self.digest.update(chunk)
        return chunk


def _add(archive: tarfile.TarFile, name: str, stream: IO[bytes], size: int) -> Entry:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    hashed: Any = _Hashed(stream, size)
    archive.addfile(member, hashed)
    return Entry(size, hashed.digest.hexdigest())


def read(file: Path, into: Path) -> Manifest:
    """Unpack a backup into an empty folder, and hold it against its manifest. Raises ConfigError; what it left is no use."""
    import pyarrow as pa

    found: dict[str, Entry] = {}
    manifest = b""
    try:
        with pa.input_stream(str(file), compression="zstd") as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
            for member in archive:
                stream = archive.extractfile(member)
                if stream is None or manifest:
                    raise _foreign(file)
                if member.name == MANIFEST:
                    manifest = stream.read()
                else:
                    found[member.name] = _unpack(stream, member, into, file)
        told = msgspec.json.decode(manifest, type=Manifest)
    except (tarfile.TarError, msgspec.DecodeError, pa.ArrowException, OSError, EOFError) as error:
        if isinstance(error, OSError) and error.filename:  # of the home's disk, not of the archive
            raise
        raise ConfigError(f"not a whole backup ({type(error).__name__})", where=str(file), remedy="take another") from error
    if told.files != found:
        raise ConfigError("the backup is not what its manifest says", where=str(file), remedy="take another")
    return told


def _unpack(stream: IO[bytes], member: tarfile.TarInfo, into: Path, file: Path) -> Entry:
    place = Path(member.name)
    if place.is_absolute() or ".." in place.parts or place.parts[0] not in (STORE, RECORDINGS, KEY, *KEPT):
        raise _foreign(file)
    path = into / place
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    hashed = _Hashed(stream, member.size)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        while chunk := hashed.read(CHUNK_BYTES):
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return Entry(path.stat().st_size, hashed.digest.hexdigest())


def _foreign(file: Path) -> ConfigError:
    return ConfigError("holds what no backup of xmsec does", where=str(file), remedy="name a file that `xmsec backup` wrote")


def settle(staged: Path, home: Path) -> Sequence[str]:
    """Move what was unpacked into its home, the store last: where it is, all the rest is. Return what was moved."""
    names = sorted((path.name for path in staged.iterdir()), key=lambda name: (name == STORE, name))
    for name in names:
        (staged / name).rename(home / name)
    sync_folder(home)
    return names
