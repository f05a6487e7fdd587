"""Decides whether a command may go to its device. Pure; checks run in a fixed order, and the first failed one decides.

A command is checked on arrival, so that the sender learns of a mistake at once, and again just before the write,
against the configuration of that moment: the write has the meaning that was accepted, or it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nexus_cli.access.grants import WEB
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.inversion import InversionError, raw_of
from nexus_cli.model.writable import why_unwritable
from nexus_cli.runtime.gateway.devices.device import DeviceRuntime
from nexus_cli.wire.command import LONGEST_AHEAD_US, Command

MEANING = (
    *("type", "address", "options", "scale", "offset", "unit", "publish_unit", "unit_factor", "unit_shift"),
    *("range", "values", "read_back"),
)
"""Keys of a tag that determine what a value means, where it is written, and how the write is verified."""
_HOW_ASKED = ("timeout", "connect_timeout", "pause", "session_timeout")
"""Keys of a connection that affect how requests are made, not which device is reached; so do all that begin with
`max_`."""


class Rejection(NamedTuple):
    """Why a command is refused: the code, and a detail for the sender."""

    code: str
    detail: str


class Accepted(NamedTuple):
    """The configuration under which a command was accepted."""

    device: DeviceConfig
    tag: TagConfig


class Clocks(NamedTuple):
    """The clock that decides whether a command has expired.

    Attributes:
        wall_us: The machine's own clock, µs since 1970 UTC.
        doubt: Why the clock can't be trusted at the moment; "" when it can.
    """

    wall_us: Callable[[], int]
    doubt: Callable[[], str] = str

    def rejection(self, expires_at: int) -> Rejection | None:
        """The rejection of a command by its expiry (µs since 1970 UTC); None when its time is valid."""
        doubt = self.doubt()
        if doubt:
            return Rejection("NX6810", f"it is unknown whether the command has expired: {doubt}")
        now_us = self.wall_us()
        if expires_at <= now_us:
            return Rejection("NX6808", f"it expired {_seconds(now_us - expires_at)} ago by the gateway's clock")
        if expires_at > now_us + LONGEST_AHEAD_US:
            return Rejection(
                "NX6808",
                f"expires_at lies {_seconds(expires_at - now_us)} ahead by the gateway's clock; at most 60 s are allowed",
            )
        return None


def misnamed(principal: str, command: Command) -> Rejection | None:
    """The rejection of a command whose `asked_by` its sender may not say; None when it may.

    The broker vouches for the sender alone. Web looks at its callers' rights and always says whose command it is; no
    other sender names a third. See docs/decisions/0077.
    """
    if command.asked_by and principal != WEB:
        return Rejection("NX6930", f"asked_by names '{command.asked_by[:100]}', and only {WEB} asks for others")
    if principal == WEB and not command.asked_by:
        return Rejection("NX6930", f"{WEB} asks for others alone, and asked_by does not say for whom")
    return None


def admit(
    device: DeviceRuntime, tag_name: str, command: Command, clocks: Clocks, *, paused: str = ""
) -> Accepted | Rejection:
    """Check a new command, in this order: tag known, writable, in service, value's type, range, exactness, expiry.

    `paused` says why the device is out of service for a while; "" when it is not.
    """
    tag = device.config.tags.get(tag_name)
    if tag is None:
        hint = did_you_mean(tag_name, device.config.tags)
        return Rejection("NX6802", f"{device.path} has no tag '{tag_name[:100]}'" + (f"; {hint}" if hint else ""))
    if not tag.writable or not tag.address:
        why = why_unwritable(device.config, tag, {}) or (
            "`writable: true` in the site file lets commands write it, if the device lets its address be written"
        )
        return Rejection("NX6803", f"the tag is not writable ({why})")
    if paused:
        return Rejection("NX6804", paused)
    if not (tag.enabled and device.config.enabled):
        return Rejection("NX6804", "the tag is out of service (enabled: false)")
    try:
        raw_of(tag, command.value)
    except InversionError as error:
        return Rejection(error.code, f"{error}; {error.hint}" if error.hint else str(error))
    return clocks.rejection(command.expires_at) or Accepted(device.config, tag)


def still_admitted(accepted: Accepted, tag_name: str, device: DeviceRuntime | None) -> Rejection | None:
    """Check an accepted command against the current configuration; None when it still means the same."""
    now = device.config.tags.get(tag_name) if device is not None else None
    if device is None or now is None:
        return Rejection("NX6803", "the configuration changed meanwhile: the tag is gone")
    if not now.writable or not now.address:
        return Rejection("NX6803", "the configuration changed meanwhile: the tag is not writable any more")
    if not (now.enabled and device.config.enabled):
        return Rejection("NX6804", "the configuration changed meanwhile: the tag is out of service")
    changed = [key for key in MEANING if getattr(now, key) != getattr(accepted.tag, key)]
    if now.read_back_timeout_ms != accepted.tag.read_back_timeout_ms:
        changed.append("read_back_timeout")
    if not same_device(accepted.device, device.config):
        changed.append("connection")
    if changed:
        names = ", ".join(key for key in changed if key not in ("unit_factor", "unit_shift"))
        return Rejection("NX6803", f"the configuration changed meanwhile ({names}); look at the tag and ask again")
    return None


def same_device(then: DeviceConfig, now: DeviceConfig) -> bool:
    """True when two configurations reach the same device; intervals and time-outs may differ."""
    if then is now:
        return True
    if (then.protocol, then.link, then.gateway) != (now.protocol, now.link, now.gateway):
        return False
    return _target(then.connection) == _target(now.connection)


def _target(connection: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in connection.items() if key not in _HOW_ASKED and not key.startswith("max_")}


def _seconds(delta_us: int) -> str:
    return f"{delta_us / 1e6:,.1f} s"
