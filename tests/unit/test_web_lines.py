"""Lines of web servers as they really are, and what they are in ECS."""

from __future__ import annotations

from typing import Any

import pytest
from tests.parsers import ZONE, parsed, raw_of, stream_of

from xmsec.model.errors import InputError
from xmsec.parse.combined import combined
from xmsec.parse.document import document_parser

WHEN = "[24/Nov/2026:08:00:00 +0800]"
REST = '200 5 "-" "-"'

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "IPv6": (f'2001:db8::1 - - {WHEN} "GET / HTTP/1.1" {REST}', {"source.ip": "2001:db8::1", "url.path": "/"}),
    "IPv4 in IPv6": (f'::ffff:192.0.2.1 - - {WHEN} "GET / HTTP/1.1" {REST}', {"source.ip": "::ffff:192.0.2.1"}),
    "address and port": (f'192.0.2.1:5123 - - {WHEN} "GET / HTTP/1.1" {REST}', {"source.ip": "192.0.2.1", "source.port": 5123}),
    "host name": (f'gw.example.cn - - {WHEN} "GET / HTTP/1.1" {REST}', {"source.address": "gw.example.cn", "source.ip": None}),
    "unix socket": (f'unix: - - {WHEN} "GET / HTTP/1.1" {REST}', {"source.address": "unix:", "source.ip": None}),
    "virtual host": (
        f'www.example.cn:443 192.0.2.1 - - {WHEN} "GET / HTTP/1.1" {REST}',
        {"url.domain": "www.example.cn", "url.port": 443, "source.ip": "192.0.2.1"},
    ),
    "nobody known": (f'- - - {WHEN} "GET / HTTP/1.1" {REST}', {"source.ip": None, "source.address": None}),
    "forwarded": (
        f'203.0.113.5, 10.0.0.1 - - {WHEN} "GET / HTTP/1.1" {REST}',
        {"source.ip": "203.0.113.5", "url.domain": None},
    ),
    "forwarded twice": (
        f'2001:db8::1, 10.0.0.1, ::1 - lin {WHEN} "GET /" {REST}',
        {"source.ip": "2001:db8::1", "user.name": "lin"},
    ),
    "forwarded, close": (f'203.0.113.5,10.0.0.1 - - {WHEN} "GET / HTTP/1.1" {REST}', {"source.ip": "203.0.113.5"}),
    "forwarded to a virtual host": (
        f'www.example.cn:443 203.0.113.5, 10.0.0.1 - - {WHEN} "GET / HTTP/1.1" {REST}',
        {"url.domain": "www.example.cn", "source.ip": "203.0.113.5"},
    ),
    "virtual host, IPv6": (f'www.example.cn:80 ::1 - - {WHEN} "GET / HTTP/1.1" {REST}', {"source.ip": "::1", "url.port": 80}),
    "user": (f'192.0.2.1 - lin {WHEN} "GET / HTTP/1.1" {REST}', {"user.name": "lin"}),
    "user with spaces": (f'192.0.2.1 - Lin Xiao Ming {WHEN} "GET / HTTP/1.1" {REST}', {"user.name": "Lin Xiao Ming"}),
    "ident": (f'192.0.2.1 bob lin {WHEN} "GET / HTTP/1.1" {REST}', {"client.user.name": "bob", "user.name": "lin"}),
    "no user": (f'192.0.2.1 - - {WHEN} "GET / HTTP/1.1" {REST}', {"user.name": None, "http.request.referrer": None}),
    "common": (
        f'192.0.2.1 - - {WHEN} "GET /a HTTP/1.0" 404 209',
        {"http.response.status_code": 404, "event.outcome": "failure"},
    ),
    "no bytes": (
        f'192.0.2.1 - - {WHEN} "HEAD /a HTTP/1.0" 304 -',
        {"http.response.body.bytes": None, "event.outcome": "success"},
    ),
    "HTTP/2": (f'192.0.2.1 - - {WHEN} "GET / HTTP/2.0" {REST}', {"http.version": "2.0"}),
    "HTTP/0.9": (f'192.0.2.1 - - {WHEN} "GET /old" {REST}', {"http.version": None, "url.path": "/old"}),
    "empty request": (f'192.0.2.1 - - {WHEN} "-" 408 0 "-" "-"', {"http.request.method": None, "url.original": None}),
    "no request": (f'192.0.2.1 - - {WHEN} "" 400 0 "-" "-"', {"http.request.method": None, "url.original": None}),
    "TLS to a plain port": (
        rf'192.0.2.1 - - {WHEN} "\x16\x03\x01\x00\xA0" 400 150 "-" "-"',
        {"url.original": "\ufffd\ufffd\ufffd\ufffd\ufffd", "http.request.method": None},
    ),
    "another protocol": (f'192.0.2.1 - - {WHEN} "SSH-2.0-OpenSSH_9.2" 400 0', {"url.original": "SSH-2.0-OpenSSH_9.2"}),
    "spaces in the URL": (f'192.0.2.1 - - {WHEN} "GET /a b c HTTP/1.1" {REST}', {"url.path": "/a b c", "http.version": "1.1"}),
    "a version that is none": (
        f'192.0.2.1 - - {WHEN} "GET /x HTTP/13800138000" {REST}',
        {"http.version": None, "url.path": "/x HTTP/13800138000"},
    ),
    "WebDAV": (f'192.0.2.1 - - {WHEN} "VERSION-CONTROL /x HTTP/1.1" {REST}', {"http.request.method": "VERSION-CONTROL"}),
    "lower-case method": (f'192.0.2.1 - - {WHEN} "get / HTTP/1.1" {REST}', {"url.path": "/", "http.request.method": "get"}),
    "through a proxy": (
        f'192.0.2.1 - - {WHEN} "GET http://u:p@a.example:8080/x?y=1 HTTP/1.1" {REST}',
        {
            "url.scheme": "http",
            "url.domain": "a.example",
            "url.port": 8080,
            "url.path": "/x",
            "url.query": "y=1",
            "url.username": "u",
        },
    ),
    "proxy without path": (f'192.0.2.1 - - {WHEN} "GET http://a.example?q=1 HTTP/1.1" {REST}', {"url.query": "q=1"}),
    "CONNECT": (f'192.0.2.1 - - {WHEN} "CONNECT a.example:443 HTTP/1.1" {REST}', {"url.domain": "a.example", "url.port": 443}),
    "OPTIONS *": (f'192.0.2.1 - - {WHEN} "OPTIONS * HTTP/1.0" {REST}', {"url.path": "*"}),
    "empty query": (f'192.0.2.1 - - {WHEN} "GET /? HTTP/1.1" {REST}', {"url.query": "", "url.original": "/?"}),
    "encoded question mark": (f'192.0.2.1 - - {WHEN} "GET /a%3Fb?c HTTP/1.1" {REST}', {"url.path": "/a?b", "url.query": "c"}),
    "escaped quotes": (
        rf'192.0.2.1 - - {WHEN} "GET /\"x\" HTTP/1.1" 200 5 "-" "a \"b\" \\ c"',
        {"url.path": '/"x"', "user_agent.original": 'a "b" \\ c'},
    ),
    "bare quotes in the agent": (
        f'192.0.2.1 - - {WHEN} "GET / HTTP/1.1" 200 5 "-" "a "b" c"',
        {"user_agent.original": 'a "b" c', "http.request.referrer": None},
    ),
    "bare quotes in the URL": (f'192.0.2.1 - - {WHEN} "GET /?q="x" HTTP/1.1" {REST}', {"url.query": 'q="x"'}),
    "a quoted request in the request": (
        f'192.0.2.1 - - {WHEN} "GET /?a=" 200 1 HTTP/1.1" {REST}',
        {"http.response.status_code": 200},
    ),
    "Chinese, escaped by bytes": (
        rf'192.0.2.1 - \xE5\xBC\xA0 {WHEN} "GET / HTTP/1.1" 200 5 "-" "\xE5\xBC\xA0\xE4\xB8\x89"',
        {"user.name": "张", "user_agent.original": "张三"},
    ),
    "Chinese, plain": (f'192.0.2.1 - - {WHEN} "GET /厦门 HTTP/1.1" {REST}', {"url.path": "/厦门"}),
    "encoded referrer": (
        f'192.0.2.1 - - {WHEN} "GET / HTTP/1.1" 200 5 "http://s.example/s%3Fx?q=%E5%8E%A6+%E9%97%A8" "A%20B"',
        {"http.request.referrer": "http://s.example/s?x?q=厦 门", "user_agent.original": "A B"},
    ),
    "NUL and line ends in the URL": (
        f'192.0.2.1 - - {WHEN} "GET /a%00b%0d%0ac HTTP/1.1" {REST}',
        {"url.path": "/a\ufffdb\ufffd\ufffdc"},
    ),
    "GBK in the URL": (f'192.0.2.1 - - {WHEN} "GET /%D5%C5 HTTP/1.1" {REST}', {"url.path": "/\ufffd\ufffd"}),
    "forwarded address behind": (
        f'192.0.2.1 - - {WHEN} "GET / HTTP/1.1" {REST} "198.51.100.7, 10.0.0.1"',
        {"labels.tail": "198.51.100.7, 10.0.0.1", "user_agent.original": None},
    ),
    "dash behind": (f'192.0.2.1 - - {WHEN} "GET / HTTP/1.1" {REST} "-"', {"labels.tail": None}),
    "time behind": (f'192.0.2.1 - - {WHEN} "GET / HTTP/1.1" {REST} 0.003', {"labels.tail": "0.003"}),
    "time behind common": (f'192.0.2.1 - - {WHEN} "GET / HTTP/1.1" 200 5 1834', {"labels.tail": "1834"}),
    "an end that is missing": (
        f'192.0.2.1 - - {WHEN} "GET / HTTP/1.1" 200 5 "-" "Mozilla/5.0 (Lin',
        {"user_agent.original": "Mozilla/5.0 (Lin"},
    ),
}


