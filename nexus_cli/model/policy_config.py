"""`policies:` and `approvals:` in normal form: the resources `policy.NAME` and `approvals.rules`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from nexus_cli.model.policies import Approvals, Policy

POLICY = "policy."
APPROVALS = "approvals.rules"
SUBJECTS = ("tag", "device", "change", "hazard", "plan")


class PolicyConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resource `policy.NAME`. Exactly one of `require` and `deny` is given.

    Attributes:
        subject: One of `SUBJECTS`.
        where: Glob of paths, of a hazard of its scope.
        when: Only where this holds; "" is everywhere.
        require, deny: Expressions.
        severity: `error`, `warning` or `info`.
        owner, message: For people.
        overridable: A consent `policy=NAME` applies all the same.
    """

    subject: str
    where: Annotated[str, msgspec.Meta(min_length=1, max_length=500)] = "**"
    when: str = ""
    require: str = ""
    deny: str = ""
    severity: str = "error"
    owner: str = ""
    message: str = ""
    overridable: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError (in a decoder ValidationError) for what can't be judged."""
        if self.subject not in SUBJECTS:
            raise ValueError(f"a policy is for one of {', '.join(SUBJECTS)}")
        if self.severity not in ("error", "warning", "info"):
            raise ValueError("the severity of a policy is error, warning or info")
        if bool(self.require) == bool(self.deny):
            raise ValueError("a policy has either 'require' or 'deny'")


class ApprovalsConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resource `approvals.rules`.

    Attributes:
        keys: Ed25519 public keys by name.
        required: Signatures of so many different keys.
        hazards: Needed for plans with one of these; with neither `hazards` nor `paths` for every plan.
        paths: Needed for plans that change one of these, globs.
    """

    keys: Annotated[dict[str, str], msgspec.Meta(min_length=1)]
    required: Annotated[int, msgspec.Meta(ge=1, le=20)] = 1
    hazards: list[str] = []
    paths: list[str] = []


def policy_configs(policies: Mapping[str, Policy]) -> dict[str, PolicyConfig]:
    """The declared policies in normal form, by name; those without exactly one of `require` and `deny` are left out."""
    return {
        name: PolicyConfig(
            subject=one.for_,
            where=one.where,
            when=one.when or "",
            require=one.require or "",
            deny=one.deny or "",
            severity=one.severity,
            owner=one.owner or "",
            message=one.message or "",
            overridable=one.overridable,
        )
        for name, one in policies.items()
        if bool(one.require) != bool(one.deny)
    }


def approvals_config(declared: Approvals) -> ApprovalsConfig:
    """The declared approvals in normal form."""
    return ApprovalsConfig(
        keys=dict(declared.keys),
        required=declared.required,
        hazards=list(declared.hazards),
        paths=list(declared.paths),
    )


def is_rule(address: str) -> bool:
    """Whether a resource says what plans must keep to."""
    return address == APPROVALS or address.startswith(POLICY)
