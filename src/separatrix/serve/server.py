"""A server for one person on one machine: it listens on the loopback address, and answers who knows its token.

What is refused, before anything is read: another method than GET; a `Host` that is not this address (a name that was
bent to it); an `Origin` or a fetch of another site; an address without the token. Paths are keys of a dictionary and
never names of files.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from separatrix.errors import OptionError, SeparatrixError, StoreError

HOST = "127.0.0.1"
SECONDS = 30  # that a connection may stay silent
LONGEST = 4096  # signs of an address
JSON, HTML, BYTES, WORDS = (
    "application/json",
    "text/html; charset=utf-8",
    "application/octet-stream",
    "text/plain; charset=utf-8",
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'",
}


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    content: bytes
    kind: str = JSON
    status: HTTPStatus = HTTPStatus.OK

    @classmethod
    def json(cls, value: Any) -> Reply:
        """Plain values."""
        return cls(json.dumps(value).encode())

    @classmethod
    def refusal(cls, status: HTTPStatus, text: str = "") -> Reply:
        """A sentence."""
        return cls((text or status.phrase).encode(), WORDS, status)


@dataclass(frozen=True)
class Query:
    """What stands behind the question mark of an address.

    >>> Query({"start": "5"}).number("start", 0, 10), Query({}).text("words")
    (5, '')
    """

    values: Mapping[str, str]

    def text(self, name: str) -> str:
        """A text; empty where there is none."""
        return self.values.get(name, "")

    def number(self, name: str, low: int, high: int) -> int:
        """A whole number. Raises `OptionError`: it is none, or out of its limits."""
        text = self.text(name)
        if not text.isascii() or not text.isdigit() or len(text) > 12 or not low <= int(text) <= high:
            raise OptionError(f"{name} is out of range", got=text[:20] or "nothing", expected=f"{low} to {high}")
        return int(text)


Route = Callable[[Query], Reply]


class PageServer(ThreadingHTTPServer):
    """Answers the routes by their names, each in a thread of its own."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, routes: Mapping[str, Route], port: int = 0) -> None:
        """Listen.

        Args:
            routes: name behind the token -> what answers; "" is the page.
            port: 0 takes a free one.

        Raises:
            StoreError: the port is taken or not allowed.
        """
        self.routes, self.token = routes, secrets.token_urlsafe(18)
        try:
            super().__init__((HOST, port), PageHandler)
        except OSError as error:
            hint = "choose another --port, or leave --port away for a free one"
            raise StoreError(f"port {port} cannot be used", got=error.strerror, hint=hint) from error

    @property
    def port(self) -> int:
        """That it listens on."""
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    @property
    def hosts(self) -> tuple[str, str]:
        """What may stand in `Host`."""
        return f"{HOST}:{self.port}", f"localhost:{self.port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that has gone is no error, and no other one ends the server."""


class PageHandler(BaseHTTPRequestHandler):
    """One request."""

    server: PageServer
    server_version, sys_version = "separatrix", ""
    timeout = SECONDS

    def do_GET(self) -> None:
        """Answer, or refuse."""
        self._send(self._refused() or self._reply())

    def send_error(self, code: int, *_: Any) -> None:
        """What is no GET, or no HTTP."""
        status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        self.close_connection = True
        self._send(Reply.refusal(status))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    def _refused(self) -> Reply | None:
        host, origin = self.headers.get_all("Host", []), self.headers.get("Origin")
        if len(host) != 1 or host[0].lower() not in self.server.hosts:
            return Reply.refusal(HTTPStatus.FORBIDDEN, "another host")
        if origin is not None and origin.lower() not in {f"http://{each}" for each in self.server.hosts}:
            return Reply.refusal(HTTPStatus.FORBIDDEN, "another origin")
        opened = self.headers.get("Sec-Fetch-Mode") == "navigate" and self.headers.get("Sec-Fetch-Dest") == "document"
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and not opened:
            return Reply.refusal(HTTPStatus.FORBIDDEN, "another site")
        return None

    def _reply(self) -> Reply:
        if len(self.path) > LONGEST:
            return Reply.refusal(HTTPStatus.REQUEST_URI_TOO_LONG)
        parts = urlsplit(self.path)
        token, slash, name = parts.path.removeprefix("/").partition("/")
        if not slash or not hmac.compare_digest(token.encode(), self.server.token.encode()):
            return Reply.refusal(HTTPStatus.NOT_FOUND)
        route = self.server.routes.get(name)
        if route is None:
            return Reply.refusal(HTTPStatus.NOT_FOUND)
        try:
            return route(Query(dict(parse_qsl(parts.query, keep_blank_values=True))))
        except OptionError as error:
            return Reply.refusal(HTTPStatus.BAD_REQUEST, str(error))
        except SeparatrixError as error:  # a file that was replaced since, say
            return Reply.refusal(HTTPStatus.CONFLICT, str(error))
        except Exception as error:
            return Reply.refusal(HTTPStatus.INTERNAL_SERVER_ERROR, type(error).__name__)

    def _send(self, reply: Reply) -> None:
        self.send_response_only(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.content)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if reply.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.content)
