"""Telegraf's `inputs.modbus` in its three styles: register, request and metric.

Source: Telegraf, plugins/inputs/modbus (README, configuration_register.go, configuration_request.go,
configuration_metric.go): the fields' defaults, and which definitions it refuses as duplicates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from nexus_cli.discover.importers.settings import Settings, number_of
from nexus_cli.discover.importers.spellings import type_of
from nexus_cli.discover.site_keys import TagKeys

AREAS = {"coil": "coil", "discrete": "discrete", "holding": "holding", "input": "input", "": "holding"}
BITS = ("coil", "discrete")
REGISTER_STYLE = {
    "discrete_inputs": "discrete",
    "coils": "coil",
    "holding_registers": "holding",
    "input_registers": "input",
}
WIDTHS = {1: "16", 2: "32", 4: "64"}
REGISTERS = {"16": 1, "32": 2, "64": 4}
LOCATIONS = {"lower": "low-byte", "upper": "high-byte"}
SWAPPED = ("DCBA", "BADC", "BA")
NO_USE = {
    "busy_retries": "a busy device backs off by itself",
    "busy_retries_wait": "a busy device backs off by itself",
    "debug_connection": "NEXUS logs changes of state",
    "exclude_register_type_tag": "there are no such labels",
    "baud_rate": "of the serial line",
    "data_bits": "of the serial line",
    "parity": "of the serial line",
    "stop_bits": "of the serial line",
    "rs485": "of the serial line",
    "optimization": "reads are joined by themselves, within max_gap",
}
WORKAROUND_NO_USE = {
    "close_connection_after_gather": "a link stays connected",
    "read_coils_starting_at_zero": "reads begin at the first coil that is wanted",
    "pause_after_connect": "there is a pause between requests only",
}


@dataclass(slots=True)
class _Place:
    """The area and unit of a field, and what it inherits from its request."""

    area: str
    unit: int
    measurement: str
    order: str = ""
    labels: dict[str, str] = field(default_factory=dict)


class _Modbus:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.collector = settings.collector
        self.poll = settings.duration("interval")
        self.layout = ""
        self.mixed = settings.get("exclude_register_type_tag", bool) is True
        self.units: Counter[int] = Counter()
        self.pending: list[tuple[tuple[str, ...], TagKeys, int]] = []
        self._seen: set[tuple[Any, ...]] = set()

    def field(self, written: Mapping[str, Any], place: _Place, *, register_style: bool) -> None:
        """One field of any style."""
        name = str(written.get("name") or "")
        settings = Settings(written, where=name or "a field without a name", collector=self.collector)
        with self.collector.entry(settings.where):
            if written.get("omit") is True:
                self.collector.skip(settings.where, "omitted by the configuration (omit = true)")
                return
            settings.get("omit", bool)
            settings.get("name", str)
            settings.get("output", str)  # a type of result; NEXUS publishes what the chain gives
            settings.get("register", str)
            measurement = settings.text("measurement") or place.measurement
            try:
                tag = self._tag(settings, place, register_style=register_style)
            except ValueError as error:
                self.collector.skip(settings.where, str(error))
                return
            if not name:
                self.collector.skip(f"{place.area} {tag['address']}", "it has no name")
                return
            key = (place.unit, measurement, name, "" if self.mixed else place.area, *sorted(place.labels.items()))
            if key in self._seen:
                self.collector.skip(name, f'field "{name}" duplicated in measurement "{measurement or "modbus"}"')
                return
            self._seen.add(key)
            tag["poll"], tag["labels"] = self.poll, place.labels or None
            path = (measurement, name) if measurement and measurement != "modbus" else (name,)
            self.units[place.unit] += 1
            self.pending.append((path, tag, place.unit))
            self.collector.promise()
        settings.rest()

    def _tag(self, settings: Settings, place: _Place, *, register_style: bool) -> TagKeys:
        order = (settings.text("byte_order") or place.order).upper()
        scale = settings.get("scale", (int, float))
        written = settings.text("data_type" if register_style else "type")
        length = settings.number("length")
        bit = settings.number("bit")
        first, count = self._address(settings, register_style=register_style)
        tag: TagKeys = {"address": f"{place.area}:{first}"}
        if place.area in BITS:
            return {**tag, "type": "bool"}
        upper = written.upper()
        if upper == "BIT":
            if bit is None:
                raise ValueError("a BIT without its bit")
            return {**tag, "type": "bool", "bit": bit, "order": "BA" if order in SWAPPED else None}
        if upper == "STRING":
            return {**tag, **self._string(count if register_style else length or 0, order)}
        if upper in ("INT8L", "INT8H", "UINT8L", "UINT8H"):
            high = upper.endswith("H") is not (order in SWAPPED)
            tag["type"], tag["byte"] = upper[:-1].lower(), "high" if high else None
        else:
            tag["type"] = self._number(upper, count)
            tag["order"] = order if order not in ("", "AB", "ABCD") else None
            registers = REGISTERS.get(tag["type"][-2:], 1)
            if register_style and count != registers:
                raise ValueError(f"invalid address: {upper} takes {registers} registers, {count} are given")
        tag["scale"] = scale
        return tag

    def _string(self, registers: int, order: str) -> TagKeys:
        if registers <= 0:
            raise ValueError("a STRING without its length in registers")
        if self.layout:
            return {"type": f"string[{registers}]", "layout": self.layout}
        swapped = order in SWAPPED
        return {"type": f"string[{registers * 2}]", "layout": "low-first" if swapped else None}

    @staticmethod
    def _number(upper: str, count: int) -> str:
        """Fixed-point types are integers as wide as their registers."""
        if upper in ("FIXED", "UFIXED") and count in WIDTHS:
            return ("u" if upper == "UFIXED" else "") + f"int{WIDTHS[count]}"
        return type_of(upper)

    @staticmethod
    def _address(settings: Settings, *, register_style: bool) -> tuple[int, int]:
        """First register and their number."""
        if not register_style:
            first = settings.number("address")
            if first is None:
                raise ValueError("it has no address")
            return first, 0
        numbers = [number_of(item) for item in settings.get("address", list) or []]
        if not numbers or any(item is None for item in numbers):
            raise ValueError("invalid address: a list of register numbers is expected")
        plain = [item for item in numbers if item is not None]
        if plain != list(range(plain[0], plain[0] + len(plain))):
            raise ValueError("invalid address: the registers of one value must follow each other")
        return plain[0], len(plain)


def read_modbus(settings: Settings) -> None:
    """One `[[inputs.modbus]]`."""
    reader = _Modbus(settings)
    _connection(settings)
    _workarounds(settings, reader)
    default_unit = settings.number("slave_id")
    style = settings.text("configuration_type", "register")
    for key, area in REGISTER_STYLE.items():
        for written in settings.tables(key):
            reader.field(
                _deprecated(written),
                _Place(area, 1 if default_unit is None else default_unit, ""),
                register_style=True,
            )
    for key in ("request", "metric"):
        for table in settings.tables(key):
            _group(settings, reader, table, key, default_unit)
    settings.collector.facts["style"] = style
    name = settings.text("name")
    if name:
        settings.collector.facts["identity"] = {"name": name}
    _finish(settings, reader)
    settings.without_use(NO_USE)


def _deprecated(written: Mapping[str, Any]) -> Mapping[str, Any]:
    """The register style's old FLOAT32 is an unsigned fixed-point number. Source: configuration_register.go."""
    if str(written.get("data_type", "")).upper() == "FLOAT32":
        return {**written, "data_type": "UFIXED"}
    return written


