"""The seams of the house: what a room must offer so that the road, the runtimes and the people's rooms can use it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import msgspec

from xmsec.model.types import (
    Act,
    Clock,
    Context,
    Counts,
    Event,
    Finding,
    Grant,
    Incident,
    Intent,
    Key,
    Label,
    Passed,
    Person,
    Position,
    Proposals,
    Raw,
    Rejected,
    Revisions,
    Tick,
)
from xmsec.model.types import Source as SourceKey

S = TypeVar("S")
Owned = tuple[str, Key]  # whose state (a detector's id, or "incidents") and which key's


class Held(msgspec.Struct, frozen=True, gc=False):
    """An owner's state of one key, and when it next wants time to pass (None: it waits for nothing)."""

    state: Any
    due: datetime | None


class States(Protocol):
    """A read-only view of what a deployment remembers; layers lie on top without a copy."""

    @property
    def clocks(self) -> Mapping[SourceKey, Clock]:
        """Return the clock of each source partition."""
        ...

    def get(self, owner: str, key: Key) -> Held | None:
        """Return the state of one owner's key, or None."""
        ...

    def due(self, watermark: datetime | None) -> Iterable[Owned]:
        """Return the keys whose state wants time to pass up to `watermark`; None means every key that waits for any time."""
        ...


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All that a batch gave: what a store commits, all or nothing. `states` holds the touched ones, None for an evicted one."""

    passed: Passed
    findings: Sequence[Finding]
    incidents: Sequence[Incident]
    intents: Sequence[Intent]
    rejected: Sequence[Rejected]
    counts: Counts
    proposals: Proposals
    clocks: Mapping[SourceKey, Clock]
    states: Mapping[Owned, Held | None]
    watermark: datetime | None
    revisions: Revisions


class Source(Protocol):
    """Yields records, in order per partition, and can start again after a position."""

    stream: str

    def read(self, after: Mapping[str, Position]) -> Iterator[Sequence[Raw | Tick]]:
        """Yield batches of records that stand after the given position of their partition."""
        ...


class Ledger(Protocol):
    """One revision of what is known; reading has no effect."""

    revision: int

    def labels(self, dataset: str) -> Sequence[Label]:
        """Return the labels of a dataset's fields."""
        ...

    def grants(self, grantee: str, dataset: str) -> Sequence[Grant]:
        """Return what authorises this grantee on this dataset, whenever it is valid."""
        ...

    def person(self, account: str) -> Person | None:
        """Return whom an account belongs to."""
        ...


class Matcher(Protocol):
    """The whole set of Sigma rules, run once an event; no state."""

    fields: frozenset[str]

    def match(self, batch: Sequence[Event]) -> Sequence[tuple[str, ...]]:
        """Return, for each event, the sorted ids of the rules that hold."""
        ...


class Detector(Protocol[S]):
    """Pure over the states it is handed; sees many keys at once. A state belongs to its key and has a stated maximum in bytes.

    The order of events within and between batches must not matter to what is final: `step` folds, `advance` closes, and one big
    `advance` equals many small ones. `state` is the msgspec type of S, for the stores' codecs.
    """

    id: str
    version: str
    fields: frozenset[str]
    state: type[S]

    def initial(self) -> Sequence[Key]:
        """Return the keys that exist before any event."""
        ...

    def keys(self, context: Context) -> Sequence[Key]:
        """Return whose state this event touches."""
        ...

    def start(self) -> S:
        """Return the state of a key that was never seen."""
        ...

    def step(self, states: Mapping[Key, S], batch: Sequence[tuple[Key, Context]]) -> tuple[Mapping[Key, S], Sequence[Finding]]:
        """Fold events into states, which must not be changed in place; give findings that are open now."""
        ...

    def due(self, state: S) -> datetime | None:
        """Return when this state next wants time to pass, or None."""
        ...

    def advance(self, states: Mapping[Key, S], watermark: datetime) -> tuple[Mapping[Key, S | None], Sequence[Finding]]:
        """Close what ended at or before the watermark; None evicts a state. Its findings are final."""
        ...


@runtime_checkable
class FedByRules(Protocol):
    """A detector that also says on which rules' matches its keys rest, so that it is shown those events alone.

    rules: an event for which none of them holds has no key of this detector; None: any event may have one.
    """

    rules: frozenset[str] | None


@runtime_checkable
class Shaped(Protocol):
    """A detector that says what its states depend on.

    shape: a changed version of it goes on with the states of another of the same shape, and starts anew beside those of another
    one. Who says no shape starts anew with each version.
    """

    shape: str


class Grouping(Protocol):
    """Turns findings into incidents and intents; has state like a detector, keyed by one primary entity."""

    state: type[Any]

    def step(
        self, states: Mapping[Key, Any], findings: Sequence[Finding]
    ) -> tuple[Mapping[Key, Any | None], Sequence[Incident], Sequence[Intent]]:
        """Fold findings into their entity's incidents; the same finding twice changes nothing.

        One that an exception covers leaves; an incident that lost its last is told once more, without findings. None evicts.
        """
        ...

    def due(self, state: Any) -> datetime | None:
        """Return when this state may be forgotten."""
        ...

    def advance(self, state: Any, watermark: datetime) -> Any | None:
        """Forget incidents that no finding can join any more."""
        ...


class Store(Protocol):
    """All or nothing; the same outcome twice changes nothing."""

    def commit(self, outcomes: Sequence[Outcome]) -> None:
        """Write what batches gave, in one transaction; positions are those of the outcomes' clocks."""
        ...

    def positions(self, stream: str) -> Mapping[str, Position]:
        """Return the last committed position of each partition."""
        ...

    def states(self) -> States:
        """Return what is committed."""
        ...


