"""Where workers' recordings lie: a folder, or an object store that pyarrow's file systems reach.

A file appears whole or not at all, and is never changed: in a folder it is written beside, synced and renamed; an object store
takes one upload.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmsec.model.errors import ConfigError, ServiceError
from xmsec.store.claim import agrees

if TYPE_CHECKING:
    from xmsec.store.sealed import Sealed

_KEY_CHECK = "key_check"


class Archive:
    """Files below one place.

    place: a folder, or a URI such as s3://bucket/prefix. Raises ConfigError when it cannot be understood.
    """

    def __init__(self, place: str) -> None:
        import pyarrow as pa
        import pyarrow.fs as pafs  # heavy: only who records or reads needs it

        self.place = re.sub(r"//[^/@]*@", "//", place)  # what is said of it names no credentials
        remedy = "write a folder, file:///folder or s3://bucket/prefix"
        try:
            self._fs, root = pafs.FileSystem.from_uri(place if "://" in place else str(Path(place).absolute()))
        except (pa.ArrowException, OSError, ValueError):
            # from None: pyarrow's words quote the whole URI
            raise ConfigError("no place for recordings", where=f"XMSEC_RECORDINGS={self.place}", remedy=remedy) from None
        self._root = root.rstrip("/")
        if not self._root:
            raise ConfigError("no place for recordings", where=f"XMSEC_RECORDINGS={self.place}", remedy=remedy)
        self._local = isinstance(self._fs, pafs.LocalFileSystem)

    def claim(self, key_check: str) -> None:
        """Keep the keys' check values here. Raises ConfigError when the tokens here were made with other keys."""
        if not self.check(key_check):
            self.put(_KEY_CHECK, key_check.encode())

    def check(self, key_check: str) -> bool:
        """Whether these check values are kept here. Raises ConfigError when they are other keys'."""
        present = self.get(_KEY_CHECK)
        if present is None:
            return False
        return agrees(present.decode("ascii", "replace"), key_check, self.place)

    def names(self, below: str = "") -> list[tuple[str, int]]:
        """Return the paths of all files below a folder, with their sizes, sorted."""
        import pyarrow.fs as pafs

        with self._answering():
            base = f"{self._root}/{below}".rstrip("/")
            found = self._fs.get_file_info(pafs.FileSelector(base, recursive=True, allow_not_found=True))
            cut = len(self._root) + 1
            return sorted((one.path[cut:], one.size) for one in found if one.type == pafs.FileType.File)

    def files(self) -> list[Sealed]:
        """Return the workers' files, those of a partition in the order of their frames."""
        from xmsec.store.sealed import Sealed

        return sorted(one for one in map(Sealed.of, (name for name, _ in self.names())) if one is not None)

    def put(self, path: str, content: Any) -> None:
        """Write a file, whole and durable, whatever was there."""
        full = f"{self._root}/{path}"
        if self._local:
            _put(Path(full), content)
            return
        with self._answering(), self._fs.open_output_stream(full) as out:
            out.write(content)

    def get(self, path: str) -> bytes | None:
        """Read a small file, None when there is none."""
        with self._answering():
            try:
                with self._fs.open_input_file(f"{self._root}/{path}") as file:
                    content: bytes = file.read()
                    return content
            except FileNotFoundError:
                return None

    @contextmanager
    def open(self, path: str) -> Iterator[Any]:
        """Open a file for reading here and there in it."""
        with self._answering():
            file = self._fs.open_input_file(f"{self._root}/{path}")
        with file:
            yield file

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files; one that is gone already is as it should be."""
        for path in paths:
            with self._answering():
                try:
                    self._fs.delete_file(f"{self._root}/{path}")
                except FileNotFoundError:
                    continue

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Say in one line that an object store does not answer; a folder's errors name their file themselves."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            if self._local:
                raise
            remedy = "check XMSEC_RECORDINGS, its credentials and the network"
            raise ServiceError("the object store of recordings does not answer", where=self.place, remedy=remedy) from error


def _put(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")  # two workers may write the same file at the same time
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    for folder in (path.parent, *list(path.parents)[1:3]):  # a folder that is new must be in its parent, too
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
