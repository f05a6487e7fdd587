"""Device files of the Home Assistant integration `modbus_local_gateway` (YAML): registers of real Modbus devices.

Source: https://github.com/timlaing/modbus_local_gateway, README and its device files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_cli.diagnostics.outcome import has_errors
from nexus_cli.discover.found import Discovery
from nexus_cli.discover.importers.collect import Collector, described
from nexus_cli.discover.importers.options import ImportOptions
from nexus_cli.discover.importers.reading import MalformedError, SourceBytes
from nexus_cli.discover.importers.settings import Settings
from nexus_cli.discover.site_keys import TagKeys
from nexus_cli.json_value import is_number
from nexus_cli.source.nodes import SourceFile
from nexus_cli.source.reader import Reader

SECTIONS = {
    "read_write_word": "holding",
    "read_only_word": "input",
    "read_write_boolean": "coil",
    "read_only_boolean": "discrete",
}
ORDERS = {"word": "CDAB", "byte": "BADC", "word_byte": "DCBA"}
WIDTHS = {1: "16", 2: "32", 4: "64"}
APPEARANCE = (
    "icon",
    "precision",
    "control",
    "device_class",
    "state_class",
    "entity_category",
    "entity_registry_enabled_default",
    "never_resets",
    "on",
    "off",
)
"""How Home Assistant shows a value; nothing of it changes what is read."""


def read(source: SourceBytes, options: ImportOptions) -> list[Discovery]:
    """The registers of one device."""
    root = _yaml(source)
    collector = Collector("modbus", source=source.name, options=options)
    top = Settings(root, where="file", collector=collector)
    for table in top.tables("device"):
        device = Settings(table, where="device", collector=collector)
        collector.facts["identity"] = {"manufacturer": device.text("manufacturer"), "model": device.text("model")}
        if (most := device.number("max_register_read")) is not None:
            collector.connection["max_read"] = min(most, 125)
        device.rest()
    for section, area in SECTIONS.items():
        for table in top.tables(section):
            for name, written in table.items():
                _register(collector, str(name), written, area)
    top.rest()
    return [collector.discovery()]


def _yaml(source: SourceBytes) -> Mapping[str, Any]:
    file = SourceFile(number=0, name=source.name, path=source.path, text=source.text().lstrip("\ufeff"))
    reader = Reader(file)
    root = reader.read()
    if has_errors(reader.findings):
        first = next(item for item in reader.findings if item.severity == "error")
        line, column = (first.place.line, first.place.column) if first.place else (0, 0)
        raise MalformedError(first.message, line=line, column=column, hint=first.hint)
    if not isinstance(root, Mapping):
        raise MalformedError("the file holds no map")
    return root


def _register(collector: Collector, key: str, written: object, area: str) -> None:
    with collector.entry(key):
        if not isinstance(written, Mapping):
            collector.skip(key, "it is not a map of settings")
            return
        settings = Settings(written, where=key, collector=collector)
        for name in APPEARANCE:
            settings.get(name, (str, int, float, bool, Mapping))
        title = settings.text("name", key)
        try:
            tag = _tag(settings, area)
        except ValueError as error:
            collector.skip(title, str(error))
            return
        if settings.has("flags"):
            settings.note("flags", "the register is taken as a whole; a bit is a tag with address: holding:N.BIT")
        settings.without_use({"max_change": "there is no such filter", "sum_scale": "", "conv_swap": ""})
        settings.rest()
        collector.take((title,), tag)


def _tag(settings: Settings, area: str) -> TagKeys:
    """The keys of one register. Raises ValueError with the reason."""
    address = settings.number("address")
    if address is None:
        raise ValueError("it has no address")
    if settings.has("sum_scale"):
        raise ValueError("a sum of scaled registers; read them one by one and use a calculated tag")
    tag: TagKeys = {"address": f"{area}:{address}", **_type(settings, area)}
    multiplier, offset = settings.get("multiplier", (int, float)), settings.get("offset", (int, float))
    if area not in ("coil", "discrete") and not tag["type"].startswith(("string", "bool")):
        tag["scale"], tag["offset"] = multiplier, offset
    tag["unit"] = settings.text("unit_of_measurement") or None
    tag["values"] = _values(settings) or None
    interval = settings.number("scan_interval")
    tag["poll"] = f"{interval}s" if interval and interval > 0 else None
    for limits in settings.tables("number"):
        low, high = limits.get("min"), limits.get("max")
        if all(is_number(item) for item in (low, high)):
            tag["range"] = [low, high]
    tag["description"] = described(settings.where) if settings.where != settings.text("name") else None
    return tag


def _type(settings: Settings, area: str) -> TagKeys:
    size = settings.number("size")
    size = 1 if size is None else size
    signed = settings.get("signed", bool)
    floating, text = settings.get("float", bool), settings.get("string", bool)
    bits, shift = settings.number("bits"), settings.number("shift_bits") or 0
    swap = settings.text("swap")
    if area in ("coil", "discrete"):
        return {"type": "bool"}
    if bits == 1:
        return {"type": "bool", "bit": shift}
    if bits == 8 and shift in (0, 8) and size == 1:
        return {"type": "uint8", "byte": "high" if shift else None}
    if bits is not None or shift:
        raise ValueError(f"a field of {bits or 'some'} bits from bit {shift} on; read the register and calculate")
    if text:
        return {"type": f"string[{size * 2}]"}
    if swap and swap not in ORDERS:
        raise ValueError(f"'{swap}' is not a way of swapping")
    if size not in WIDTHS:
        raise ValueError(f"a number of {size} registers")
    width = WIDTHS[size]
    kind = f"float{width}" if floating else ("int" if signed else "uint") + width
    return {"type": kind, "order": ORDERS.get(swap)}


def _values(settings: Settings) -> dict[int, str]:
    """Names of codes, from three keys."""
    found: dict[int, str] = {}
    for key in ("map", "options"):
        for table in settings.tables(key):
            codes: dict[Any, Any] = dict(table)
            for code, label in codes.items():
                if isinstance(code, int) and not isinstance(code, bool):
                    found[code] = str(label)
                else:
                    settings.note(key, f"'{code}' is not a code")
    for table in settings.tables("switch"):
        for state in ("off", "on"):
            number = table.get(state)
            if isinstance(number, int) and not isinstance(number, bool):
                found[number] = state
    return found
