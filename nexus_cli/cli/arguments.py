"""Arguments and NEXUS_* variables are text: bytes that are no UTF-8 are refused before anything is done with them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence

WITHOUT = ("--allow",)
"""Options that a hint gives again by itself."""


def not_text(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """The fault of the arguments, or "". Python keeps such bytes as lone surrogates, which neither JSON nor YAML can hold."""
    for position, argument in enumerate(arguments, 1):
        # A variable of the site has a finding of its own, NX0053.
        variable = argument.startswith("--var=") or (position > 1 and arguments[position - 2] == "--var")
        if not variable and not is_text(argument):
            return f"argument {position}, '{shown(argument)}', is not UTF-8 text"
    for name, value in environ.items():
        if name.startswith("NEXUS_") and not is_text(value):
            return f"the environment variable {shown(name)} is not UTF-8 text"
    return ""


def is_text(value: str) -> bool:
    """True when it can be written as UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(value: str) -> str:
    """The text with `?` for characters that can't be written."""
    return value.encode(errors="replace").decode()


def as_given(arguments: Sequence[str] | None = None) -> str:
    """The command line as it was typed, without its consents: a hint adds those that it needs.

    Args:
        arguments: Behind the name of the program; None takes those of this process.
    """
    kept: list[str] = []
    given = list(sys.argv[1:] if arguments is None else arguments)
    while given:
        word = given.pop(0)
        if word in WITHOUT:
            del given[:1]
        elif not word.startswith(tuple(f"{option}=" for option in WITHOUT)):
            kept.append(word)
    return shlex.join(["nexus", *kept])
