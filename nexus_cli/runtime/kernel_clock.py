"""The operating system's state of its clock: adjtimex(2) on Linux; unknown elsewhere.

Source: adjtimex(2), clock_adjtime(2) and <sys/timex.h>. The kernel calls its clock unsynchronised after a boot, after
someone set it by hand, and once its estimated error exceeds 16 s (about nine hours without a time server), until a
time service says otherwise. A container shows its host's state.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

TIME_ERROR = 5
"""Return value: the clock is not synchronised."""
STA_UNSYNC = 0x0040


class KernelClock(NamedTuple):
    """The kernel's state of its clock.

    Attributes:
        synchronised: None when unknown.
        error_us: Estimated maximum error, µs; 0 when unknown.
    """

    synchronised: bool | None
    error_us: int = 0


UNKNOWN = KernelClock(None)


class _Timex(ctypes.Structure):
    """The head of `struct timex`, which is the same on every Linux; the rest is room that the kernel writes to."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    )


def _function() -> Callable[[Any], int] | None:
    if sys.platform != "linux":
        return None
    try:
        found = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    found.argtypes, found.restype = [ctypes.c_void_p], ctypes.c_int
    return lambda timex: int(found(ctypes.byref(timex)))


_adjtimex = _function()


def ask() -> KernelClock:
    """Ask the kernel; takes about a microsecond and changes nothing (`modes` is 0)."""
    if _adjtimex is None:
        return UNKNOWN
    timex = _Timex()
    state = _adjtimex(timex)
    if state < 0:  # not permitted, e.g. by a container's seccomp filter
        return UNKNOWN
    return KernelClock(state != TIME_ERROR and not timex.status & STA_UNSYNC, max(0, timex.maxerror))
