"""Values as a person types them at night, and what is said when they can't be."""

from __future__ import annotations

import pytest

from nexus_cli.cli.views.write import HINTS, response_text
from nexus_cli.diagnostics.codes import catalogue
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.inversion import InversionError, raw_of
from nexus_cli.model.write_check import not_writable, parse_value
from nexus_cli.wire.command import Response, State

SETPOINT = TagConfig(type="int16", scale=0.1, unit="degC", publish_unit="degC", range=(10, 90), writable=True)
PLAIN = TagConfig(type="float32", writable=True)
MODE = TagConfig(type="uint16", values={"0": "Off", "1": "Auto"}, writable=True)
FLAG = TagConfig(type="bool", writable=True)
ARRAY = TagConfig(type="float32[2]", writable=True)


@pytest.mark.parametrize(
    ("tag", "text", "value"),
    [
        (SETPOINT, " 42 ", 42),
        (SETPOINT, "+42.5", 42.5),
        (SETPOINT, "4.2e1", 42),
        (MODE, "Auto", "Auto"),
        (MODE, "0x1", 1),
        (FLAG, "ON", True),
        (FLAG, "0", False),
        (ARRAY, "[1, 2.5]", [1, 2.5]),
    ],
)
def test_what_is_meant(tag: TagConfig, text: str, value: object) -> None:
    assert parse_value(text, tag) == value


@pytest.mark.parametrize(
    ("tag", "text", "hint"),
    [
        (SETPOINT, "42 degC", "write 42: values of this tag are in degC"),
        (SETPOINT, "42,5degC", "write 42.5: values of this tag are in degC"),
        (SETPOINT, "108 degF", "write the number alone: values of this tag are in degC"),
        (PLAIN, "42 rpm", "write the number alone: values of this tag have no unit"),
        (SETPOINT, "42,5", "write 42.5"),
        (PLAIN, "1,000", "write 1000, or a point before decimals"),
        (SETPOINT, "warm", "write a number such as 42 or 42.5"),
        (SETPOINT, "", "write a number such as 42 or 42.5"),
        (MODE, "auto", "did you mean 'Auto'?"),
        (MODE, "AUTO", "did you mean 'Auto'?"),
        (MODE, "Atuo", "did you mean 'Auto'?"),
        (MODE, "9", "known are 0 (Off), 1 (Auto)"),
        (FLAG, "ja", "write true or false"),
    ],
)
def test_what_can_not_be_comes_with_a_hint(tag: TagConfig, text: str, hint: str) -> None:
    with pytest.raises(InversionError) as refused:
        raw_of(tag, parse_value(text, tag))
    assert refused.value.hint == hint


def test_an_answer_says_what_to_do_next() -> None:
    answer = Response(id="x", state=State.UNKNOWN, path="a/l/d/t", code="NX6819", detail="no gateway answered")
    text = response_text(answer, style=lambda text, _: text)
    assert text.splitlines()[-1] == (
        "  = hint: `nexus status` shows whether the gateway runs; `nexus read a/l/d/t` what the tag holds"
    )
    assert set(HINTS) <= set(catalogue())


@pytest.mark.parametrize(
    ("device", "name", "cause", "hint"),
    [
        ("modbus", "measured", "the input area can't be written", "no tag of a/l/d is writable"),
        ("modbus", "contact", "the discrete area can't be written", "no tag of a/l/d is writable"),
        ("modbus", "scaled", "a value that a register scales can't be written", "no tag of a/l/d is writable"),
        ("modbus", "plain", "", "say `writable: true` in the site file and apply"),
        ("modbus", "sum", "a calculated value has no address on a device", "no tag of a/l/d is writable"),
        ("s7", "input", "'%I0.3:BOOL' is an input; the CPU overwrites it with its terminal in every cycle", "no tag of a/l/d is writable"),
        ("s7", "marker", "", "say `writable: true` in the site file and apply"),
        ("external", "sum", "another system publishes it", "no tag of a/l/d is writable"),
    ],
)  # fmt: skip
def test_why_a_tag_is_not_writable(device: str, name: str, cause: str, hint: str) -> None:
    tags = {
        "measured": TagConfig(type="uint16", address="input:3"),
        "contact": TagConfig(type="bool", address="discrete:3"),
        "scaled": TagConfig(
            type="int16", address="holding:3", options={"scale_from": "holding:4", "raw_type": "int16"}
        ),
        "plain": TagConfig(type="uint16", address="holding:3"),
        "sum": TagConfig(type="float64", expr="a + b"),
        "input": TagConfig(type="bool", address="%I0.3:BOOL"),
        "marker": TagConfig(type="bool", address="%M0.3:BOOL"),
    }
    config = DeviceConfig(path="a/l/d", protocol=device, tags=tags)
    error = not_writable(f"a/l/d/{name}", config, tags[name], kinds())
    assert (error.code, error.cause, error.hint) == ("NX6803", cause, hint)
    config = DeviceConfig(path="a/l/d", protocol=device, tags={**tags, "target": TagConfig(type="bool", writable=True)})
    error = not_writable(f"a/l/d/{name}", config, tags[name], kinds())
    assert (error.cause, error.hint) == (cause, "writable here: target")
