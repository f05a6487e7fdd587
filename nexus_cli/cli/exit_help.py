"""The exit codes that a command's help lists."""

from __future__ import annotations

from nexus_cli.exit_codes import TEXT, Exit


def help_text(*codes: Exit, **instead: str) -> str:
    """The `Exit codes:` paragraph of a command's help.

    Args:
        codes: In their order.
        instead: Other words for a code, by its name in lower case: what it means for this command alone.
    """
    texts = {code: instead.get(code.name.lower(), TEXT[code]) for code in codes}
    return "\b\nExit codes:\n" + "\n".join(f"  {int(code)}  {text}" for code, text in texts.items())
