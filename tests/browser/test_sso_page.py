"""Single sign-on with a real provider of another site, from the login page to a page and out again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from socket import socket

import pytest
from jwcrypto.jwk import JWK
from playwright.sync_api import expect
from tests.browser.conftest import Enter, Room, Watched
from tests.command import environment

from xmsec.console.access import Grant
from xmsec.console.issuer import Issuer
from xmsec.console.oidc import declared

PROVIDER = Path(__file__).parents[1] / "provider.py"
PASSWORD, SECRET = "correct horse battery", "s3cret & more"


def free_port() -> int:
    with socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def issuer() -> Issuer:
    """An issuer that is not there yet: by `localhost`, so that it is another site than the console."""
    body = {"issuer": f"http://localhost:{free_port()}/o", "client_id": "xmsec"}
    body |= {"grants": [{"group": "soc", "role": "operator", "systems": ["*"]}]}
    return Issuer(declared(body, "test"), SECRET, partial(datetime.now, UTC))


@contextmanager
def provider(issuer: Issuer, room: Room) -> Iterator[None]:
    """Run the provider; it signs with another key at each start."""
    folder = room.folder
    folder.joinpath("key.pem").write_bytes(JWK.generate(kty="RSA", size=2048).export_to_pem(private_key=True, password=None))
    port = issuer.declared.issuer.rpartition(":")[2].partition("/")[0]
    words = [sys.executable, "-W", "ignore", PROVIDER, port, folder, f"{room.url}/sso/callback"]
    with folder.joinpath("provider.log").open("ab") as log:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, env=environment())
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", folder.joinpath("provider.log").read_text()
        yield
    finally:
        process.kill()
        process.communicate()


def with_the_provider(seen: Watched, issuer: Issuer) -> Watched:
    """Let the page go to the issuer, and nowhere else."""
    own = f"off the host: {issuer.declared.issuer.removesuffix('/o')}/"
    seen.page.on("framenavigated", lambda _: setattr(seen, "wrong", [one for one in seen.wrong if not one.startswith(own)]))
    return seen


def fill(seen: Watched, name: str) -> None:
    seen.page.fill("#id_username", name)
    seen.page.fill("#id_password", PASSWORD)
    seen.page.keyboard.press("Enter")


def test_a_person_of_a_group_comes_in_by_the_provider_and_leaves(watched: Enter, room: Room, issuer: Issuer) -> None:
    seen = with_the_provider(watched("zh"), issuer)
    with provider(issuer, room):
        seen.page.goto(f"{room.url}/findings")
        seen.page.wait_for_url("**/login?*")
        seen.looked_at()
        seen.page.click("text=统一认证登录")
        fill(seen, "zhao")
        seen.page.wait_for_url("**/findings")
        expect(seen.page.locator("a.me")).to_have_text("zhao")
        who = room.desk.users.principal("zhao")
        assert who is not None
        assert who.grants == (Grant("operator"),)
        seen.page.click("form[action='/logout'] button")
        seen.page.wait_for_url("**/login")
        seen.page.goto(f"{room.url}/findings")
        seen.page.wait_for_url("**/login?*")
    with provider(issuer, room):  # by another key
        seen.page.click("text=统一认证登录")
        seen.page.wait_for_url("**/findings")
        seen.page.click("form[action='/logout'] button")
        seen.page.wait_for_url("**/login")
    kinds = [entry.kind for entry in reversed(room.desk.audit.entries()) if entry.kind.startswith("log")]
    assert kinds == ["login", "logout", "login", "logout"]


def test_who_has_no_role_is_turned_away_and_local_people_come_in_without_the_provider(
    watched: Enter, room: Room, issuer: Issuer
) -> None:
    seen = with_the_provider(watched("en"), issuer)
    with provider(issuer, room):
        seen.page.goto(f"{room.url}/login")
        seen.page.click("text=Single sign-on")
        fill(seen, "qian")
        expect(seen.page.get_by_role("alert")).to_contain_text("None of your groups has a role")
    room.desk.users.add("li", PASSWORD, [Grant("viewer")], "test")
    room.desk.users.prefer("li", "en", "light")
    seen.page.goto(f"{room.url}/sso")
    expect(seen.page.get_by_role("alert")).to_contain_text("cannot be reached")
    seen.page.fill("#name", "li")
    seen.page.fill("#password", PASSWORD)
    seen.page.keyboard.press("Enter")
    expect(seen.page.locator("a.me")).to_have_text("li")
    seen.wrong = [one for one in seen.wrong if " 403 " not in one and "503" not in one]
