"""Connections and tags of HiveMQ Edge's adapters, protocol by protocol.

Source: HiveMQ Edge, documentation of the adapters; Apache PLC4X (data types and S7 addresses).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from nexus_cli.discover.importers.hivemq.elements import Elements
from nexus_cli.discover.importers.settings import SECRET
from nexus_cli.discover.importers.spellings import type_of
from nexus_cli.discover.site_keys import ConnectionKeys, TagKeys

READ_TYPES = {
    "HOLDING_REGISTERS": "holding",
    "INPUT_REGISTERS": "input",
    "COILS": "coil",
    "DISCRETE_INPUTS": "discrete",
    "": "holding",
}
POLLING_NO_USE = {
    "maxPollingErrorsBeforeRemoval": "a device is never removed; it backs off and comes back",
    "publishChangedDataOnly": "deadband and heartbeat say what is published",
}
POLICIES = {
    "BASIC256SHA256": "Basic256Sha256",
    "AES128_SHA256_RSAOAEP": "Aes128Sha256RsaOaep",
    "AES256_SHA256_RSAPSS": "Aes256Sha256RsaPss",
}
MODES = {"SIGN": "Sign", "SIGN_AND_ENCRYPT": "SignAndEncrypt"}
ADS_TCP_PORT = 48898
SLOTS = {"S7_300": 2, "S7_400": 2, "S7_1200": 1, "S7_1500": 1}
"""Slot of the CPU where the file says none. Source: Siemens: rack 0, slot 1 for S7-1200/1500, slot 2 for S7-300/400."""
_HAS_TYPE = re.compile(r":[A-Za-z]")
S7_NAMES = {"TIME_OF_DAY": "TOD", "DATE_AND_TIME": "DT", "LTIME_OF_DAY": "LTOD", "LDATE_AND_TIME": "LDT"}


def _polling(config: Elements, block: str) -> TagKeys:
    """The interval, from its own block or, in old files, from beside the host."""
    common: TagKeys = {}
    for holder in (config.child(block), config):
        if holder is None:
            continue
        if poll := holder.milliseconds("pollingIntervalMillis"):
            common["poll"] = poll
        holder.without_use(POLLING_NO_USE)
    return common


def _address(config: Elements, connection: ConnectionKeys) -> None:
    if host := config.text("host", "hostName"):
        connection["host"] = host
    if (port := config.number("port")) is not None:
        connection["port"] = port


def modbus_connection(config: Elements, connection: ConnectionKeys) -> TagKeys:
    """Keys of the connection go to `connection`; keys of every tag come back."""
    _address(config, connection)
    if timeout := config.milliseconds("timeoutMillis"):
        connection["timeout"] = timeout
    return _polling(config, "modbusToMqtt")


def modbus_tag(definition: Elements, kind: str) -> TagKeys:
    """A tag, or the address range of the older layout. Raises ValueError with the reason."""
    spread = definition.child("addressRange") or definition
    first, last = spread.number("startIdx"), spread.number("endIdx")
    area = READ_TYPES.get(definition.text("readType").upper())
    unit = definition.number("unitId")
    flip = definition.flag("flipRegisters")
    if first is None:
        raise ValueError("its definition has no startIdx")
    if area is None:
        raise ValueError(f"'{definition.text('readType')}' is not an area")
    name = "bool" if area in ("coil", "discrete") else type_of(kind.replace("_", "") or "INT16")
    count = last - first + 1 if last is not None else 1
    if count > 1 and name in ("int16", "uint16", "bool"):
        name = f"{name}[{count}]"
    order = "CDAB" if flip and name.endswith(("32", "64")) else None
    return {"address": f"{area}:{first}", "type": name, "unit_id": unit, "order": order}


def opcua_connection(config: Elements, connection: ConnectionKeys) -> TagKeys:
    """As `modbus_connection`."""
    if uri := config.text("uri"):
        connection["endpoint"] = uri
    else:
        config.note("uri", "it is missing; write connection: {endpoint: opc.tcp://…}")
    if config.text("overrideUri"):
        connection["override_host"] = config.flag("overrideUri")
    _credentials(config, connection)
    security = config.child("security")
    if security is not None:
        policy, mode = security.text("policy").upper(), security.text("messageSecurityMode", "mode").upper()
        if policy in POLICIES and mode in MODES:
            connection["security"] = f"{POLICIES[policy]}/{MODES[mode]}"
        elif policy not in ("", "NONE"):
            security.note("policy", f"'{policy}' needs a mode and a policy that is safe; write connection: security")
        security.rest()
    common: TagKeys = {"mode": "subscribe"}
    block = config.child("opcuaToMqtt")
    if block is not None:
        common["poll"] = block.milliseconds("publishingInterval")
        common["queue"] = block.number("serverQueueSize")
    return common


def _credentials(config: Elements, connection: ConnectionKeys) -> None:
    auth = config.child("auth")
    basic = auth.child("basic") if auth is not None else None
    if auth is not None and basic is not None:
        if user := basic.text("username"):
            connection["user"] = user
        if basic.text("password"):
            basic.note("password", "secrets are not taken over; write password: '${env:NAME}'")
        basic.rest()
    if auth is not None:
        if auth.node.first("x509") is not None:
            auth.note("x509", "NEXUS has a certificate of its own; trust it on the server")
        auth.rest()
    tls = config.child("tls")
    for node in tls.node.children if tls is not None else []:
        reason = "NEXUS keeps its own certificates; see connection: certificate, trust"
        if tls is not None:
            tls.note(node.name, "a secret" if SECRET.search(node.name) else reason)


def opcua_tag(definition: Elements, _kind: str) -> TagKeys:
    """A node; HiveMQ Edge does not say its type."""
    node = definition.text("node")
    if not node:
        raise ValueError("its definition has no node")
    return {"node": node, "type": "json"}


def s7_connection(config: Elements, connection: ConnectionKeys) -> TagKeys:
    """As `modbus_connection`."""
    _address(config, connection)
    controller = config.text("controllerType").upper()
    rack, slot, tsap = config.number("remoteRack"), config.number("remoteSlot"), config.number("remoteTsap")
    if rack is not None:
        connection["rack"] = rack
    if slot is not None or controller in SLOTS:
        connection["slot"] = slot if slot is not None else SLOTS[controller]
    if tsap:
        connection["remote_tsap"] = tsap
    second = "the second CPU of a redundant pair; declare it as a device of its own"
    config.without_use({"remoteRack2": second, "remoteSlot2": second})
    return _polling(config, "s7ToMqtt")


def s7_tag(definition: Elements, kind: str) -> TagKeys:
    """A PLC4X address with its type."""
    address = definition.text("tagAddress")
    if not address:
        raise ValueError("it has no tagAddress")
    name = kind.upper()
    ours = type_of(name)
    if not _HAS_TYPE.search(address):
        address = f"{address}:{S7_NAMES.get(name, name)}"
    return {"address": address, "type": ours}


def ads_connection(config: Elements, connection: ConnectionKeys) -> TagKeys:
    """As `modbus_connection`; the port of the site language is the AMS port."""
    if host := config.text("host"):
        connection["host"] = host
    port = config.number("port")
    if port not in (None, ADS_TCP_PORT):
        connection["tcp_port"] = port
    if (ams_port := config.number("targetAmsPort")) is not None:
        connection["port"] = ams_port
    for name, ours in (("targetAmsNetId", "ams_net_id"), ("sourceAmsNetId", "source_net_id")):
        if net_id := config.text(name):
            connection[ours] = net_id
    config.without_use({"sourceAmsPort": "NEXUS takes a port of its own"})
    return _polling(config, "adsToMqtt")


def ads_tag(definition: Elements, kind: str) -> TagKeys:
    """A symbol with its type."""
    address = definition.text("tagAddress")
    if not address:
        raise ValueError("it has no tagAddress")
    return {"address": address, "type": type_of(kind)}


Connect = Callable[[Elements, ConnectionKeys], TagKeys]
Define = Callable[[Elements, str], TagKeys]
CONNECTIONS: dict[str, Connect] = {
    "modbus": modbus_connection,
    "opcua": opcua_connection,
    "s7": s7_connection,
    "ads": ads_connection,
}
TAGS: dict[str, Define] = {"modbus": modbus_tag, "opcua": opcua_tag, "s7": s7_tag, "ads": ads_tag}
