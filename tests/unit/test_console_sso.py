"""Single sign-on against an issuer whose word is forged: who is let in, with which roles, and what is no good word."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from jwcrypto.jwk import JWK
from tests.issuers import Forger, forger, key, signed, unsigned
from tests.rooms import Clock, answering
from tests.unit.test_console_guard import PASSWORD, Answer, Asking

from xmsec.console.access import Grant
from xmsec.console.app import desk, house, routes
from xmsec.console.federation import LASTS
from xmsec.console.given import Records
from xmsec.console.issuer import AT_ONCE, Issuer
from xmsec.console.limits import BY_ACCOUNT, BY_ADDRESS
from xmsec.console.oidc import declared
from xmsec.console.pages.sso import FOLLOWING_CHARACTERS
from xmsec.model.errors import ConfigError, PolicyError
from xmsec.model.ports import Reader
from xmsec.runtime.service import application
from xmsec.store.readers import Connections

GRANTS = [
    {"group": "soc", "role": "operator", "systems": ["office"]},
    {"group": "lead", "role": "operator", "systems": ["benefits"]},
    {"group": "root", "role": "admin", "systems": ["*"]},
]


def unread() -> Reader:
    """Nothing here reads records."""
    raise NotImplementedError


class Door(Asking):
    """The console with single sign-on, and who answers for the issuer."""

    forger: Forger

    def leave(self, cookie: str = "") -> tuple[dict[str, str], str]:
        """Begin a sign-in: what the issuer is asked, and the browser's cookie."""
        answer = self("/sso?next=/account", **({"cookie": cookie} if cookie else {}))
        assert answer.status == 303, answer.text
        asked = {name: found[0] for name, found in parse_qs(urlsplit(answer.headers["location"]).query).items()}
        found = [value for name, value in answer.headers.items() if name == "set-cookie"][-1]
        return asked, found.partition(";")[0]

    def claims(self, asked: Mapping[str, str], **other: Any) -> dict[str, Any]:
        now = int(self.clock().timestamp())
        said = {"iss": self.forger.issuer, "aud": "xmsec", "sub": "s-1", "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        return {**said, "preferred_username": "zhao", "groups": ["soc"], **other}

    def come(self, **claims: Any) -> Answer:
        """Go through a whole sign-in; claims: what the issuer says otherwise."""
        asked, cookie = self.leave()
        self.forger.word = signed(self.claims(asked, **claims), self.forger.published[0])
        return self.back(asked["state"], cookie)

    def back(self, state: str, cookie: str, **more: str) -> Answer:
        return self(f"/sso/callback?{urlencode({'state': state, 'code': 'c', **more})}", cookie=cookie)

    def grants(self, name: str = "zhao") -> tuple[Grant, ...]:
        who = self.desk.users.principal(name)
        return () if who is None else who.grants

    def noted(self) -> list[str]:
        return [entry.kind for entry in reversed(self.desk.audit.entries())]


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Door]:
    clock = Clock()
    with forger() as made, closing(Connections(tmp_path / "store.sqlite")) as connections:
        kept = desk(tmp_path, clock)
        said = declared({"issuer": made.issuer, "client_id": "xmsec", "grants": GRANTS}, "test")
        records = Records(unread, *answering(connections, clock), UTC)
        shared = house(records, kept, clock, issuer=Issuer(said, "s3cret&", clock))
        door = Door(kept, application(tuple, rooms=routes(shared)), clock)
        door.forger = made
        yield door
        kept.keep.close()


def test_who_the_issuer_vouches_for_has_the_roles_of_their_groups_and_goes_where_they_wanted(at: Door) -> None:
    answer = at.come(groups=["lead", "soc", "unknown"])
    assert (answer.status, 'content="0;url=/account"' in answer.text) == (200, True)
    assert at.grants() == (Grant("operator", ("benefits", "office")),)
    session = f"xmsec-session={answer.cookies['session']}"
    assert at("/account", cookie=session).status == 200
    assert at.noted() == ["user.added", "user.roles", "login"]
    (entry, *_) = at.desk.audit.entries()
    assert (entry.by, entry.body["issuer"]) == ("zhao", at.forger.issuer)


