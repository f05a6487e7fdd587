"""A code's page, and the chain of a tag, as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Style = Callable[[str, str], str]


def chain_document(chain: Any) -> dict[str, Any]:
    """The JSON form of a tag's chain."""
    return {
        "format_version": "1.0",
        "path": chain.path,
        "file": chain.file,
        "excerpt": list(chain.excerpt),
        "steps": [{"step": name, "text": text} for name, text in chain.steps],
    }


def chain_text(document: dict[str, Any], *, style: Style) -> str:
    """The chain, one step a line, from the file to the row."""
    width = max(len(step["step"]) for step in document["steps"])
    lines = [style(document["path"], "bold"), "", style(f"{'file':<{width}}", "dim") + f"  {document['file']}"]
    excerpt = document["excerpt"]
    indent = min((len(line) - len(line.lstrip()) for line in excerpt if line.strip()), default=0)
    lines += [f"{'':<{width}}    {line[indent:]}" for line in excerpt]
    lines += [style(f"{step['step']:<{width}}", "dim") + f"  {step['text']}" for step in document["steps"]]
    return "\n".join(lines)


def page_text(page: str, *, style: Style) -> str:
    """A code's Markdown page for the terminal: headings bold, fences as indentation."""
    lines: list[str] = []
    fenced = False
    for line in page.rstrip().splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced:
            lines.append(f"    {line}")
        elif line.startswith("#"):
            lines.append(style(line.lstrip("# "), "bold"))
        else:
            lines.append(line.strip("*"))
    return "\n".join(lines)
