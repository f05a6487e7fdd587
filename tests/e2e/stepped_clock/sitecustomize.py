"""On PYTHONPATH of a process under test: its wall clock stands off by what the file NEXUS_TEST_CLOCK says, in seconds.

The monotonic clock is left alone, as when an operator or NTP sets the time of a machine.
"""

import os
import time

_FILE = os.environ.get("NEXUS_TEST_CLOCK", "")
_time_ns = time.time_ns


def _offset_ns() -> int:
    try:
        with open(_FILE, encoding="ascii") as file:
            return int(float(file.read() or 0) * 1e9)
    except (OSError, ValueError):
        return 0


if _FILE:
    time.time_ns = lambda: _time_ns() + _offset_ns()
    time.time = lambda: (_time_ns() + _offset_ns()) / 1e9
