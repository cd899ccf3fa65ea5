"""Who may open the page and its socket, and the few addresses that are ours: state and stop.

The page operates a robot, and viser itself asks nobody for a name.  So every request, of the page and of the socket,
passes :class:`Gate` first:

* Without a token, only on loopback: the ``Host`` must be a name of this machine, and a page that asks (``Origin``) must
  be our own.  Another site open in the operator's browser can reach the port, but is refused, also when its name has
  been made to point here (DNS rebinding).
* With a token, it must come with the address (``?token=``) or as the cookie that the first answer sets.
"""

from __future__ import annotations

import gzip
import hmac
import http
import ipaddress
import json
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from neon_ros.errors import ConfigError, refuse
from neon_ros.show.page import inserted

SHORTEST_TOKEN = 16
STOP_PATH, STATE_PATH = "/neon/stop", "/neon/state"
STOP_HEADER = "X-Neon-Stop"
"""Must come with a stop.  A page of another site cannot add it: the browser would ask us first, and is refused."""
_EVERYDAY = ("opening handshake failed", "connection rejected")  # what the websockets library says of such visitors
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach ``host``."""
    if host in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token_for(host: str, token: str) -> str:
    """Return the token that a page on ``host`` asks for: the given one, beyond loopback else a random one.

    :raises ConfigError: on a token that could be guessed or does not fit into an address.
    """
    if token and (len(token) < SHORTEST_TOKEN or not all(c.isascii() and (c.isalnum() or c in "-_") for c in token)):
        allowed = f"at least {SHORTEST_TOKEN} letters, digits, - or _"
        raise ConfigError(refuse("view token", f"{len(token)} characters", allowed))
    return token or ("" if is_loopback(host) else secrets.token_urlsafe(24))


class Gate:
    """Decides about requests and answers our own addresses.

    :param host: address the page listens on.
    :param token: what a visitor must know; empty on loopback for none.
    :param stop: called when somebody stops the robot; must not wait.
    :param state: returns what the page's bar shows.
    """

    def __init__(
        self, host: str, token: str, stop: Callable[[], None], state: Callable[[], Mapping[str, object]]
    ) -> None:
        self._host, self._token = host, token
        self._stop, self._state = stop, state
        self._pages: dict[bytes, bytes] = {}
        self.guards = False

    def refusal(self, path: str, headers: Mapping[str, str]) -> str:
        """Return why a request is refused, or nothing.

        :param path: with query.
        :param headers: of the request, by their usual names.
        """
        host, origin = headers.get("Host", ""), headers.get("Origin", "")
        if origin and urlsplit(origin).netloc.lower() != host.lower():
            return f"page of {origin[:80]}; allowed: the view's own page"
        if self._token:
            if self._knows(path, headers):
                return ""
            return "no or another token; allowed: the address with ?token= that the view printed when it started"
        name = (urlsplit(f"//{host}").hostname or "").lower()
        if is_loopback(name) or name == self._host.lower():
            return ""
        return f"host {host[:80]}; allowed: localhost, or a view with a token"

    def _knows(self, path: str, headers: Mapping[str, str]) -> bool:
        cookies = [part.strip().partition("=") for part in headers.get("Cookie", "").split(";")]
        offered = [value for name, _, value in cookies if name == self._cookie_name(headers)]
        offered += parse_qs(urlsplit(path).query).get("token", [])
        return any(hmac.compare_digest(value.encode(), self._token.encode()) for value in offered)

    @staticmethod
    def _cookie_name(headers: Mapping[str, str]) -> str:
        """Return the cookie's name; cookies know no ports, and two views on one machine are two."""
        return f"neon_view_{urlsplit('//' + headers.get('Host', '')).port or 80}"

    def around(self, serve: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Return ``process_request`` of the websockets library: refuse, answer, or let ``serve`` (viser) go on."""
        from websockets.datastructures import Headers
        from websockets.http11 import Response

        def answer(status: http.HTTPStatus, kind: str, body: bytes) -> Any:
            headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store"})
            return Response(status.value, status.phrase, headers, body)

        def process(connection: Any, request: Any) -> Any:
            try:
                reason = self.refusal(request.path, request.headers)
            except Exception as error:  # two Host headers, a port that is no number: whatever it is, it is no visitor
                reason = f"a request that cannot be read ({type(error).__name__}); allowed: HTTP"
            if reason:
                text = refuse("request", *reason.split("; allowed: ", 1)).encode()
                return answer(http.HTTPStatus.FORBIDDEN, "text/plain; charset=utf-8", text + b"\n")
            path = urlsplit(request.path).path
            if path == STATE_PATH:
                return answer(http.HTTPStatus.OK, "application/json", json.dumps(dict(self._state())).encode())
            if path == STOP_PATH:
                if request.headers.get(STOP_HEADER) != "1":
                    text = refuse("stop", f"no {STOP_HEADER}", f"a request with {STOP_HEADER}: 1").encode()
                    return answer(http.HTTPStatus.BAD_REQUEST, "text/plain; charset=utf-8", text)
                self._stop()
                return answer(http.HTTPStatus.OK, "text/plain; charset=utf-8", b"stop asked")
            response = serve(connection, request)
            if response is not None and path in ("/", "/index.html"):
                self._dress(response, request.headers)
            return response

        self.guards = True
        return process

    def _dress(self, response: Any, headers: Mapping[str, str]) -> None:
        """Put our bar into viser's page, and hand the token over as a cookie."""
        if response.status_code == http.HTTPStatus.OK:
            if response.body not in self._pages:
                zipped = response.headers.get("Content-Encoding") == "gzip"
                page = inserted(gzip.decompress(response.body) if zipped else response.body)
                self._pages[response.body] = gzip.compress(page) if zipped else page
            response.body = self._pages[response.body]
            del response.headers["Content-Length"]
            response.headers["Content-Length"] = str(len(response.body))
        if self._token:
            cookie = f"{self._cookie_name(headers)}={self._token}; Path=/; HttpOnly; SameSite=Strict"
            response.headers["Set-Cookie"] = cookie


@contextmanager
def guarded_by(gate: Gate) -> Iterator[None]:
    """Let a server that starts within the block ask ``gate`` first.

    viser passes no check of its own on to the websockets library, so the library's ``serve`` is wrapped while the
    server starts.

    :raises ConfigError: when the server did not start through it; then nothing may be served.
    """
    import websockets.asyncio.server as library

    original = library.serve

    def serve(*positional: Any, process_request: Any = None, **named: Any) -> Any:
        process = gate.around(process_request or _nothing)
        return original(*positional, process_request=process, logger=_quiet_logger(), **named)

    patched: Any = library
    patched.serve = serve
    try:
        yield
    finally:
        patched.serve = original
    if not gate.guards:
        raise ConfigError(
            refuse("viser", "a server that asks nobody", "a version that starts through websockets.serve")
        )


def _quiet_logger() -> logging.Logger:
    """Return a logger that does not print a traceback for every visitor who is refused or hangs up early."""
    logger = logging.getLogger("websockets.neon_ros_view")
    if not logger.filters:
        logger.addFilter(lambda record: not record.getMessage().startswith(_EVERYDAY))
    return logger


def _nothing(connection: Any, request: Any) -> None:
    return None
