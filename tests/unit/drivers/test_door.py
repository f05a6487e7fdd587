"""The door of every driver: a foreign exception of any of its calls is a lost session, and no driver is reached without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from nexus_cli.drivers import registry
from nexus_cli.drivers.base import EVERYTHING, Browsed, BrowseOptions, Driver, DriverError, Request, Scope
from nexus_cli.drivers.door import GuardedDriver, GuardedSession, guarded
from nexus_cli.wire.sample import Reason
from tests.field import FakeDriver, FakeSession, device
from tests.unit.diagnostics.test_foreign import FOREIGN


class Raising(FakeSession):
    """A session whose every call raises."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(FakeDriver(), "link")
        self.error = error
        self.extra = "its own"

    async def _raise(self, *_: Any, **__: Any) -> Any:
        await asyncio.sleep(0)
        raise self.error

    read = write = subscribe = configure = check = close = _raise

    async def browse(self, options: BrowseOptions = EVERYTHING) -> AsyncIterator[Browsed]:
        yield Browsed((options.start,), "a", "float64")
        raise self.error


CALLS: dict[str, Callable[[GuardedSession], Awaitable[Any]]] = {
    "read": lambda session: session.read(Request("d", (), None)),
    "write": lambda session: session.write("d", None, 1),  # type: ignore[arg-type]
    "subscribe": lambda session: session.subscribe("d", (), interval_ms=(), sink=lambda _, __: None),
    "configure": lambda session: session.configure(()),
    "check": lambda session: session.check(),
}


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("call", CALLS)
async def test_a_foreign_exception_is_a_lost_session(call: str, error: BaseException) -> None:
    session = GuardedSession(Raising(error))
    with pytest.raises(DriverError, match="the driver's library broke off") as failed:
        await CALLS[call](session)
    assert (failed.value.scope, failed.value.reason) == (Scope.SESSION, Reason.LINK_LOST)
    assert type(error).__name__ in failed.value.message
    assert session.calls == 1


@pytest.mark.parametrize(
    "error", [DriverError("no", scope=Scope.ITEM), RuntimeError("a bug"), TimeoutError()], ids=repr
)
@pytest.mark.parametrize("call", CALLS)
async def test_what_the_supervisor_knows_passes(call: str, error: Exception) -> None:
    with pytest.raises(type(error)) as failed:
        await CALLS[call](GuardedSession(Raising(error)))
    assert failed.value is error


@pytest.mark.parametrize("error", [*FOREIGN, RuntimeError("a bug")], ids=lambda error: type(error).__name__)
async def test_the_end_of_a_session_never_raises(error: BaseException) -> None:
    await GuardedSession(Raising(error)).close()


async def test_a_walk_that_breaks_off_is_a_lost_session() -> None:
    found = []
    with pytest.raises(DriverError, match="broke off"):
        async for one in GuardedSession(Raising(asyncio.CancelledError())).browse(BrowseOptions(start="here")):
            found += [one.path]
    assert found == [("here",)]


async def test_a_session_that_was_opened_for_nobody_is_closed() -> None:
    """The library swallows the cancellation and connects all the same."""
    session = FakeSession(FakeDriver(), "link")

    class Deaf(FakeDriver):
        async def connect(self, *_: Any, **__: Any) -> FakeSession:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass
            return session

    task = asyncio.ensure_future(guarded(Deaf()).connect([device("a/l/d")], home=""))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert session.closed


async def test_what_else_a_session_has_is_reached_through_the_door() -> None:
    assert GuardedSession(Raising(RuntimeError())).extra == "its own"
    with pytest.raises(AttributeError):
        GuardedSession(Raising(RuntimeError())).missing  # noqa: B018


@pytest.mark.parametrize("protocol", registry.protocols())
def test_no_driver_is_given_out_without_its_door(protocol: str) -> None:
    driver: Driver = registry.driver(protocol)
    assert isinstance(driver, GuardedDriver)
    assert guarded(driver) is driver
    assert driver.name == protocol