def test_the_issuer_is_asked_by_pkce_and_with_the_secret_that_it_gave(at: Door) -> None:
    asked, cookie = at.leave()
    assert {name: asked[name] for name in ("response_type", "code_challenge_method", "scope", "redirect_uri")} == {
        "response_type": "code",
        "code_challenge_method": "S256",
        "scope": "openid profile",
        "redirect_uri": "http://127.0.0.1/sso/callback",
    }
    at.forger.word = signed(at.claims(asked), at.forger.published[0])
    assert at.back(asked["state"], cookie).status == 200
    (sent,) = at.forger.asked
    assert sent["authorization"] == "Basic eG1zZWM6czNjcmV0JTI2"
    assert sent["code_verifier"][0] != asked["code_challenge"]


Forge = Callable[[Door, dict[str, Any]], str]


def otherwise(**claims: Any) -> Forge:
    return lambda at, said: signed({**said, **claims}, at.forger.published[0])


def without(name: str) -> Forge:
    return lambda at, said: signed({one: said[one] for one in said if one != name}, at.forger.published[0])


def by_a_secret(at: Door, said: dict[str, Any]) -> str:
    """What verifies where a public key is taken for a shared secret (RFC 8725 section 2.1)."""
    public = at.forger.published[0].export_to_pem()
    return signed(said, JWK.from_json(JWK(kty="oct", k=public.hex(), kid="one").export()), "HS256")


@pytest.mark.parametrize(
    "forge",
    [
        otherwise(nonce="another"),
        without("nonce"),
        otherwise(aud="another"),
        otherwise(aud=["xmsec", "another"]),
        otherwise(azp="another"),
        otherwise(iss="https://another.example"),
        otherwise(exp=1),
        without("exp"),
        otherwise(iat=4_000_000_000),
        otherwise(sub="\ud800"),
        without("sub"),
        lambda at, said: signed(said, key("one")),
        lambda at, said: signed(said, key("two")),
        lambda at, said: unsigned(said),
        by_a_secret,
        lambda at, said: "no token",
        lambda at, said: "",
    ],
    ids=[
        *("wrong nonce", "no nonce", "wrong audience", "several audiences", "another party", "wrong issuer", "expired"),
        *(
            "without an end",
            "of the future",
            "no text",
            "nobody",
            "foreign key",
            "unknown key",
            "alg none",
            "alg HS256",
            "no token",
            "empty",
        ),
    ],
)
def test_a_word_that_is_not_good_lets_nobody_in(at: Door, forge: Forge) -> None:
    asked, cookie = at.leave()
    at.forger.word = forge(at, at.claims(asked))
    answer = at.back(asked["state"], cookie)
    assert (answer.status, answer.cookies.get("session")) == (401, None)
    assert (at.desk.users.every(), at.noted()) == ([], ["login.failed"])


def test_an_answer_counts_once_in_its_own_browser_and_for_a_while(at: Door) -> None:
    asked, cookie = at.leave()
    at.forger.word = signed(at.claims(asked), at.forger.published[0])
    _, other = at.leave()
    assert at.back(asked["state"], other).status == 401
    assert at.back("another", cookie).status == 401
    assert at.back(asked["state"], cookie).status == 200
    assert at.back(asked["state"], cookie).status == 401
    late, cookie = at.leave()
    at.clock.pass_(seconds=LASTS.total_seconds())
    assert at.back(late["state"], cookie).status == 401


def test_another_issuers_answer_is_none(at: Door) -> None:
    asked, cookie = at.leave()
    at.forger.word = signed(at.claims(asked), at.forger.published[0])
    assert at.back(asked["state"], cookie, iss="https://another.example").status == 401


def test_a_code_that_the_issuer_does_not_take_lets_nobody_in(at: Door) -> None:
    asked, cookie = at.leave()
    at.forger.word, at.forger.says = signed(at.claims(asked), at.forger.published[0]), 400
    assert at.back(asked["state"], cookie).status == 401


