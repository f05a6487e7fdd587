"""A write before it is sent: what a person's value means for a tag, and every refusal that is known without the device.

The command line, web, i3X and the WebSocket use the same checks, so that they refuse with the same codes and sentences. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.datatype import INTEGER_BOUNDS, parse_type
from nexus_cli.model.driver_kind import DriverKind
from nexus_cli.model.inversion import InversionError, published_of, raw_of
from nexus_cli.model.writable import why_unwritable

TAG_LEVELS = 4
"""area/line/device/tag"""
SHOWN = 8


class Judged(NamedTuple):
    """A value that the gateway would accept.

    Attributes:
        value: As asked, in the published unit.
        will_be: What the device will hold, after rounding to what it can.
    """

    value: Any
    will_be: Any


def parse_value(text: str, tag: TagConfig) -> Any:
    """A value as a person types it, by the tag's type: `42`, `on`, `true`, `[1, 2]`, a name of an enumeration.

    Raises:
        InversionError: It is none.
    """
    kind = parse_type(tag.type)
    if kind.count or kind.base == "json":
        try:
            return orjson.loads(text)
        except ValueError:
            raise InversionError(f"'{text}' is not JSON, and the tag is {kind}", code="NX6805") from None
    if kind.base == "bool":
        truth = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}.get(text.lower())
        if truth is None:
            raise InversionError(f"'{text}' is neither true nor false", code="NX6805", hint="write true or false")
        return truth
    if not (kind.numeric or kind.base == "duration") or text in tag.values.values():
        return text
    try:
        return int(text, 0)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        if tag.values:
            return text  # the inversion says which names there are
        raise InversionError(f"'{text}' is not a number", code="NX6805", hint=_number_hint(text, tag)) from None
    whole = kind.base in INTEGER_BOUNDS and number.is_integer() and abs(number) < 2**53
    return int(number) if whole else number


def meant(given: Any, tag: TagConfig) -> Any:
    """A value of JSON: a text is read as a person types it, unless the tag itself holds JSON. Raises InversionError."""
    if isinstance(given, str) and parse_type(tag.type).base != "json":
        return parse_value(given, tag)
    return given


def judge(path: str, tag: TagConfig, given: Any) -> Judged:
    """The value that would be written.

    Args:
        path: For the sentence.
        tag: As recorded.
        given: In the published unit, or as a person types it.

    Raises:
        NexusError: NX6805 another type, NX6806 out of range, NX6807 the device can't hold it.
    """
    try:
        value = meant(given, tag)
        return Judged(value, published_of(tag, raw_of(tag, value)))
    except InversionError as error:
        raise NexusError(f"{path}: {error}.", code=error.code, hint=error.hint, exit_code=1) from None


def expected(tag: TagConfig, given: Any, *, said: str = "expect") -> Any:
    """The value that a tag must hold right before; its range does not bound it. `said` begins the sentence of a refusal.

    Raises:
        NexusError: NX6805 to NX6807.
    """
    try:
        value = meant(given, tag)
        raw_of(tag, value, bounded=False)
    except InversionError as error:
        raise NexusError(f"{said}: {error}.", code=error.code, hint=error.hint) from None
    return value


_NUMBER = re.compile(r"(?P<number>[+-]?\d+(?:[.,]\d+)?)\s*(?P<unit>[^\d\s.,][^\d]{0,20})?\Z")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+\Z", re.ASCII)


def _number_hint(text: str, tag: TagConfig) -> str:
    """The likely correction of `42,5` or `42 degC`; never a guess at a conversion."""
    if _THOUSANDS.match(text.strip()):
        return f"write {text.strip().replace(',', '')}, or a point before decimals"
    match = _NUMBER.match(text.strip())
    unit = f"values of this tag are in {tag.publish_unit}" if tag.publish_unit else "values of this tag have no unit"
    if match is None:
        return "write a number such as 42 or 42.5"
    number = match["number"].replace(",", ".")
    if match["unit"] is None:
        return f"write {number}"
    if match["unit"].strip() == tag.publish_unit:
        return f"write {number}: {unit}"
    return f"write the number alone: {unit}"


def tag_to_write(path: str, device: DeviceConfig, kinds: Mapping[str, DriverKind]) -> TagConfig:
    """The tag of a recorded device that a path names.

    Raises:
        NexusError: NX6802 it has no such tag, NX6803 it is not writable, NX6804 it is out of service.
    """
    name = path.rpartition("/")[2]
    tag = device.tags.get(name)
    if tag is None:
        hint = did_you_mean(name, device.tags)
        raise NexusError(f"{device.path} has no tag '{name[:200]}'.", code="NX6802", hint=hint)
    if not tag.writable:
        raise not_writable(path, device, tag, kinds)
    if not (tag.enabled and device.enabled):
        raise NexusError(f"{path} is out of service (enabled: false).", code="NX6804")
    return tag


def not_writable(path: str, device: DeviceConfig, tag: TagConfig, kinds: Mapping[str, DriverKind]) -> NexusError:
    """NX6803, with why it can never be written, or how it is made writable."""
    why = why_unwritable(device, tag, kinds)
    can = writable_tags(device)
    hint = f"writable here: {', '.join(can[:SHOWN])}" if can else "say `writable: true` in the site file and apply"
    if why and not can:
        hint = f"no tag of {device.path} is writable"
    return NexusError(f"{path} is not writable.", code="NX6803", cause=why, hint=hint)


def no_device(path: str, devices: Iterable[str]) -> NexusError:
    """NX6802 for a device that is not recorded; `devices` are those that are."""
    known = list(devices)
    hint = did_you_mean(path, known) if known else "nothing was applied yet: `nexus apply SITE`"
    hint = hint or "`nexus show` lists what was applied"
    return NexusError(f"There is no device '{path[:200]}'.", code="NX6802", hint=hint)


def no_tag_path(path: str, devices: Iterable[str], writable: Iterable[str] = ()) -> NexusError:
    """NX6802 for a path that has not the four levels of a tag, with the likely one.

    Args:
        path: As it was given.
        devices: Those that are recorded.
        writable: Writable tags of the device, where the path names one.
    """
    return NexusError(
        f"'{path[:200]}' is not the path of a tag.", code="NX6802", hint=_path_hint(path, set(devices), list(writable))
    )


def _path_hint(path: str, devices: set[str], writable: list[str]) -> str:
    """The likely path for a device, a dotted path, or a tag's bare name."""
    if path in devices:
        if writable:
            return f"writable there: {', '.join(writable[:SHOWN])}"
        return "that is a device, and nothing of it is writable"
    if path.count(".") == TAG_LEVELS - 1 and "/" not in path and path.replace(".", "/").rpartition("/")[0] in devices:
        return f"did you mean {path.replace('.', '/')}?"
    if "*" in path:
        return "one tag at a time: area/line/device/tag"
    return "write area/line/device/tag; `nexus tail` shows every path"


def writable_tags(device: DeviceConfig) -> list[str]:
    """Names of the tags that take commands, sorted."""
    return sorted(name for name, one in device.tags.items() if one.writable)
