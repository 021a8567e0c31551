"""What a check has to say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from xmsec.content.detectors import DetectorFile


class Issue(msgspec.Struct, frozen=True, order=True):
    """Something that is wrong (error) or that a reader will miss (warning): `path:line`, what, and what to do."""

    where: str
    what: str
    remedy: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return "; ".join(part for part in (self.what, self.where, self.remedy) if part)


class Known(msgspec.Struct, frozen=True):
    """What files may refer to: the fields that each stream carries, the playbooks that are loaded."""

    fields_by_stream: Mapping[str, frozenset[str]] = {}
    playbooks: frozenset[str] = frozenset()

    @property
    def fields(self) -> frozenset[str]:
        """Every field that some stream carries."""
        return frozenset().union(*self.fields_by_stream.values())


Check = Callable[[DetectorFile, Known], Iterable[Issue]]
CheckAll = Callable[[Sequence[DetectorFile], Known], Iterable[Issue]]


def issue(file: DetectorFile, what: str, at: str, remedy: str, severity: Literal["error", "warning"] = "error") -> Issue:
    """Make an issue that names the line of a place in a file."""
    return Issue(file.error("", at).where, what, remedy, severity)
