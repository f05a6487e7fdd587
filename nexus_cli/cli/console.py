"""The only file that writes to the terminal. stdout is the answer, stderr is logs and progress."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click
import orjson

from nexus_cli.cli.streams import ReaderGone
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.printable import json_text, lines

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {
    "error": "red",
    "warning": "yellow",
    "info": "cyan",
    "good": "green",
    "dim": "bright_black",
    "bold": None,
}

_COLOURS = re.compile(r"(\x1b\[(?:0|1|22|3[1236]|90)m)")
"""Escape sequences of STYLES (ECMA-48 SGR): none that hides text or moves the cursor."""


def colour_wanted(stream: Any) -> bool:
    """Whether to colour: `--color` / NEXUS_COLOR first, then NO_COLOR, then whether the stream is a terminal."""
    choice = os.environ.get("NEXUS_COLOR", "auto")
    if choice in ("always", "never"):
        return choice == "always"
    return not os.environ.get("NO_COLOR") and bool(stream.isatty())


def columns(stream: Any) -> int | None:
    """Width of the terminal; None when the stream is a pipe or a file, where nothing is to be wrapped."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def style(text: str, name: str, *, enabled: bool) -> str:
    """Colour a piece of text, or leave it as it is."""
    if not enabled:
        return text
    return click.style(text, fg=STYLES[name], bold=name in ("bold", "error"))


def answer(text: str, *, newline: bool = True) -> None:
    """Write text for people to stdout; control characters of foreign text are shown as escapes."""
    with _to_stdout():
        click.echo(_shown(text), nl=newline, color=True)


def clear_screen() -> None:
    """Begin at the top of an empty screen; nothing where stdout is no terminal."""
    if sys.stdout.isatty():
        click.clear()


def answer_data(text: str) -> None:
    """Write text for programs (CSV) to stdout as it is; on a terminal as `answer` does."""
    with _to_stdout():
        click.echo(_shown(text) if sys.stdout.isatty() else text, nl=False, color=True)


def answer_bytes(data: bytes) -> None:
    """Write JSON to stdout; control characters that JSON leaves as they are become `\\uXXXX`."""
    with _to_stdout():
        sys.stdout.buffer.write(json_text(data.decode()).encode())
        sys.stdout.buffer.flush()


def answer_json(data: Any, *, number_keys: bool = False, default: Callable[[Any], Any] | None = None) -> None:
    """Write data to stdout as indented JSON.

    Args:
        data: What orjson has a form for.
        number_keys: Whether maps may have keys that are no texts.
        default: Makes something of what JSON has no form for.
    """
    option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | (orjson.OPT_NON_STR_KEYS if number_keys else 0)
    answer_bytes(orjson.dumps(data, option=option, default=default))


def note(text: str) -> None:
    """Write progress or a log line to stderr. What can't be written there is lost, and ends nothing."""
    with contextlib.suppress(OSError):
        click.echo(_shown(text), err=True, color=True)


@contextlib.contextmanager
def _to_stdout() -> Iterator[None]:
    """A full disk is no bug.

    Raises:
        NexusError: NX6000, the answer can't be written.
        ReaderGone: Its reader has gone.
    """
    try:
        yield
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        raise NexusError(
            "The answer can't be written to stdout.",
            code="NX6000",
            cause=error.strerror or str(error),
            hint="what the command had done by then stays done",
        ) from None


def _shown(text: str) -> str:
    """The text with every control character visible but the colours that `style` makes."""
    parts = _COLOURS.split(text)
    return "".join(part if number % 2 else lines(part) for number, part in enumerate(parts))


def rich_console(*, stderr: bool = False) -> Console:
    """A rich console on stdout or stderr that keeps the colour rules."""
    from rich.console import Console  # noqa: PLC0415 - rich: only for a progress display

    stream = sys.stderr if stderr else sys.stdout
    wanted = colour_wanted(stream)
    return Console(stderr=stderr, force_terminal=wanted or None, no_color=not wanted, highlight=False)
