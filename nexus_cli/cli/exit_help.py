"""The exit codes that a command's help lists."""

from __future__ import annotations

from nexus_cli.exit_codes import TEXT, Exit


def help_text(*codes: Exit) -> str:
    """The `Exit codes:` paragraph of a command's help."""
    return "\b\nExit codes:\n" + "\n".join(f"  {int(code)}  {TEXT[code]}" for code in codes)
