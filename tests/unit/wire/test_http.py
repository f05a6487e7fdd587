"""The door to control's API: whatever its library raises comes out as one plain error of ours."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import orjson
import pytest

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings
from nexus_cli.wire.control import DeploymentRequest, State
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.http_answers import read
from tests.unit.diagnostics.test_foreign import Abrupt, WithResult

SETTINGS = Settings(site="a/b", control_url="http://127.0.0.1:9", control_token="secret")


async def asked(
    error: BaseException, call: Callable[[ControlClient], Awaitable[object]] = ControlClient.state
) -> NexusError:
    """What a call raises when the library raises this."""

    async def handle(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        raise error

    control = ControlClient(SETTINGS)
    control._http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    async with control:
        with pytest.raises(NexusError) as failed:
            await call(control)
    return failed.value


CAUSES = {
    "CancelledError": "CancelledError",
    "WithResult": "('answer', None)",
    "Abrupt": "gone",
    "ConnectError": "refused",
    "StreamClosed": "Attempted to read or stream content, but the stream has been closed.",
    "ConnectionResetError": "reset",
    "SSLError": "('handshake',)",
}
"""In the words of the error; those of Python only where it has none."""


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        WithResult("answer", None),
        Abrupt("gone"),
        httpx.ConnectError("refused"),
        httpx.StreamClosed(),
        ConnectionResetError("reset"),
        ssl.SSLError("handshake"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_the_library_raises_is_control_that_does_not_answer(error: BaseException) -> None:
    failed = await asked(error)
    assert (failed.code, failed.retriable, failed.exit_code) == ("NX6400", True, 6)
    assert failed.message == "Control at http://127.0.0.1:9 does not answer."
    assert failed.cause == CAUSES[type(error).__name__]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (httpx.ReadTimeout("slow"), "NX4015"),
        (httpx.ReadError("reset"), "NX4015"),
        (httpx.RemoteProtocolError("closed"), "NX4015"),
        (httpx.ConnectError("refused"), "NX6400"),
        (httpx.ConnectTimeout("slow"), "NX6400"),
        (httpx.PoolTimeout("busy"), "NX6400"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_a_lost_answer_to_a_deployment_says_that_it_may_have_been_accepted(error: Exception, code: str) -> None:
    request = DeploymentRequest(base_digest="a", desired_digest="b", changed={"site": None})
    failed = await asked(error, lambda control: control.deploy(request))
    assert (failed.code, failed.exit_code) == (code, 6)
    assert ("is not known" in failed.message) is (code == "NX4015")


async def test_a_cancellation_that_was_asked_for_passes() -> None:
    reached = asyncio.Event()

    async def handle(_: httpx.Request) -> httpx.Response:
        reached.set()
        await asyncio.sleep(60)
        raise AssertionError

    control = ControlClient(SETTINGS)
    control._http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    task: asyncio.Task[Any] = asyncio.ensure_future(control.state())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await control.close()


@pytest.mark.parametrize("token", ["gehéim", "se\ncret", "\x00"])
async def test_a_token_that_http_can_t_carry_is_told_without_it(token: str) -> None:
    settings = Settings(site="a/b", control_url="http://127.0.0.1:9", control_token=token)
    async with ControlClient(settings) as control:
        with pytest.raises(NexusError) as failed:
            await control.state()
    assert failed.value.code == "NX6400"
    assert token not in f"{failed.value.message}{failed.value.cause}{failed.value.hint}"


@pytest.mark.parametrize(
    ("status", "body", "code", "retriable"),
    [
        (503, orjson.dumps({"code": "NX6409", "message": "The process that answers is stopping."}), "NX6409", True),
        (503, orjson.dumps({"code": "NX6408", "message": "a standby"}), "NX6408", True),
        (500, b"Internal Server Error", "NX6400", True),
        (502, b"<html>Bad Gateway</html>", "NX6400", True),
        (200, b"<html>hello</html>", "NX6404", False),
        (404, b"not found", "NX6404", False),
        (401, orjson.dumps({"code": "NX6401", "message": "A token is needed."}), "NX6401", False),
    ],
)
def test_answers(status: int, body: bytes, code: str, retriable: bool) -> None:
    with pytest.raises(NexusError) as error:
        read(httpx.Response(status, content=body), "http://control", State)
    assert (error.value.code, error.value.retriable, error.value.exit_code) == (code, retriable, 6)


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b"{}", b'{"deployment": "1"}', b'{"deployment": null}'])
def test_an_answer_of_another_shape_is_one_plain_sentence(body: bytes) -> None:
    with pytest.raises(NexusError) as error:
        read(httpx.Response(200, content=body), "http://control", State)
    assert (error.value.code, error.value.retriable, error.value.exit_code) == ("NX6404", False, 6)
    assert error.value.cause and "\n" not in error.value.message


def test_unknown_fields_pass_and_those_of_a_later_version_may_be_missing() -> None:
    known = {"deployment": 3, "digest": "sha256:1", "digests": {"site": "sha256:2"}}
    for body in (known, {**known, "moon": {"phase": 1}}):
        found = read(httpx.Response(200, content=orjson.dumps(body)), "http://control", State)
        assert found == State(deployment=3, digest="sha256:1", digests={"site": "sha256:2"}, running=[])
