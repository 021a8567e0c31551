"""One small family of errors; each says what happened, where, and what to do.

XmsecError
├── ContentError   a content file is wrong: file and line
├── InputError     a record cannot be read: a short reason, never the record
├── ConfigError    a setting, path or key is wrong
├── ServiceError   a server does not answer; `retry` says whether waiting may help
└── PolicyError    refused, and by what
"""

from __future__ import annotations

EXIT_NO = 1
EXIT_USAGE = 2
EXIT_SERVICE = 3
EXIT_INTERRUPTED = 4
EXIT_INTERNAL = 70  # a fault of our own (sysexits EX_SOFTWARE)


class XmsecError(Exception):
    """What went wrong, where, and what to do; its text is the line a user sees. It never holds a value of a record."""

    exit_code = EXIT_USAGE

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__("; ".join(part for part in (what, where, remedy) if part))


class ContentError(XmsecError):
    """A content file that cannot be used; `where` is `path:line`."""

    exit_code = EXIT_NO


class InputError(XmsecError):
    """A record or an input that cannot be read; `what` is a short reason that names no content, such as `no-match`."""


class ConfigError(XmsecError):
    """A setting, a path or a key that is wrong."""


class ServiceError(XmsecError):
    """A server that does not answer; `retry` is true when the same call may succeed later."""

    exit_code = EXIT_SERVICE

    def __init__(self, what: str, *, where: str = "", remedy: str = "", retry: bool = True) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.retry = retry


class PolicyError(XmsecError):
    """Something that may not be done; `where` names the rule that refuses it."""

    exit_code = EXIT_NO
