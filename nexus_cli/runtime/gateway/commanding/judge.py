"""Whether a command may go to its device: pure, in one order, the first objection counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.inversion import InversionError, raw_of
from nexus_cli.runtime.gateway.device import Running
from nexus_cli.wire.command import LONGEST_AHEAD_US, Command
from nexus_cli.wire.sample import Value


class Objection(NamedTuple):
    """Why not."""

    code: str
    detail: str


class Clocks(NamedTuple):
    """The time by which expiry is judged.

    Attributes:
        wall_us: The machine's own clock, µs since 1970 UTC.
        doubt: Why it can't be believed right now; "" when it can.
    """

    wall_us: Callable[[], int]
    doubt: Callable[[], str] = str

    def objection(self, expires_at: int) -> Objection | None:
        """What speaks against the time of a command; None when nothing does."""
        doubt = self.doubt()
        if doubt:
            return Objection("NX6810", f"it can't be told whether the command has expired: {doubt}")
        now_us = self.wall_us()
        if expires_at <= now_us:
            return Objection("NX6808", f"it expired {_seconds(now_us - expires_at)} ago by the gateway's clock")
        if expires_at > now_us + LONGEST_AHEAD_US:
            return Objection(
                "NX6808",
                f"expires_at lies {_seconds(expires_at - now_us)} ahead by the gateway's clock; at most 60 s are allowed",
            )
        return None


def judge(device: Running, tag_name: str, command: Command, clocks: Clocks) -> Accepted | Objection:
    """The raw value to write, or what speaks against it: known, writable, enabled, type, range, exactness, time."""
    tag = device.config.tags.get(tag_name)
    if tag is None:
        hint = did_you_mean(tag_name, device.config.tags)
        return Objection("NX6802", f"{device.path} has no tag '{tag_name[:100]}'" + (f"; {hint}" if hint else ""))
    if not tag.writable or not tag.address:
        return Objection("NX6803", "the tag is not writable (`writable: true` in the site file lets commands write it)")
    if not (tag.enabled and device.config.enabled):
        return Objection("NX6804", "the tag is out of service (enabled: false)")
    try:
        raw = raw_of(tag, command.value)
    except InversionError as error:
        return Objection(error.code, f"{error}; {error.hint}" if error.hint else str(error))
    return clocks.objection(command.expires_at) or Accepted(raw)


class Accepted(NamedTuple):
    """The raw value of a command that nothing speaks against."""

    raw: Value


def _seconds(delta_us: int) -> str:
    return f"{delta_us / 1e6:,.1f} s"
