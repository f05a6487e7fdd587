"""The cookie of a session, and what may use it."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import Response

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.web.page.sessions import (
    SessionDoor,
    cookie_of,
    end_session,
    path_of,
    require_own_page,
    start_session,
    with_session,
)

TOKEN = "eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl"
COOKIE = (b"cookie", f"theme=dark; nexus-session={TOKEN}; x=1".encode())
OWN = (b"origin", b"http://plant:8080")
HOST = (b"host", b"plant:8080")
CSRF = (b"x-nexus-csrf", b"1")
BEARER = [f"Bearer {TOKEN}".encode()]


def scope(*headers: tuple[bytes, bytes], method: str = "GET", kind: str = "http", scheme: str = "http") -> Any:
    return {"type": kind, "method": method, "path": "/v1/sites/acme/chicago/x", "scheme": scheme, "headers": [*headers]}


def shown(found: Any) -> list[bytes]:
    return [value for name, value in found["headers"] if name == b"authorization"]


def test_reading_with_the_cookie_is_as_with_its_token() -> None:
    assert shown(with_session(scope(COOKIE, HOST))) == BEARER
    assert shown(with_session(scope(COOKIE, HOST, method="HEAD"))) == BEARER


def test_a_header_wins_over_the_cookie_and_needs_no_origin() -> None:
    own = scope(COOKIE, (b"authorization", b"Bearer other"), method="POST")
    assert with_session(own) is own


def test_without_a_cookie_nothing_changes() -> None:
    plain = scope((b"cookie", b"theme=dark"), method="POST")
    assert with_session(plain) is plain


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_change_needs_origin_and_header(method: str) -> None:
    assert shown(with_session(scope(COOKIE, HOST, OWN, CSRF, method=method))) == BEARER
    for missing in ((COOKIE, HOST, CSRF), (COOKIE, HOST, OWN), (COOKIE, OWN, CSRF)):
        with pytest.raises(NexusError) as error:
            with_session(scope(*missing, method=method))
        assert error.value.code == "NX6950"


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "same"),
    [
        ("http://plant:8080", "plant:8080", "http", True),
        ("http://PLANT:8080", "plant:8080", "http", True),
        ("https://plant", "plant", "http", True),  # a proxy in front speaks TLS
        ("https://plant", "plant:443", "https", True),
        ("http://plant", "plant:80", "http", True),
        ("http://[::1]:8080", "[::1]:8080", "http", True),
        ("http://plant", "plant", "https", False),
        ("http://plant:8081", "plant:8080", "http", False),
        ("http://plant.evil.example:8080", "plant:8080", "http", False),
        ("http://evil.example", "plant:8080", "http", False),
        ("null", "plant:8080", "http", False),
        ("", "plant:8080", "http", False),
        ("file://", "", "http", False),
        ("http://", "", "http", False),
        ("http://plant:port", "plant:8080", "http", False),
        ("chrome-extension://plant:8080", "plant:8080", "http", False),
    ],
)
def test_only_this_very_origin_is_ours(origin: str, host: str, scheme: str, same: bool) -> None:
    asked = scope((b"origin", origin.encode()), (b"host", host.encode()), CSRF, method="POST", scheme=scheme)
    if same:
        require_own_page(asked)
    else:
        with pytest.raises(NexusError, match="does not come from the page"):
            require_own_page(asked)


def test_a_websocket_needs_the_origin_alone() -> None:
    assert shown(with_session(scope(COOKIE, HOST, OWN, kind="websocket", scheme="ws"))) == BEARER
    for headers in ((COOKIE, HOST), (COOKIE, HOST, (b"origin", b"http://evil.example"))):
        with pytest.raises(NexusError):
            with_session(scope(*headers, kind="websocket", scheme="ws"))


@pytest.mark.parametrize(
    "cookies",
    [
        [f"nexus-session={TOKEN}; nexus-session=other"],
        [f"nexus-session={TOKEN}", "nexus-session=other"],
        ["nexus-session="],
        ["nexus-session=a b"],
        ["nexus-session=a\r\nx"],
        [f"nexus-session={'a' * 8193}"],
        ["xnexus-session=abc"],
    ],
)
def test_a_cookie_that_another_site_may_have_set_is_none(cookies: list[str]) -> None:
    assert cookie_of(scope(*((b"cookie", each.encode()) for each in cookies))) == ""


def test_the_cookie_is_the_sites_own_and_ends() -> None:
    answer = Response()
    start_session(answer, scope(), site="acme/chicago", token=TOKEN, seconds=28_800)
    said = answer.headers["set-cookie"]
    assert said == (f"nexus-session={TOKEN}; HttpOnly; Max-Age=28800; Path=/v1/sites/acme/chicago; SameSite=strict")
    assert path_of("acme/chicago") == "/v1/sites/acme/chicago"
    ended = Response()
    end_session(ended, scope(), site="acme/chicago")
    assert "Max-Age=0" in ended.headers["set-cookie"]


@pytest.mark.parametrize("over_tls", [scope(scheme="https"), scope((b"origin", b"https://plant"))])
def test_over_tls_the_cookie_is_secure(over_tls: Any) -> None:
    answer = Response()
    start_session(answer, over_tls, site="acme/chicago", token=TOKEN, seconds=60)
    assert "; Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    ("kind", "first"), [("http", "http.response.start"), ("websocket", "websocket.http.response.start")]
)
async def test_the_door_refuses_before_anything_is_behind_it(kind: str, first: str) -> None:
    sent: list[Any] = []

    async def behind(*_: object) -> None:
        raise AssertionError("nothing gets here")

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    await SessionDoor(behind)(scope(COOKIE, HOST, method="POST", kind=kind), receive, send)
    assert sent[0]["type"] == first
    assert sent[0]["status"] == 403
