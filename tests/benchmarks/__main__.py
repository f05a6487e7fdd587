"""Every figure of the design, with the limit measured in the same run: `python -m tests.benchmarks [NAME…]`.

Prints, never asserts: a miss is a line that says so, and the exit code stays 0.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback

from tests.benchmarks.figures import HEAD, Figure, machine, markdown

NAMES = {
    "cli": "`nexus --help`, `nexus validate` of 41,000 tags",
    "plan": "`nexus plan` of 41,000 tags with ten changes",
    "access": "gains and losses of 50 users on 41,000 tags, and who may read each",
    "apply": "a first `nexus apply` of 41,000 tags, and one of ten changes",
    "modbus": "reads of the Modbus driver beside bare pymodbus",
    "opcua": "reads and notifications of the OPC UA driver beside bare asyncua",
    "s7": "reads of the S7 driver beside bare python-snap7",
    "ads": "sum reads and notifications of the ADS driver beside pyads",
    "browse": "walking an OPC UA server and an ADS symbol table beside the bare libraries",
    "mqtt": "a QoS 1 message, published and received, beside other MQTT clients",
    "live": "a message of the live view, its lag, and all topics again after a reconnect",
    "polling": "the polling of 400 Modbus links alone, beside the least an event loop can do",
    "core": "the whole gateway beside the bare libraries, per core",
    "custody": "a frame from the outbox to its receipt, by column and in JSON",
    "gateway": "the parts of the gateway, each alone",
    "historian": "frames to committed rows beside bare COPY",
    "history": "a year's plot on plain PostgreSQL beside a SELECT from the samples",
    "measuring": "a gateway that measures latencies beside one that does not",
    "latency": "notification to PUBLISH, sample to committed row",
    "web": "the role web: reads, WebSockets, memory, and the live view that it takes in",
    "write": "a write while its link is polled without a pause",
    "observed": "one changed device of a thousand, and what the others notice",
    "plant": "the 1,000-device plant on two gateways",
    "crowd": "twenty pages and 1,000 WebSocket clients on the 1,000-device plant, and the polls that they cost",
    "i3x": "i3X: every object of 41,000 tags, 1,000 values at once",
    "scale": "one gateway of 100,000 tags; 16 devices x 1,000 tags every 50 ms",
    "web_rest": "search, tree and devices of web at 41,000 tags, and the bytes of a gateway's health",
    "page": "the page in a browser over 41,000 tags at 2,000 changes a second",
    "jobs": "jobs put in and worked off beside bare pgqueuer",
    "proof": "signed messages, compressed frames, and the links of the audit trail",
    "peers": "our gateway and our historian beside Telegraf, on the same devices and messages",
}


def main() -> int:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--markdown", action="store_true", help="also print rows for docs/benchmarks.md")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in NAMES:
            parser.error(f"there is no benchmark '{name}': {', '.join(NAMES)}")
    print(machine())
    print(HEAD, flush=True)
    figures: list[Figure] = []
    for name in arguments.names or NAMES:
        began = time.monotonic()
        print(f"-- {name}: {NAMES[name]}", flush=True)
        try:
            found = importlib.import_module(f"tests.benchmarks.bench_{name}").run()
        except Exception:  # one that can't run here costs itself, and says so
            print(f"   could not run:\n{traceback.format_exc()}", flush=True)
            continue
        figures += found
        for figure in found:
            print(figure.line(), flush=True)
        print(f"   {time.monotonic() - began:.0f} s", flush=True)
    missed = [figure.name.strip() for figure in figures if figure.met is False]
    aimed = sum(figure.met is not None for figure in figures)
    print(f"{aimed - len(missed)} of {aimed} targets met" + (f"; missed: {'; '.join(missed)}" if missed else ""))
    if arguments.markdown:
        print(markdown(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
