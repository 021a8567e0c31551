"""Which partition a file is: the hash of its stream and first bytes, so that a renamed, compressed or grown file keeps it.

A partition reads `<hash>-<n>`, n (hexadecimal) being how many first bytes were hashed: 1,024, or as many as there were when the
file was first seen. `~<inode>` follows for a second file that begins alike and goes on differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

HEAD_BYTES = 1024

_PARTITION = re.compile(r"[0-9a-f]{16}-([0-9a-f]{1,3})(~[0-9a-f]+)?")


def partition_of(stream: str, head: bytes) -> str:
    """Name the partition of a file that is seen for the first time.

    head: its first bytes, decompressed; what is beyond 1,024 is left out.

    >>> partition_of("generic.web", b"GET / 200")
    '9c8eac9d36c3d10d-9'
    """
    head = head[:HEAD_BYTES]
    return f"{blake2b(stream.encode() + bytes(1) + head, digest_size=8).hexdigest()}-{len(head):x}"


class Known:
    """The partitions of a stream that are known, and how long their beginnings are."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names: set[str] = set()
        self._lengths: set[int] = set()
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """Take one more."""
        self._names.add(name)
        if found := _PARTITION.fullmatch(name):
            self._lengths.add(int(found[1], 16))

    def identify(self, stream: str, head: bytes) -> str:
        """Name the partition of a file: the known one with the longest beginning that this file has too, else a new one."""
        for length in sorted(self._lengths, reverse=True):
            if 0 < length <= len(head):
                name = partition_of(stream, head[:length])
                if name in self._names:
                    return name
        return partition_of(stream, head)


def twin(partition: str, inode: int) -> str:
    """Name the partition of a file that begins like another one but is not it."""
    return f"{partition}~{inode:x}"
