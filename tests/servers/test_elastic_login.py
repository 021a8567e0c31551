"""Commands against an Elasticsearch with TLS and a login, and what each wrong setting gets: one line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from elasticsearch import Elasticsearch
from tests.command import KEY
from tests.servers.gateway import API_KEY, PASSWORD, Certificates, certificates, gateway
from tests.typed import Typed, typed

from xmsec.classify.token import check_value
from xmsec.store.elastic_ensure import ensure
from xmsec.store.elastic_schema import SCHEMA, TABLES

pytestmark = pytest.mark.servers

Command = Callable[..., Typed]
WRONG = "d3JvbmctaWQ6d3Jvbmcta2V5"


class Site(NamedTuple):
    """A cluster behind TLS, its files, and the settings that open it."""

    folder: Path
    node: str
    url: str
    made: Certificates
    settings: Mapping[str, str]

    def place(self, text: str) -> str:
        """Fill in what only this site knows."""
        plain = self.url.replace("https", "http")
        names = {"url": self.url, "plain": plain, "node": self.node, "folder": self.folder, "other": self.made.other_ca}
        return text.format(
            **names, tls_node=self.node.replace("http", "https"), host=self.url.replace("localhost", "127.0.0.1")
        )


def file(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text + "\n")
    path.chmod(mode)
    return str(path)


@pytest.fixture(scope="module")
def site(es_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    made = certificates(folder / "tls")
    file(folder / "password", PASSWORD)
    file(folder / "wrong", WRONG)
    file(folder / "open", PASSWORD, 0o644)
    file(folder / "other-key", "7c" * 32)
    with gateway(es_url, made) as door:
        settings = {
            "XMSEC_HOME": str(folder),
            "XMSEC_KEY_FILE": file(folder / "key", KEY),
            "XMSEC_ES_URL": door.url,
            "XMSEC_ES_PREFIX": "login",
            "XMSEC_ES_CA": str(made.ca),
            "XMSEC_ES_API_KEY_FILE": file(folder / "api-key", API_KEY),
        }
        site = Site(folder, es_url, door.url, made, settings)
        with Elasticsearch(es_url) as client:
            ensure(client, check_value(bytes.fromhex(KEY)), "login")
        yield site


@pytest.fixture
def command(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command with the site's settings and what is changed of them; an empty setting is none."""

    def run(changed: Mapping[str, str], *words: str) -> Typed:
        for name in [name for name in os.environ if name.startswith("XMSEC_")]:
            monkeypatch.delenv(name)
        for name, value in {**site.settings, **changed}.items():
            if value:
                monkeypatch.setenv(name, site.place(value))
        return typed(capsys, *words)

    return run


@pytest.mark.parametrize(
    "login",
    [
        {"XMSEC_ES_API_KEY_FILE": "{folder}/api-key"},
        {"XMSEC_ES_API_KEY": API_KEY},
        {"XMSEC_ES_USER": "xmsec", "XMSEC_ES_PASSWORD_FILE": "{folder}/password"},
        {"XMSEC_ES_USER": "xmsec", "XMSEC_ES_PASSWORD": PASSWORD},
        {"XMSEC_ES_API_KEY_FILE": "{folder}/api-key", "XMSEC_ES_URL": "https://127.0.0.1:9,{url}, {url}"},
    ],
    ids=["key file", "key", "password file", "password", "two nodes, one away"],
)
def test_every_way_to_log_in_opens_the_index(command: Command, login: Mapping[str, str]) -> None:
    for words in (("index", "ensure"), ("index", "status")):
        told = command({"XMSEC_ES_API_KEY_FILE": "", **login}, *words)
        assert (told.code, told.err) == (0, [])
    assert sum("login-" in line for line in told.out) == len(TABLES)


