"""Which partition a file is: the hash of its stream and first bytes, so that a renamed, compressed or grown file keeps it.

A partition reads `<hash>-<n>`, n (hexadecimal) being how many first bytes were hashed: 1,024, or as many as there were when the
file was first seen. `~<inode>` follows for a second file that begins alike and goes on differently.
"""

from __future__ import annotations

import re
from collections.abc import Collection
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


def identify(stream: str, head: bytes, known: Collection[str]) -> str:
    """Name the partition of a file: the known one with the longest beginning that this file has too, else a new one."""
    lengths = {int(found[1], 16) for name in known if (found := _PARTITION.fullmatch(name))}
    for length in sorted(lengths, reverse=True):
        if 0 < length <= len(head):
            name = partition_of(stream, head[:length])
            if name in known:
                return name
    return partition_of(stream, head)


def twin(partition: str, inode: int) -> str:
    """Name the partition of a file that begins like another one but is not it."""
    return f"{partition}~{inode:x}"
