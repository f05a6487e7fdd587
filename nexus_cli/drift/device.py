"""What a device has against what is recorded of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nexus_cli.drift.kinds import found
from nexus_cli.drivers.examined import DeviceExamined, Examined, Presence
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.datatype import FLOATS, INTEGER_BOUNDS, parse_type
from nexus_cli.wire.control_drift import DriftFinding, DriftUnknown

ADOPT = "nexus drift --adopt writes it into the site file; nexus plan then shows it"
_GONE = {
    Presence.GONE: ("address-gone", "is not on the device any more"),
    Presence.SHORT: ("block-short", "lies beyond the end of its block"),
    Presence.REFUSED: ("read-refused", "may not be read any more"),
    Presence.MISTYPED: ("type-changed", "has another type than is recorded"),
}
_HINTS = {
    Presence.GONE: "put it back on the device, or take the tag out of the site file",
    Presence.SHORT: "make the block as long as before, or correct the address",
    Presence.REFUSED: "look at the rights of the gateway's user and at the device's protection",
}


def device_drift(
    device: DeviceConfig, examined: DeviceExamined, *, known: Mapping[str, str] | None
) -> tuple[list[DriftFinding], list[DriftUnknown]]:
    """Findings and unknown parts of one device.

    Args:
        device: As it is recorded.
        examined: What it has now.
        known: What it said of itself when that was recorded; None when it never was.
    """
    path = device.path
    if examined.unseen:
        return [], [DriftUnknown(path=path, plane="device", why=examined.unseen)]
    findings: list[DriftFinding] = []
    unknown: list[DriftUnknown] = []
    if examined.silent:
        findings.append(
            found(
                "device-silent",
                path,
                "device",
                f"{path} does not answer: {examined.silent}",
                recorded="answers",
                now="silent",
                hint="is it switched on, and its address right? nexus status",
            )
        )
    findings += _identity(path, examined, known or {})
    for name, tag in device.tags.items():
        if not tag.address or not tag.enabled:
            continue
        one = examined.addresses.get(name)
        if one is None or one.presence is Presence.UNKNOWN:
            if not examined.silent or one is not None:
                why = one.problem if one is not None else "the device was not asked for it"
                unknown.append(DriftUnknown(path=f"{path}/{name}", plane="device", why=why))
            continue
        findings += _tag(f"{path}/{name}", tag, one)
    if examined.silent:
        unknown.append(
            DriftUnknown(path=path, plane="device", why="it does not answer, so its addresses are not known")
        )
    return findings, unknown


def _identity(path: str, examined: DeviceExamined, known: Mapping[str, str]) -> Iterator[DriftFinding]:
    now = examined.identity
    if known and not now and not examined.silent:
        yield found(
            "identity-changed",
            path,
            "device",
            f"{path} says nothing of itself any more: is it another device?",
            recorded=dict(known),
            now={},
            hint="nexus drift --adopt forgets what it said",
            adoptable=True,
        )
        return
    differs = sorted(key for key in {*known, *now} if known.get(key) != now.get(key)) if known and now else []
    if differs:
        words = ", ".join(f"{key} {known.get(key, 'none')} → {now.get(key, 'none')}" for key in differs[:5])
        yield found(
            "identity-changed",
            path,
            "device",
            f"{path} is not the device that is recorded: {words}",
            recorded={key: known.get(key) for key in differs},
            now={key: now.get(key) for key in differs},
            hint="nexus drift --adopt records what it says of itself now",
            adoptable=True,
        )


def _tag(path: str, tag: TagConfig, one: Examined) -> Iterator[DriftFinding]:
    if one.presence is Presence.MOVED:
        yield found(
            "address-moved",
            path,
            "device",
            f"{path} moved: {tag.address} is now {one.address}",
            recorded=tag.address,
            now=one.address,
            hint=ADOPT,
            writable=tag.writable,
            adoptable=True,
        )
    elif one.presence in _GONE:
        kind, words = _GONE[one.presence]
        mistyped = one.presence is Presence.MISTYPED
        yield found(
            kind,
            path,
            "device",
            f"{path}: {tag.address} {words}" + (f" ({one.problem})" if one.problem else ""),
            recorded=tag.type if mistyped else tag.address,
            now=(one.type or None) if mistyped else None,
            hint=ADOPT if mistyped and is_type(one.type) else _HINTS.get(one.presence, "correct the tag's type"),
            writable=tag.writable,
            adoptable=mistyped and is_type(one.type),
        )
    elif one.type and not fits(tag.type, one.type):
        yield found(
            "type-changed",
            path,
            "device",
            f"{path}: the device has {one.type}, recorded is {tag.type}",
            recorded=tag.type,
            now=one.type,
            hint=ADOPT if is_type(one.type) else "correct the tag's type",
            writable=tag.writable,
            adoptable=is_type(one.type),
        )
    if tag.writable and one.writable is False:
        yield found(
            "read-only",
            path,
            "device",
            f"{path}: the device takes no writes there any more",
            recorded="writable",
            now="read-only",
            hint=ADOPT,
            adoptable=True,
        )


def fits(declared: str, there: str) -> bool:
    """Whether every value of the device's type is one of the declared type.

    `there` may be an array of unknown length, `float32[]`. What can't be read as a type fits: nothing is known of it.
    """
    base, _, rest = there.partition("[")
    try:
        wanted, has = parse_type(declared), parse_type(base if rest == "]" else there)
    except ValueError:
        return True
    if rest == "]":
        return bool(wanted.count) and _within(wanted.base, has.base)
    if wanted.count != has.count or (wanted.length and has.length and wanted.length != has.length):
        return False
    return _within(wanted.base, has.base)


def _within(wanted: str, has: str) -> bool:
    if wanted == has:
        return True
    if wanted in INTEGER_BOUNDS and has in INTEGER_BOUNDS:
        (low, high), (least, most) = INTEGER_BOUNDS[wanted], INTEGER_BOUNDS[has]
        return low <= least and most <= high
    if wanted in FLOATS and has in FLOATS:
        return FLOATS.index(has) <= FLOATS.index(wanted)
    return wanted == "duration" and has in FLOATS


def is_type(text: str) -> bool:
    """Whether a site file could declare this type."""
    try:
        parse_type(text)
    except ValueError:
        return False
    return True