@pytest.mark.parametrize(("line", "expected"), CASES.values(), ids=CASES.keys())
def test_a_line_as_servers_write_it(line: str, expected: dict[str, Any]) -> None:
    fields = parsed("web", line.encode()).fields
    assert {name: fields.get(name) for name in expected} == expected


REFUSED = {
    "no status": f'192.0.2.1 - - {WHEN} "GET / HTTP/1.1"',
    "status of two digits": f'192.0.2.1 - - {WHEN} "GET / HTTP/1.1" 20 5 "-" "-"',
    "status that is none": f'192.0.2.1 - - {WHEN} "GET / HTTP/1.1" 999 5 "-" "-"',
    "bytes in letters": f'192.0.2.1 - - {WHEN} "GET / HTTP/1.1" 200 many "-" "-"',
    "no time": '192.0.2.1 - - "GET / HTTP/1.1" 200 5 "-" "-"',
    "an error log": "2026/11/24 08:00:00 [error] 77#77: *1 open() failed",
    "prose": "the quick brown fox",
}


@pytest.mark.parametrize("line", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_access_log_is_refused(line: str) -> None:
    with pytest.raises(InputError, match=r"^no-match$"):
        parsed("web", line.encode())


BAD_TIMES = [
    "32/Nov/2026:08:00:00 +0800",
    "24/Nov/2026:25:00:00 +0800",
    "24/Foo/2026:08:00:00 +0800",
    "24/Nov/2026:08:00:61 +0800",
]


@pytest.mark.parametrize("time", BAD_TIMES)
def test_a_time_that_never_was_is_refused(time: str) -> None:
    with pytest.raises(InputError, match=r"^bad-time$"):
        parsed("web", f'192.0.2.1 - - [{time}] "GET / HTTP/1.1" 200 5'.encode())


def test_columns_behind_the_agent_get_the_names_that_the_stream_gives() -> None:
    line = f'192.0.2.1 - - {WHEN} "GET / HTTP/1.1" {REST} "10.9.8.7" 0.250 x 512 more'
    fields = parsed(
        "combined", line.encode(), columns=("network.forwarded_ip", "event.duration@s", "-", "http.request.bytes")
    ).fields
    assert fields["network.forwarded_ip"] == "10.9.8.7"
    assert fields["event.duration"] == 250_000_000
    assert fields["http.request.bytes"] == 512
    assert fields["labels.tail"] == "more"


NGINX: dict[str, tuple[str, dict[str, Any]]] = {
    "uri and args": (
        '{"time_local":"24/Nov/2026:08:00:00 +0800","remote_addr":"192.0.2.1","request_method":"POST","uri":"/a",'
        '"args":"b=%31","status":"201","bytes_sent":"99","server_protocol":"HTTP/2.0"}',
        {
            "url.original": "/a?b=1",
            "http.request.method": "POST",
            "http.response.status_code": 201,
            "http.response.bytes": 99,
            "http.version": "2.0",
        },
    ),
    "seconds since 1970": (
        '{"msec":"1795478400.000","remote_addr":"192.0.2.1","request":"GET / HTTP/1.1","status":200,"upstream":{"time":"0.1"}}',
        {"nginx.upstream.time": "0.1", "url.path": "/"},
    ),
    "nginx's own escapes": (
        r'{"time_iso8601":"2026-11-24T08:00:00+08:00","client":"192.0.2.1","request":"GET /\x22\xE5\xBC\xA0 HTTP/1.1",'
        r'"status":200}',
        {"url.path": '/"张'},
    ),
    "dashes": (
        '{"ts":1795478400,"remote_addr":"192.0.2.1","uri":"/","status":200,"remote_user":"-","http_referer":"","request_time":"-"}',
        {"user.name": None, "http.request.referrer": None, "event.duration": None},
    ),
}


@pytest.mark.parametrize(("line", "expected"), NGINX.values(), ids=NGINX.keys())
def test_nginx_writes_json(line: str, expected: dict[str, Any]) -> None:
    document = parsed("web", line.encode())
    assert {name: document.fields.get(name) for name in expected} == expected
    assert document.time.isoformat() == "2026-11-24T00:00:00+00:00"


def test_lines_taken_apart_and_lines_matched_as_a_whole_are_read_alike() -> None:
    parse = document_parser(stream_of("combined"), combined, ZONE)
    for line, _ in CASES.values():
        usual = f'192.0.2.1 - - {WHEN} "GET /x HTTP/1.1" 200 5 "-" "{len(line)}"'
        assert parse(raw_of(usual.encode())) == parse(raw_of(usual.replace("/x", "/\\x78").encode()))