def test_guessing_is_slowed_down_by_browser_and_by_address(at: Door) -> None:
    asked, cookie = at.leave()
    assert [at.back("guessed", cookie).status for _ in range(BY_ACCOUNT + 1)] == [*[401] * BY_ACCOUNT, 429]
    assert at.back(asked["state"], cookie).status == 429
    others = [at.back("guessed", f"xmsec-arrival={number}").status for number in range(BY_ADDRESS - BY_ACCOUNT + 1)]
    assert others == [*[401] * (BY_ADDRESS - BY_ACCOUNT), 429]


def test_keys_that_the_issuer_changed_are_read_again(at: Door) -> None:
    for name in ("one", "two", "two"):
        at.forger.published = [key(name)]
        assert at.come().status == 200


def test_a_key_of_a_kind_that_is_unknown_here_hides_no_other(at: Door) -> None:
    at.forger.published.append(JWK.generate(kty="EC", crv="BP-256", kid="brainpool"))
    assert at.come().status == 200


def test_of_a_long_address_that_is_wanted_little_is_kept(at: Door) -> None:
    at(f"/sso?next=/{'x' * 60_000}")
    with at.desk.keep.reading() as connection:
        assert connection.execute("SELECT length(following) FROM departures").fetchall() == [(FOLLOWING_CHARACTERS,)]


@pytest.mark.parametrize("host", ["somebody@127.0.0.1", "127.0.0.1/x", "localhost#x", "localhost?"])
def test_the_address_to_come_back_to_is_made_of_a_host_alone(at: Door, host: str) -> None:
    assert at("/sso", host=host).status == 421


def test_who_is_of_no_group_that_has_a_role_is_not_let_in_and_no_more_when_they_leave_it(at: Door) -> None:
    assert at.come(groups=["unknown"]).status == 403
    assert at.desk.users.every() == []
    session = f"xmsec-session={at.come().cookies['session']}"
    assert at.come(groups=[]).status == 403
    assert (at.grants(), at("/account", cookie=session).status) == ((), 401)


@pytest.mark.parametrize(
    "name",
    ["wang", "Wang", "\uff37ang", "two words", "", 7, None],
    ids=["a local person", "in another case", "in full width", "no name", "empty", "number", "none"],
)
def test_a_name_gives_nobody_anothers_account(at: Door, name: Any) -> None:
    at.session(Grant("admin"), name="wang")
    assert at.come(preferred_username=name).status == 403
    assert [user.name for user in at.desk.users.every()] == ["wang"]


def test_a_person_is_who_the_issuer_says_by_its_own_id_whatever_the_name(at: Door) -> None:
    at.come()
    assert at.come(preferred_username="renamed", groups=["root"]).status == 200
    assert (at.grants(), at.grants("renamed")) == ((Grant("admin"),), ())
    assert at.come(sub="s-2").status == 403


def test_administration_says_who_comes_by_single_sign_on(at: Door) -> None:
    at.come()
    cookie, _ = at.session(Grant("admin"), name="wang")
    people = at("/admin/users", cookie=cookie).text
    assert [name for name in ("zhao", "wang") if f">{name}</a> <span" in people] == ["zhao"]
    assert "每次登录时按其用户组" in at("/admin/users/zhao", cookie=cookie).text


def test_who_comes_by_single_sign_on_comes_by_nothing_else(at: Door) -> None:
    at.come()
    cookie, csrf = at.session(Grant("admin"), name="wang")
    assert "/admin/users/zhao/link" not in at("/admin/users/zhao", cookie=cookie).text
    refused = at("/admin/users/zhao/link", form={"csrf": csrf}, cookie=cookie)
    assert (refused.status, "没有密码" in refused.text) == (403, True)
    with pytest.raises(PolicyError, match="single sign-on"):
        at.desk.users.password("zhao", PASSWORD, "wang")


@pytest.mark.parametrize(
    "groups", [7, True, {"root": False}, [["root"]], None], ids=["number", "truth", "object", "nested", "none"]
)
def test_groups_that_are_no_list_of_names_give_no_role(at: Door, groups: Any) -> None:
    assert at.come(groups=groups).status == 403
    assert at.desk.users.every() == []


