"""What came of a run, as JSON and as text; the text is made from the JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SHOWN = 12
"""How many of a kind the text shows; the JSON has up to `KEPT`."""
KEPT = 200
LAWS = {
    "lost": "values without a row, a gap or BAD",
    "silent": "times without a row, a gap or BAD",
    "doubled": "values in two rows",
    "disordered": "rows out of order",
    "unknown": "values that no device handed out",
    "inside": "gaps with a row inside",
    "reversed": "gaps that end before they start",
    "open": "gaps left open",
    "unprovoked": "losses that no fault explains",
    "commands": "commands run twice or contradicted",
    "stray": "live values that are not the last row",
    "stuck": "parts that did not come back",
    "letters": "dead letters that no fault causes",
    "deployments": "deployments that did not end",
    "leaks": "processes that hold more and more",
    "ends": "roles that did not end cleanly",
    "errors": "errors of our own",
}
"""Every law with its name; a run is sound when none is broken."""


@dataclass(kw_only=True)
class Findings:
    """Breaches of the laws, and what was counted.

    Attributes:
        breaches: Texts by law.
        counts: Breaches by law; more than there are texts.
        figures: Whatever is worth a line.
    """

    breaches: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    figures: dict[str, Any] = field(default_factory=dict)

    def breach(self, law: str, text: str, *, number: int = 1) -> None:
        """Note a breach."""
        assert law in LAWS, law
        self.counts[law] += number
        kept = self.breaches.setdefault(law, [])
        if len(kept) < KEPT:
            kept.append(text)

    @property
    def sound(self) -> bool:
        """No law was broken."""
        return not self.counts


def to_json(*, arguments: Mapping[str, Any], findings: Findings, faults: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The whole report."""
    return {
        "format_version": "1.0",
        "sound": findings.sound,
        "arguments": dict(arguments),
        "figures": findings.figures,
        "laws": {
            law: {"text": text, "breaches": findings.counts[law], "examples": findings.breaches.get(law, [])}
            for law, text in LAWS.items()
        },
        "faults": list(faults),
    }


def to_text(report: Mapping[str, Any]) -> str:
    """For people."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    arguments = report["arguments"]
    yield f"chaos: site {arguments['site']}, seed {arguments['seed']}, {arguments['minutes']:g} minutes"
    done = [fault for fault in report["faults"] if not fault["skipped"]]
    kinds = Counter(fault["kind"] for fault in done)
    yield f"faults: {len(done)} (" + ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())) + ")"
    for fault in report["faults"]:
        if fault["skipped"]:
            yield f"  not carried out: {fault['kind']} {fault['target']}: {fault['note']}"
    yield ""
    width = max(len(name) for name in report["figures"]) if report["figures"] else 0
    for name, value in report["figures"].items():
        yield f"  {name:<{width}}  {_shown(value)}"
    yield ""
    for law, facts in report["laws"].items():
        yield f"  {'ok  ' if not facts['breaches'] else 'FAIL'} {law:<12} {facts['breaches']:>7}  {facts['text']}"
        for text in facts["examples"][:SHOWN]:
            yield f"         {text}"
    yield ""
    yield "sound" if report["sound"] else "NOT sound"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{number:,} {name}" for name, number in sorted(value.items())) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
