"""ThingsBoard IoT Gateway configurations (JSON): the Modbus and OPC UA connectors.

Source: ThingsBoard, documentation of the connectors' configuration.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from nexus_cli.checks.names import slugify
from nexus_cli.discover.found import Discovery
from nexus_cli.discover.importers.collect import Collector
from nexus_cli.discover.importers.options import ImportOptions
from nexus_cli.discover.importers.reading import MalformedError, SourceBytes
from nexus_cli.discover.importers.settings import Settings, bounded, milliseconds
from nexus_cli.discover.importers.spellings import type_of
from nexus_cli.discover.site_keys import TagKeys

AREAS = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
WRITING = (5, 6, 15, 16)
ORDERS = {
    ("BIG", "BIG"): None,
    ("BIG", "LITTLE"): "CDAB",
    ("LITTLE", "BIG"): "BADC",
    ("LITTLE", "LITTLE"): "DCBA",
}
"""By byteOrder and wordOrder."""
SECTIONS = ("attributes", "timeseries")
WRITERS = {"attributeUpdates", "rpc", "attributes_updates", "rpc_methods"}
MAX_LEVELS = 12
SLAVE_NO_USE = {
    "retries": "a device that does not answer backs off by itself",
    "retryOnEmpty": "a device that does not answer backs off by itself",
    "retryOnInvalid": "a device that does not answer backs off by itself",
    "connectAttemptTimeMs": "a link backs off by itself",
    "connectAttemptCount": "a link backs off by itself",
    "waitAfterFailedAttemptsMs": "a link backs off by itself",
    "sendDataOnlyOnChange": "deadband and heartbeat say what is published",
    "reportStrategy": "deadband and heartbeat say what is published",
    "deviceType": "there are no device profiles",
}
SERVER_NO_USE = {
    "scanPeriodInMillis": "a link backs off by itself",
    "subCheckPeriodInMillis": "subscriptions report by themselves",
    "subDataMaxBatchSize": "limits are found by themselves",
    "subDataMinBatchCreationTimeMs": "frames are built by themselves",
    "subscriptionProcessBatchSize": "limits are found by themselves",
    "showMap": "run a discovery of the server",
    "disableSubscriptions": "say it by mode: poll",
    "reportStrategy": "deadband and heartbeat say what is published",
}


def read(source: SourceBytes, options: ImportOptions) -> list[Discovery]:
    """One discovery for each Modbus slave and each OPC UA server of the file."""
    try:
        root = json.loads(source.text().lstrip("\ufeff"))
    except json.JSONDecodeError as error:
        raise MalformedError(f"not JSON: {error.msg}", line=error.lineno, column=error.colno) from None
    except ValueError as error:  # a number with too many digits
        raise MalformedError(f"not JSON: {str(error)[:80]}") from None
    bounded(root)
    maps = list(_maps(root, 0))
    slaves = [item for node in maps for item in _list(node.get("slaves")) if isinstance(item, Mapping)]
    servers = [node for node in maps if isinstance(node.get("server"), Mapping) and "mapping" in node]
    alone = len(slaves) + len(servers) == 1
    found = [_slave(source, options, slave, alone=alone) for slave in slaves]
    found += [_server(source, options, server, alone=alone) for server in servers]
    return found or [Collector("modbus", source=source.name, options=options).discovery()]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _maps(node: object, depth: int) -> Iterator[Mapping[str, Any]]:
    """The maps that may be a connector; the gateway's own slave (`slave`) is not one of them."""
    if depth > MAX_LEVELS:
        return
    if isinstance(node, Mapping):
        yield node
        for key, child in node.items():
            if key not in ("slave", "slaves", "mapping"):
                yield from _maps(child, depth + 1)
    elif isinstance(node, list):
        for child in node:
            yield from _maps(child, depth + 1)


def _slave(source: SourceBytes, options: ImportOptions, slave: Mapping[str, Any], *, alone: bool) -> Discovery:
    collector = Collector("modbus", source=source.name, options=options)
    settings = Settings(slave, where="slave", collector=collector)
    name = settings.text("deviceName")
    if name:
        collector.facts["identity"] = {"name": name}
    collector.device = "" if alone else slugify(name) or "slave"
    connection = collector.connection
    for key, ours in (("host", "host"), ("port", "port"), ("unitId", "unit_id")):
        value = settings.text(key) if key == "host" else settings.number(key)
        if value not in (None, ""):
            connection[ours] = value
    if settings.text("type", "tcp") != "tcp":
        settings.note("type", f"'{settings.text('type')}' has no counterpart; write the connection by hand")
    if settings.text("method") == "rtu":
        connection["framing"] = "rtu-over-tcp"
    if timeout := settings.duration("timeout"):
        connection["timeout"] = timeout
    order = (settings.text("byteOrder", "BIG").upper(), settings.text("wordOrder", "BIG").upper())
    poll = milliseconds(settings.number("pollPeriod") or 0)
    for section in SECTIONS:
        for written in settings.tables(section):
            _value(collector, written, section, order, poll)
    _writers(settings)
    settings.without_use(SLAVE_NO_USE)
    settings.rest()
    return collector.discovery()


