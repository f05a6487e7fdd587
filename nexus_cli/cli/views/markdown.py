"""Markdown for comments of GitHub and GitLab: foreign text that stays text, and a document of parts that fits a limit. Pure.

Source: CommonMark 0.31.2 (2.4 backslash escapes, 4.5 fenced code blocks, 6.1 code spans); GitHub Flavored Markdown 0.29, 4.10
tables; GitLab, "GitLab-specific references".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nexus_cli.diagnostics.printable import one_line
from nexus_cli.diagnostics.wording import counted

MOST_CHARACTERS = 65_000
"""GitHub refuses comments longer than 65,536 characters."""
MOST_OF_GITLAB = 999_000
"""GitLab refuses notes longer than 1,000,000 characters."""
MOST_OF_TEXT = 400
"""Characters of one foreign text in a sentence."""
MOST_OF_LINE = 1_000
"""Characters of one line in a block."""
RESERVE = 1_500
"""Characters kept for the sentence about what was left out and for the foot."""
MOST_NAMED = 12
"""Parts that this sentence names; more are counted."""
_SPLIT = "&#8203;"
"""A space without a width. Forges look for mentions and references in the finished text, where a backslash no longer helps."""
_SPECIAL = re.compile(
    r"[\\`*_\[\]|<>#!~]"  # markup
    r"|&"  # entities; GitLab's epics
    r"|[@$%](?=\w)"  # people and teams; GitLab's snippets and milestones
    r"|:(?=//)|(?<=www)\.|(?<=\bGH)-"  # addresses; issues
    r"|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]"  # lists, where the text begins an item
)
_SAFE = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "#": f"\\#{_SPLIT}", "!": f"\\!{_SPLIT}", "~": f"\\~{_SPLIT}"} | {
    sign: sign + _SPLIT for sign in "@$%:"
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a comment: shown or left out as a whole.

    Attributes:
        title: What it is called where it is left out, and of a folded part its heading.
        text: Finished Markdown, without a newline at its end.
        folded: Under its title, opened by a click.
    """

    title: str
    text: str
    folded: bool = True

    def __str__(self) -> str:
        if not self.folded:
            return self.text
        return f"<details><summary>{html(self.title)}</summary>\n\n{self.text}\n\n</details>"


def prose(text: str) -> str:
    """Foreign text within a sentence or a cell: no markup, no mention, no reference, no address, one line."""
    return _SPECIAL.sub(_neutral, _short(text, MOST_OF_TEXT).strip())


def code(text: str) -> str:
    """Foreign text as a code span, whose fence is longer than any run of backticks in it; also fit for a cell of a table,
    which a `|` would end even within a span: text with one is no span."""
    short = _short(text, MOST_OF_TEXT)
    if not short.strip() or "|" in short:
        return prose(short)
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", short)), default=0))
    gap = " " if short[0] in "` " or short[-1] in "` " else ""
    return f"{ticks}{gap}{short}{gap}{ticks}"


def html(text: str) -> str:
    """Foreign text within an HTML tag, where Markdown does not count: every sign that means something is an entity."""
    signs = re.sub(r"[!-'*+:<-@\[-^`{-~]", lambda match: f"&#{ord(match[0])};", _short(text, MOST_OF_TEXT))
    return re.sub(r"(&#(?:33|35|36|37|38|58|64|126);)", rf"\1{_SPLIT}", signs)


def fenced(lines: Iterable[str], info: str) -> str:
    """Foreign lines as a code block, whose fence is longer than any run of backticks in it."""
    body = "\n".join(_short(line, MOST_OF_LINE) for line in lines)
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", body)), default=0))
    return f"{ticks}{info}\n{body}\n{ticks}"


def joined(head: str, parts: Sequence[Part], *, foot: str = "", most: int = MOST_CHARACTERS, elsewhere: str) -> str:
    """A comment of at most so many characters: parts that do not fit are left out as a whole, and a sentence says which.

    Args:
        head: Always there; short.
        parts: In their order; an earlier one is the more important.
        foot: Always there; short.
        most: Characters.
        elsewhere: Where all of it is to be seen; Markdown.
    """
    room = most - len(head) - RESERVE
    shown: list[str] = []
    left: list[str] = []
    for part in parts:
        text = f"\n\n{part}"
        if len(text) <= room:
            shown.append(text)
            room -= len(text)
        else:
            left.append(part.title)
    end = "\n"
    if left:
        names = ", ".join(prose(title)[:80] for title in left[:MOST_NAMED])
        more = f" and {counted(len(left) - MOST_NAMED, 'part')} more" if len(left) > MOST_NAMED else ""
        end = f"\n\n_Left out, the comment would be too long: {names}{more}. {elsewhere}_\n"
    return head + "".join(shown) + end + (f"\n{foot}\n" if foot else "")


def _neutral(match: re.Match[str]) -> str:
    sign = match[0]
    if sign in ".-" and match.start():  # within `www.` and `GH-1`
        return f"{_SPLIT}{sign}" if not match.string[: match.start()].isdecimal() else f"\\{sign}"
    return _SAFE.get(sign, f"\\{sign}")


def _short(text: str, most: int) -> str:
    shown = one_line(text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"
