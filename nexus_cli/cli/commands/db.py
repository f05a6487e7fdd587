"""`nexus db`: the database's schema."""

from __future__ import annotations

import asyncio
import sys

import click

from nexus_cli.cli.console import answer, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import changes_runtime, reads_runtime
from nexus_cli.database import revision
from nexus_cli.exit_codes import Exit
from nexus_cli.settings import load_settings


@click.group("db", short_help="Manage the database schema.")
def command() -> None:
    """Upgrade, show, check or downgrade the schema of the database at NEXUS_DATABASE_URL.

    \b
    Example:
      nexus db current
      nexus db upgrade
    """


@command.command("upgrade", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE))
@click.argument("revision", default="head")
@changes_runtime("NEXUS_DATABASE_URL")
def upgrade(revision: str) -> int:
    """Apply pending migrations, each in its own transaction. Safe to repeat.

    \b
    Example:
      nexus db upgrade
    """
    from nexus_cli.database import migrate  # noqa: PLC0415 - SQLAlchemy: `db current` does without

    async def both() -> tuple[tuple[str, ...], bool]:
        applied = await migrate.upgrade(load_settings(), revision=revision)
        return applied, bool(applied) and await migrate.leaves_timescale_idle(load_settings())

    applied, idle = asyncio.run(both())
    answer(f"applied {', '.join(applied)}" if applied else "up to date, nothing to apply")
    if idle:
        note(
            "TimescaleDB is installed but not preloaded (shared_preload_libraries): native partitions are used instead"
        )
    return Exit.OK


@command.command("current", epilog=help_text(Exit.OK, Exit.CHANGES, Exit.OUTSIDE))
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when migrations are pending.")
@reads_runtime("NEXUS_DATABASE_URL")
def current(detailed_exitcode: bool) -> int:
    """Show the database's revision and pending migrations. Changes nothing.

    \b
    Example:
      nexus db current --detailed-exitcode
    """
    state = asyncio.run(revision.current(load_settings()))
    answer(
        f"{state.current or 'empty'}" + (" (up to date)" if state.up_to_date else f", this version needs {state.head}")
    )
    for each in state.pending:
        answer(f"pending {each}")
    if not state.known:
        answer("made by a newer version of nexus")
    return Exit.CHANGES if detailed_exitcode and not state.up_to_date else Exit.OK


@command.command("check", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE))
@reads_runtime("NEXUS_DATABASE_URL")
def check() -> int:
    """Compare the database's tables with what this version expects. Changes nothing.

    \b
    Example:
      nexus db check
    """
    from nexus_cli.database import migrate  # noqa: PLC0415 - SQLAlchemy: `db current` does without

    async def both() -> tuple[str, ...]:
        await revision.require_current(load_settings())
        return await migrate.check(load_settings())

    differences = asyncio.run(both())
    for difference in differences:
        answer(difference)
    note(f"{len(differences)} difference(s)" if differences else "the schema is as it should be")
    return Exit.FINDINGS if differences else Exit.OK


@command.command("downgrade", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE))
@click.argument("revision")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@changes_runtime("NEXUS_DATABASE_URL")
def downgrade(revision: str, yes: bool) -> int:
    """Undo migrations down to REVISION (`-1` one step, `base` everything, samples included).

    \b
    Example:
      nexus db downgrade -- -1
    """
    from nexus_cli.database import migrate  # noqa: PLC0415 - SQLAlchemy: `db current` does without

    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("There is no terminal to ask on, and nothing was done: --yes goes ahead.")
        click.confirm("Tables and what is stored in them may be dropped. Continue?", abort=True, err=True)
    undone = asyncio.run(migrate.downgrade(load_settings(), revision=revision))
    answer(f"took back {', '.join(undone)}" if undone else "nothing to take back")
    return Exit.OK
