"""The parse leg: every record goes to its stream's parser, made once from the stream's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.model.types import Parsed, Raw
from xmsec.parse.document import document_parser
from xmsec.parse.table import TIDY_WHEN_PLAIN, maker_of

Parse = Callable[[Raw], Parsed | None]


def parser(streams: Mapping[str, Stream], zone: tzinfo) -> Parse:
    """Make the parse leg: None for a blank line, InputError(reason) for a record that is refused.

    zone: of times without one. Raises ConfigError for a format that nobody offers. A reason is a short word (`no-match`,
    `bad-json`, `bad-time`, `too-deep`, `nul-line`, `over-encoded` …) and never quotes the record.
    """
    by_stream = {name: stream_parser(stream, zone) for name, stream in streams.items()}

    def parse(raw: Raw) -> Parsed | None:
        one = by_stream.get(raw.position.stream)
        if one is None:
            raise InputError("unknown-stream")
        return one(raw)

    return parse


def stream_parser(stream: Stream, zone: tzinfo) -> Parse:
    """Make the parser of one stream. Raises ConfigError."""
    return document_parser(stream, maker_of(stream.format), zone, tidy_when_plain=stream.format in TIDY_WHEN_PLAIN)