Table = Literal["findings", "incidents", "dead", "runs", "coverage", "labels"]


class Query(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a Reader is asked.

    where: column → one of these values; order: a column, "-" before it for descending; limit: rows a page; excepted: also
    findings that an exception covers, which are otherwise left out unless `where` names their id or exception; since, until:
    the table's time in [since, until); text: words that all occur, each somewhere in what a row is searched by.
    """

    table: Table
    where: dict[str, tuple[str, ...]] = {}
    order: str = "-time"
    limit: int = 100
    excepted: bool = False
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""

    @property
    def hides(self) -> bool:
        """Whether findings that an exception covers are left out."""
        return self.table == "findings" and not self.excepted and self.where.keys().isdisjoint(("id", "exception"))


class Page(msgspec.Struct, frozen=True):
    """Rows as CONTRACT writes records, and the cursor of the next page (None at the end)."""

    rows: Sequence[dict[str, Any]]
    next: str | None = None


class Use(msgspec.Struct, frozen=True):
    """How often an account used a dataset, in events of one system: exact, each event once.

    account: as events name it; "" of those that name none; the type of token, of those that are a token.
    """

    system: str
    dataset: str
    account: str
    events: int
    first: datetime
    last: datetime


class UseQuery(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whose use of what a Reader is asked for; what is empty asks for any. limit: the most used first.

    since, until: the days (in UTC) with use within [since, until); their counts are of whole days.
    """

    systems: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 1_000


class Reader(Protocol):
    """What everything that prints asks: pages and counts; SQLite and Elasticsearch answer alike."""

    def page(self, query: Query, after: str | None = None) -> Page:
        """Return one page in a total order."""
        ...

    def count(self, query: Query, by: Sequence[str]) -> Mapping[tuple[str, ...], int]:
        """Return how many rows there are for each combination of the named columns, one of several values under each."""
        ...

    def course(self, query: Query, step: timedelta, by: Sequence[str]) -> Mapping[tuple[int, tuple[str, ...]], int]:
        """Return how many rows there are in each step of time from the query's `since` on, and of the named columns.

        The first of a key is the step's number, from 0; steps without rows are left out.
        """
        ...

    def uses(self, query: UseQuery) -> Sequence[Use]:
        """Return who used what how often, each account, dataset and system once."""
        ...

    def flows(self) -> Mapping[str, Flow]:
        """Return what each stream brought."""
        ...

    def backlogs(self) -> Sequence[Backlog]:
        """Return what workers had not carried when they last said so, by role and partition; nothing where there are none."""
        ...


class Observer(Protocol):
    """What a Reader knows besides of datasets, which have a system in the ledger alone."""

    def observed(self, datasets: Sequence[str]) -> Proposals:
        """Return what was seen in which field of these datasets: (dataset, field, type) → spans."""
        ...

    def observed_datasets(self, limit: int) -> Sequence[str]:
        """Return the first names of all datasets in which something was seen."""
        ...


class Flow(msgspec.Struct, frozen=True):
    """What became of one stream's records: in a home since it began, of workers while what they counted is kept.

    records: all that came; counts: by what became of them; refused: (leg, reason) → dead letters; heard: the latest event time;
    received: when the last record or tick came.
    """

    records: int = 0
    counts: Mapping[str, int] = {}
    refused: Mapping[tuple[str, str], int] = {}
    heard: datetime | None = None
    received: datetime | None = None


class Backlog(msgspec.Struct, frozen=True, order=True):
    """Messages of a partition that a role had not carried when its worker last said so. stream: of a raw topic, else empty."""

    role: str
    topic: str
    partition: int
    messages: int
    told: datetime
    stream: str = ""


class Acts(Protocol):
    """What people decide of incidents and findings; kept apart from the engine's word, and laid over it at every write."""

    def put(self, act: Act) -> bool:
        """Record an act and shape the incidents that it speaks of; false when it was recorded before. Safe to repeat."""
        ...

    def cover(self, findings: Sequence[str], exception: str) -> None:
        """Say of findings that were told before an exception was made that it covers them, as a replay would."""
        ...

    def of(self, incident: str) -> Sequence[Act]:
        """Return the acts that speak of an incident, or of one that was merged into it, in the order of their time."""
        ...

    def parts(self, incident: str) -> Sequence[str]:
        """Return an incident's id, and those that were merged into it."""
        ...


class WorkflowStep(msgspec.Struct, frozen=True):
    """One CACAO step as a connector is given it: command type and body, target, resolved variables."""

    id: str
    command: str
    body: Mapping[str, Any]
    target: Mapping[str, Any]
    variables: Mapping[str, str]


class Plan(msgspec.Struct, frozen=True):
    """What a step would do: its target, how it is now, and how it will be."""

    target: str
    present: str
    to_be: str


class Connector(Protocol):
    """One kind of CACAO command."""

    command: str

    def plan(self, step: WorkflowStep) -> Plan:
        """Say what would be done, against what; nothing is changed."""
        ...

    def apply(self, step: WorkflowStep, key: str) -> Mapping[str, str]:
        """Do it; `key` is the same for the same step of the same run."""
        ...

    def verify(self, step: WorkflowStep, key: str) -> bool | None:
        """Did it happen? None: it cannot be known, ask a person."""
        ...

    def undo(self, step: WorkflowStep, key: str) -> None:
        """Take it back."""
        ...
