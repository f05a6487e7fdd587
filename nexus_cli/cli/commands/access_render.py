"""`nexus access render`: a broker's rules as files."""

from __future__ import annotations

from pathlib import Path

import click

from nexus_cli.access.brokers.registry import BROKERS
from nexus_cli.cli.changing import complain
from nexus_cli.cli.console import answer, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import at_option, env_option, site_argument, var_option
from nexus_cli.cli.views.clock import clock_text
from nexus_cli.diagnostics.wording import counted
from nexus_cli.exit_codes import Exit
from nexus_cli.project import access_render as project
from nexus_cli.project.access import open_rights
from nexus_cli.project.access_check import of_broker
from nexus_cli.settings import load_settings


@click.command(
    "render",
    epilog="\b\nExamples:\n  nexus access render --broker emqx\n  nexus access render --broker mosquitto --own --out /etc/mosquitto/nexus\n"
    "  nexus access render --broker emqx --version 5.8 --out rules --check\n\n" + help_text(Exit.OK, Exit.FINDINGS),
)
@site_argument
@env_option
@var_option
@click.option("--broker", required=True, type=click.Choice(list(BROKERS)), help="Form of the files.")
@at_option
@click.option(
    "--version",
    default="",
    metavar="5.8",
    help="Version of the broker. Default: the oldest known, whose files later ones read.",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Write into this folder instead of stdout."
)
@click.option("--check", is_flag=True, help="Compare with the files in --out, show what differs, and exit with 1 then.")
@click.option(
    "--shared/--own",
    default=True,
    show_default=True,
    help="Accounts carry the site (ann@acme.chicago), for a broker that others use, too; --own leaves it out.",
)
def render(
    path: str | None,
    env: str | None,
    variables: dict[str, str],
    at: str,
    broker: str,
    version: str,
    out: Path | None,
    check: bool,
    shared: bool,
) -> int:
    """Write the rules of the site file in a broker's own format. Each file is read back and asked before it is written.

    Rules are written with mode 0640, files with hashes of passwords with 0600. What the broker can't say is reported.

    A broker's file knows no periods and no hours: it has the rights of the moment, and a note says when they change.
    """
    if check and out is None:
        raise click.UsageError("--check needs --out DIR: the folder with the broker's files")
    any_hour = at == "any"
    outcome = open_rights(path, env=env, variables=variables, at="" if any_hour else at, any_hour=any_hour)
    if outcome.value is None:
        complain(outcome.findings, outcome.files)
        return Exit.FINDINGS
    files = project.render(outcome.value.book, name=broker, home=load_settings().home, shared=shared, version=version)
    complain(of_broker(files.made.notes))
    if (change := outcome.value.book.next_change()) is not None:
        note(f"these rights change by themselves at {clock_text(change, zone=None)}: render again then")
    for line in project.not_in_their_period(outcome.value.book):
        note(line)
    if files.without_password:
        names = ", ".join(files.without_password[:8]) + (", …" if len(files.without_password) > 8 else "")
        note(f"without a password in this .nexus folder, and so not able to connect with these files alone: {names}")
    if check and out is not None:
        return _compared(files, out)
    if out is not None:
        for written in project.write(files, out):
            note(f"wrote {written}")
        _note_open(files, out)
        return Exit.OK
    return _printed(files)


def _note_open(files: project.Files, out: Path) -> None:
    for path in project.open_to_others(files, out):
        note(
            f"{path} ends in {{allow, all}}: every other client of this broker may read this site's topics, and send commands to "
            "it; let it end in {deny, all}, or deny others these topics"
        )


def _compared(files: project.Files, out: Path) -> int:
    found = project.compare(files, out)
    _note_open(files, out)
    for text in found.values():
        answer(text)
    note(
        f"{counted(len(found), 'file')} of {out} differ from the site file"
        if found
        else f"{out} is as the site file says"
    )
    return Exit.FINDINGS if found else Exit.OK


def _printed(files: project.Files) -> int:
    shown = {name: text for name, text in files.made.files.items() if not files.private(name)}
    for name, text in shown.items():
        if len(shown) > 1:
            answer(f"# --- {name}")
        answer(text, newline=False)
    for name in files.made.files.keys() - shown.keys():
        note(f"{name} has hashes of passwords, and is only written: --out DIR")
    return Exit.OK
