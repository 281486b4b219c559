"""The session contract (docker/CONTRACT.md) over Django's sessions. It does not know where they are kept, and locks nothing itself."""

import base64
import gc
import json
import os
import secrets
import sys
import time
import zlib

from configuration import configure

configure()

from django.contrib.sessions.exceptions import SessionInterrupted  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

EMPTY_DIGEST = 0xCBF29CE484222325
PRIME = 0x100000001B3
TAIL = 8
MAX_BYTES = 4_194_304
MAX_HOLD_MS = 60_000
BOOT = secrets.token_hex(8)


class Refusal(Exception):
    """What is answered instead of a state."""

    def __init__(self, status: int, error: str):
        super().__init__(error)
        self.status = status


def reply(status: int, body: dict) -> JsonResponse:
    return JsonResponse({"node": os.environ["NODE"], "boot": BOOT} | body, status=status)


def answered(view):
    """A view that may refuse."""

    def call(request: HttpRequest, *_, **__) -> HttpResponse:
        try:
            return view(request)
        except Refusal as refusal:
            return reply(refusal.status, {"error": str(refusal)})

    return call


def bytes_of(text: str, count: int) -> bytes:
    """The bytes of a text: a linear congruential generator whose seed is its CRC-32."""
    x, made = zlib.crc32(text.encode()), bytearray()
    for _ in range(count):
        x = (1664525 * x + 1013904223) & 0xFFFFFFFF
        made.append(x >> 24)
    return bytes(made)


def digest(data: bytes) -> int:
    """FNV-1a, 64 bits."""
    value = EMPTY_DIGEST
    for byte in data:
        value = ((value ^ byte) * PRIME) & 0xFFFFFFFFFFFFFFFF
    return value


def show(session) -> JsonResponse:
    payload = base64.b64decode(session["payload"]) + base64.b64decode(session["changing"])
    return reply(
        200,
        {
            "owner": session["owner"],
            "epoch": session["epoch"],
            "version": session["version"],
            "digest": f"{session['digest']:016x}",
            "tail": session["tail"],
            "payload": {"bytes": len(payload), "crc32": f"{zlib.crc32(payload):08x}"},
        },
    )


def body_of(request: HttpRequest) -> dict:
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(400, "the body is no JSON object")
    return body


def is_within(number, most: int) -> bool:
    return type(number) is int and 0 <= number <= most


def session_of(request: HttpRequest):
    """The session that a request names."""
    if "epoch" not in request.session:
        raise Refusal(404, "unknown-session")
    return request.session


def hold(ms: int) -> None:
    """Between loading a session and saving it: what an application does there may take as long."""
    time.sleep(ms / 1000)


def create(request: HttpRequest) -> HttpResponse:
    body = body_of(request)
    owner, count = body.get("owner"), body.get("bytes")
    if not isinstance(owner, str) or not is_within(count, MAX_BYTES):
        raise Refusal(400, 'POST /session takes {"owner": text, "bytes": 0 to 4194304}')
    session, epoch = request.session, secrets.token_hex(8)
    # Ends the session of before, if there is one.
    session.flush()
    session["owner"], session["epoch"], session["version"] = owner, epoch, 0
    session["digest"], session["tail"] = EMPTY_DIGEST, []
    session["payload"], session["changing"] = base64.b64encode(bytes_of(epoch, count)).decode(), ""
    return show(session)


def read(request: HttpRequest) -> HttpResponse:
    ms = request.GET.get("hold_ms", "0")
    if not ms.isdecimal() or not is_within(int(ms), MAX_HOLD_MS):
        raise Refusal(400, "GET /session takes `hold_ms`, 0 to 60000, or nothing")
    session = session_of(request)
    hold(int(ms))
    return show(session)


@answered
def session_view(request: HttpRequest) -> HttpResponse:
    return create(request) if request.method == "POST" else read(request)


@answered
def log_in(request: HttpRequest) -> HttpResponse:
    owner = body_of(request).get("owner")
    if not isinstance(owner, str) or not owner:
        raise Refusal(400, 'POST /session/log-in takes {"owner": text}')
    session = session_of(request)
    session.cycle_key()
    session["owner"] = owner
    return show(session)


@answered
def append(request: HttpRequest) -> HttpResponse:
    body = body_of(request)
    op, count, ms = body.get("op"), body.get("bytes", 0), body.get("hold_ms", 0)
    is_op = isinstance(op, str) and 1 <= len(op) <= 64
    if not is_op or not is_within(count, MAX_BYTES) or not is_within(ms, MAX_HOLD_MS):
        raise Refusal(
            400,
            'POST /session/ops takes {"op": 1 to 64 characters, "bytes": 0 to 4194304, or none, '
            '"hold_ms": 0 to 60000, or none}',
        )
    session = session_of(request)
    hold(ms)
    session["version"] += 1
    session["digest"] = digest(session["digest"].to_bytes(8, "big") + op.encode())
    session["tail"] = (session["tail"] + [op])[-TAIL:]
    if count > 0:
        session["changing"] = base64.b64encode(bytes_of(op, count)).decode()
    return show(session)


@answered
def log_out(request: HttpRequest) -> HttpResponse:
    session_of(request).flush()
    return HttpResponse(status=204)


@answered
def health(_: HttpRequest) -> HttpResponse:
    return reply(200, {"members": [os.environ["NODE"]]})


@answered
def internals(_: HttpRequest) -> HttpResponse:
    gc.collect()
    heap = sum(sys.getsizeof(one) for one in gc.get_objects())
    return reply(200, {"heap_bytes": heap, "sessions": {"primary": 0, "backup": 0, "proxy": 0}})


def handler400(_: HttpRequest, exception: Exception) -> HttpResponse:
    """The session was ended while its request was under way, and Django noticed when it saved it."""
    if isinstance(exception, SessionInterrupted):
        return reply(404, {"error": "unknown-session"})
    return reply(400, {"error": str(exception)})


urlpatterns = [
    path("session", session_view),
    path("session/log-in", log_in),
    path("session/ops", append),
    path("session/log-out", log_out),
    path("health", health),
    path("internals", internals),
]
application = get_wsgi_application()
