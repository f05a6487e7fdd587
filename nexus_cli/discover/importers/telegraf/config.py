"""Telegraf configurations: `inputs.modbus`, `inputs.opcua`, `inputs.opcua_listener` and `inputs.s7comm`.

Every setting without a counterpart is listed; everything else of a configuration (outputs, other inputs) is named once.
Source: Telegraf, documentation and configuration structures of the named plugins.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nexus_cli.checks.names import slugify
from nexus_cli.discover.found import Discovery, Skipped
from nexus_cli.discover.importers.collect import Collector
from nexus_cli.discover.importers.options import ImportOptions
from nexus_cli.discover.importers.reading import MalformedError, SourceBytes
from nexus_cli.discover.importers.settings import Settings, bounded
from nexus_cli.discover.importers.telegraf.modbus import read_modbus
from nexus_cli.discover.importers.telegraf.opcua import read_listener, read_opcua
from nexus_cli.discover.importers.telegraf.s7 import read_s7
from nexus_cli.json_value import JsonObject

PLUGINS: dict[str, tuple[str, Callable[[Settings], None]]] = {
    "modbus": ("modbus", read_modbus),
    "opcua": ("opcua", read_opcua),
    "opcua_listener": ("opcua", read_listener),
    "s7comm": ("s7", read_s7),
}
"""Protocol and reader by the name of the plugin."""
FRAGMENT = ("discrete_inputs", "coils", "holding_registers", "input_registers")
"""Keys of `inputs.modbus` that snippets have at the top level."""
COMMON = {
    "alias": "NEXUS names devices itself",
    "log_level": "NEXUS logs changes of state",
    "name_override": "the topic names the device",
    "name_prefix": "the topic names the device",
    "name_suffix": "the topic names the device",
    "precision": "times are kept in microseconds",
    "collection_jitter": "the schedule of a link spreads its reads",
    "collection_offset": "the schedule of a link spreads its reads",
    "tagexclude": "there are no such labels",
    "taginclude": "there are no such labels",
}
"""Settings that every input has."""


def read(source: SourceBytes, options: ImportOptions) -> list[Discovery]:
    """One discovery for each input of the file."""
    root = _toml(source)
    inputs = root.get("inputs")
    plugins: JsonObject = dict(inputs) if isinstance(inputs, Mapping) else {}
    others = {key: value for key, value in root.items() if key != "inputs"}
    if any(key in root for key in FRAGMENT) and "modbus" not in plugins:
        plugins["modbus"] = [{key: value for key, value in root.items() if key != "inputs"}]
        others = {}
    agent = others.pop("agent", None)
    interval = agent.get("interval") if isinstance(agent, Mapping) else None
    discoveries: list[Discovery] = []
    several = sum(len(_instances(plugins[name])) for name in PLUGINS if name in plugins) > 1
    left: list[tuple[str, str]] = [(key, "not an input that NEXUS has a driver for") for key in others]
    for name, instances in plugins.items():
        if name not in PLUGINS:
            left.append((f"inputs.{name}", "not an input that NEXUS has a driver for"))
            continue
        for number, instance in enumerate(_instances(instances), 1):
            device = (
                slugify(str(instance.get("name") or instance.get("alias") or f"{name}-{number}")) if several else ""
            )
            discoveries.append(_input(source, options, name, device, instance, interval))
    if not discoveries:
        discoveries.append(Collector("modbus", source=source.name, options=options).discovery())
    first = discoveries[0]
    for what, reason in left:
        _append(first, what, reason)
    return discoveries


def _toml(source: SourceBytes) -> JsonObject:
    try:
        root = tomllib.loads(source.text().lstrip("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        line, column = _place(str(error))
        raise MalformedError(f"not TOML: {str(error).partition(' (at')[0]}", line=line, column=column) from None
    except ValueError as error:  # a number or date that Python can't hold
        raise MalformedError(f"not TOML: {error}") from None
    bounded(root)
    return root


def _place(message: str) -> tuple[int, int]:
    _, _, tail = message.partition("(at line ")
    line, _, column = tail.rstrip(")").partition(", column ")
    return (int(line), int(column)) if line.isdecimal() and column.isdecimal() else (0, 0)


def _instances(value: object) -> list[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        return [value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [item for item in value if isinstance(item, Mapping)]
    return []


def _input(
    source: SourceBytes, options: ImportOptions, name: str, device: str, instance: Mapping[str, Any], interval: object
) -> Discovery:
    protocol, reader = PLUGINS[name]
    collector = Collector(protocol, source=source.name, options=options)
    collector.device = device
    settings = Settings(
        {**({"interval": interval} if interval is not None else {}), **instance},
        where=f"inputs.{name}",
        collector=collector,
    )
    reader(settings)
    settings.without_use(COMMON)
    settings.rest()
    return collector.discovery()


def _append(discovery: Discovery, what: str, reason: str) -> None:
    discovery.skipped.append(Skipped(what, reason))
    discovery.facts["in"] += 1
    discovery.facts["left_out"] += 1