def _writers(settings: Settings) -> None:
    for section in sorted(WRITERS):
        for written in settings.tables(section) if settings.has(section) else []:
            what = str(written.get("tag") or written.get("key") or written.get("method") or section)
            with settings.collector.entry(what):
                settings.collector.skip(
                    f"{section}: {what}", "a request on demand; an import never makes a tag writable"
                )


def _value(
    collector: Collector, written: Mapping[str, Any], section: str, order: tuple[str, str], poll: str | None
) -> None:
    inner = Settings(written, where=str(written.get("tag") or "a value"), collector=collector)
    with collector.entry(inner.where):
        name = inner.text("tag")
        try:
            tag = _tag(inner, order)
        except ValueError as error:
            collector.skip(f"{section}: {inner.where}", str(error))
            return
        inner.without_use({"reportStrategy": "deadband and heartbeat say what is published", "bitTargetType": ""})
        inner.rest()
        if not name:
            collector.skip(f"{section}: {tag['address']}", "it has no name")
            return
        collector.take((name,), {**tag, "poll": poll, "labels": {"section": section}})


def _tag(inner: Settings, order: tuple[str, str]) -> TagKeys:
    code, first, count = inner.number("functionCode"), inner.number("address"), inner.number("objectsCount") or 1
    written = inner.text("type")
    divider, multiplier = inner.get("divider", (int, float)), inner.get("multiplier", (int, float))
    inner.text("bitTargetType")
    area = AREAS.get(code or 0)
    if area is None:
        raise ValueError(f"function code {code} writes" if code in WRITING else f"function code {code} does not read")
    if first is None:
        raise ValueError("it has no address")
    if order not in ORDERS:
        raise ValueError(f"{order[0]} and {order[1]} are not byte orders")
    tag: TagKeys = {"address": f"{area}:{first}"}
    if area in ("coil", "discrete"):
        return {**tag, "type": f"bool[{count}]" if count > 1 else "bool"}
    if written in ("bits", "bit"):
        raise ValueError("bits of a register whose order is not in the file; write holding:N.BIT")
    swapped = order[0] == "LITTLE"
    if written == "string":
        return {**tag, "type": f"string[{count * 2}]", "layout": "low-first" if swapped else None}
    kind = {"8int": "int8", "8uint": "uint8"}.get(written) or type_of(written)
    if divider is not None and not divider:
        raise ValueError("its divider is 0")
    scale = (multiplier if multiplier is not None else 1) / (divider if divider is not None else 1)
    tag["type"], tag["scale"] = kind, scale
    tag["order"] = None if kind.endswith("int8") else ORDERS[order]
    return tag


def _server(source: SourceBytes, options: ImportOptions, node: Mapping[str, Any], *, alone: bool) -> Discovery:
    collector = Collector("opcua", source=source.name, options=options)
    settings = Settings(node["server"], where="server", collector=collector)
    connection = collector.connection
    if url := settings.text("url"):
        connection["endpoint"] = url
    for key, ours in (("timeoutInMillis", "timeout"), ("sessionTimeoutInMillis", "session_timeout")):
        if duration := milliseconds(settings.number(key) or 0):
            connection[ours] = duration
    security = settings.text("security")
    if security not in ("", "None"):
        settings.note("security", f"'{security}' needs a mode; write connection: security")
    for identity in settings.tables("identity"):
        if identity.get("username"):
            connection["user"] = str(identity["username"])
        if identity.get("password"):
            settings.note("identity", "secrets are not taken over; write password: '${env:NAME}'")
    subscribed = settings.get("enableSubscriptions", bool)
    poll = milliseconds(settings.number("pollPeriodInMillis") or 0)
    common: TagKeys = {"mode": "subscribe" if subscribed else "poll", "poll": poll}
    settings.without_use(SERVER_NO_USE)
    settings.rest()
    mappings = [item for item in _list(node.get("mapping")) if isinstance(item, Mapping)]
    for mapping in mappings:
        _mapping(collector, mapping, common, alone=alone and len(mappings) == 1)
    return collector.discovery()


def _mapping(collector: Collector, mapping: Mapping[str, Any], common: TagKeys, *, alone: bool) -> None:
    inner = Settings(mapping, where="mapping", collector=collector)
    pattern = inner.text("deviceNodePattern")
    inner.text("deviceNodeSource")
    name = ""
    for info in inner.tables("deviceInfo"):
        name = str(info.get("deviceNameExpression") or "")
    for section in SECTIONS:
        for written in inner.tables(section):
            key, kind = str(written.get("key") or ""), str(written.get("type") or "")
            value = str(written.get("value") or "").strip()
            if value.startswith("${") and value.endswith("}"):
                value = value[2:-1]
            with collector.entry(key or "a value"):
                if kind != "identifier":
                    reason = (
                        f"the browse path {value} below {pattern} is known to the server alone; discover the server"
                    )
                    collector.skip(f"{section}: {key}", reason)
                elif not key or not value:
                    collector.skip(f"{section}: {key}", "it has no name or no node")
                else:
                    tag: TagKeys = {"node": value, "type": "json", **common, "labels": {"section": section}}
                    collector.take((key,), tag, device="" if alone else slugify(name))
    _writers(inner)
    inner.without_use({"reportStrategy": "deadband and heartbeat say what is published"})
    inner.rest()
