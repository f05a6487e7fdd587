"""The effect of a deployment on running sequences: a run keeps the meaning that was agreed when it began. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nexus_cli.model.config import digest
from nexus_cli.plan.change import Action, Attributes, Change
from nexus_cli.plan.hazards import Hazard
from nexus_cli.wire.control import Running

RUNNING = "running-sequence"
IDLE_OF_TAG = frozenset(
    {"description", "labels", "retention", "deadband", "heartbeat_ms", "poll_ms", "simulate"}
    | {"live_qos", "live_retain", "live_every_ms"},
)
"""Keys of a tag that change neither what it means nor what a device is sent."""
IDLE_OF_DEVICE = frozenset({"tags", "description", "labels"})
WHAT_HAPPENS = {
    "refuse": "the deployment is refused until it has ended",
    "wait": "the deployment waits for its end",
    "abort": "the run would be aborted first",
}
"""By `on_change` of the sequence."""


def meaning(device: Attributes | None, tag: str) -> Attributes | None:
    """The attributes of a device that define one of its tags; None when there is no such tag."""
    attributes = (device or {}).get("tags", {}).get(tag)
    if device is None or attributes is None:
        return None
    own = {key: value for key, value in attributes.items() if key not in IDLE_OF_TAG}
    around = {key: value for key, value in device.items() if key not in IDLE_OF_DEVICE}
    return {"tag": own, "device": around}


def agreement(
    sequence: Attributes, meanings: Mapping[str, Attributes | None], messages: Mapping[str, Attributes]
) -> str:
    """A digest of what a person agrees to: the sequence, the meaning of each tag it uses, the messages it publishes."""
    return digest([sequence, sorted(meanings.items()), sorted(messages.items())])


def touched(changes: Iterable[Change], running: Running) -> tuple[str, ...]:
    """The things that a run uses and the changes alter: paths of tags and addresses of messages, sorted."""
    found: set[str] = set()
    mine: dict[str, list[str]] = {}
    for path in running.tags:
        mine.setdefault(path.rpartition("/")[0], []).append(path)
    for change in changes:
        if change.type == "message" and change.name in running.messages and change.action is not Action.CREATE:
            found.add(change.address)
        if change.type != "device":
            continue
        moved_away = change.previous_name != change.name
        for path in mine.get(change.previous_name, ()):
            tag = path.rpartition("/")[2]
            if moved_away or meaning(change.before, tag) != meaning(change.after, tag):
                found.add(path)
    return tuple(sorted(found))


def touched_runs(changes: Sequence[Change], running: Iterable[Running]) -> Iterator[tuple[Running, tuple[str, ...]]]:
    """The runs that the changes touch, with what they touch of each."""
    for one in running:
        if paths := touched(changes, one):
            yield one, paths


def hazards_of_runs(changes: Sequence[Change], running: Iterable[Running]) -> tuple[Hazard, ...]:
    """One hazard for each run that the changes touch."""
    return tuple(
        Hazard(
            name=RUNNING,
            scope=one.name,
            address=f"sequence.{one.name}",
            message=f"sequence '{one.name}' is running (run {one.run}) and uses {_named(paths)}: "
            f"{WHAT_HAPPENS[one.on_change]}",
        )
        for one, paths in touched_runs(changes, running)
    )


def _named(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 1} more of what changes" if len(paths) > 1 else ", which changes"
    return paths[0] + more
