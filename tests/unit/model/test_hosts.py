"""Hosts of connections, and what was meant by a word that is not a type."""

from __future__ import annotations

import pytest

from nexus_cli.model.datatype import type_hint
from nexus_cli.model.hosts import host_of
from nexus_cli.model.spelling import SpellingError


@pytest.mark.parametrize(
    "text", ["10.0.0.9", "plc-7.plant.", "fe80::1", "[fe80::1]", "a_b", "${env:PLC}", "müller.plant"]
)
def test_names_and_addresses_pass(text: str) -> None:
    assert host_of(text) == text.strip("[]")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10.0.0.9:502", "host: 10.0.0.9, port: 502"),
        ("plc:0502", "host: plc, port: 502"),
        ("[::1]:502", "host: ::1, port: 502"),
        ("tcp://10.0.0.9:502", "host: 10.0.0.9, port: 502"),
        ("http://plc", "host: plc"),
        ("a b", "write a name such as plc-7.plant, or an address such as 10.0.0.9"),
        ("10.0.0.9/24", "write a name such as plc-7.plant, or an address such as 10.0.0.9"),
    ],
)
def test_what_is_more_than_a_host_is_told_apart(text: str, hint: str) -> None:
    with pytest.raises(SpellingError) as caught:
        host_of(text)
    assert (caught.value.code, caught.value.hint) == ("NX1014", hint)


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("int", "say how wide it is: int16 (INT), int32 (DINT), int64 (LINT)"),
        ("uint", "say how wide it is: uint16 (UINT, WORD), uint32 (UDINT, DWORD), uint64 (ULINT, LWORD)"),
        ("INT", "did you mean 'int16'?"),
        ("UINT", "did you mean 'uint16'?"),
        ("UINT32", "did you mean 'uint32'?"),
        ("REAL", "did you mean 'float32'?"),
        ("real", "did you mean 'float32'?"),
        ("lreal", "did you mean 'float64'?"),
        ("double", "did you mean 'float64'?"),
        ("WORD", "did you mean 'uint16'?"),
        ("dword", "did you mean 'uint32'?"),
        ("DINT", "did you mean 'int32'?"),
        ("short", "did you mean 'int16'?"),
        ("long", "say how wide it is: int32 (DINT), int64 (LINT)"),
        ("float", "say how wide it is: float32 (REAL), float64 (LREAL)"),
        ("REAL[5]", "did you mean 'float32[5]'?"),
        ("text[8]", "did you mean 'string[8]'?"),
        ("uint16_t", "did you mean 'uint16'?"),
        ("int32_be", "did you mean 'int32'?; the order of bytes is said by 'order'"),
        ("int61", "did you mean 'int64'?"),
    ],
)
def test_a_type_that_is_none_is_answered_with_what_was_meant(written: str, hint: str) -> None:
    assert type_hint(written) == hint
