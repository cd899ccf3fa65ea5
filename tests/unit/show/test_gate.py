"""Who may open the page: loopback names, own origin, token; and the page's own addresses."""

from __future__ import annotations

import gzip
import json
from types import SimpleNamespace
from typing import Any

import pytest

from neon_ros.errors import ConfigError
from neon_ros.show.gate import STATE_PATH, STOP_PATH, Gate, guarded_by, is_loopback, token_for
from neon_ros.show.page import BAR, inserted

TOKEN = "a-token-that-is-long-enough"


def _gate(host: str = "127.0.0.1", token: str = "", stops: list[int] | None = None) -> Gate:
    return Gate(host, token, lambda: (stops if stops is not None else []).append(1), lambda: {"words": "ACTIVE"})


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080"])
def test_without_a_token_this_machine_is_let_in(host: str) -> None:
    assert _gate().refusal("/", {"Host": host}) == ""


@pytest.mark.parametrize("host", ["evil.example:8080", "192.168.1.7:8080", "", "127.0.0.1.evil.example"])
def test_another_name_for_this_machine_is_refused(host: str) -> None:
    assert "allowed: localhost" in _gate().refusal("/", {"Host": host})


def test_a_page_of_another_site_is_refused_though_it_reaches_the_port() -> None:
    headers = {"Host": "127.0.0.1:8080", "Origin": "https://evil.example"}
    assert "page of https://evil.example" in _gate().refusal("/", headers)
    assert "page of null" in _gate().refusal("/", {"Host": "127.0.0.1:8080", "Origin": "null"})
    assert _gate().refusal("/", {"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:8080"}) == ""
    assert _gate().refusal("/", {"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:9090"}), "another port"


def test_with_a_token_it_must_come_with_the_address_or_as_cookie() -> None:
    gate = _gate("0.0.0.0", TOKEN)
    assert "?token=" in gate.refusal("/", {"Host": "robot:8080"})
    assert gate.refusal("/?token=wrong", {"Host": "robot:8080"})
    assert gate.refusal(f"/?token={TOKEN}", {"Host": "robot:8080"}) == ""
    assert gate.refusal("/", {"Host": "robot:8080", "Cookie": f"x=1; neon_view_8080={TOKEN}"}) == ""
    assert gate.refusal("/", {"Host": "robot:8080", "Cookie": f"neon_view_9090={TOKEN}"}), "another view's cookie"
    foreign = {"Host": "robot:8080", "Origin": "http://evil.example", "Cookie": f"neon_view_8080={TOKEN}"}
    assert gate.refusal("/", foreign), "a cookie does not help another site"


def test_a_token_on_loopback_is_asked_for_too() -> None:
    assert _gate("127.0.0.1", TOKEN).refusal("/", {"Host": "127.0.0.1:8080"})


def test_loopback_is_known_and_beyond_it_a_random_token_is_made() -> None:
    assert is_loopback("127.0.0.1") and is_loopback("localhost") and is_loopback("::1") and is_loopback("127.8.0.1")
    assert not is_loopback("0.0.0.0") and not is_loopback("robot") and not is_loopback("")
    assert token_for("127.0.0.1", "") == ""
    one, two = token_for("0.0.0.0", ""), token_for("0.0.0.0", "")
    assert len(one) >= 32 and one != two
    assert token_for("0.0.0.0", TOKEN) == TOKEN


@pytest.mark.parametrize("token", ["short", "spaces are no good for addresses", "sixteen-signs-;x"])
def test_a_token_that_could_be_guessed_or_does_not_fit_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match=r"view token: got \d+ characters; allowed: at least 16"):
        token_for("0.0.0.0", token)


def _request(gate: Gate, path: str, headers: dict[str, str] | None = None, page: bytes = b"") -> Any:
    pytest.importorskip("websockets")
    from websockets.datastructures import Headers
    from websockets.http11 import Response

    def serve(connection: Any, request: Any) -> Any:
        body = gzip.compress(page) if page else b"file"
        content = Headers({"Content-Length": str(len(body)), "Content-Encoding": "gzip" if page else "identity"})
        return Response(200, "OK", content, body)

    every = Headers({"Host": "127.0.0.1:8080", **(headers or {})})
    return gate.around(serve)(None, SimpleNamespace(path=path, headers=every))


def test_the_page_gets_the_bar_and_the_cookie() -> None:
    gate = _gate("127.0.0.1", TOKEN)
    answer = _request(gate, f"/?token={TOKEN}", page=b"<html><body>viser</body></html>")
    text = gzip.decompress(answer.body).decode()
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert text.count('id="neon-stop"') == 1 and text.endswith("</body></html>")
    cookie = answer.headers["Set-Cookie"]
    assert TOKEN in cookie and "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert "Set-Cookie" not in _request(gate, f"/x.js?token={TOKEN}").headers


def test_who_is_refused_sees_nothing_but_why() -> None:
    answer = _request(_gate("127.0.0.1", TOKEN), "/", page=b"<body></body>")
    assert answer.status_code == 403 and b"allowed: the address with ?token=" in answer.body
    assert TOKEN.encode() not in answer.body and "Set-Cookie" not in answer.headers


def test_a_request_that_cannot_be_read_is_refused() -> None:
    assert _request(_gate("0.0.0.0", TOKEN), "/", {"Cookie": "a=b", "Host": "robot:notaport"}).status_code == 403


def test_the_state_is_served_and_a_stop_needs_its_header() -> None:
    stops: list[int] = []
    gate = _gate(stops=stops)
    assert json.loads(_request(gate, STATE_PATH).body) == {"words": "ACTIVE"}
    assert _request(gate, STOP_PATH).status_code == 400 and not stops, "an image of another site could ask for that"
    assert _request(gate, STOP_PATH, {"X-Neon-Stop": "1"}).status_code == 200 and stops == [1]
    refused = _request(gate, STOP_PATH, {"X-Neon-Stop": "1", "Origin": "http://evil.example"})
    assert refused.status_code == 403 and stops == [1]


def test_a_server_that_starts_past_the_gate_is_refused() -> None:
    pytest.importorskip("websockets")
    import websockets.asyncio.server as library

    original = library.serve
    with pytest.raises(ConfigError, match="viser: got a server that asks nobody"), guarded_by(_gate()):
        pass
    assert library.serve is original


def test_the_bar_stands_at_the_end_of_any_page() -> None:
    assert inserted(b"<body>a</body>x").endswith(BAR.encode() + b"</body>x")
    assert inserted(b"no body") == b"no body" + BAR.encode()
