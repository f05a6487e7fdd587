"""Progress on stderr: a live line on a terminal; otherwise plain lines of a deployment, and none of other work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nexus_cli.cli.console import note, rich_console
from nexus_cli.cli.views.deployment import progress_line
from nexus_cli.wire.control import JournalLine

Tell = Callable[[JournalLine], None]


@contextmanager
def following() -> Iterator[Tell]:
    """Gives a function that takes lines of the journal."""
    if not sys.stderr.isatty():
        yield _plain
        return
    console = rich_console(stderr=True)
    with console.status("sending the plan …") as status:

        def show(line: JournalLine) -> None:
            text = progress_line(line)
            if text is None:
                return
            if line.state == "begun":
                status.update(text)
            else:
                console.print(f"  {text}")

        yield show


def _plain(line: JournalLine) -> None:
    text = progress_line(line)
    if text is not None:
        note(f"  {text}")


@contextmanager
def doing(text: str) -> Iterator[Callable[[str], None]]:
    """A live line while something takes its time; gives a function that changes it. Nothing without a terminal."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    with rich_console(stderr=True).status(text) as status:
        yield status.update
