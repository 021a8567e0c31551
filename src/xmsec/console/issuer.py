"""An OpenID provider as the console asks it: where to send a browser, and whom it vouches for.

Nothing is asked before somebody signs in, so that a provider that is away stops nothing else.
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from http.client import HTTPException
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from xmsec.console.oidc import Declared
from xmsec.model.errors import PolicyError, ServiceError
from xmsec.notify.http import connection
from xmsec.notify.target import Target

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

ANSWER_BYTES = 1 << 20
AT_ONCE = 10  # who may wait for an issuer: of the forty requests that the console answers at once
SKEW_S = 60  # how far the two clocks may be apart
# Signatures by a key that the issuer alone has: never `none`, nor a secret that both have (RFC 8725 section 3.1).
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")


class IdentityError(PolicyError):
    """The issuer vouches for nobody, or its word is not what it should be."""


class Endpoints(msgspec.Struct, frozen=True):
    """What an issuer says of itself (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class Sought(msgspec.Struct, frozen=True):
    """One sign-in that was begun: what its answer must bear (state, nonce), and what proves that it is ours (verifier)."""

    state: str
    nonce: str
    verifier: str
    callback: str


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str


class Issuer:
    """Speaks to one issuer; its keys are kept, and read again when it signs with another one."""

    def __init__(self, declared: Declared, secret: str | None, now: Callable[[], datetime]) -> None:
        self.declared = declared
        self._secret, self._now = secret, now
        self._asking = BoundedSemaphore(AT_ONCE)
        self._endpoints: Endpoints | None = None
        self._keys: KeySet | None = None

    def address(self, sought: Sought) -> str:
        """Return where a browser is sent to sign in, if the issuer answers just now. Raises ServiceError."""
        self._endpoints = found = self._discovered()
        asked = {
            "response_type": "code",
            "client_id": self.declared.client_id,
            "redirect_uri": sought.callback,
            "scope": " ".join(self.declared.scopes),
            "state": sought.state,
            "nonce": sought.nonce,
            "code_challenge": urlsafe_b64encode(sha256(sought.verifier.encode()).digest()).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        place = found.authorization_endpoint
        return f"{place}{'&' if urlsplit(place).query else '?'}{urlencode(asked)}"

    def claims(self, code: str, sought: Sought) -> Mapping[str, Any]:
        """Return what the issuer says of who comes with a code. Raises IdentityError, ServiceError."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": sought.callback}
        form |= {"client_id": self.declared.client_id, "code_verifier": sought.verifier}
        status, body = self._asked(self._found().token_endpoint, urlencode(form))
        if status != 200:
            raise IdentityError(f"the code is not taken ({status})", where=self.declared.issuer)
        try:
            token = msgspec.json.decode(body, type=_Tokens).id_token
        except msgspec.DecodeError as error:
            raise IdentityError("no ID token is given", where=self.declared.issuer) from error
        return self._verified(token, sought.nonce)

    def _verified(self, token: str, nonce: str) -> Mapping[str, Any]:
        from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError

        try:
            if self._keys is not None:
                try:
                    return self._read(token, nonce, self._keys)
                except (BadSignatureError, InvalidKeyIdError):  # it signs with another key now
                    pass
            self._keys = self._published()
            return self._read(token, nonce, self._keys)
        except (JoseError, ValueError, TypeError) as error:
            raise IdentityError(f"the ID token is not good ({type(error).__name__})", where=self.declared.issuer) from error

    def _read(self, token: str, nonce: str, keys: KeySet) -> Mapping[str, Any]:
        """Check a token (OpenID Connect Core 1.0 section 3.1.3.7)."""
        from joserfc import jwt

        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        client = self.declared.client_id
        jwt.JWTClaimsRegistry(
            int(self._now().timestamp()),
            SKEW_S,
            iss={"essential": True, "value": self.declared.issuer},
            sub={"essential": True},
            aud={"essential": True, "value": client},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        ).validate(claims)
        if claims["aud"] not in (client, [client]) or claims.get("azp", client) != client:
            raise IdentityError("the ID token is another client's", where=self.declared.issuer)
        claims["sub"].encode()  # ValueError: half a surrogate pair, which no table holds
        return claims

    def _published(self) -> KeySet:
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        status, body = self._asked(self._found().jwks_uri)
        if status != 200:
            raise self._away(f"it answers {status} to who asks for its keys")
        try:
            every = [*msgspec.json.decode(body)["keys"]]
        except (ValueError, KeyError, TypeError) as error:
            raise self._away("its keys cannot be read") from error
        known: list[Any] = []
        for one in every:
            with suppress(JoseError, ValueError, KeyError, TypeError):  # of a kind that is unknown here (RFC 7517 section 5)
                known += KeySet.import_key_set({"keys": [one]}).keys
        if not known:
            raise self._away("its keys cannot be read")
        return KeySet(known)

    def _found(self) -> Endpoints:
        if self._endpoints is None:  # another process of ours sent the browser
            self._endpoints = self._discovered()
        return self._endpoints

    def _discovered(self) -> Endpoints:
        """Ask an issuer for its endpoints, and hold it to its declaration: no browser elsewhere, nothing by a plainer way."""
        status, body = self._asked(f"{self.declared.issuer.rstrip('/')}/.well-known/openid-configuration")
        try:
            found = msgspec.json.decode(body, type=Endpoints)
        except msgspec.DecodeError as error:
            raise self._away(f"it does not say where it is asked ({status})") from error
        declared = urlsplit(self.declared.issuer)
        if found.issuer != self.declared.issuer:
            raise self._away("it calls itself otherwise than declared")
        if urlsplit(found.authorization_endpoint)[:2] != declared[:2]:
            raise self._away("it sends browsers to another host")
        if any(urlsplit(one).scheme != declared.scheme for one in (found.token_endpoint, found.jwks_uri)):
            raise self._away("its endpoints are not of one scheme")
        return found

    def _asked(self, url: str, form: str | None = None) -> tuple[int, bytes]:
        """Ask once, without following anywhere; the secret goes as RFC 6749 section 2.3.1 writes it. Raises ServiceError."""
        headers = {"Accept": "application/json", "User-Agent": "xmsec"}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if form is not None and self._secret is not None:
            login = f"{quote(self.declared.client_id, safe='')}:{quote(self._secret, safe='')}"
            headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        parts = urlsplit(url)
        if not self._asking.acquire(blocking=False):  # it hangs: who waits for it takes no thread from everybody else
            raise self._away("too many wait for it")
        try:
            asked = connection(Target(url, ca=self.declared.ca))
            try:
                asked.request("GET" if form is None else "POST", parts._replace(scheme="", netloc="").geturl(), form, headers)
                answer = asked.getresponse()
                body = answer.read(ANSWER_BYTES)
            finally:
                asked.close()
        except (OSError, HTTPException, ValueError) as error:
            raise self._away(f"it does not answer ({type(error).__name__})") from error
        finally:
            self._asking.release()
        if answer.status >= 500:
            raise self._away(f"it answers {answer.status}")
        return answer.status, body

    def _away(self, why: str) -> ServiceError:
        return ServiceError(f"single sign-on: {why}", where=self.declared.issuer, remedy="sign in with a local account")
