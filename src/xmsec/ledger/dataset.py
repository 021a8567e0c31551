"""Datasets under their OpenLineage names, and who answers for them."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from xmsec.ledger.label import CERTAIN, WHOLE, WHOLE_TYPE, Field, gravest, label_of
from xmsec.model.types import Label, Level


class Owner(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who answers for datasets: an office, not an account."""

    id: str
    name: str = ""
    contact: str = ""


class Dataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One dataset. name: OpenLineage namespace, a slash, and name: `postgres://host:5432/db.schema.table`.

    grade: of the whole; a graver field raises it. A dataset with neither is listed, but not graded and not protected.
    as_of: when it was judged; the file's own date when left out.
    """

    name: str
    system: str
    owner: str
    title: str = ""
    grade: Level | None = None
    retention_days: int | None = None
    as_of: datetime | None = None
    fields: tuple[Field, ...] = ()

    @property
    def level(self) -> Level | None:
        """The grade of the whole: the gravest of its own and its fields'."""
        return gravest((self.grade, *(field.grade for field in self.fields)))

    def judged(self, as_of: datetime) -> Dataset:
        """Return the dataset with the date of its judgement, so that a later revision's date does not make it younger."""
        return self if self.as_of is not None else msgspec.structs.replace(self, as_of=as_of)


def labels_of(dataset: Dataset, as_of: datetime) -> tuple[Label, ...]:
    """Return the labels of a dataset: one for the whole (field `*`), then one a typed field; none when it has no grade."""
    level, as_of = dataset.level, dataset.as_of or as_of
    if level is None:
        return ()
    whole = Label(dataset.name, WHOLE, WHOLE_TYPE, level, CERTAIN, (), (), as_of.astimezone(UTC), dataset.owner)
    typed = (field for field in dataset.fields if field.type is not None)
    return (whole, *(label_of(dataset.name, field, level, as_of, dataset.owner) for field in typed))