BY_USER = {"XMSEC_ES_API_KEY_FILE": "", "XMSEC_ES_USER": "xmsec"}


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        (
            {"XMSEC_ES_CA": "{other}"},
            2,
            "Elasticsearch's certificate is not trusted; {url}; name the CA that signed it by XMSEC_ES_CA",
        ),
        (
            {"XMSEC_ES_CA": ""},
            2,
            "Elasticsearch's certificate is not trusted; {url}; name the CA that signed it by XMSEC_ES_CA",
        ),
        ({"XMSEC_ES_CA": "{folder}/none"}, 2, "no CA file; {folder}/none; correct XMSEC_ES_CA"),
        ({"XMSEC_ES_CA": "{folder}/key"}, 2, "holds no certificate; {folder}/key; XMSEC_ES_CA names a PEM file"),
        (
            {"XMSEC_ES_URL": "{host}"},
            2,
            "Elasticsearch's certificate is for another host; {host}; use a name that the certificate holds",
        ),
        ({"XMSEC_ES_URL": "{tls_node}"}, 2, "Elasticsearch speaks no TLS there; {tls_node}; write http:// in XMSEC_ES_URL"),
        ({"XMSEC_ES_URL": "{plain}"}, 2, "a CA is set, and nothing is encrypted; {plain}; write https:// in XMSEC_ES_URL"),
        (
            {"XMSEC_ES_URL": "{plain}", "XMSEC_ES_CA": ""},
            3,
            "Elasticsearch does not answer: ConnectionError; {plain}; check that it runs",
        ),
        (
            {"XMSEC_ES_URL": "https://127.0.0.1:9"},
            3,
            "Elasticsearch does not answer: ConnectionError; https://127.0.0.1:9; check that",
        ),
        ({"XMSEC_ES_URL": "https://me:pass@127.0.0.1:9"}, 2, "setting es_url: holds a login; write it in XMSEC_ES_USER"),
        ({"XMSEC_ES_URL": "127.0.0.1"}, 2, "setting es_url: not an address; write https://HOST:PORT"),
        ({"XMSEC_ES_PREFIX": "X*"}, 2, "setting es_prefix: not the beginning of an index name"),
        ({"XMSEC_ES_API_KEY_FILE": "{folder}/wrong"}, 2, "Elasticsearch refuses the login; {url}; check XMSEC_ES_API_KEY_FILE"),
        ({"XMSEC_ES_API_KEY_FILE": ""}, 2, "Elasticsearch refuses the login; {url}; check XMSEC_ES_API_KEY_FILE"),
        ({**BY_USER, "XMSEC_ES_PASSWORD_FILE": "{folder}/wrong"}, 2, "Elasticsearch refuses the login; {url}; check"),
        (
            {**BY_USER, "XMSEC_ES_PASSWORD_FILE": "{folder}/open"},
            2,
            "secret is readable by everybody; {folder}/open; chmod 600",
        ),
        ({**BY_USER, "XMSEC_ES_PASSWORD_FILE": "{folder}/none"}, 2, "secret cannot be read; {folder}/none; check path"),
        (BY_USER, 2, "a user without a password, or the reverse; Elasticsearch's login; set XMSEC_ES_USER"),
        (
            {"XMSEC_ES_USER": "xmsec", "XMSEC_ES_PASSWORD": PASSWORD},
            2,
            "an API key and a user are set; Elasticsearch's login; keep",
        ),
        ({"XMSEC_ES_API_KEY": WRONG}, 2, "given twice; XMSEC_ES_API_KEY, XMSEC_ES_API_KEY_FILE; keep one of them"),
        (
            {**BY_USER, "XMSEC_ES_USER": "reader", "XMSEC_ES_PASSWORD": PASSWORD},
            2,
            "Elasticsearch does not let this login do that; {url}",
        ),
        ({"XMSEC_KEY_FILE": "{folder}/other-key"}, 2, "made with another key (check value "),
    ],
    ids=lambda value: value.partition(";")[0] if isinstance(value, str) else "",
)
def test_a_wrong_setting_gets_one_line_without_a_secret(
    site: Site, command: Command, changed: Mapping[str, str], code: int, said: str
) -> None:
    told = command(changed, "index", "ensure")
    assert (told.code, told.out, len(told.err)) == (code, [], 1), told
    assert told.err[0].startswith(f"xmsec: {site.place(said)}")
    assert not any(secret in told.err[0] for secret in (API_KEY, PASSWORD, WRONG, KEY, "pass@"))


def test_a_traceback_shows_no_secret_either(command: Command) -> None:
    told = command({**BY_USER, "XMSEC_ES_USER": "other", "XMSEC_ES_PASSWORD": PASSWORD}, "--debug", "index", "status")
    assert told.err[0].startswith("Traceback")
    assert not any(PASSWORD in line for line in told.err)


def test_the_doctor_names_the_settings_and_hides_the_secrets(site: Site, command: Command) -> None:
    told = command({**BY_USER, "XMSEC_ES_PASSWORD": PASSWORD}, "doctor")
    assert any("XMSEC_ES_PASSWORD=***" in line for line in told.out)
    assert any(f"XMSEC_ES_CA={site.made.ca}" in line for line in told.out)
    assert not any(PASSWORD in line for line in told.out + told.err)


@pytest.mark.parametrize(
    ("doc", "said"),
    [
        (None, "no index yet; none-deployment; run `xmsec index ensure`"),
        ({"schema": SCHEMA - 1}, f"older mapping (schema {SCHEMA - 1}, this version writes {SCHEMA}); login-deployment; run"),
        (
            {"schema": SCHEMA + 1},
            f"made by a newer version (schema {SCHEMA + 1}, this version writes {SCHEMA}); login-deployment; ",
        ),
    ],
    ids=["missing", "older", "newer"],
)
def test_a_worker_refuses_indices_that_do_not_fit(
    site: Site, command: Command, doc: Mapping[str, int] | None, said: str
) -> None:
    if doc is None:
        told = command({"XMSEC_ES_PREFIX": "none"}, "worker", "index")
    else:
        with Elasticsearch(site.node) as client:
            client.update(index="login-deployment", id="key", doc=doc, refresh=True)
            told = command({}, "worker", "index")
            client.update(index="login-deployment", id="key", doc={"schema": SCHEMA}, refresh=True)
    assert (told.code, told.out, len(told.err)) == (2, [], 1), told
    assert told.err[0].startswith(f"xmsec: {said}")


def test_status_without_indices_says_what_to_run(site: Site, command: Command) -> None:
    told = command({"XMSEC_ES_PREFIX": "none"}, "index", "status")
    assert (told.code, told.err) == (2, [f"xmsec: no index yet; {site.url}, none-*; run `xmsec index ensure`"])
