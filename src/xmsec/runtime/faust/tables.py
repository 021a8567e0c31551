"""Faust tables whose rows are acknowledged before their frames are.

Faust's own `table[key] = value` puts the change into a buffer that a commit waits for a tenth of a second only: a worker killed
while the broker is slow has then committed a frame whose rows are nowhere. Here the changelog's word is awaited.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import faust

from xmsec.runtime.faust.post import Message, Post
from xmsec.runtime.faust.restore import restore
from xmsec.runtime.faust.share import Kept, Share


class Table:
    """The shares of the partitions that a worker has: rows in memory, and in a compacted topic.

    source: the topic whose partitions the table's are.
    """

    def __init__(self, app: faust.App, post: Post, name: str, source: str, kept: Callable[[int], Kept], count: int) -> None:
        self._table = app.Table(name, key_type=bytes, value_type=bytes, partitions=count)
        self._app, self._post, self._source, self._kept = app, post, source, kept
        self._shares: dict[int, Share] = {}
        post.meter.tables[name] = self
        signal: Any = app.on_partitions_assigned
        signal.connect(self._assigned)

    @property
    def _rows(self) -> dict[bytes, bytes]:
        store: Any = self._table.data  # a memory store keeps its rows in a dictionary
        rows: dict[bytes, bytes] = store.data
        return rows

    def __len__(self) -> int:
        """Return how many rows this worker has."""
        return len(self._rows)

    def share(self, number: int) -> Share:
        """Return what a partition remembers."""
        if number not in self._shares:
            self._shares[number] = Share(number, self._kept(number), self._rows)
        return self._shares[number]

    async def commit(self) -> None:
        """Write what shares took in, durably; a crash leaves a first part of each."""
        pending = [(number, name, value) for number, share in self._shares.items() for name, value in share.pending()]
        shares, topic = self._shares, self._table.changelog_topic
        await self._post.send([Message(topic, number, value, name) for number, name, value in pending])
        if self._shares is not shares:  # partitions were assigned meanwhile: Faust reads the rows from the topic
            return
        rows = self._rows
        for _, name, value in pending:
            if value is None:
                rows.pop(name, None)
            else:
                rows[name] = value
        for share in self._shares.values():
            share.settle()

    async def _assigned(self, _: Any, *told: Any, **__: Any) -> None:
        """Forget partitions that went to others: their rows would be stale when they come back."""
        mine = {tp.partition for tp in told[0] if tp.topic == self._source}
        rows = self._rows
        for name in [name for name in rows if int.from_bytes(name[:2], "big") not in mine]:
            del rows[name]
        self._shares = {}
        restore(self._app)
