"""A shop of one file for the tests of Compose: the standard library, sessions in Redis, one of its own on each log-in."""

import json
import os
import secrets
import socket
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs


def ask(*words):
    """One command to Redis, on a connection of its own."""
    with socket.create_connection(("redis", 6379), 2) as redis, redis.makefile("rb") as replies:
        parts = [str(word).encode() for word in words]
        redis.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return reply(replies)


def reply(replies):
    kind = replies.readline().strip()
    number = int(kind[1:]) if kind[:1] in b":$*" else 0
    if kind[:1] == b"$":
        return None if number < 0 else replies.read(number + 2)[:-2].decode()
    if kind[:1] == b"*":
        return [reply(replies) for _ in range(number)]
    return number


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=None, **headers):
        body = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("X-Served-By", socket.gethostname())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def session(self):
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("sid")
        return cookie and cookie.value

    def do_GET(self):
        if self.path == "/health":
            return self.answer(200)
        cart = self.session() and ask("LRANGE", self.session(), 0, -1)
        if not cart:
            return self.answer(401)
        self.answer(200, {"user": cart[0], "items": cart[1:]})

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        if self.path == "/accounts":
            return self.answer(201 if ask("SADD", "accounts", form["user"][0]) else 409)
        if self.path == "/login":
            if os.environ.get("ACCOUNTS") and not ask("SISMEMBER", "accounts", form["user"][0]):
                return self.answer(403)
            session = secrets.token_hex(16)
            ask("RPUSH", session, form["user"][0])
            return self.answer(204, Set_Cookie=f"sid={session}; Path=/; HttpOnly")
        if self.path == "/logout":
            ask("DEL", self.session())
            return self.answer(204)
        if not ask("RPUSHX", self.session(), form["sku"][0]):
            return self.answer(401)
        self.answer(201)


class Server(ThreadingHTTPServer):
    # Connections that wait to be accepted. With the usual 5, a handful at once is refused by silence, nginx gives up after its
    # 500 ms, and with all three apps marked so it answers 502 for a second.
    request_queue_size = 128


if os.environ.get("FAILS"):
    raise SystemExit("the shop has no database")
Server(("", 8000), Shop).serve_forever()
