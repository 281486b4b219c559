"""Django's settings, from what the target chose. Everything that differs between targets is here."""

import json
from pathlib import Path

import django
from django.conf import settings

CHOSEN = json.loads(Path(__file__).with_name("sessions.json").read_text())
BACKENDS = "django.contrib.sessions.backends"
ENGINES = {
    "cache": f"{BACKENDS}.cache",
    "cache_memcached": f"{BACKENDS}.cache",
    "cache_django_redis": f"{BACKENDS}.cache",
    "cached_db": f"{BACKENDS}.cached_db",
    "db": f"{BACKENDS}.db",
    "signed_cookies": f"{BACKENDS}.signed_cookies",
    "redis_sessions": "redis_sessions.session",
}
REDIS = {
    "BACKEND": "django.core.cache.backends.redis.RedisCache",
    "LOCATION": f"redis://{CHOSEN['address']}:6379",
}
CACHES = {
    "cache": REDIS,
    "cached_db": REDIS,
    "cache_django_redis": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": f"redis://{CHOSEN['address']}:6379",
    },
    "cache_memcached": {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": f"{CHOSEN['address']}:11211",
    },
}
HAS_TABLE = CHOSEN["engine"] in ("cached_db", "db")
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
        CACHES={"default": CACHES[CHOSEN["engine"]]} if CHOSEN["engine"] in CACHES else {},
        DATABASES={"default": DATABASE} if HAS_TABLE else {},
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
