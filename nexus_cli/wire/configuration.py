"""Messages between control and a gateway about a deployment: the notice, and the configuration that the gateway runs.

Both are retained: `_nexus/{enterprise}/{site}/config/{gateway}` and `…/observed/{gateway}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from nexus_cli.wire.field_types import Count, DeploymentNumber, Digest, Instance, Microseconds, one_of


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Control says that a deployment is ready for a gateway.

    Attributes:
        deployment: Its number.
        digest: Over all that the gateway has to run.
        again: True asks the gateway to publish every tag once more.
    """

    deployment: DeploymentNumber
    digest: Digest
    again: (
        Annotated[
            bool,
            Meta(description="True asks for every tag on its live topic once more: BAD gateway_lost may lie over it."),
        ]
        | UnsetType
    ) = UNSET


class DeviceSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one changed device in a gateway.

    Attributes:
        digest: Of its configuration; "" when it is not known.
        state: `running` or `failed`.
        detail: Why it failed.
    """

    digest: Annotated[
        str, Meta(description="Empty when unknown.", extra_json_schema={"pattern": "^(sha256:[0-9a-f]{64})?$"})
    ]
    state: Annotated[str, one_of(("running", "failed"))]
    detail: str = ""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The verification of a changed device's tags.

    Attributes:
        good, bad: Tags seen GOOD and not GOOD since the change.
        reachable: Whether the device answers at all.
        detail: Why no tag is GOOD; unset when one is.
    """

    good: Count = 0
    bad: Count = 0
    reachable: bool = False
    detail: Annotated[str, Meta(description="Why no tag is good.")] | UnsetType = UNSET


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's answer to a deployment.

    Attributes:
        deployment, digest: What runs.
        time: When it was said, µs since 1970 UTC.
        instance: The process that answers; "" from older versions.
        devices: The changed ones by path.
        removed: Paths that are gone.
        verification: By path, some seconds later.
    """

    deployment: DeploymentNumber
    digest: Digest
    time: Microseconds = 0
    instance: Instance = ""
    devices: dict[str, DeviceSeen] = {}
    removed: list[str] = []
    verification: dict[str, Verification] | UnsetType = UNSET

    @property
    def verified(self) -> Mapping[str, Verification]:
        """The verification by device path; empty before."""
        return self.verification or {}


_observed = msgspec.json.Decoder(Observed)
_notice = msgspec.json.Decoder(Notice)


def encode(message: Notice | Observed) -> bytes:
    """JSON bytes."""
    return msgspec.json.encode(message)


def decode_notice(payload: bytes) -> Notice:
    """Read a notice. Raises what `decode_observed` does."""
    return _notice.decode(payload)


def decode_observed(payload: bytes) -> Observed:
    """Read a gateway's answer.

    Raises:
        msgspec.MsgspecError: Not JSON, or not of its shape; UnicodeDecodeError and RecursionError likewise.
    """
    return _observed.decode(payload)
