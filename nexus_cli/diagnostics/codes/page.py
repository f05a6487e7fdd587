"""The page of a code, as Markdown: what is wrong, why it matters, what to write instead."""

from __future__ import annotations

from collections.abc import Sequence

from nexus_cli.diagnostics.codes.code import Code, Example

_MARKED = "#-<[*_>"

BANDS = {
    "0": "text",
    "1": "shape",
    "2": "meaning",
    "3": "protocol",
    "4": "plan",
    "5": "apply",
    "6": "runtime",
    "7": "access",
    "9": "our bug",
}


def page(code: Code) -> str:
    """`docs/codes/NXnnnn.md`, and what `nexus explain NXnnnn` prints."""
    parts = [
        f"# {code.id}: {code.slug}",
        "",
        code.summary,
        "",
        f"*{code.severity}, band {code.id[2]}: {BANDS[code.id[2]]}; exit code {int(code.exit_code)}*",
    ]
    parts += ["", "## Why it matters", "", code.why]
    if code.bad:
        parts += ["", "## Instead of", "", *_example(code.bad)]
    if code.good:
        parts += ["", "## Write", "", *_example(code.good)]
    if code.hint:
        parts += ["", f"Hint: {code.hint}."]
    if code.id[2] in "0123":
        parts += ["", "## To accept it", "", _acceptance(code)]
    return "\n".join(parts) + "\n"


def _example(example: Example) -> list[str]:
    """A fenced block for what is typed; a sentence stays a sentence, unless Markdown would change its look."""
    if example.kind != "text":
        return [f"```{example.kind}", example.text, "```"]
    if "\n" in example.text or example.text[0] in _MARKED:
        return ["```text", example.text, "```"]
    return [example.text]


def _acceptance(code: Code) -> str:
    if code.severity == "error" and code.id[2] in "01":
        return "It can't be suppressed: a part of the site would stay unread."
    return f"Above the line it points at: `# nexus:ignore {code.id} -- the reason`."


def index_page(codes: Sequence[Code]) -> str:
    """`docs/codes/README.md`: every code, by band."""
    lines = ["# Findings", "", "`nexus explain NXnnnn` prints a page. The first digit is the band."]
    band = ""
    for code in codes:
        if code.id[2] != band:
            band = code.id[2]
            lines += ["", f"## {band}: {BANDS[band]}", "", "| code | | what is wrong |", "|---|---|---|"]
        lines.append(f"| [{code.id}]({code.id}.md) | {code.severity} | {code.summary.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"
