"""Django's settings, from what the target chose. Everything that differs between targets is here."""

import json
from pathlib import Path

import django
from django.conf import settings

CHOSEN = json.loads(Path(__file__).with_name("sessions.json").read_text())
ENGINES = {
    "cache": "django.contrib.sessions.backends.cache",
    "db": "django.contrib.sessions.backends.db",
    "signed_cookies": "django.contrib.sessions.backends.signed_cookies",
    "redis_sessions": "redis_sessions.session",
}
CACHE = {
    "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
    "LOCATION": f"{CHOSEN['address']}:11211",
}
DATABASE = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": CHOSEN["address"],
    "NAME": "sessions",
    "USER": "sessions",
}


def configure() -> None:
    """Sets Django up."""
    settings.configure(
        ALLOWED_HOSTS=["*"],
        CACHES={"default": CACHE} if CHOSEN["engine"] == "cache" else {},
        DATABASES={"default": DATABASE} if CHOSEN["engine"] == "db" else {},
        INSTALLED_APPS=["django.contrib.sessions"],
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        ROOT_URLCONF="contract",
        # The same on every node, so that each can read what another has signed.
        SECRET_KEY="the key of a measurement, and of nothing else",
        SESSION_COOKIE_AGE=CHOSEN["age_s"],
        SESSION_ENGINE=ENGINES[CHOSEN["engine"]],
        SESSION_REDIS={"host": CHOSEN["address"], "prefix": "sessions"},
    )
    django.setup()
