"""A real OpenID provider (django-oauth-toolkit) in a process of its own: `python tests/provider.py PORT FOLDER CALLBACK`.

The folder holds its database, and `key.pem`, by which it signs: another file there, and it signs with another key at its next
start. Two people may sign in: `zhao`, of the group `soc`, and `qian`, of none.
"""

from __future__ import annotations

import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, ClassVar
from wsgiref.simple_server import WSGIServer, make_server

import django
from django.conf import settings

PASSWORD, CLIENT, SECRET = "correct horse battery", "xmsec", "s3cret & more"
APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "oauth2_provider"]
LOGIN = """<!doctype html><title>Provider</title><link rel="icon" href="data:,"><form method="post">{% csrf_token %}{{ form }}
<input type="hidden" name="next" value="{{ next }}"><button>Sign in</button></form>"""


def configure(port: int, folder: Path) -> None:
    """Set a site up that is a provider and nothing else."""
    settings.configure(
        ALLOWED_HOSTS=["localhost"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "provider.sqlite"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=APPS,
        LOGIN_URL="/login",
        MIGRATION_MODULES={name.rpartition(".")[2]: None for name in APPS},  # tables at once, not by their history
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # quick: nobody steals them
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_ISS_ENDPOINT": f"http://localhost:{port}/o",
            "OIDC_RSA_PRIVATE_KEY": (folder / "key.pem").read_text(),
            "OAUTH2_VALIDATOR_CLASS": "__main__.Validator",
            "PKCE_REQUIRED": True,
            "SCOPES": {"openid": "OpenID", "profile": "Profile"},
        },
        ROOT_URLCONF="__main__",
        SECRET_KEY="a test's own",
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", {"registration/login.html": LOGIN})]},
            }
        ],
        USE_TZ=True,
    )
    django.setup()


port, folder, callback = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
configure(port, folder)

from django.contrib.auth.models import Group, User  # noqa: E402  # models can be read when the site is set up
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: E402


class Validator(OAuth2Validator):  # type: ignore[misc]  # it has no types
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


def furnish() -> None:
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


def serve() -> None:
    """Serve until the process ends; say so when it is ready."""
    furnish()
    with make_server("localhost", port, get_wsgi_application(), Server) as server:
        print("ready", flush=True)
        server.serve_forever()


serve()
