"""Policies and approvals: tests that can be judged, keys that can sign."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, Related, Severity
from nexus_cli.model.bound import BoundDevice, Model
from nexus_cli.model.policy_config import policy_configs
from nexus_cli.model.policy_names import DeviceFact, TagFact
from nexus_cli.model.policy_rules import STATE, Rule, compile_policy, state_facts
from nexus_cli.model.resolve import device_config
from nexus_cli.model.resources import encode
from nexus_cli.wire.signature import SignatureError, public_key


def one_test(view: View) -> Iterator[Diagnostic]:
    """NX1060."""
    for name, policy in view.model.site.policies.items():
        if bool(policy.require) == bool(policy.deny):
            found = "both 'require' and 'deny'" if policy.require else "neither 'require' nor 'deny'"
            hint = "keep one of them" if policy.require else "require: what must hold, or deny: what must not"
            yield finding("NX1060", f"policy '{name}' has {found}", where=("policies", name), on_key=True, hint=hint)


def can_be_judged(view: View) -> Iterator[Diagnostic]:
    """NX1061, NX1062."""
    for name, config in policy_configs(view.model.site.policies).items():
        yield from compile_policy(name, config).findings


def usable_keys(view: View) -> Iterator[Diagnostic]:
    """NX1064."""
    declared = view.model.site.approvals
    if declared is None:
        return
    owners: dict[bytes, str] = {}
    for name, text in declared.keys.items():
        where = ("approvals", "keys", name)
        try:
            raw = public_key(text).public_bytes_raw()
        except SignatureError as error:
            yield finding("NX1064", f"key '{name}': {error}", where=where, hint="an Ed25519 public key: base64, or PEM")
            continue
        if (first := owners.setdefault(raw, name)) != name:
            message = f"'{name}' and '{first}' have the same key: one person could sign for two"
            yield finding("NX1064", message, where=where, hint="a key of its own for each person")
    if declared.required > len(declared.keys):
        message = f"{declared.required} approvals are required, and there are {len(declared.keys)} keys"
        yield finding("NX1064", message, where=("approvals", "required"), hint="add keys, or require fewer")


def not_met(model: Model) -> Iterator[Diagnostic]:
    """NX1063: what a site without errors declares, against its policies of the declared state.

    Looks at the normal form, as control does. A device that an earlier run knows is bound for it again.
    """
    made = {name: compile_policy(name, config).value for name, config in policy_configs(model.site.policies).items()}
    rules = [rule for rule in made.values() if rule is not None and rule.config.subject in STATE]
    if not rules:
        return
    for device in model.devices.values():
        attributes = encode(device_config(device))
        for rule in rules:
            for fact in state_facts(rule, attributes):
                if rule.covers(fact.path) and rule.violated(fact):
                    yield _violation(rule, fact, device)


def _violation(rule: Rule, fact: TagFact | DeviceFact, device: BoundDevice) -> Diagnostic:
    where = device.where
    if isinstance(fact, TagFact):
        name = fact.path.rpartition("/")[2]
        where = (*where, "tags" if name in device.tags else "calculated", name)
    owner = f", owner: {rule.config.owner}" if rule.config.owner else ""
    found = finding(
        "NX1063",
        f"{fact.path} violates policy '{rule.name}': {rule.sentence()}",
        where=where,
        on_key=True,
        hint=f"{'require' if rule.config.require else 'deny'}: {rule.config.require or rule.config.deny}{owner}",
        related=(Related(message="the policy", where=("policies", rule.name)),),
    )
    severity = Severity(rule.config.severity)
    if rule.config.overridable and severity is Severity.ERROR:
        severity = Severity.WARNING
    return replace(found, severity=severity)


CHECKS = (one_test, can_be_judged, usable_keys)
