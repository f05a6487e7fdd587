"""Band 3, the protocol: what all protocols share."""

from nexus_cli.diagnostics.codes.code import Code, text, yaml
from nexus_cli.diagnostics.diagnostic import Severity

CODES: tuple[Code, ...] = (
    Code(
        id="NX3002",
        slug="mode-not-supported",
        summary="The protocol does not support this mode.",
        why="Modbus and S7 devices only answer requests; they don't report changes.",
        bad=yaml("meter-1: {protocol: modbus, mode: subscribe}"),
        good=yaml("meter-1: {protocol: modbus, mode: poll}"),
    ),
    Code(
        id="NX3003",
        slug="link-settings-differ",
        summary="Devices on one link have different connection settings.",
        why="They share one session, which has one set of settings.",
        bad=yaml("a: {connection: {host: x, timeout: 1s}}\nb: {connection: {host: x, timeout: 2s}}"),
        good=text("the same timeout for both"),
    ),
    Code(
        id="NX3004",
        slug="link-overloaded",
        summary="A link has more requests than it can carry at its poll intervals.",
        why="Cycles would be skipped. The estimate counts requests per second at a typical answer time.",
        bad=text("2,000 scattered registers every 100 ms"),
        good=text("a longer poll, addresses side by side, or max_gap"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX3005",
        slug="secret-in-plain-text",
        summary="A secret is in the file.",
        why="It would be in the repository, in plans and in the recorded state.",
        bad=yaml("connection: {password: hunter2}"),
        good=yaml("connection: {password: '${env:PLC_PASSWORD}'}"),
    ),
    Code(
        id="NX3006",
        slug="password-unprotected",
        summary="A password is sent unencrypted.",
        why="With security None the password can be read on the network.",
        bad=yaml("security: None\nuser: u\npassword: ${env:P}"),
        good=yaml("security: Basic256Sha256/SignAndEncrypt"),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX3007",
        slug="protocols-on-one-port",
        summary="Two protocols are spoken to one host and port.",
        why="One TCP port answers one protocol. One of the devices has the wrong port or protocol, and gives no values.",
        bad=yaml(
            "a: {protocol: s7, connection: {host: 10.0.0.9, port: 502}}\n"
            "b: {protocol: modbus, connection: {host: 10.0.0.9}}"
        ),
        good=yaml(
            "a: {protocol: s7, connection: {host: 10.0.0.9}}\nb: {protocol: modbus, connection: {host: 10.0.0.9}}"
        ),
        severity=Severity.WARNING,
    ),
    Code(
        id="NX3008",
        slug="device-twice",
        summary="Two devices read the same addresses of the same device.",
        why="A block was probably copied, and its host, unit or addresses not changed. Every value would be recorded twice.",
        bad=yaml("a: {connection: {host: x, unit_id: 1}, tags: …}\nb: {connection: {host: x, unit_id: 1}, tags: …}"),
        good=yaml("a: {connection: {host: x, unit_id: 1}, tags: …}\nb: {connection: {host: x, unit_id: 2}, tags: …}"),
        severity=Severity.WARNING,
    ),
)
