"""A code's page, and the chain of a tag, as text."""

from __future__ import annotations

import textwrap
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


def chain_text(document: dict[str, Any], *, style: Style, columns: int | None = None) -> str:
    """The chain, one step a line, from the file to the row.

    Args:
        document: What `chain_document` made.
        style: Colours a text by a style's name, or leaves it.
        columns: Longer steps are wrapped; None leaves them long, for pipes.
    """
    width = max(len(step["step"]) for step in document["steps"])
    lines = [style(document["path"], "bold"), "", style(f"{'file':<{width}}", "dim") + f"  {document['file']}"]
    excerpt = document["excerpt"]
    indent = min((len(line) - len(line.lstrip()) for line in excerpt if line.strip()), default=0)
    lines += [f"{'':<{width}}    {line[indent:]}" for line in excerpt]
    for step in document["steps"]:
        first, *rest = _wrapped(step["text"], None if columns is None else columns - width - 2)
        lines.append(style(f"{step['step']:<{width}}", "dim") + f"  {first}")
        lines += [" " * (width + 2) + more for more in rest]
    return "\n".join(lines)


def _wrapped(text: str, columns: int | None) -> list[str]:
    if columns is None or columns < 20:
        return [text]
    return textwrap.wrap(text, columns, break_long_words=False, break_on_hyphens=False) or [""]


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
