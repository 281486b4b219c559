"""Flask's application with its sessions, from what the target chose. Everything that differs between targets is here."""

import json
from datetime import timedelta
from pathlib import Path

from flask import Flask

CHOSEN = json.loads(Path(__file__).with_name("sessions.json").read_text())


def application() -> Flask:
    """Sets Flask up."""
    app = Flask("contract")
    # The same on every node, so that each can read what another has signed.
    app.secret_key = "the key of a measurement, and of nothing else"
    app.permanent_session_lifetime = timedelta(seconds=CHOSEN["lifetime_s"])
    if CHOSEN["session_type"] == "redis":
        from flask_session import Session
        from redis import Redis

        app.config["SESSION_TYPE"] = "redis"
        app.config["SESSION_REDIS"] = Redis(host=CHOSEN["address"])
        Session(app)
    return app
