"""Commands that are too large: told at once, by their sender and by the gateway."""

from __future__ import annotations

import asyncio

import pytest

from nexus_cli.project import write
from nexus_cli.settings import Settings
from nexus_cli.wire.command import (
    LARGEST_LOOKED_INTO,
    MAX_BYTES,
    Command,
    CommandError,
    State,
    decode_command,
    encode,
    too_large,
)


def command(characters: int) -> Command:
    return Command(id="01JD", value="ä" * characters, expires_at=1)


def test_the_limit_is_of_bytes_and_is_named() -> None:
    assert too_large(encode(command(8_000))) == ""
    assert f"at most {MAX_BYTES}" in too_large(encode(command(9_999)))


def test_a_gateway_knows_whom_to_answer() -> None:
    with pytest.raises(CommandError) as error:
        decode_command(encode(command(9_999)))
    assert error.value.id == "01JD"
    with pytest.raises(CommandError) as error:
        decode_command(encode(command(LARGEST_LOOKED_INTO)))
    assert error.value.id == ""


def test_who_writes_is_refused_before_anything_is_sent() -> None:
    settings = Settings(site="acme/chicago", broker_url="mqtt://nowhere.invalid:1")
    found = asyncio.run(write.send("a/l/d/t", command(9_999), gateway="g", settings=settings, wait_s=1.0))
    assert (found.state, found.code) == (State.REFUSED, "NX6801")
    assert f"at most {MAX_BYTES}" in found.detail
