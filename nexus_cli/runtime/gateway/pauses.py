"""Devices that a person took out of service for a while: which, until when, and kept over a restart.

The gateway counts the time on its own clock, so it begins again by itself, also while control is away. A device in this list
runs as one that the site file switches off: its session is closed, its tags are BAD `out_of_service`.

See docs/decisions/0081.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from nexus_cli.runtime.clock import Clock
from nexus_cli.runtime.gateway.configuration import Wanted
from nexus_cli.runtime.logging import event
from nexus_cli.wire.control import ServicePause
from nexus_cli.wire.control_steering import LONGEST_S
from nexus_cli.wire.gateway_health import PausedDevice

MARKER = "+out-of-service"
"""Behind the digest of a device that is out of service: it does not run what was deployed."""

_log = logging.getLogger("nexus.gateway")


class Pause(msgspec.Struct, kw_only=True):
    """One device out of service.

    Attributes:
        until: As control says it, for people; names the request: another one has another end.
        ends_us: The same by this machine's clock, µs since 1970 UTC; what counts after a restart.
        since_us: When this gateway closed the session, µs since 1970 UTC.
        who, reason: For who wants to write to it.
    """

    until: int
    ends_us: int
    since_us: int
    who: str
    reason: str


class Pauses:
    """The devices out of service of one gateway."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        """Name the file that keeps them; nothing is read yet."""
        self._path, self._clock = path, clock
        self._found: dict[str, Pause] = {}
        self._ends_s: dict[str, float] = {}
        self._over: dict[str, int] = {}

    def __contains__(self, device: str) -> bool:
        return device in self._found

    def load(self) -> None:
        """Take what the process before kept; what has ended meanwhile is left out."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Pause])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        now_us, now_s = self._clock.wall_us(), self._clock.monotonic_s()
        for device, one in kept.items():
            left_s = min((one.ends_us - now_us) / 1e6, float(LONGEST_S))
            if left_s > 0:
                self._found[device] = one
                self._ends_s[device] = now_s + left_s
            else:
                self._over[device] = one.until

    def take(self, said: Mapping[str, ServicePause]) -> bool:
        """Take what control says now; True when other devices are out of service than before.

        One that has ended by our clock does not begin again because control's clock is a little behind.
        """
        now_us, now_s = self._clock.wall_us(), self._clock.monotonic_s()
        before = set(self._found)
        wanted = {device: one for device, one in said.items() if self._over.get(device) != one.until}
        self._over = {device: until for device, until in self._over.items() if device in said}
        changed = False
        for device in before - wanted.keys():
            del self._found[device], self._ends_s[device]
            changed = True
        for device, one in wanted.items():
            left_us = min(one.left_us, LONGEST_S * 1_000_000)
            known = self._found.get(device)
            self._ends_s[device] = now_s + left_us / 1e6
            if known is None or (known.until, known.who, known.reason) != (one.until, one.who, one.reason):
                since_us = known.since_us if known is not None else self._clock.now_us()
                self._found[device] = Pause(
                    until=one.until, ends_us=now_us + left_us, since_us=since_us, who=one.who, reason=one.reason
                )
                changed = True
        if changed:
            self._save()
        return changed

    def end_due(self) -> bool:
        """End those whose time is over; True when there is one."""
        now_s = self._clock.monotonic_s()
        over = [device for device, ends_s in self._ends_s.items() if ends_s <= now_s]
        for device in over:
            self._over[device] = self._found.pop(device).until
            del self._ends_s[device]
            event(_log, "a device is in service again: its time is over", device=device)
        if over:
            self._save()
        return bool(over)

    def next_s(self) -> float:
        """Seconds until the next one ends; endless without one."""
        return max(0.0, min(self._ends_s.values(), default=float("inf")) - self._clock.monotonic_s())

    def applied(self, wanted: Mapping[str, Wanted]) -> Mapping[str, Wanted]:
        """What runs: the devices out of service switched off, all others as they are."""
        if not self._found:
            return wanted
        return {
            path: Wanted(msgspec.structs.replace(one.config, enabled=False), one.digest + MARKER)
            if path in self._found
            else one
            for path, one in wanted.items()
        }

    def why(self, device: str) -> str:
        """Why a device takes no commands, until when and by whom, as the end of a sentence; "" when it does."""
        one = self._found.get(device)
        if one is None:
            return ""
        return f"{device} is out of service until {_clock_text(one.until)}, by {one.who}: {one.reason}"

    def health(self, *, closed: Callable[[str], bool]) -> dict[str, PausedDevice]:
        """For health, by path; `closed` says whether the session of a device is closed."""
        return {
            device: PausedDevice(
                since=one.since_us, until=one.until, who=one.who, reason=one.reason, closed=closed(device)
            )
            for device, one in sorted(self._found.items())
        }

    def _save(self) -> None:
        """Whole or not at all; what can't be written holds until this process ends."""
        beside = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(msgspec.json.encode(self._found))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            event(_log, "the devices out of service can't be written", level=logging.WARNING, cause=str(error))


def _clock_text(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