def _group(settings: Settings, reader: _Modbus, table: Mapping[str, Any], key: str, default_unit: int | None) -> None:
    """One request or metric."""
    inner = Settings(table, where=f"{settings.where}.{key}", collector=settings.collector)
    unit = inner.number("slave_id")
    if unit is None:
        unit = 1 if default_unit is None else default_unit
    order = inner.text("byte_order")
    measurement = inner.text("measurement")
    labels = inner.labels("tags")
    default = inner.text("register") if key == "request" else ""
    fill = inner.number("optimization_max_register_fill")
    if fill is not None:
        settings.collector.connection["max_gap"] = fill
    for written in inner.tables("fields"):
        area = AREAS.get(str(written.get("register") or default).lower())
        if area is None:
            what = str(written.get("name") or "a field")
            with settings.collector.entry(what):
                settings.collector.skip(what, f"'{written.get('register') or default}' is not an area")
            continue
        reader.field(written, _Place(area, unit, measurement, order, labels), register_style=False)
    inner.without_use(NO_USE)
    inner.rest()


def _connection(settings: Settings) -> None:
    connection = settings.collector.connection
    controller = settings.text("controller")
    if controller:
        try:
            parts = urlsplit(controller if "://" in controller else f"serial://{controller}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            parts, host, port = urlsplit(""), "", None
        if parts.scheme == "tcp" and host:
            connection["host"] = host
            if port:
                connection["port"] = port
        else:
            settings.note("controller", f"'{controller}' is no TCP address; write the connection by hand")
    mode = settings.text("transmission_mode", "auto").lower()
    if mode == "rtuovertcp":
        connection["framing"] = "rtu-over-tcp"
    elif mode not in ("auto", "tcp"):
        settings.note("transmission_mode", f"'{mode}' has no counterpart")
    if timeout := settings.duration("timeout"):
        connection["timeout"] = timeout


def _workarounds(settings: Settings, reader: _Modbus) -> None:
    connection = settings.collector.connection
    for table in settings.tables("workarounds"):
        inner = Settings(table, where=f"{settings.where}.workarounds", collector=settings.collector)
        if pause := inner.duration("pause_between_requests"):
            connection["pause"] = pause
        if inner.get("one_request_per_field", bool):
            connection["single_field"] = True
        for key, ours in (
            ("max_bit_registers_per_request", "max_read_bits"),
            ("max_word_registers_per_request", "max_read"),
        ):
            if (number := inner.number(key)) is not None:
                connection[ours] = number
        location = inner.text("string_register_location")
        if location in LOCATIONS:
            reader.layout = LOCATIONS[location]
        elif location:
            inner.note("string_register_location", f"'{location}' is not a place in a register")
        for key, reason in WORKAROUND_NO_USE.items():
            if inner.has(key) and table[key] in (False, "0ms", "0s"):
                inner.get(key, (bool, str))
            else:
                inner.without_use({key: reason})
        inner.rest()


def _finish(settings: Settings, reader: _Modbus) -> None:
    """The unit id of most fields becomes the device's; the other fields keep their own."""
    if not reader.units:
        return
    usual = reader.units.most_common(1)[0][0]
    settings.collector.connection["unit_id"] = usual
    for path, tag, unit in reader.pending:
        if unit != usual:
            tag["unit_id"] = unit
        settings.collector.take(path, tag)
