"""A server that modules share is given back empty: groups, topics, indices, templates and repositories go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from elasticsearch import Elasticsearch
from kafka import KafkaAdminClient
from kafka.admin import MemberToRemove
from tests.servers import real

INDICES_AT_ONCE = 20  # their names stand in one address, of which a node takes 4 kB


def empty_kafka(bootstrap: str) -> None:
    """Delete every group and topic, and wait until they are gone.

    Killed workers stay members until their session ends: they are put out. Raises AssertionError when a worker still runs: it
    would come back, and work on the next module's topics of the same names.
    """
    running = [command for command in _children() if b"worker" in command]
    assert not running, f"workers are left running: {running}"
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        names = _put_out(admin)
        left = [name for name, said in admin.delete_groups(names).items() if said != "OK"] if names else []
        assert not left, left
        if topics := _topics(admin):
            admin.delete_topics(topics)
            real.until(lambda: not _topics(admin))
            assert not _topics(admin)


def put_out(bootstrap: str) -> None:
    """Let killed workers leave their groups now, and not when their session ends; none that lives may be in one."""
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        _put_out(admin)


def _put_out(admin: KafkaAdminClient) -> list[str]:
    """Put every member out of its group; return the groups."""
    names = [one["group_id"] for one in admin.list_groups()]
    for name, group in admin.describe_groups(names).items() if names else ():
        members = [MemberToRemove(member_id=one["member_id"]) for one in group["members"]]
        if members:
            admin.remove_group_members(name, members)
    return names


def _children() -> Iterator[bytes]:
    """Command lines of this process's children."""
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended
            parent = (place / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                yield (place / "cmdline").read_bytes()


def _topics(admin: KafkaAdminClient) -> list[str]:
    return [name for name in admin.list_topics() if not name.startswith("__")]


def empty_elasticsearch(url: str) -> None:
    """Delete every index, with its aliases, every template and every repository of snapshots."""
    with Elasticsearch(url, request_timeout=60) as client:
        indices = sorted(client.indices.get(index="*", expand_wildcards="all", features="aliases"))
        for start in range(0, len(indices), INDICES_AT_ONCE):
            client.indices.delete(index=",".join(indices[start : start + INDICES_AT_ONCE]))
        client.indices.delete_index_template(name="*")
        client.snapshot.delete_repository(name="*")
