"""Writes the plant's files: 800 Modbus × 20, 150 S7 × 100 and 50 OPC UA × 200 tags, 41,000 in all, polled every second.

    python sites/plant-1000/generate.py

Every device has a loopback address of its own (127.0.0.0/8 is this machine), so that `nexus sim` can serve them.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
AREAS = 10
LINES = 10
MODBUS_TAGS, S7_TAGS, OPCUA_TAGS = 20, 100, 200


def templates() -> str:
    """The three device types."""
    modbus = (f'      v{n:02}: {{address: "holding:{2 * n}", type: float32}}' for n in range(MODBUS_TAGS))
    s7 = (f'      v{n:03}: {{address: "DB1.DBD{4 * n}", type: float32}}' for n in range(S7_TAGS))
    opcua = (f'      v{n:03}: {{node: "nsu=urn:plant;s=V{n:03}", type: float64}}' for n in range(OPCUA_TAGS))
    return "\n".join(
        [
            "# Written by generate.py.",
            "templates:",
            "  m20:",
            "    protocol: modbus",
            "    parameters: {host: {type: string}}",
            '    connection: {host: "${param:host}", port: 15020}',
            "    tags:",
            *modbus,
            "  s100:",
            "    protocol: s7",
            "    parameters: {host: {type: string}}",
            '    connection: {host: "${param:host}", port: 10102}',
            "    tags:",
            *s7,
            "  u200:",
            "    protocol: opcua",
            "    parameters: {host: {type: string}}",
            '    connection: {endpoint: "opc.tcp://${param:host}:14840"}',
            "    tags:",
            *opcua,
            "",
        ]
    )


def area(number: int) -> str:
    """One area: ten lines of eight Modbus devices, and two S7, or one S7 and one OPC UA."""
    rows = ["# Written by generate.py.", "areas:", f"  area-{number}:", "    lines:"]
    for line in range(LINES):
        rows += [f"      line-{line}:", "        devices:"]
        rows += [_device(f"m{n}", "m20", f"127.10.{number}{line}.{n + 1}") for n in range(8)]
        rows.append(_device("s0", "s100", f"127.20.{number}{line}.1"))
        if line % 2:
            rows.append(_device("u0", "u200", f"127.30.{number}{line}.1"))
        else:
            rows.append(_device("s1", "s100", f"127.20.{number}{line}.2"))
    return "\n".join([*rows, ""])


def _device(name: str, template: str, host: str) -> str:
    octets = ".".join(str(int(octet)) for octet in host.split("."))
    return f"          {name}: {{template: {template}, with: {{host: {octets}}}}}"


def main() -> None:
    """Write templates.yaml and one file per area beside this file."""
    (HERE / "areas").mkdir(exist_ok=True)
    (HERE / "templates.yaml").write_text(templates(), encoding="utf-8")
    for number in range(AREAS):
        (HERE / "areas" / f"area-{number}.yaml").write_text(area(number), encoding="utf-8")


if __name__ == "__main__":
    main()
