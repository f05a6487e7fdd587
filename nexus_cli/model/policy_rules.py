"""Policies compiled: each name known and typed, so that judging is a call of closures.

See docs/decisions/0102.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.outcome import Outcome
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.expression import Expression, ExpressionError, compile_expression
from nexus_cli.model.expression_text import names_in
from nexus_cli.model.policy_config import PolicyConfig
from nexus_cli.model.policy_names import BOOL, LABELS, NAMES, DeviceFact, Facts, Name, TagFact

STATE = ("tag", "device")
"""Subjects of the declared state alone: `nexus validate` judges them, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One policy, ready to judge.

    Attributes:
        name: Of the policy.
        config: As it is recorded.
        covered: Full match of the paths that it covers, with a slash in front.
        when, tested: Its expressions; None without a `when`.
        names: How the names of its subject are read.
    """

    name: str
    config: PolicyConfig
    covered: re.Pattern[str]
    when: Expression | None
    tested: Expression
    names: Mapping[str, Name]

    def covers(self, path: str) -> bool:
        """Whether its `where` covers a path."""
        return self.covered.match(f"/{path}") is not None

    def reads(self, name: str) -> bool:
        """Whether one of its expressions reads a name."""
        return any(one is not None and name in one.names for one in (self.when, self.tested))

    def violated(self, fact: Any) -> bool:
        """Whether a fact of its subject violates it. An expression without a result counts as violated: a rule that
        can't be judged must not let anything pass."""
        try:
            if self.when is not None and not self._run(self.when, fact):
                return False
            return self._run(self.tested, fact) is not bool(self.config.require)
        except ExpressionError:
            return True

    def _run(self, expression: Expression, fact: Any) -> bool:
        return bool(expression.evaluate({name: self.names[name].read(fact) for name in expression.names}))

    def sentence(self) -> str:
        """What it demands."""
        test = self.config.require or self.config.deny
        return self.config.message or f"{'must hold' if self.config.require else 'must not hold'}: {test}"


def compile_policy(name: str, config: PolicyConfig) -> Outcome[Rule]:
    """Check, type and compile a policy.

    Returns:
        The rule, or findings NX1061 and NX1062 with their place below `policies`.
    """
    known = NAMES[config.subject]
    compiled: dict[str, Expression] = {}
    findings: list[Diagnostic] = []
    for key in ("when", "require", "deny"):
        text = getattr(config, key)
        if not text:
            continue
        where = ("policies", name, key)
        unknown = [one for one in names_in(text) if one not in known]
        if unknown:
            findings += [
                finding(
                    "NX1061",
                    f"policy '{name}' is for: {config.subject}, which has no '{one}'",
                    where=where,
                    hint=did_you_mean(one, known) or f"the names are {', '.join(sorted(known))}",
                )
                for one in unknown
            ]
            continue
        found = compile_expression(
            text, types={one: each.type for one, each in known.items()}, labels=LABELS, result=BOOL
        )
        findings += [
            finding("NX1062", f"'{key}' of policy '{name}': {message}", where=where, hint=hint)
            for message, hint in map(_worded, found.findings)
        ]
        if found.value is not None:
            compiled[key] = found.value
    if findings:
        return Outcome(None, tuple(findings))
    rule = Rule(
        name=name,
        config=config,
        covered=_pattern(config.where),
        when=compiled.get("when"),
        tested=compiled["require" if config.require else "deny"],
        names=known,
    )
    return Outcome(rule)


def _worded(found: Diagnostic) -> tuple[str, str]:
    """Message and hint of a finding of an expression; its words for a result of another type are those of a tag."""
    given, tag, _ = found.message.partition(", the tag is ")
    return (
        (f"{given}, and a policy needs true or false", "compare it: poll_ms < 100")
        if tag
        else (found.message, found.hint)
    )


def state_facts(rule: Rule, device: Facts, *, only: frozenset[str] | None = None) -> Iterator[TagFact | DeviceFact]:
    """What a rule of the declared state judges of one device, with the path it covers.

    Args:
        device: A device's attributes.
        only: Names of tags to look at; None is all.
    """
    path = str(device.get("path", ""))
    if rule.config.subject == "device":
        yield DeviceFact(path, device)
        return
    for name, tag in device.get("tags", {}).items():
        if only is None or name in only:
            yield TagFact(f"{path}/{name}", tag, device)


def _pattern(glob: str) -> re.Pattern[str]:
    """`*` within one level, `**` any number of levels (also none), as consents have it."""
    text = ""
    for level in glob.strip("/").split("/"):
        text += "(?:/[^/]*)*" if level == "**" else "/" + _WILD.sub(_one, level)
    return re.compile(rf"{text}\Z", re.DOTALL)


_WILD = re.compile(r"\*|\?|[^*?]+")


def _one(found: re.Match[str]) -> str:
    return {"*": "[^/]*", "?": "[^/]"}.get(found[0]) or re.escape(found[0])
