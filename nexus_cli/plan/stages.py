"""The steps of a deployment: one pure list made from the changes, with two readers: the plan that a person sees
(`nexus plan --steps`) and the engine of `apply`, which carries them out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nexus_cli.diagnostics.wording import counted
from nexus_cli.model.actions import AFTER, BEFORE
from nexus_cli.plan.actions import Bound, bound_sequences, occasion
from nexus_cli.plan.aliases import begun, stays_under
from nexus_cli.plan.change import Action, Attributes, Change, stays_retained

SEQUENCES = "sequences"
"""Only in the journal: a running sequence that control waits for before the first stage."""
RESUME = "resume"
"""Only in the journal: a deployment that had ended continues from here."""
LOCK = "lock"
"""Only in the journal: the lock of the deployment was broken, so that nothing of it may follow."""
RECORD = "record"
RIGHTS = "rights"
NOTIFY = "notify"
OBSERVE = "observe"
CLEAR = "clear"
REVOKE = "revoke"
FINALISE = "finalise"
VERIFY = "verify"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step.

    Attributes:
        step: `before`, `record`, `rights`, `notify`, `observe`, `clear`, `revoke`, `after`, `finalise` or `verify`.
        subject: The gateway, device or sequence it is about; "" is the whole site.
        paths: Tag paths (clear) or device paths (observe) that it handles.
        text: What happens, for people.
    """

    step: str
    subject: str = ""
    paths: tuple[str, ...] = ()
    text: str = ""


def stages_of(changes: Sequence[Change]) -> tuple[Stage, ...]:
    """Every step of a deployment, in order.

    Sequences that have to stop something come first: when one fails, nothing is recorded. Recording is one transaction. The rights of old and new state hold together until the gateways run
    the new one; then retained messages are cleared (earlier they would be published again), and only then old rights
    are taken away.
    """
    if not changes:
        return ()
    gateways = gateways_of(changes)
    gone = cleared_paths(changes)
    devices = verified_devices(changes)
    actions = bound_sequences(changes)
    stages = [_acting(bound) for bound in actions if bound.when == BEFORE]
    stages += [Stage(step=RECORD, text=f"record {counted(len(changes), 'changed resource')} in one transaction")]
    rights = rights_change(changes)
    if rights:
        stages.append(Stage(step=RIGHTS, text="grant the rights of the old and the new state together"))
    stages += [Stage(step=NOTIFY, subject=name, text=f"notify gateway {name}") for name in gateways]
    stages += [
        Stage(
            step=OBSERVE,
            subject=name,
            paths=paths,
            text=f"wait until gateway {name} runs {counted(len(paths), 'device') + ' ' if paths else ''}as planned",
        )
        for name, paths in gateways.items()
    ]
    if gone:
        stages.append(Stage(step=CLEAR, paths=gone, text=f"clear {counted(len(gone), 'retained message')}"))
    if rights:
        stages.append(Stage(step=REVOKE, text="revoke the rights that only the old state had"))
    stages += [_acting(bound) for bound in actions if bound.when == AFTER]
    stages.append(Stage(step=FINALISE, text="write the audit trail and release the lock"))
    if devices:
        stages.append(
            Stage(
                step=VERIFY,
                paths=devices,
                text=f"check that {counted(len(devices), 'device')} deliver{'' if len(devices) > 1 else 's'} GOOD values",
            )
        )
    return tuple(stages)


def _acting(bound: Bound) -> Stage:
    """`because` are the devices that it runs for, as `paths`."""
    text = f"run sequence {bound.sequence} {occasion(bound)}"
    return Stage(step=bound.when, subject=bound.sequence, paths=bound.because, text=text)


def rights_change(changes: Iterable[Change]) -> bool:
    """True when the changes can alter a grant: who reads which paths, roles, users, groups, gateways, messages, alerts,
    and what devices and tags are said to be."""
    return any(
        change.type in ("gateway", "role", "user", "group", "message", "alias")
        or (change.type == "alert" and (change.action is not Action.UPDATE or {"tag", "expr"} & set(change.keys)))
        or (change.type == "site" and bool({"labels", "time_zone"} & set(change.keys)))
        or (change.type == "device" and _moves_rights(change))
        for change in changes
    )


def _moves_rights(change: Change) -> bool:
    """A connection counts where others publish: it has the globs of their topics."""
    keys = {"gateway", "protocol", "labels", "classification"}
    if (change.after or {}).get("protocol") == "external":
        keys.add("connection")
    return (
        change.action is not Action.UPDATE
        or bool(keys & set(change.keys))
        or any(tag.action is not Action.UPDATE or "classification" in tag.keys for tag in change.tags)
    )


def gateways_of(changes: Iterable[Change]) -> dict[str, tuple[str, ...]]:
    """Device paths by gateway that has to act, old and new ones, both sorted."""
    found: dict[str, set[str]] = {}
    for change in changes:
        if change.type == "gateway" and change.action is Action.UPDATE and "frames" in change.keys:
            found.setdefault(change.name, set())
        if change.type == "alias":
            for attributes in (change.before, change.after):
                for name in (attributes or {}).get("gateways") or ():
                    found.setdefault(str(name), set())
        if change.type != "device":
            continue
        for attributes, path in ((change.before, change.previous_name), (change.after, change.name)):
            gateway = str((attributes or {}).get("gateway") or "")
            if gateway:
                found.setdefault(gateway, set()).add(path)
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def cleared_paths(changes: Iterable[Change]) -> tuple[str, ...]:
    """Old paths of tags that are forgotten or moved, sorted; never one that NEXUS publishes after the same plan.

    An old path on which values are published for a while (`keep_old_for`) is left: control clears it at the end.
    A tag that becomes external is among them: the last value of NEXUS would pass for one of a system that has
    not published yet. So is one that is no longer published or retained: its last value would stay for ever.
    """
    gone: set[str] = set()
    kept: set[str] = set()
    ours: set[str] = set()
    theirs: set[str] = set()
    left: set[str] = set()
    moved: dict[str, str] = {}
    changes = tuple(changes)
    aliases = begun(changes)
    for change in changes:
        if change.type == "device":
            ours |= _paths(change.previous_name, change.before, external=False)
            theirs |= _paths(change.name, change.after, external=True)
        for tag in change.tags:
            if tag.action is Action.FORGET:
                gone.add(tag.path)
            else:
                kept.add(tag.path)
                if tag.previous_path is not None:
                    moved[tag.previous_path] = tag.path
                if stays_retained(tag.before) and not stays_retained(tag.after):
                    left.add(tag.path)
    gone |= {old for old, new in moved.items() if not stays_under(old, new, aliases)}
    return tuple(sorted((gone - kept) | (ours & theirs) | (left - theirs)))


def _paths(device: str, attributes: Attributes | None, *, external: bool) -> set[str]:
    """Paths of a device's tags, if others publish them (or, with False, NEXUS does)."""
    if attributes is None or (attributes.get("protocol") == "external") is not external:
        return set()
    return {f"{device}/{tag}" for tag in attributes.get("tags") or ()}


def verified_devices(changes: Iterable[Change]) -> tuple[str, ...]:
    """Devices that a gateway reads after the change and that are in service, sorted."""
    return tuple(
        sorted(
            change.name
            for change in changes
            if change.type == "device"
            and change.after is not None
            and change.after.get("gateway")
            and change.after.get("enabled", True)
        )
    )
