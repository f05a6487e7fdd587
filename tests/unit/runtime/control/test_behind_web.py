"""The client's address of what web passes on: believed from web alone."""

from __future__ import annotations

import pytest
from starlette.types import Receive, Scope, Send

from nexus_cli.runtime.control.routes.behind_web import BehindWeb
from nexus_cli.runtime.identity.auth import Tokens
from nexus_cli.wire.relayed import ADDRESS, VOUCHER, relayed

TOKENS = Tokens({"nexus.web": "of-web", "nexus.cli": "of-cli", "ann": "of-ann"})
WEB_ITSELF = "192.0.2.1"


async def seen(*headers: tuple[str, str]) -> tuple[str, list[str]]:
    """The client's address and the names of the headers, as the application behind it sees them."""
    found: list[Scope] = []

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(scope)

    async def nothing(*_: object) -> dict[str, object]:
        raise AssertionError("nothing is received or sent")

    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "client": (WEB_ITSELF, 4711), "headers": [(b"host", b"x"), *sent]}
    await BehindWeb(behind, tokens=TOKENS)(scope, nothing, nothing)  # type: ignore[arg-type]
    return str(found[0]["client"][0]), [name.decode() for name, _ in found[0]["headers"]]


@pytest.mark.parametrize("address", ["10.0.0.7", "2001:db8::7", "fe80::1%eth0"])
async def test_web_is_believed(address: str) -> None:
    assert await seen(*relayed(address, token="of-web").items()) == (address, ["host"])


@pytest.mark.parametrize(
    "headers",
    [
        [(ADDRESS, "10.0.0.7")],
        [(VOUCHER, "of-web")],
        [(ADDRESS, "10.0.0.7"), (VOUCHER, "of-cli")],
        [(ADDRESS, "10.0.0.7"), (VOUCHER, "of-ann")],
        [(ADDRESS, "10.0.0.7"), (VOUCHER, "")],
        [(ADDRESS, "10.0.0.7"), (ADDRESS, "10.0.0.8"), (VOUCHER, "of-web")],
        [(ADDRESS, "no address"), (VOUCHER, "of-web")],
        [(ADDRESS, "10.0.0.7" + "0" * 100), (VOUCHER, "of-web")],
        [("x-forwarded-for", "10.0.0.7")],
    ],
)
async def test_nobody_else_is(headers: list[tuple[str, str]]) -> None:
    address, names = await seen(*headers)
    assert address == WEB_ITSELF
    assert not {ADDRESS, VOUCHER} & set(names)


def test_without_an_address_or_a_token_nothing_is_shown() -> None:
    assert relayed("", token="of-web") == relayed("10.0.0.7", token="") == {}
