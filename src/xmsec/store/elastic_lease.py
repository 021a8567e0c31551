"""One run's document while somebody holds it: each write follows the version that was seen last, or is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

import msgspec

from xmsec.respond.chain import Entry
from xmsec.respond.drive import HeldError

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch


class Held(msgspec.Struct, frozen=True):
    """A run's document as it was found. hash: of its last entry, as it stands beside the chain; version: to compare by."""

    entries: tuple[Entry, ...]
    hash: str
    holder: str
    term: int
    lease_ms: int
    version: tuple[int, int]


class Holder(msgspec.Struct, frozen=True):
    """Who goes on with a run: a name that nobody else has, and how long it may be silent before another takes the run."""

    name: str
    lease_s: float


class Lease:
    """Writes to one run's document. entries: what is recorded; a run that was not found is made by its first write."""

    def __init__(self, client: Elasticsearch, index: str, run: str, holder: Holder, found: Held | None) -> None:
        self.entries: Sequence[Entry] = () if found is None else found.entries
        self._client, self._index, self._run, self._holder = client, index, run, holder
        self._version = None if found is None else found.version
        self._term = 0 if found is None else found.term
        self._mine = False  # the document names us as its holder
        self._unsure = False  # whether the last write arrived is not known
        self._lock = Lock()  # a beat and an entry may be written at once

    def take(self) -> None:
        """Become the holder of the version that was found. Raises ConflictError when it is not there any more."""
        self.write(self._name())

    def write(self, changes: Mapping[str, Any]) -> None:
        """Change the document, durably. Raises HeldError when another one has taken it."""
        with self._lock:
            self._write(changes)

    def beat(self) -> None:
        """Say that we live."""
        with self._lock:
            if self._mine:
                self._write({})

    def release(self) -> None:
        """Let the next one in at once."""
        with self._lock:
            if self._mine:
                self._write({"holder": None})
                self._mine = False

    def _write(self, changes: Mapping[str, Any]) -> None:
        from elasticsearch import ApiError, ConflictError, TransportError

        if self._unsure:
            self._look()
        body = {**changes, "term": self._term + 1}
        try:
            answer = self._send(body)
        except ConflictError:
            answer = self._own(self._term + 1)  # a client that asks another node repeats what the first one did
            if answer is None and not self._mine and self._version is not None:
                raise
        except (ApiError, TransportError):
            self._unsure = self._mine
            raise
        if answer is None:
            self._mine = False
            raise HeldError("another process has taken this run", where=self._run, remedy="see xmsec playbook show RUN")
        self._mine, self._term = True, self._term + 1
        self._version = (answer["_seq_no"], answer["_primary_term"])

    def _send(self, body: Mapping[str, Any]) -> Any:
        if self._version is None:
            return self._client.create(index=self._index, id=self._run, document={**self._name(), **body})
        seq_no, primary_term = self._version
        return self._client.update(
            index=self._index, id=self._run, doc=dict(body), if_seq_no=seq_no, if_primary_term=primary_term
        )

    def _own(self, term: int | None = None) -> Any:
        """Return the document when it is as we wrote it last."""
        hit = self._client.get(index=self._index, id=self._run)
        source = hit["_source"]
        return hit if source.get("holder") == self._holder.name and term in (None, source["term"]) else None

    def _look(self) -> None:
        """Find out whether a write of ours arrived, whose answer did not."""
        hit = self._own()
        if hit is not None:
            self._version, self._term = (hit["_seq_no"], hit["_primary_term"]), hit["_source"]["term"]
            self.entries = msgspec.convert(hit["_source"]["entries"], tuple[Entry, ...])
        self._unsure = False  # of a document that another one has, our version is refused

    def _name(self) -> dict[str, Any]:
        return {"holder": self._holder.name, "lease_ms": int(self._holder.lease_s * 1000)}
