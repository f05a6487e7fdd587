"""Types of message fields that several messages share: what a reader of `schemas/` learns about them.

`Meta(extra_json_schema=…)` goes into the published schema alone. A decoder does not check it: what a schema refuses may
still be decoded, and is then checked where it is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from msgspec import Meta

if TYPE_CHECKING:
    from nexus_cli.wire.sample import Value
else:
    Value = Any  # the alias is recursive, which msgspec can't check; the type of each tag is checked downstream


def one_of(names: Iterable[str | Enum]) -> Meta:
    """The published schema allows these texts alone; a decoder takes any, so that another version can be read."""
    return Meta(extra_json_schema={"enum": [name.value if isinstance(name, Enum) else name for name in names]})


PlainValue: TypeAlias = Value
"""A tag's value, for a field with a description of its own."""
Microseconds: TypeAlias = Annotated[int, Meta(description="Microseconds since 1970 UTC.")]
Milliseconds: TypeAlias = Annotated[int, Meta(description="Milliseconds since 1970 UTC.")]
Count: TypeAlias = Annotated[int, Meta(extra_json_schema={"minimum": 0})]
TagValue: TypeAlias = Annotated[
    Value,
    Meta(
        description="The value: a scalar, an array, a structure, or null when it is BAD. "
        "64-bit integers beyond 2^53 are strings on tag topics."
    ),
]
Epoch: TypeAlias = Annotated[
    str, Meta(description="Names one opening of a disk log (a ULID).", extra_json_schema={"minLength": 1})
]
Seq: TypeAlias = Annotated[
    int,
    Meta(
        description="Rising by one within the epoch, frames and gaps together.",
        extra_json_schema={"minimum": 1},
    ),
]
Instance: TypeAlias = Annotated[
    str,
    Meta(description="Names the process (a ULID made at its start): of two under one name only one works."),
]
Digest: TypeAlias = Annotated[str, Meta(extra_json_schema={"pattern": "^sha256:[0-9a-f]{64}$"})]
DeploymentNumber: TypeAlias = Annotated[
    int, Meta(description="Number of the deployment.", extra_json_schema={"minimum": 0})
]
