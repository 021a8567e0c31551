"""A real OpenID provider (django-oauth-toolkit) in a process of its own: `python tests/provider.py PORT FOLDER CALLBACK`.

The folder holds its database, and `key.pem`, by which it signs: another file there, and it signs with another key at its next
start. Two people may sign in: `zhao`, of the group `soc`, and `qian`, of none.
"""

from __future__ import annotations

import sys
from pathlib import Path

import django
from django.conf import settings

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
            "OAUTH2_VALIDATOR_CLASS": "provider_site.Validator",
            "PKCE_REQUIRED": True,
            "SCOPES": {"openid": "OpenID", "profile": "Profile"},
        },
        ROOT_URLCONF="provider_site",
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


def main() -> None:
    """Set the site up, and serve it: its models can be read only then."""
    port, folder, callback = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    configure(port, folder)
    from provider_site import serve

    serve(port, callback)


main()
