"""What each answer to a write says of it, and answers that are somebody else's: they are no values and acknowledge nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nexus_cli.drivers.base import DriverError, Effect, Point, Scope, Session, points_of
from nexus_cli.model.config import DeviceConfig
from nexus_cli.wire.sample import Value
from tests.contract.answers import DONE, STRANGERS, Answer, ads_data, is_write, opcua_written, preceded, s7_item
from tests.contract.driver_cases import ADS, CASES, OPCUA, S7, DriverCase
from tests.contract.driving import opened, read_all
from tests.contract.hostile import ads_error, of_words, opcua_fault, s7_error
from tests.garble import CUT, BadLine

pytestmark = pytest.mark.own_time
NONE, REFUSED, MAYBE = Effect.NONE, Effect.REFUSED, Effect.MAYBE

ANSWERS: list[tuple[DriverCase, str, Answer, Effect]] = [
    (S7, "job-8104", s7_error(0x8104), REFUSED),
    (S7, "job-d241", s7_error(0xD241), REFUSED),
    (S7, "job-8000", s7_error(0x8000), REFUSED),
    (S7, "job-8500", s7_error(0x8500), REFUSED),
    *[(S7, f"item-{code:x}", s7_item(code), REFUSED) for code in (1, 3, 5, 7, 10)],
    (S7, "cut-short", lambda asked: s7_item(0xFF)(asked)[:-1].replace(b"\x03\0\0\x16", b"\x03\0\0\x15", 1), MAYBE),
    *[(ADS, f"code-{code}", ads_error(code), REFUSED) for code in (6, 1793, 1794, 1796, 1797, 1799, 1800, 1802)],
    *[(ADS, f"code-{code}", ads_error(code), MAYBE) for code in (1, 21, 1817, 1861)],
    (ADS, "cut-short", ads_data(b"\0\0"), MAYBE),
    *[
        (OPCUA, f"status-{status:x}", opcua_written(status), REFUSED)
        for status in (0x801F0000, 0x803B0000, 0x803C0000, 0x80740000, 0x80340000, 0x80730000)
    ],
    *[
        (OPCUA, f"status-{status:x}", opcua_written(status), MAYBE)
        for status in (0x80050000, 0x800A0000, 0x80850000, 0x40000000, 0x40920000)
    ],
    *[
        (OPCUA, f"fault-{status:x}", opcua_fault(status), REFUSED)
        for status in (0x80EE0000, 0x801F0000, 0x80100000, 0x800B0000)
    ],
    *[
        (OPCUA, f"fault-{status:x}", opcua_fault(status), MAYBE)
        for status in (0x800A0000, 0x80850000, 0x80020000, 0x80860000)
    ],
    *[(case, "silence", lambda asked: b"", MAYBE) for case in CASES],
    *[(case, "closed", lambda asked: CUT, MAYBE) for case in CASES],
]


def effect_of(error: DriverError) -> Effect:
    """What it says of the write, where it leaves that to its scope too."""
    return error.effect or (REFUSED if error.scope is Scope.ITEM else MAYBE)


@asynccontextmanager
async def lined(case: DriverCase, home: str) -> AsyncIterator[tuple[BadLine, DeviceConfig, Session]]:
    """A session over a bad line, in which everything was read once."""
    server = await case.serve([of_words(case, case.device(0, 0))], port=0)
    try:
        async with case.bad_line(server.port) as line:
            device = of_words(case, case.device(0, line.port))
            async with opened(case, [device], home) as session:
                await read_all(case, session, device)
                yield line, device, session
    finally:
        await server.close()


async def write(session: Session, device: DeviceConfig, value: Value) -> DriverError | None:
    """Write a value of the first tag; None when it was acknowledged."""
    point: Point = points_of(device)[0]
    try:
        await session.write(device.path, point, value)
    except DriverError as error:
        return error
    return None


def answering(case: DriverCase, line: BadLine, answer: Answer) -> None:
    """Writes get this answer and go no further."""
    line.ask = lambda asked: answer(asked) if is_write(case.name, asked) else None


@pytest.mark.parametrize(
    ("case", "name", "answer", "effect"), ANSWERS, ids=[f"{case.name}-{name}" for case, name, _, _ in ANSWERS]
)
async def test_what_an_answer_says_of_a_write(
    case: DriverCase, name: str, answer: Answer, effect: Effect, home: str
) -> None:
    async with lined(case, home) as (line, device, session):
        answering(case, line, answer)
        error = await write(session, device, 7)
        assert line.asked, "the write was not seen: this proves nothing"
        assert error is not None and effect_of(error) is effect, error


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_value_that_does_not_fit_is_not_sent(case: DriverCase, home: str) -> None:
    async with lined(case, home) as (line, device, session):
        answering(case, line, DONE[case.name])
        error = await write(session, device, 1 << 40)
        assert error is not None and effect_of(error) is NONE and not line.asked


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_an_answer_that_acknowledges_does(case: DriverCase, home: str) -> None:
    async with lined(case, home) as (line, device, session):
        answering(case, line, DONE[case.name])
        assert await write(session, device, 7) is None and line.asked == 1


FOREIGN = [(case, name, other) for case in CASES for name, other in STRANGERS[case.name].items()]
FOREIGN_IDS = [f"{case.name}-{name}" for case, name, _ in FOREIGN]


@pytest.mark.parametrize(("case", "name", "other"), FOREIGN, ids=FOREIGN_IDS)
async def test_an_answer_to_somebody_else_acknowledges_nothing(
    case: DriverCase, name: str, other: Answer, home: str
) -> None:
    done = DONE[case.name]
    async with lined(case, home) as (line, device, session):
        answering(case, line, lambda asked: other(done(asked)))
        error = await write(session, device, 7)
        assert error is not None and effect_of(error) is MAYBE
        if case.name == "modbus":
            assert "any_transaction: true" in error.message


@pytest.mark.parametrize(("case", "name", "other"), FOREIGN, ids=FOREIGN_IDS)
async def test_an_answer_to_somebody_else_is_no_value(case: DriverCase, name: str, other: Answer, home: str) -> None:
    """It comes before ours, with other values in it; the link is kept, and ours is taken."""
    async with lined(case, home) as (line, device, session):
        line.bend = preceded(case.name, other)
        for _ in range(2):
            values, faults = await read_all(case, session, device)
            assert not faults
            assert values == {name: int(name[1:]) for name in device.tags}
        assert line.bent
