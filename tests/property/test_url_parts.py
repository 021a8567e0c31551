"""What stands in the path and the query of a URL is what stands in the whole, and nothing stays that only a part shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.identifiers import CACHE, KEY, NOISE, VALUES, parsed, shipped

from xmsec.classify.road import classifier
from xmsec.model.types import Span

LEG = classifier(shipped(), {}, KEY, CACHE)
FAR = "& " * 15 + "&"  # no context word, value or lookaround reaches over it
WORDS = ("phone", "password=abc", "mobile=", "ip/", "卡号", "版本", "Chrome/", "v", "db://u:p", "w@h.cn", "access_token=")
PIECES = st.lists(st.one_of(VALUES, st.sampled_from((*WORDS, "/", "&", "=", ".", "-", "@", " ")), NOISE), max_size=5)
TEXTS = PIECES.map("".join).filter(lambda text: "?" not in text and text.isprintable() and not set("⟨⟩") & set(text))
HOSTS = st.sampled_from(["", "http://h.cn", "http://13800138000.cn:80"])


def split(host: str, path: str, query: str | None) -> dict[str, Any]:
    """Write a URL's fields as parse does."""
    fields = {"url.original": f"{host}/{path}" + ("" if query is None else f"?{query}"), "url.path": f"/{path}"}
    return fields if query is None else {**fields, "url.query": query}


def tokened(fields: dict[str, Any], leg: Any = LEG) -> tuple[dict[str, Any], Sequence[Span]]:
    ((event, spans),) = leg([parsed(fields=fields)])
    return event.fields, spans


def found_in(field: str, spans: Sequence[Span]) -> list[tuple[Any, ...]]:
    return [(span.start, span.end, span.type, span.token, span.score, span.kept) for span in spans if span.field == field]


@settings(max_examples=300, deadline=None)
@given(host=HOSTS, path=TEXTS, query=st.none() | TEXTS)
def test_where_the_seam_is_far_from_values_a_part_is_what_it_is_alone(host: str, path: str, query: str | None) -> None:
    fields = split(host + FAR if host else "", path + FAR, query if query is None else FAR + query)
    together, spans = tokened(fields)
    for name in fields.keys() - {"url.original"}:
        alone, expected = tokened({name: fields[name]})
        assert together[name] == alone[name]
        assert found_in(name, spans) == found_in(name, expected)


@settings(max_examples=300, deadline=None)
@given(host=HOSTS, path=TEXTS, query=st.none() | TEXTS)
def test_the_parts_say_what_the_whole_says(host: str, path: str, query: str | None) -> None:
    fields = split(host, path, query)
    together, spans = tokened(fields)
    whole = {span.token for span in spans if span.field == "url.original"}
    alone = [tokened({name: value}) for name, value in fields.items()]
    inside = {span.token for span in spans if span.field != "url.original"}
    assert {span.token for span in alone[0][1]} == whole
    if not host and whole <= inside:  # no value lies over the seam
        rejoined = together["url.path"] + ("" if query is None else "?" + together["url.query"])
        assume({span.token for _, more in alone[1:] for span in more} <= whole)  # no part shows what the whole hides
        assert rejoined == together["url.original"]


@settings(max_examples=300, deadline=None)
@given(host=HOSTS, path=TEXTS, query=st.none() | TEXTS)
def test_what_comes_out_of_a_url_holds_nothing_that_a_recogniser_knows(host: str, path: str, query: str | None) -> None:
    together, spans = tokened(split(host, path, query))
    for span in spans:
        assert together[span.field][span.start : span.end] == span.token
    assert tokened(together) == (together, ())
    for name, value in together.items():
        assert tokened({name: value}) == ({name: value}, ())


@settings(max_examples=100, deadline=None)
@given(urls=st.lists(st.tuples(TEXTS, st.none() | TEXTS), min_size=1, max_size=4), order=st.randoms(use_true_random=False))
def test_what_was_seen_before_changes_nothing(urls: list[tuple[str, str | None]], order: Any) -> None:
    documents = [split("", path, query) for path, query in urls]
    parts = [{name: value} for document in documents for name, value in document.items() if name != "url.original"]
    warm = classifier(shipped(), {}, KEY, CACHE)
    order.shuffle(parts)
    for part in parts:
        tokened(part, warm)
    fresh = classifier(shipped(), {}, KEY, CACHE)
    batch = [parsed(number, fields=fields) for number, fields in enumerate(documents)]
    assert list(warm(batch)) == list(fresh(batch)) == [one for document in batch for one in fresh([document])]


@pytest.mark.parametrize(
    "url, path, query",
    [
        ("/phone?14201234567", "/phone", "⟨CN_MOBILE:⟩"),
        ("/13800138000?", "/⟨CN_MOBILE:⟩", ""),
        ("/13800138000?13800138000", "/⟨CN_MOBILE:⟩", "⟨CN_MOBILE:⟩"),
        ("/a?Chrome/10.1.2.3", "/a", "Chrome/⟨IP_ADDRESS:⟩"),
        ("/login/password=ab?cd&x=13800138000", "/login/password=⟨SECRET_KEY:⟩", "⟨SECRET_KEY:⟩&x=⟨CN_MOBILE:⟩"),
        ("/to/db://u:pa?ss@h/x", "/to/⟨CREDENTIAL_URL:⟩", "⟨CREDENTIAL_URL:⟩"),
        ("/password=ab?x=13800138000", "/password=⟨SECRET_KEY:⟩", "⟨SECRET_KEY:⟩⟨CN_MOBILE:⟩"),
        ("http://h.cn/13800138000?m=li@xm.cn", "/⟨CN_MOBILE:⟩", "m=⟨EMAIL_ADDRESS:⟩"),
        ("http://h.cn/13800138000", "/⟨CN_MOBILE:⟩", None),
    ],
    ids=lambda value: None if value is None else value[:20],
)
def test_a_value_at_the_seam_stays_in_neither_part(url: str, path: str, query: str | None) -> None:
    host, _, rest = url.rpartition("h.cn") if "h.cn" in url and url[0] != "/" else ("", "", url)
    given_path, mark, given_query = rest.partition("?")
    fields = {"url.original": url, "url.path": given_path, **({"url.query": given_query} if mark else {})}
    together, spans = tokened(fields)
    for span in spans:
        together = {name: value.replace(span.token, f"⟨{span.type}:⟩") for name, value in together.items()}
    assert (together["url.path"], together.get("url.query")) == (path, query)
    assert host in url


def test_a_part_that_is_no_part_is_looked_at_for_itself() -> None:
    fields = {"url.original": "/a", "url.path": "/b/13800138000", "url.query": ["13800138000", 7]}
    together, spans = tokened(fields)
    assert together["url.path"].startswith("/b/⟨CN_MOBILE:")
    assert together["url.query"][1:] == [7]
    assert [span.field for span in spans] == ["url.path", "url.query"]


def test_a_part_of_what_cannot_be_scanned_is_looked_at_for_itself() -> None:
    path = "/" + "a" * 40_000
    together, spans = tokened(
        {"url.original": f"{path}?q={path}&m=13800138000", "url.path": path, "url.query": "m=13800138000"}
    )
    assert together["url.original"] == "⟨UNTOKENISED⟩"
    assert together["url.path"] == path
    assert [span.field for span in spans] == ["url.query"]
