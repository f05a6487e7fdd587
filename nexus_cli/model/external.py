"""Devices that other systems publish (`protocol: external`): NEXUS stores their messages and never connects to them.

Two ways to declare them, which can be combined:

```yaml
scale-7: {protocol: external, tags: {weight: {type: float64, unit: kg}}}      # tag by tag
press-3: {protocol: external, topics: ["state", "axis-*/**"], max_series: 200}  # by glob, below the device's topic
```
"""

from __future__ import annotations

from pydantic import Field

from nexus_cli.model.site import Bound, Device, Inherited, Labels, Simulate, TypeName

EXTERNAL = "external"
MAX_SERIES_DEFAULT = 100


class ExternalTag(Inherited):
    """One topic that another system publishes; it is stored as it arrives."""

    type: TypeName = Field(description="Type of the published value: bool, int64, float64, string, json …")
    unit: str | None = Field(default=None, description="Unit of the published value.")
    range: Bound | None = Field(
        default=None, description="[low, high] in the published unit, for `quality: {range: …}`.", strict=False
    )
    values: Labels | None = Field(default=None, description="Names of an enumeration's codes.")
    description: str | None = Field(default=None, description="For people.")
    labels: dict[str, str] | None = Field(default=None, description="For selectors and dashboards.")
    simulate: Simulate | None = Field(default=None, description="What `nexus sim` publishes.")


class ExternalDevice(Device):
    """A device whose topics another system publishes."""

    topics: list[str] = Field(
        default_factory=list,
        description="Globs below the device's topic (`*` one level, `**` the rest); what matches is stored.",
    )
    max_series: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description=f"At most this many series may come from `topics` (default {MAX_SERIES_DEFAULT}); further topics are counted, not stored.",
    )
