"""Commands as bytes: whatever comes is a command or a plain refusal, and one that is too large is refused at once."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from nexus_cli.wire.topic import Topics

NOW_US = 1_800_000_000_000_000


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


@given(st.binary(max_size=200))
def test_any_bytes_are_a_command_or_a_plain_refusal(payload: bytes) -> None:
    try:
        decode_command(payload)
    except CommandError as error:
        assert str(error)


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "a b", "ä", "x" * 129, "-a"])
def test_ids_that_can_stand_in_no_topic_are_refused(name: str) -> None:
    with pytest.raises(CommandError):
        decode_command(json.dumps({"id": name, "value": 1, "expires_at": 1}).encode())


@pytest.mark.parametrize("key", ["value", "expect"])
def test_what_is_nested_deeper_than_its_report_can_be_is_refused_by_its_id(key: str) -> None:
    def asked(levels: int) -> bytes:
        deep = "[" * levels + "1" + "]" * levels
        return f'{{"id": "x", "value": 1, "expires_at": 1, "{key}": {deep}}}'.encode()

    decode_command(asked(100))
    for levels in (101, 254, 600, 900, 4_000):
        with pytest.raises(CommandError) as refused:
            decode_command(asked(levels))
        assert refused.value.id == "x" or levels == 4_000  # there not even the id can be read


def test_a_command_survives_its_own_encoding() -> None:
    command = Command(id="a.1", value=[1, 2.5, "x", None], expires_at=NOW_US, expect=None, reason="why")
    assert decode_command(encode(command)) == command
    assert command.fingerprint("a/b/c/d") != command.fingerprint("a/b/c/e")


def test_the_topic_of_a_command_is_read_back() -> None:
    topics = Topics("acme", "chicago")
    assert topics.split_command(topics.command("a/l/d/t", "desk")) == ("a/l/d/t", "desk")
    for wrong in ("_nexus/acme/chicago/cmd/a/l/d/desk", "_nexus/acme/berlin/cmd/a/l/d/t/desk", "x"):
        assert topics.split_command(wrong) is None
