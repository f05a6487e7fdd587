"""From what a test says that a device holds to the raw value that the driver would give. Pure."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from nexus_cli.drivers.base import Driver, DriverError, Fault, points_of
from nexus_cli.drivers.read_result import ReadResult
from nexus_cli.drivers.registry import driver
from nexus_cli.model.chain import rounded
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS, DataType, parse_type
from nexus_cli.model.inversion import InversionError, raw_of
from nexus_cli.wire.sample import Reason, Value

FORMS = ("raw", "value", "registers", "bytes", "bad")
"""Ways to say what a device holds; exactly one is given."""
WORD = 0xFFFF


class UnfitValue(Exception):
    """What is given can't be in this tag; `hint` says what can."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@runtime_checkable
class Decodes(Protocol):
    """The detail of a request whose answer's bytes have a meaning without the device."""

    @property
    def octets(self) -> int:
        """How many bytes of values the answer has."""
        ...

    def decode(self, raw: bytes) -> ReadResult:
        """The values in the bytes."""
        ...


def held(device: DeviceConfig, name: str, form: Mapping[str, Any]) -> tuple[Value, Fault | None]:
    """The raw value and fault of one given value.

    Args:
        device: Whose tag.
        name: Of the tag.
        form: One of `FORMS`, `uncertain` and `code`.

    Raises:
        UnfitValue: The tag can't hold it.
    """
    tag = device.tags[name]
    code = form.get("code", 0)
    if "bad" in form:
        return None, Fault(_reason(form["bad"]), code)
    doubt = Fault(_reason(form["uncertain"]), code, uncertain=True) if "uncertain" in form else None
    if "value" in form:
        try:
            return raw_of(tag, form["value"], bounded=False), doubt
        except InversionError as error:
            raise UnfitValue(str(error), hint=error.hint) from None
    if "raw" in form:
        return _checked(tag, form["raw"]), doubt
    value, fault = _decoded(device, name, _octets(form))
    return value, fault or doubt


def _reason(text: object) -> Reason:
    try:
        return Reason(str(text))
    except ValueError:
        raise UnfitValue(
            f"'{text}' is no reason of a sample", hint="one of " + ", ".join(one.value for one in Reason)
        ) from None


def _checked(tag: TagConfig, raw: Any) -> Value:
    """A raw value of the tag's own type: what a driver gives never has another one."""
    kind = parse_type(tag.type)
    if not kind.count:
        return _item(tag, kind, raw)
    if not isinstance(raw, list):
        raise UnfitValue(f"the tag is an array ({tag.type}), and this is {raw!r}", hint="write a list")
    varying = bool(tag.options.get("varying"))
    if len(raw) > kind.count or (len(raw) < kind.count and not varying):
        most = "up to " if varying else ""
        raise UnfitValue(f"the device holds {most}{kind.count} values, and {len(raw)} are given", hint="write them all")
    return [_item(tag, kind, item) for item in raw]


def _item(tag: TagConfig, kind: DataType, raw: Any) -> Value:
    """One value, or one of an array."""
    if kind.base in INTEGER_BOUNDS:
        low, high = INTEGER_BOUNDS[kind.base]
        if isinstance(raw, bool) or not isinstance(raw, int):
            hint = "`value:` takes a number in the published unit" if isinstance(raw, float) else "write a whole number"
            raise UnfitValue(f"the device holds a whole number ({tag.type}), and this is {raw!r}", hint=hint)
        if not low <= raw <= high:
            raise UnfitValue(f"{raw} does not fit {tag.type}", hint=f"{low} to {high}")
        return raw
    if kind.base == "bool":
        if not isinstance(raw, bool):
            raise UnfitValue(f"the device holds true or false, and this is {raw!r}", hint="write true or false")
        return raw
    if kind.base.startswith("float"):
        if isinstance(raw, bool) or not isinstance(raw, (int, float)):
            raise UnfitValue(f"the device holds a number ({tag.type}), and this is {raw!r}", hint="write a number")
        return _real(tag, kind, raw)
    if kind.base == "string" and not isinstance(raw, str):
        raise UnfitValue(f"the device holds text, and this is {raw!r}", hint=f"quote it: '{raw}'")
    value: Value = raw
    return value


def _real(tag: TagConfig, kind: DataType, raw: float) -> float:
    """A number that the device's type can hold; infinity and NaN are values of it."""
    try:
        number = float(raw)
    except OverflowError:
        number = math.inf
    if math.isfinite(number) and math.isfinite(rounded(kind.base, number)):
        return number
    if isinstance(raw, float) and not math.isfinite(raw):
        return raw
    raise UnfitValue(f"{raw} does not fit {tag.type}", hint="a smaller number, or `.inf`")


def _octets(form: Mapping[str, Any]) -> bytes:
    if "bytes" in form:
        try:
            if not isinstance(form["bytes"], str):  # 0x10ff is the number 4351, whose digits are other bytes
                raise ValueError(form["bytes"])
            return bytes.fromhex(form["bytes"])
        except ValueError:
            raise UnfitValue(f"'{form['bytes']}' is not bytes", hint='hexadecimal digits: "42 48 00 00"') from None
    words = form["registers"]
    if not isinstance(words, list) or not words:
        raise UnfitValue("registers are a list of numbers", hint="registers: [0x4248, 0x0000]")
    for word in words:
        if isinstance(word, bool) or not isinstance(word, int) or not 0 <= word <= WORD:
            raise UnfitValue(f"{word!r} is not a register of 16 bits", hint="0 to 65535, or 0x0000 to 0xFFFF")
    return struct.pack(f">{len(words)}H", *words)


def _decoded(device: DeviceConfig, name: str, octets: bytes) -> tuple[Value, Fault | None]:
    """The value in bytes as the device's answer has them, by the driver's own decoder."""
    hint = "write `raw:`, the decoded value"
    try:
        of: Driver = driver(device.protocol)
        point = next(one for one in points_of(device) if one.name == name)
        (request,) = of.group(device, [point])
    except (KeyError, StopIteration, ValueError, DriverError) as error:
        raise UnfitValue(f"'{name}' has no bytes: {error}", hint=hint) from None
    if not isinstance(request.detail, Decodes):
        raise UnfitValue(f"{device.protocol} sends values with their type, not bytes of an address", hint=hint)
    if len(octets) != request.detail.octets:
        raise UnfitValue(
            f"{len(octets)} bytes are given, and '{request.text}' reads {request.detail.octets} ({device.tags[name].type})",
            hint="give as many as the request reads",
        )
    if getattr(request.detail, "scales", ()):
        raise UnfitValue(f"the scale factor of '{name}' is in another register", hint=hint)
    try:
        result = request.detail.decode(octets)
    except (struct.error, ValueError, IndexError) as error:
        raise UnfitValue(f"the bytes are no {device.tags[name].type}: {error}", hint=hint) from None
    return result.values[0], result.faults.get(0)
