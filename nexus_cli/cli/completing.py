"""Shell completion beyond commands and options: paths of tags, devices, gateways, environments, sequences.

All of it is read from the site that `nexus validate` would take here; where there is none, or it can't be read, nothing
is offered. A path is completed level by level, so that a plant of 41,000 tags offers a dozen words.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    import click

    from nexus_cli.project.text import Reading

PARTS = ("broker", "database", "control", "historian", "web", "worker", "supervisor")


def tag_paths(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`packaging/`, then `packaging/line-1/`, down to tags."""
    return _by_level(_tags(_reading(context)), incomplete)


def device_paths(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`packaging/`, then `packaging/line-1/`, down to devices."""
    return _by_level(_devices(_reading(context)), incomplete)


def parts(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Parts of the runtime: `broker`, …, `gateway-NAME`."""
    names = [*PARTS, *(f"gateway-{name}" for name in _declared(context, "gateways"))]
    return _starting(names, incomplete)


def gateways(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Declared gateways."""
    return _starting(_declared(context, "gateways"), incomplete)


def sequences(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Declared sequences."""
    return _starting(_declared(context, "sequences"), incomplete)


def messages(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Declared messages."""
    return _starting(_declared(context, "messages"), incomplete)


def alert_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the declared alerts."""
    return _starting(_declared(context, "alerts"), incomplete)


def principals(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Declared users and applications."""
    model = _reading(context).model
    access = model.site.access if model is not None else None
    return _starting(sorted({*access.users, *access.applications}) if access is not None else [], incomplete)


def access_actions(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Words for rights."""
    from nexus_cli.access.subjects import ACTIONS  # noqa: PLC0415 - only a shell that completes reads it

    return _starting(ACTIONS, incomplete)


def access_subjects(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What the action that is already on the line is about: messages, sequences, alerts, or tags."""
    action = str(context.params.get("action", ""))
    if action in ("publish", "subscribe"):
        return messages(context, parameter, incomplete)
    if action == "run":
        return sequences(context, parameter, incomplete)
    if action.startswith(("ack", "al")):
        return _starting(_declared(context, "alerts"), incomplete)
    return tag_paths(context, parameter, incomplete)


def environments(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the overlays beside the site file."""
    from nexus_cli.project.text import locate  # noqa: PLC0415 - the site language: only a shell that completes reads it

    site = locate(_site(context)).value
    found = sorted(path.stem for path in (site.parent / "env").glob("*.yaml")) if site is not None else []
    return _starting(found, incomplete)


def _site(context: click.Context) -> str | None:
    """The site that was already named on the line; options and arguments of other commands name none."""
    given: Any = context.params.get("path")
    if isinstance(given, str) and Path(given).exists():
        return given
    return None


def _reading(context: click.Context) -> Reading:
    from nexus_cli.project.text import read  # noqa: PLC0415 - the site language: only a shell that completes reads it

    return read(_site(context))


def _tags(reading: Reading) -> Iterable[str]:
    for path, device in (reading.model.devices if reading.model is not None else {}).items():
        for name in (*device.tags, *device.device.calculated):
            yield f"{path}/{name}"


def _devices(reading: Reading) -> Iterable[str]:
    return () if reading.model is None else tuple(reading.model.devices)


def _declared(context: click.Context, what: str) -> list[str]:
    model = _reading(context).model
    return sorted(getattr(model.site, what, None) or ()) if model is not None else []


def _by_level(paths: Iterable[str], incomplete: str) -> list[CompletionItem]:
    depth = incomplete.count("/") + 1
    found: dict[str, None] = {}
    for path in paths:
        if path.startswith(incomplete):
            levels = path.split("/")
            whole = len(levels) <= depth
            found["/".join(levels[:depth]) + ("" if whole else "/")] = None
    return [CompletionItem(word) for word in found]


def _starting(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
