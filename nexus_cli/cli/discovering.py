"""Code that `discover` and `probe` share: options, Ctrl-C, progress."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from nexus_cli.cli.console import note, rich_console
from nexus_cli.diagnostics import Outcome
from nexus_cli.discover.edit import Edit
from nexus_cli.discover.importers.options import ImportOptions
from nexus_cli.discover.online import Progress
from nexus_cli.model.site import parse_duration
from nexus_cli.project.discover import Ask, Discovered, Wanted, discover
from nexus_cli.settings import load_settings

NAMED = 20
"""Tags that are named before they are removed."""


def ask_of(
    target: str,
    *,
    into: Path | None,
    at: str,
    via: str,
    fresh: bool,
    settings: tuple[str, ...],
    user: str | None,
    password: str | None,
    security: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    start: str,
    depth: int,
    max_nodes: int,
    limit: float,
    properties: bool,
    listen: str,
    mapping: str,
    file_format: str,
    db_numbers: tuple[str, ...],
    elements: bool,
    with_types: bool,
    raw: bool,
    stored: str = "",
) -> Ask:
    """The options as one value. Raises click.BadParameter."""
    connection = {"user": user, "password": password, "security": security, **pairs(settings)}
    wanted = Wanted(
        include=include,
        exclude=exclude,
        start=start,
        depth=depth,
        max_nodes=max_nodes,
        rate_per_s=limit,
        properties=properties,
        listen_s=seconds(listen),
    )
    numbers = {name: int(number) for name, number in pairs(db_numbers, hint="--db").items() if isinstance(number, int)}
    return Ask(
        target=target,
        into=into,
        at=at.strip("/"),
        wanted=wanted,
        connection={key: value for key, value in connection.items() if value is not None},
        via=via,
        fresh=fresh,
        importing=ImportOptions(
            format=file_format,
            mapping=mapping,
            db_numbers=numbers,
            elements=elements,
            with_types=with_types,
            raw=raw,
        ),
        stored=stored,
    )


def seconds(text: str) -> float:
    """A duration. Raises click.BadParameter."""
    try:
        return parse_duration(text) / 1000
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--listen") from None


def pairs(texts: tuple[str, ...], *, hint: str = "--set") -> dict[str, int | str]:
    """`KEY=VALUE` as connection keys. Raises click.BadParameter."""
    found: dict[str, int | str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise click.BadParameter(f"'{text}' is not KEY=VALUE", param_hint=hint)
        found[key.strip()] = int(value) if value.isdecimal() else {"true": True, "false": False}.get(value, value)
    return found


def look(ask: Ask) -> tuple[Outcome[Discovered], bool]:
    """Discover with a progress line; the first Ctrl-C ends the walk and keeps what was found.

    Returns:
        The outcome, and whether it was interrupted.
    """

    async def run() -> tuple[Outcome[Discovered], bool]:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            stop.set()
            loop.remove_signal_handler(signal.SIGINT)  # the second one ends at once

        loop.add_signal_handler(signal.SIGINT, interrupt)
        with progress() as on_progress:
            return await discover(ask, settings=load_settings(), stop=stop, on_progress=on_progress), stop.is_set()

    return asyncio.run(run())


@contextmanager
def progress() -> Iterator[Callable[[Progress], None]]:
    """A live line on a terminal; nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda _progress: None
        return
    from rich.text import Text  # noqa: PLC0415 - rich: only on a terminal

    console = rich_console(stderr=True)
    with console.status("connecting …") as status:
        began_s, before = 0.0, 0

        def on_progress(now: Progress) -> None:
            nonlocal began_s, before
            seen = now.found + now.skipped
            if not began_s:
                began_s, before = time.monotonic(), seen
            spent_s = time.monotonic() - began_s
            waiting = f", {now.waiting:,} waiting" if now.waiting else ""
            pace = f", {(seen - before) / spent_s:,.0f}/s" if spent_s > 1 and seen > before else ""
            line = f"{now.found:,} found, {now.skipped:,} skipped{waiting}{pace}"
            room = max(0, console.width - len(line) - 6)
            name = f"waiting: {now.name}"[:room] if now.away else now.name[-room:] if room else ""
            status.update(Text(f"{line}  {name}"))  # no markup in a device's names

        yield on_progress


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show a spinner during long work, on a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    with rich_console(stderr=True).status(text):
        yield


def removal_agreed(change: Edit, *, yes: bool) -> bool:
    """List the tags to remove, and ask for confirmation."""
    removed = change.merged.removed
    if not removed or yes:
        return True
    tags = f"{len(removed)} tag{'s' if len(removed) > 1 else ''}"
    if not sys.stdin.isatty():
        shown = ", ".join(removed[:5]) + (" …" if len(removed) > 5 else "")
        raise click.UsageError(f"{tags} would be removed ({shown}): --yes does it, --dry-run shows it.")
    for path in removed[:NAMED]:
        note(f"  - {path}")
    if len(removed) > NAMED:
        note(f"  … and {len(removed) - NAMED} more (--dry-run shows each)")
    return click.confirm(f"Remove {tags} that the device does not have any more?", err=True, default=False)
