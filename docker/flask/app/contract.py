"""The session contract (docker/CONTRACT.md) over Flask's session. It does not know where it is kept, and locks nothing itself."""

import gc
import os
import secrets
import sys
import time
import zlib

from flask import Response, jsonify, request, session

from configuration import application

EMPTY_DIGEST = "cbf29ce484222325"
PRIME = 0x100000001B3
TAIL = 8
MAX_BYTES = 4_194_304
MAX_HOLD_MS = 60_000
MAX_COOKIE_BYTES = 4093
BOOT = secrets.token_hex(8)

app = application()


class Refusal(Exception):
    """What is answered instead of a state."""

    def __init__(self, status: int, error: str):
        super().__init__(error)
        self.status = status


@app.errorhandler(Refusal)
def refuse(refusal: Refusal) -> tuple[Response, int]:
    return reply({"error": str(refusal)}), refusal.status


def reply(body: dict) -> Response:
    return jsonify({"node": os.environ["NODE"], "boot": BOOT} | body)


def bytes_of(text: str, count: int) -> bytes:
    """The bytes of a text: a linear congruential generator whose seed is its CRC-32."""
    x, made = zlib.crc32(text.encode()), bytearray()
    for _ in range(count):
        x = (1664525 * x + 1013904223) & 0xFFFFFFFF
        made.append(x >> 24)
    return bytes(made)


def chained(digest: str, op: str) -> str:
    """FNV-1a, 64 bits, of the digest before and the operation."""
    value = int(EMPTY_DIGEST, 16)
    for byte in bytes.fromhex(digest) + op.encode():
        value = ((value ^ byte) * PRIME) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def show() -> Response:
    payload = session["payload"] + session["changing"]
    keys = ["owner", "epoch", "version", "digest", "tail"]
    held = {key: session[key] for key in keys}
    return reply(held | {"payload": {"bytes": len(payload), "crc32": f"{zlib.crc32(payload):08x}"}})


def body() -> dict:
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise Refusal(400, "the body is no JSON object")
    return body


def is_within(number, most: int) -> bool:
    return type(number) is int and 0 <= number <= most


def needs_session() -> None:
    if "epoch" not in session:
        raise Refusal(404, "unknown-session")


def change_id() -> None:
    """Where the session is in the cookie there is no id that could change."""
    if hasattr(app.session_interface, "regenerate"):
        app.session_interface.regenerate(session)


def hold(ms: int) -> None:
    """Between loading a session and saving it: what an application does there may take as long."""
    time.sleep(ms / 1000)


@app.after_request
def refuse_what_does_not_fit(response: Response) -> Response:
    """Browsers leave out a cookie that is too large, and Flask only warns of it."""
    if any(len(cookie) > MAX_COOKIE_BYTES for cookie in response.headers.getlist("Set-Cookie")):
        response = reply({"error": f"browsers keep {MAX_COOKIE_BYTES} bytes of a cookie"})
        response.status_code = 413
    return response


@app.post("/session")
def create() -> Response:
    asked = body()
    owner, count = asked.get("owner"), asked.get("bytes")
    if not isinstance(owner, str) or not is_within(count, MAX_BYTES):
        raise Refusal(400, 'POST /session takes {"owner": text, "bytes": 0 to 4194304}')
    # Ends the session of before, if there is one.
    change_id()
    session.clear()
    session.permanent = True
    epoch = secrets.token_hex(8)
    session.update(owner=owner, epoch=epoch, version=0, digest=EMPTY_DIGEST, tail=[])
    session.update(payload=bytes_of(epoch, count), changing=b"")
    return show()


@app.post("/session/log-in")
def log_in() -> Response:
    owner = body().get("owner")
    if not isinstance(owner, str) or not owner:
        raise Refusal(400, 'POST /session/log-in takes {"owner": text}')
    needs_session()
    change_id()
    session["owner"] = owner
    return show()


@app.post("/session/ops")
def append() -> Response:
    asked = body()
    op, count, ms = asked.get("op"), asked.get("bytes", 0), asked.get("hold_ms", 0)
    is_op = isinstance(op, str) and 1 <= len(op) <= 64
    if not is_op or not is_within(count, MAX_BYTES) or not is_within(ms, MAX_HOLD_MS):
        raise Refusal(
            400,
            'POST /session/ops takes {"op": 1 to 64 characters, "bytes": 0 to 4194304, or none, '
            '"hold_ms": 0 to 60000, or none}',
        )
    needs_session()
    hold(ms)
    session["version"] += 1
    session["digest"] = chained(session["digest"], op)
    session["tail"] = (session["tail"] + [op])[-TAIL:]
    if count > 0:
        session["changing"] = bytes_of(op, count)
    return show()


@app.get("/session")
def read() -> Response:
    ms = request.args.get("hold_ms", "0")
    if not ms.isdecimal() or not is_within(int(ms), MAX_HOLD_MS):
        raise Refusal(400, "GET /session takes `hold_ms`, 0 to 60000, or nothing")
    needs_session()
    hold(int(ms))
    return show()


@app.post("/session/log-out")
def log_out() -> tuple[str, int]:
    needs_session()
    session.clear()
    return "", 204


@app.get("/health")
def health() -> Response:
    return reply({"members": [os.environ["NODE"]]})


@app.get("/internals")
def internals() -> Response:
    gc.collect()
    heap = sum(sys.getsizeof(one) for one in gc.get_objects())
    return reply({"heap_bytes": heap, "sessions": {"primary": 0, "backup": 0, "proxy": 0}})
