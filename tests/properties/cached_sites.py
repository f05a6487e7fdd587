"""A plant in several files that uses most of the language, and edits of it, for the laws of the cache."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

SITE = """\
nexus: 1
enterprise: acme
site: works
include: [templates.yaml, areas/*.yaml]
vars: {subnet: "10.0.0", rate: 2s, keep: slow}
defaults: {poll: 1s, retention: slow}
retention:
  slow: {keep: 400d}
  fast: {keep: 30d}
gateways:
  gw-a: {select: ["area:press"]}
  gw-b: {}
alerts:
  hot: {tag: press/one/oven/temperature, above: 90, clear_below: 80}
  full: {tag: store/north/tank/level, above: 95}
access:
  roles:
    reader: {read: ["press/**", "store/north/*/level"]}
    operator: {read: ["**"], write: ["press/one/oven/setpoint"], run: [fill]}
  users:
    desk: {role: operator}
    board: {role: reader}
sequences:
  fill:
    steps:
      - {write: press/one/oven/setpoint, value: 20}
      - {until: "{store/north/tank/level} > 10", timeout: 30s}
moved:
  - {from: press/one/kiln, to: press/one/oven}
"""
TEMPLATES = """\
templates:
  meter:
    protocol: modbus
    parameters: {unit_id: {type: integer, default: 1}, host: {type: string}}
    connection: {host: "${param:host}", unit_id: "${param:unit_id}"}
    tags:
      voltage: {address: "input:0", type: float32, unit: V, range: [0, 500], deadband: 0.5}
      energy: {address: "input:342", type: float32, unit: kWh, poll: 10s}
"""
PRESS = """\
areas:
  press:
    labels: {hall: a}
    lines:
      one:
        defaults: {poll: 2s}
        devices:
          # the oven of the first line
          oven:
            protocol: modbus
            connection: {host: "${var:subnet}.7", unit_id: 1}
            tags:
              temperature: {address: "holding:0", type: float32, unit: degF, publish_unit: degC, range: [0, 250]}
              setpoint: {address: "holding:10", type: float32, writable: true, range: [10, 90]}
              state: {address: "holding:20", type: uint16, values: {0: idle, 1: running}}
            calculated:
              hot: {expr: "temperature > 100 and state == 'running'", type: bool}

          meter-1: {template: meter, with: {unit_id: 3, host: 10.0.0.9}}
          meter-2: {template: meter, with: {unit_id: 4, host: 10.0.0.9}, labels: {cell: two}}
          drive:
            protocol: opcua
            connection:
              endpoint: opc.tcp://10.0.0.5:4840
            tags:
              speed:
                node: ns=2;s=Drive.Speed
                type: float64
                poll: ${var:rate}
                description: |
                  as the panel
                  shows it
      two:
        devices:
          scale: {protocol: external, tags: {weight: {type: float64, unit: kg}}}
          mixer:
            protocol: s7
            connection: {host: 10.0.0.6, rack: 0, slot: 1}
            retention: ${var:keep}
            tags:
              level: {address: DB1.DBD0, type: float32, range: [0, 100]}
              mass: {address: DB1.DBD4, type: float32, unit: pails}  # nexus:ignore NX2201 -- how it is counted
"""
STORE = """\
areas:
  store:
    lines:
      north:
        devices:
          tank:
            protocol: modbus
            connection: {host: 10.0.1.7}
            tags:
              level: {address: 40001, type: uint16, range: [0, 100]}
              copy: {address: 40001, type: int16}
            calculated:
              both: {expr: "level + {store/north/pump/current}", type: float64}
          pump:
            protocol: modbus
            connection: {host: 10.0.1.7}
            tags:
              current: {address: 40011, type: float32, retention: fast}
              run: {address: "holding:30", type: uint16, writable: true, read_back: store/north/tank/level}
"""
PRODUCTION = """\
vars: {subnet: "10.9.0"}
areas:
  press:
    lines:
      one:
        devices:
          oven: {connection: {unit_id: 7}}
          meter-2: {labels: {cell: three}}
"""
FILES = {
    "site.yaml": SITE,
    "templates.yaml": TEMPLATES,
    "areas/press.yaml": PRESS,
    "areas/store.yaml": STORE,
    "env/prod.yaml": PRODUCTION,
}
MORE = """\
areas:
  {area}:
    lines:
      {line}:
        devices:
          {device}:
            protocol: modbus
            connection: {{host: 10.0.2.{host}}}
            tags:
              level: {{address: "holding:{host}", type: float32}}
"""

_WORDS = re.compile(r"[A-Za-z0-9_./:-]+|[{}\[\]\"',#$&*|>!]")
_JUNK = (
    *("", " ", "\n", "\t", "'", '"', "{", "}", "[", "]", ": ", "#", " #", "&a ", "*a", "!!str ", "|", "---\n", "\r", "\u2028", "\ufeff"),
    *("null", "~", "true", "1e999", "0x10", "${var:rate}", "${var:none}", "${param:host}", "${env:X}", "devices:", "tags:", "- a", "ä"),
    *("modbus", "s7", "external", "fast", "degC", "float32", "bool", "10.0.1.7", "meter", "oven", "a/b", "nexus:ignore NX2101 -- so"),
)  # fmt: skip

_VALUES = (
    *(('subnet: "10.0.0"', 'subnet: "10.0.4"'), ("rate: 2s", "rate: 3ms"), ("keep: slow", "keep: none")),
    *(("{poll: 1s, ", "{"), ("{poll: 1s, ", "{heartbeat: 5ms, "), ("{poll: 2s}", "{mode: subscribe}"), ("default: 1", "default: 9")),
    *(("slow: {keep: 400d}", "new: {keep: 400d}"), ("area:press", "label:hall=b"), ("enterprise: acme", "enterprise: other")),
    *(("unit: V", "unit: Volts"), ("input:342", "input:30342"), ("template: meter", "template: other"), ("10.0.0.9", "10.0.0.6")),
    *(("unit_id: 4", "unit_id: 3"), ("opc.tcp://10.0.0.5:4840", "opc.tcp://10.0.0.9:502"), ("meter-2:", "meter_1:"), ("degF", "bar")),
    *(("deadband: 0.5", "deadband: 2000"), ("deadband: 0.5", "deadband: 2%"), ("hall: a", "hall: b"), ("10.0.1.7", "10.0.1.8")),
    *(("    labels: {hall: a}", "    classification: restricted"), ("        defaults: {poll: 2s}", "        classification: public")),
)  # fmt: skip
"""What a change of a plant looks like."""

edits = st.one_of(
    st.tuples(st.just("value"), st.sampled_from(_VALUES), st.just("")),
    st.tuples(st.just("value"), st.sampled_from(_VALUES), st.just("")),
    st.tuples(st.just("word"), st.integers(0, 400), st.sampled_from(_JUNK)),
    st.tuples(st.just("swap"), st.integers(0, 400), st.integers(0, 400)),
    st.tuples(st.just("delete"), st.integers(0, 60), st.integers(1, 4)),
    st.tuples(st.just("double"), st.integers(0, 60), st.integers(1, 12)),
    st.tuples(st.just("indent"), st.integers(0, 60), st.integers(-4, 4)),
    st.tuples(st.just("insert"), st.integers(0, 3000), st.sampled_from(_JUNK)),
    st.tuples(st.just("line"), st.integers(0, 60), st.sampled_from(("# a remark", "", "   # 'odd", "\t"))),
)
"""An edit of one file."""
wheres = st.sampled_from((*sorted(FILES), ""))
"""A file, or "" for each of them."""
names = st.sampled_from(("press", "store", "one", "north", "oven", "tank", "new"))


def edited(text: str, edit: tuple[Any, ...]) -> str:
    """The text after an edit."""
    kind, first, second = edit
    if kind == "value":
        return text.replace(*first)
    if kind == "insert":
        at = first % (len(text) + 1)
        return text[:at] + second + text[at:]
    if kind in ("word", "swap"):
        words = list(_WORDS.finditer(text))
        if not words:
            return str(second)
        word = words[first % len(words)]
        new = second if kind == "word" else words[second % len(words)][0]
        return text[: word.start()] + new + text[word.end() :]
    lines = text.splitlines(keepends=True)
    at = first % (len(lines) + 1)
    if kind == "delete":
        del lines[at : at + second]
    elif kind == "double":
        lines[at:at] = lines[at : at + second]
    elif kind == "line":
        lines.insert(at, second + "\n")
    elif at < len(lines):
        lines[at] = " " * second + lines[at] if second > 0 else lines[at][-second:]
    return "".join(lines)


def write(folder: Path, files: dict[str, str]) -> None:
    """These files, and no others, as a site."""
    for path in folder.rglob("*.yaml"):
        path.unlink()
    for name, text in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="")
