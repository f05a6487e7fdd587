"""From `moved:` entries with `keep_old_for` to the resources that say what is published under its old path, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nexus_cli.model.alias_config import ALIAS, AliasConfig, covered
from nexus_cli.model.resources import encode
from nexus_cli.model.site import Site
from nexus_cli.model.snapshot import Attributes


def alias_resources(site: Site, devices: Mapping[str, Attributes]) -> dict[str, Attributes]:
    """The resources `alias.OLD`, by address.

    Args:
        site: The bound site.
        devices: Its devices in normal form, by path.
    """
    return {f"{ALIAS}{old}": encode(config) for old, config in _aliases(site, devices)}


def _aliases(site: Site, devices: Mapping[str, Attributes]) -> Iterator[tuple[str, AliasConfig]]:
    for at, entry in enumerate(site.moved):
        if entry.keep_old_for is None:
            continue
        target = entry.to
        for later in site.moved[at + 1 :]:  # a chain ends where the last of its entries leads
            if covered(later.from_, target):
                target = later.to + target[len(later.from_) :]
        names = {str(value.get("gateway") or "") for path, value in devices.items() if _meets(target, path)}
        yield entry.from_, AliasConfig(to=target, for_ms=entry.keep_old_for, gateways=sorted(names - {""}))


def _meets(target: str, device: str) -> bool:
    """Whether a device lies below the path, or the path is one of its tags."""
    return covered(target, device) or target.startswith(f"{device}/")
