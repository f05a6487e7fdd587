"""Bodies of the HTTP API of the role web about what is declared: the tree, the search, the card of a tag."""

from __future__ import annotations

import msgspec

from nexus_cli.json_value import JsonObject
from nexus_cli.wire.control import Body


class QualityCounts(Body, frozen=True, kw_only=True):
    """Tags by the quality of their newest value; one without a value is BAD."""

    GOOD: int = 0
    UNCERTAIN: int = 0
    BAD: int = 0


class Branch(Body, frozen=True, kw_only=True):
    """One child in the tree, with what the caller may read below it.

    Attributes:
        name: Last level of the path.
        path: From the area on.
        kind: `area`, `line`, `device` or `tag`.
        tags: How many tags it has; 1 of a tag.
        counts: Those tags by quality.
        type, unit: Of a tag's published value; "".
        description: Of a device or a tag; "".
        writable: Whether a tag takes commands.
        classification: Class of a tag's data; "".
        protocol: Of a device; "".
        enabled: False of a device or tag that is out of service by the site file.
    """

    name: str
    path: str
    kind: str
    tags: int
    counts: QualityCounts
    type: str = ""
    unit: str = ""
    description: str = ""
    writable: bool = False
    classification: str = ""
    protocol: str = ""
    enabled: bool = True


class Branches(Body, frozen=True, kw_only=True):
    """The children of one place, in path order."""

    children: list[Branch]


class Hit(Body, frozen=True, kw_only=True):
    """One find.

    Attributes:
        path: From the area on.
        kind: `area`, `line`, `device` or `tag`.
        type, unit, description, address: Of a tag; of a device its description.
        labels: Its own, and those of its line and area.
        owner, classification, pii: Who answers for the data, its class ("" is internal), and whether it says something about persons.
        lineage: Of a tag in short: where it comes from; of a calculated tag its expression.
        where: What the words were found in: `path`, `description`, `unit`, `address`, `labels`, `names`, `owner`,
            `classification`, `pii`, `lineage`.
        used_by: Calculated tags, alerts and sequences that use a tag (`tag PATH`, `alert NAME`, `sequence NAME`).
        readers: Who may read a tag by the access rules; `nexus find` alone fills it, the card of a tag has it too.
    """

    path: str
    kind: str
    unit: str = ""
    type: str = ""
    description: str = ""
    address: str = ""
    labels: dict[str, str] = {}
    owner: str = ""
    classification: str = ""
    pii: bool = False
    lineage: str = ""
    where: list[str] = []
    used_by: list[str] = []
    readers: list[str] = []


class Hits(Body, frozen=True, kw_only=True):
    """The best finds first; `total` is how many there are."""

    hits: list[Hit]
    total: int


class Writer(Body, frozen=True, kw_only=True):
    """One who may write a tag now.

    Attributes:
        name: User or application.
        kind: `user` or `application`.
        role: Through which role.
        via: `role`, or `group NAME`.
        line: The line of the role that gives it.
    """

    name: str
    kind: str
    role: str
    via: str
    line: str


class TagCard(Body, frozen=True, kw_only=True):
    """Everything that is declared about a tag.

    Attributes:
        path, name, device: `area/line/device/tag`, its last level, and `area/line/device`.
        topic: Where its newest value is published.
        type: Of the published value.
        device_type: Of the value on the device.
        unit: Of the published value; `device_unit` of the one on the device.
        description: For people.
        protocol, gateway, link: Of its device; no gateway reads an external one.
        address: On the device; "" of calculated and external tags.
        options: What the protocol needs besides.
        mode: `poll`, `subscribe` or `cyclic`.
        poll_ms: Its interval.
        scale, offset: From the value on the device.
        range: [low, high] in the published unit, null is open; null without one.
        deadband: In the published unit; 0 is none.
        heartbeat_ms: 0 is none.
        names: Names of an enumeration's codes.
        retention: Name of its class; `keep_ms` is how long samples are kept, 0 where the class is not recorded.
        classification: Class of its data.
        owner: Who answers for the data; "".
        pii: It says something about persons.
        quality: Rules of quality in words; "".
        labels: Its own, and those of its device, line and area.
        writable: Whether it takes commands; `may_write`: from the caller.
        read_back: What a write is proved with: "" the tag itself, `none`, or the path of another tag.
        enabled: False when it, or its device, is out of service by the site file.
        expr, inputs: Of a calculated tag.
        words: The same in words, by the name of each line.
        writers: Who may write it now; those who are elevated apart.
        readers: Who may read it now, by name.
    """

    path: str
    name: str
    device: str
    topic: str
    type: str
    device_type: str
    unit: str
    device_unit: str
    description: str
    protocol: str
    gateway: str
    link: str
    address: str
    options: JsonObject
    mode: str
    poll_ms: int
    scale: float
    offset: float
    range: list[float | None] | None
    deadband: float
    heartbeat_ms: int
    names: dict[str, str]
    retention: str
    keep_ms: int
    classification: str
    labels: dict[str, str]
    writable: bool
    may_write: bool
    read_back: str
    enabled: bool
    expr: str
    inputs: dict[str, str]
    words: dict[str, str] = msgspec.field(default_factory=dict)
    writers: list[Writer] = []
    owner: str = ""
    pii: bool = False
    quality: str = ""
    readers: list[str] = []
