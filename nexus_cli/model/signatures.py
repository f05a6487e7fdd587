"""`signatures:` of the site language: which messages must be signed, and with which keys.

signatures:
  require: [command]
  window: 30s
  keys:
    scada-2026: {algorithm: hmac-sha256, secret: "${env:SCADA_KEY}", principals: [scada]}
    mes: {algorithm: ed25519, public: "MCowBQYDK2VwAyEA…", principals: [mes], until: 2027-01-01}
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nexus_cli.model.access import Moment
from nexus_cli.model.spelling import Duration, Strict


class SignatureKey(Strict):
    """One key. Two keys of one principal may overlap: that is how a key is renewed."""

    algorithm: Literal["hmac-sha256", "ed25519"] = Field(description="How its signatures are made.")
    secret: str | None = Field(default=None, description="Of hmac-sha256: a reference to at least 32 bytes.")
    public: str | None = Field(default=None, description="Of ed25519: the public key, base64 of 32 bytes or PEM.")
    principals: list[str] = Field(min_length=1, description="Who signs with it.")
    topics: list[str] = Field(
        default_factory=list,
        description="Path globs of external devices (area/line/device/**), whose messages it signs.",
    )
    from_: Moment | None = Field(default=None, alias="from", description="Not before.")
    until: Moment | None = Field(default=None, description="Not from here on.")


class Signatures(Strict):
    """Which messages must be signed."""

    require: list[Literal["command", "message", "external"]] = Field(
        default_factory=list,
        description="command: gateways refuse every command without a good signature. external: historian, control and web refuse messages of external devices without one. message: control signs the declared messages that it publishes, or refuses to publish. What is signed is checked in any case.",
    )
    window: Duration = Field(
        default=30_000, description="How far the time of a message may lie from ours, both ways (default 30s)."
    )
    keys: dict[str, SignatureKey] = Field(default_factory=dict, description="Keys by id; the id goes with a message.")
