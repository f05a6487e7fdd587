"""Commands over random configurations and deployments: what was agreed is what is written, or nothing is."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS
from nexus_cli.model.quantities import conversion
from nexus_cli.wire.command import State
from tests.unit.runtime.gateway.commands.oven import MOMENTS, PATH, Oven, command, oven

_units = st.sampled_from([("", ""), ("degC", "degC"), ("degF", "degC"), ("degC", "degF")])


@st.composite
def configurations(draw: st.DrawFn) -> DeviceConfig:
    unit, published = draw(_units)
    factor, shift = conversion(unit, published) if unit != published else (1.0, 0.0)
    return oven(
        type=draw(st.sampled_from(["int16", "uint16", "int32"])),
        address=draw(st.sampled_from(["5", "5", "9"])),
        scale=draw(st.sampled_from([1.0, 0.1, 0.5])),
        offset=draw(st.sampled_from([0.0, 0.0, -40.0])),
        unit=unit,
        publish_unit=published,
        unit_factor=factor,
        unit_shift=shift,
        range=draw(st.sampled_from([None, (0.0, 100.0), (0.0, 40.0)])),
        writable=draw(st.sampled_from([True, True, True, False])),
        enabled=draw(st.sampled_from([True, True, True, False])),
        deadband=draw(st.sampled_from([0.0, 1.0])),
        read_back=draw(st.sampled_from(["", "", "none", f"{PATH}/shown"])),
    )


@given(
    before=configurations(),
    after=configurations(),
    same=st.booleans(),
    moment=st.sampled_from(MOMENTS),
    value=st.integers(-20, 1200).map(lambda tenths: tenths / 10),
    expects=st.booleans(),
)
def test_what_was_agreed_is_written_or_nothing(
    before: DeviceConfig, after: DeviceConfig, same: bool, moment: str, value: float, expects: bool
) -> None:
    tag = before.tags["set"]
    if same:  # a deployment that changes what is no matter of the command
        after = msgspec.structs.replace(before, description="new", connection={"timeout": 900})
    plant = Oven(before, after, moment=moment)
    plant.registers = {"5": 0, "9": 0, "70": 0}
    holds = (tag.offset * tag.unit_factor + tag.unit_shift) if expects else None
    asked = command(value) if holds is None else command(value, expect=round(holds, 9))
    ended = plant.carry_out(asked)
    if plant.wire:
        ((address, raw),) = plant.wire
        assert address == tag.address and tag.writable and tag.enabled
        low, high = INTEGER_BOUNDS[tag.type]
        assert low <= raw <= high
        published = (Decimal(raw) * Decimal(str(tag.scale)) + Decimal(str(tag.offset))) * Decimal(tag.unit_factor)
        away = abs(float(published) + tag.unit_shift - value)
        assert away <= abs(tag.scale * tag.unit_factor) + 1e-9 if tag.unit != tag.publish_unit else away < 1e-9
        if tag.range is not None:
            assert tag.range[0] - 1e-9 <= float(published) + tag.unit_shift <= tag.range[1] + 1e-9  # type: ignore[operator]
        assert ended.state in (State.DONE, State.FAILED)
        assert ended.state is State.DONE or tag.read_back == f"{PATH}/shown"
    else:
        assert ended.state is State.REFUSED and ended.code.startswith("NX68")
        if same and moment == "waiting":
            assert ended.code != "NX6803" or not tag.writable
    if moment == "waiting" and plant.moment == "" and ended.state is not State.REFUSED:
        assert after.tags["set"].address == tag.address and after.tags["set"].range == tag.range
