"""What a deployment by a user may change: devices and tags within its `apply` globs; the rest needs the whole site.

Access resources need `admin`: no user gives himself rights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nexus_cli.access.globs import matches_glob
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.model.snapshot import Attributes
from nexus_cli.runtime.identity.held import WHOLE, Held

ACCESS_KINDS = frozenset({"role", "user", "group", "login"})
SHOWN = 5


def refuse_outside(
    held: Held,
    changed: Mapping[str, Attributes | None],
    before: Mapping[str, Attributes],
    *,
    who: str,
    access: bool = True,
) -> None:
    """Raise NexusError NX6411 when a deployment changes what its caller may not.

    A rename changes both of its sides, so both must be covered.

    Args:
        held: Rights of the caller.
        changed: Attributes by address; None removes.
        before: Recorded attributes of those.
        who: The caller.
        access: False for a token without the scope `access:admin`: it changes no access resources, no matter who made it.
    """
    if held.admin and access:
        return
    outside = list(dict.fromkeys(_outside(held, changed, before)))
    if not outside:
        return
    more = f" and {len(outside) - SHOWN} more" if len(outside) > SHOWN else ""
    raise NexusError(
        f"{who} may not change {', '.join(outside[:SHOWN])}{more}.",
        code="NX6411",
        hint=f"`apply` of its roles covers {', '.join(held.apply) or 'nothing'}; users, groups, roles and the login"
        " need the right `admin`, and of a token the scope `access:admin`",
    )


def _outside(held: Held, changed: Mapping[str, Attributes | None], before: Mapping[str, Attributes]) -> Iterator[str]:
    for address in sorted(changed):
        after, old = changed[address], before.get(address)
        if after == old:
            continue
        kind, _, name = address.partition(".")
        if kind in ACCESS_KINDS:
            yield address
        elif WHOLE in held.apply:
            continue
        elif kind != "device":
            yield address
        elif not _within(held, name):
            yield from _tags_outside(held, name, after or {}, old or {})


def _within(held: Held, path: str) -> bool:
    """A glob that covers a device covers its tags."""
    return any(matches_glob(glob, path) for glob in held.apply)


def _tags_outside(held: Held, path: str, after: Attributes, old: Attributes) -> Iterator[str]:
    """The device itself unless its tags alone change, else those of them that no glob covers."""
    rest = ({key: value for key, value in each.items() if key != "tags"} for each in (after, old))
    if not (after and old) or next(rest) != next(rest):
        yield f"device.{path}"
        return
    new, known = _tags(after), _tags(old)
    for tag in sorted(new.keys() | known.keys()):
        if new.get(tag) != known.get(tag) and not _within(held, f"{path}/{tag}"):
            yield f"{path}/{tag}"


def _tags(attributes: Attributes) -> Mapping[str, object]:
    found = attributes.get("tags")
    return found if isinstance(found, Mapping) else {}