def test_with_tls_the_cookie_of_who_comes_back_is_one_that_no_other_host_can_plant(at: Door) -> None:
    at.scheme = "https"
    asked, cookie = at.leave()
    at.forger.word = signed(at.claims(asked), at.forger.published[0])
    assert cookie.startswith("__Host-xmsec-arrival=")
    planted = at.back(asked["state"], cookie.removeprefix("__Host-"))
    assert (planted.status, planted.cookies.get("session")) == (401, None)
    assert at.back(asked["state"], cookie).status == 200


def test_an_issuer_that_hangs_keeps_few_waiting(at: Door) -> None:
    at.forger.answers.clear()
    with ThreadPoolExecutor(AT_ONCE) as browsers:
        waiting = [browsers.submit(at, "/sso") for _ in range(AT_ONCE)]
        assert all(at.forger.came.acquire(timeout=60) for _ in waiting)
        assert at("/sso").status == 503
        at.forger.answers.set()
        assert {one.result().status for one in waiting} == {303}
    assert at("/sso").status == 303


def test_who_is_disabled_here_is_not_let_in(at: Door) -> None:
    at.come()
    at.desk.users.disable("zhao", "test")
    assert at.come().status == 403


def test_the_login_says_when_the_issuer_is_away_and_local_people_come_in(at: Door) -> None:
    at.session(Grant("viewer"), name="wang")
    at.forger.said = {"issuer": "https://another.example"}
    away = at("/sso?lang=en")
    assert (away.status, "cannot be reached" in away.text) == (503, True)
    assert at.login("wang", "correct horse battery").status == 303


@pytest.mark.parametrize(
    "other",
    [
        {"authorization_endpoint": "https://another.example/authorize"},
        {"token_endpoint": "ftp://127.0.0.1/token"},
        {"issuer": "http://127.0.0.1:1"},
        {"jwks_uri": 7},
    ],
    ids=["browsers elsewhere", "another scheme", "another name", "no address"],
)
def test_an_issuer_that_is_not_as_declared_is_not_asked(at: Door, other: dict[str, Any]) -> None:
    at.forger.said |= other
    assert at("/sso").status == 503


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"issuer": "http://sso.example", "client_id": "x"},
        {"issuer": "sso.example", "client_id": "x"},
        {"issuer": "https://sso.example", "client_id": "x", "scopes": ["profile"]},
        {"issuer": "https://sso.example", "client_id": "x", "client_secret": "x"},
        {"issuer": "https://sso.example", "client_id": "x", "grants": [{"group": "a", "role": "root", "systems": ["*"]}]},
        {"issuer": "https://sso.example", "client_id": "x", "grants": [{"group": "a", "role": "admin"}]},
        {"issuer": "https://sso.example", "client_id": "x", "grants": [{"group": "a", "role": "admin", "systems": []}]},
    ],
    ids=["nothing", "without TLS", "no address", "no openid", "a secret", "no role", "no systems", "empty systems"],
)
def test_a_declaration_that_cannot_be_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        declared(body, "oidc.toml")


def test_the_declaration_that_the_page_shows_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sso.md").read_text("utf-8")
    found = declared(tomllib.loads(page.partition("```toml\n")[2].partition("```")[0]), "docs/sso.md")
    claims = {"groups": ["data-security", "another"]}
    assert found.grants_of(claims) == (Grant("responder", ("office", "onestop-service")),)


def test_without_a_declaration_there_is_no_such_door(at: Door, tmp_path: Path) -> None:
    clock = Clock()
    with closing(Connections(tmp_path / "store.sqlite")) as connections:
        records = Records(unread, *answering(connections, clock), UTC)
        ask = Asking(at.desk, application(tuple, rooms=routes(house(records, at.desk, clock))), clock)
        assert [ask(path).status for path in ("/sso", "/sso/callback")] == [404, 404]
        assert "/sso" not in ask("/login").text
