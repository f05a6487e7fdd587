"""`policies:` and `approvals:` of the site language: what a plan must keep to, and who has to sign it.

policies:
  no-writes-on-fridays:
    for: hazard
    deny: hazard == 'write-enable' and weekday == 'friday'
    owner: operations@acme.example
    message: write rights are not given before a weekend
approvals:
  required: 2
  keys: {ann: "MCowBQYDK2VwAyEA…", bob: "…", eve: "…"}
  hazards: [data-loss, acl-widen]
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nexus_cli.model.spelling import Strict


class Policy(Strict):
    """A rule over the declared state (`tag`, `device`) or over a plan (`change`, `hazard`, `plan`)."""

    for_: Literal["tag", "device", "change", "hazard", "plan"] = Field(
        alias="for", description="What the expressions look at, one by one; docs/policies.md has the names of each."
    )
    where: str = Field(
        default="**",
        min_length=1,
        description="Glob of the paths it covers: `*` within one level, `**` any levels. Of a hazard: of its scope.",
    )
    when: str | None = Field(default=None, description="Only where this holds.")
    require: str | None = Field(default=None, description="What must hold.")
    deny: str | None = Field(default=None, description="What must not hold.")
    severity: Literal["error", "warning", "info"] = Field(
        default="error", description="error forbids the plan (exit code 3); warning and info are shown."
    )
    owner: str | None = Field(default=None, description="Whom to ask.")
    message: str | None = Field(default=None, description="What to say to who violates it.")
    overridable: bool = Field(default=False, description="true: `--allow policy=NAME` applies all the same.")


class Approvals(Strict):
    """Signatures that a plan needs. Control checks them against the keys on record, not those of the plan."""

    required: int = Field(default=1, ge=1, le=20, description="Signatures of so many different keys.")
    keys: dict[str, str] = Field(
        min_length=1, description="Ed25519 public keys by the name of who signs: base64 of 32 bytes, DER or PEM."
    )
    hazards: list[str] = Field(default_factory=list, description="Needed for plans with one of these hazards.")
    paths: list[str] = Field(default_factory=list, description="Needed for plans that change one of these (globs).")
