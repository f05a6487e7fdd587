"""Beside Telegraf, in the same run: a gateway on the same devices, a historian on the same messages.

Run alone: `python -m tests.benchmarks.bench_peers [modbus|s7|opcua|messages …]`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.benchmarks import peers_messages, peers_polling
from tests.benchmarks.figures import Figure, machine, report
from tests.benchmarks.opcua_field import NoServerError
from tests.benchmarks.telegraf import NoTelegrafError, telegraf_program

WINDOWS, WINDOW_S = 4, 8.0
PARTS: dict[str, Callable[[Path], list[Figure]]] = {
    "modbus": partial(peers_polling.compare, peers_polling.MODBUS, windows=WINDOWS, seconds=WINDOW_S),
    "s7": partial(peers_polling.compare, peers_polling.S7, windows=WINDOWS, seconds=WINDOW_S),
    "opcua": partial(peers_polling.compare, peers_polling.OPCUA, windows=WINDOWS, seconds=WINDOW_S),
    "messages": peers_messages.compare,
}


def run(names: Sequence[str] = tuple(PARTS)) -> list[Figure]:
    """Every part; what can't run here says so in a line."""
    try:
        program = telegraf_program()
    except NoTelegrafError as error:
        print(f"   SKIPPED, all of it: {error}", flush=True)
        return []
    figures = []
    for name in names:
        try:
            figures += PARTS[name](program)
        except NoServerError as error:
            print(f"   SKIPPED, {name}: {error}", flush=True)
    return figures


if __name__ == "__main__":
    print(machine())
    for part in sys.argv[1:] or PARTS:
        print(report(run([part])), flush=True)
