"""The snapshot: `{address: attributes}` of everything declared. Desired and recorded state are the same type.

Addresses: `site`, `gateway.NAME`, `device.AREA/LINE/DEVICE`, `retention.NAME`, `role.NAME`, `user.NAME`,
`alert.NAME`, `sequence.NAME`, `message.NAME`, `view.NAME`. A device's attributes are a `DeviceConfig` in JSON with its tags inside; a single tag is spoken of
as `tag.AREA/LINE/DEVICE/TAG` in plans and findings.

See docs/decisions/0002.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from nexus_cli.json_value import JsonObject
from nexus_cli.model.config import digest

Attributes = JsonObject
"""Of one resource, as JSON; `resources.CONFIG_OF` has the Struct of each kind."""
Changed = dict[str, Attributes | None]
"""The changes that a deployment records: attributes by address, None removes the resource."""


NONE_KNOWN: Mapping[str, str] = {}


def site_digest(enterprise: str, site: str, digests: Mapping[str, str]) -> str:
    """One digest over all resources of a site: from the digest of each, by address, in any order."""
    return digest([enterprise, site, sorted(digests.items())])


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything declared, by address.

    Attributes:
        enterprise: First topic level.
        site: Second topic level.
        resources: JSON attributes by address.
        digests: Digest of each resource, by address.
    """

    enterprise: str
    site: str
    resources: Mapping[str, Attributes]
    digests: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, enterprise: str, site: str, resources: Mapping[str, Attributes], known: Mapping[str, str] = NONE_KNOWN
    ) -> Snapshot:
        """A snapshot with its digests computed, those apart that are known, by address."""
        digests = {address: known.get(address) or digest(value) for address, value in resources.items()}
        return cls(enterprise, site, resources, digests)

    @property
    def digest(self) -> str:
        """One digest over all resources; equal snapshots have equal digests."""
        return site_digest(self.enterprise, self.site, self.digests)

    def of_kind(self, kind: str) -> Iterator[tuple[str, Attributes]]:
        """`(name, attributes)` of every resource of a kind (`device`, `role`, …), in address order."""
        prefix = kind + "."
        for address in sorted(self.resources):
            if address.startswith(prefix):
                yield address[len(prefix) :], self.resources[address]
