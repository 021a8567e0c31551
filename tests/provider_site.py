"""The pages and people of the provider that `provider.py` runs, which sets Django up before it reads this."""

from __future__ import annotations

from socketserver import ThreadingMixIn
from typing import Any, ClassVar
from wsgiref.simple_server import WSGIServer, make_server

from django.contrib.auth.models import Group, User
from django.contrib.auth.views import LoginView
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path
from oauth2_provider.models import Application
from oauth2_provider.oauth2_validators import OAuth2Validator

PASSWORD, CLIENT, SECRET = "correct horse battery", "xmsec", "s3cret & more"


class Validator(OAuth2Validator):
    """Says who somebody is, and of which groups."""

    oidc_claim_scope: ClassVar[dict[str, str]] = {**OAuth2Validator.oidc_claim_scope, "groups": "profile"}

    def get_additional_claims(self, request: Any) -> dict[str, Any]:
        groups = [group.name for group in request.user.groups.all()]
        return {"preferred_username": request.user.username, "groups": groups}


urlpatterns = [
    path("login", LoginView.as_view()),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]


class Server(ThreadingMixIn, WSGIServer):
    """Answers a browser that holds further connections open."""

    daemon_threads = True


def furnish(callback: str) -> None:
    """Make the people and the client, at the first start."""
    call_command("migrate", verbosity=0, run_syncdb=True)
    if User.objects.exists():
        return
    group = Group.objects.create(name="soc")
    for name in ("zhao", "qian"):
        User.objects.create_user(name, password=PASSWORD)
    group.user_set.add(User.objects.get(username="zhao"))
    Application.objects.create(
        client_id=CLIENT,
        client_secret=SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        algorithm=Application.RS256_ALGORITHM,
        redirect_uris=callback,
        skip_authorization=True,
    )


def serve(port: int, callback: str) -> None:
    """Serve until the process ends; say so when it is ready."""
    furnish(callback)
    with make_server("localhost", port, get_wsgi_application(), Server) as server:
        print("ready", flush=True)
        server.serve_forever()
