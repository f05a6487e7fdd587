"""On PYTHONPATH of a process under test: its clocks run on the own time of its main thread (see `tests.own_clock`).

While other processes hold the processor, the time of this one stands still, so that a poll is late only for what the
process itself did. The wall clock runs along. Only with NEXUS_TEST_OWN_TIME set: 1, or the role among several with one
environment.
"""

import os
import selectors
import sys
import threading
import time

from tests.own_clock import OwnTime

if os.environ.get("NEXUS_TEST_OWN_TIME") in ("1", *sys.orig_argv[1:]):
    os.environ["NEXUS_EVENT_LOOP"] = "asyncio"  # uvloop has a clock of its own
    _cpu = time.pthread_getcpuclockid(threading.main_thread().ident)
    own = OwnTime(cpu_s=lambda: time.clock_gettime(_cpu))
    _start_ns = time.time_ns() - int(own.now_s() * 1e9)
    _select = selectors.DefaultSelector.select

    def _waiting(self, timeout=None):
        if threading.current_thread() is not threading.main_thread():
            return _select(self, timeout)
        return own.wait(lambda limit: _select(self, limit), timeout)

    selectors.DefaultSelector.select = _waiting
    # Nor is there a clock that counts a suspended machine.
    vars(time).pop("CLOCK_BOOTTIME", None)
    time.monotonic = own.now_s
    time.monotonic_ns = lambda: int(own.now_s() * 1e9)
    time.time_ns = lambda: _start_ns + time.monotonic_ns()
    time.time = lambda: time.time_ns() / 1e9
