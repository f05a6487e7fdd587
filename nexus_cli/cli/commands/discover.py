"""`nexus discover`: a device, a broker or a file becomes a block of site YAML."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from nexus_cli.cli.changing import complain, styler
from nexus_cli.cli.completing import device_paths, gateways
from nexus_cli.cli.console import answer, answer_json
from nexus_cli.cli.discovering import ask_of, look, removal_agreed, working
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import WholeNumber, color_option, format_option
from nexus_cli.cli.views.discover import document, text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.copied import refuse_copy
from nexus_cli.project.discover import Ask, Wanted, edit, unwritable, write
from nexus_cli.wire.control import as_object

EPILOG = (
    "\b\nExamples:\n  nexus discover opcua://10.0.0.5:4840 --include 'Filler/**'\n"
    "  nexus discover opcua://10.0.0.5:4840 --into sites/x/areas/packaging.yaml --at packaging/line-1/filler --dry-run\n"
    "  nexus discover 'modbus://10.0.0.9?unit=3'         # SunSpec, device identification\n"
    "  nexus discover 'ads://10.0.0.7:851?net_id=5.12.82.20.1.1'   # 851: the AMS port; TCP is ?tcp_port=48898\n"
    "  nexus discover plc.tmc --set host=10.0.0.7 --into sites/x/site.yaml --at packaging/line-1/plc\n"
    "  nexus discover --via gw-1 --at packaging/line-1/filler\n"
    "  nexus discover --later --at packaging/line-1/filler      # the worker does it\n"
    "  nexus discover --from ID --into sites/x/site.yaml --dry-run\n\n"
    + help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)


@click.command("discover", epilog=EPILOG)
@click.argument("target", required=False, default="")
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), help="Site file to edit.")
@click.option(
    "--at",
    default="",
    metavar="AREA/LINE/DEVICE",
    shell_complete=device_paths,
    help="Path of the target device; created if missing.",
)
@click.option("--mode", type=click.Choice(["merge", "overwrite", "prune"]), default="merge", show_default=True)
@click.option("--dry-run", is_flag=True, help="Show the diff only; write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before tags are removed (--mode prune).")
@click.option("--include", multiple=True, metavar="GLOB", help="Only these: 'Filler/**', or a last name 'Temp*'.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Exclude these.")
@click.option("--start", default="", metavar="ADDRESS", help="Start here (a node id, a symbol).")
@click.option("--depth", type=WholeNumber(min=0), default=0, help="Maximum depth below the start.")
@click.option("--max-nodes", type=WholeNumber(min=0), default=0, help="Maximum number of values.")
@click.option("--limit", type=click.FloatRange(min=0), default=0.0, help="Maximum number of values per second.")
@click.option("--properties", is_flag=True, help="OPC UA: include properties such as serial numbers.")
@click.option("--listen", default="3s", metavar="TIME", show_default=True, help="MQTT: how long to listen.")
@click.option(
    "--via",
    default="",
    metavar="GATEWAY",
    shell_complete=gateways,
    help="Browse through this running gateway's own link.",
)
@click.option("--later", is_flag=True, help="Let the worker browse the device at --at; `nexus discoveries` shows it.")
@click.option("--from", "stored", default="", metavar="ID", help="Take what a discovery of the worker found.")
@click.option("--fresh", is_flag=True, help="Start again instead of resuming an interrupted run.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A connection key. Repeatable.")
@click.option("--user", help="User name for the device.")
@click.option(
    "--password", metavar="REFERENCE", help="A reference such as '${env:PLC_PASSWORD}', never the password itself."
)
@click.option("--security", help="OPC UA security, such as Basic256Sha256/SignAndEncrypt.")
@click.option("--mapping", default="", help="Columns of a register table (CSV).")
@click.option("--db", "db_numbers", multiple=True, metavar="NAME=NUMBER", help="TIA sources: number of a data block.")
@click.option("--elements", is_flag=True, help="Files: one tag for each element of an array.")
@click.option("--with-types", is_flag=True, help="NodeSets: include the variables of type definitions.")
@click.option("--raw", is_flag=True, help="TwinCAT .tpy: use index group and offset as the address.")
@click.option("--file-format", default="", help="Format of a file that is not recognised.")
@click.option("--skipped", is_flag=True, help="List everything that was skipped, with its reason.")
@format_option("text", "json")
@color_option
def command(
    target: str, skipped: bool, format_: str, dry_run: bool, yes: bool, mode: Any, later: bool, **options: Any
) -> int:
    """Show what a device offers, and write it into a site file. Discovered tags are never writable.

    TARGET is opcua://, modbus://, s7://, ads:// or mqtt:// with a host, or a file of another tool. Without TARGET,
    --at names a device of the site. Ctrl-C keeps what was found so far; the same command resumes from there.
    """
    ask = ask_of(target, **options)
    _refuse_mixed(ask, later=later)
    if later:
        return _later(ask, format_)
    if not dry_run and (refused := unwritable(ask)):
        complain(refused)
        return Exit.FINDINGS
    outcome, interrupted = look(ask)
    complain(outcome.findings)
    if outcome.value is None:
        return Exit.FINDINGS
    ask = replace(ask, at=outcome.value.at)
    change, written = None, False
    if ask.into is not None:
        with working("checking that the site stays valid …"):
            edited = edit(outcome.value, ask, mode=mode)
        complain(edited.findings)
        if edited.value is None:
            return Exit.FINDINGS
        change = edited.value
        if not dry_run and not change.merged.empty and removal_agreed(change, yes=yes):
            write(change)
            written = True
    found = outcome.value
    result = document(found.proposals, edit=change, written=written, at=ask.at, known=found.known, into=found.into)
    if format_ == "json":
        answer_json(result, number_keys=True)
    else:
        answer(text(result, skipped=skipped, diff=dry_run, style=styler(sys.stdout)))
    return Exit.INTERRUPTED if interrupted else Exit.OK


def _refuse_mixed(ask: Ask, *, later: bool) -> None:
    """Options that mean nothing together. Raises click.UsageError."""
    if later and (ask.target or ask.into or ask.connection or ask.stored or not ask.at):
        raise click.UsageError(
            "--later browses a device that is applied: --at AREA/LINE/DEVICE, with --via and filters."
        )
    if ask.stored and (ask.target or ask.via or ask.connection or ask.wanted != Wanted()):
        raise click.UsageError(
            "--from ID takes what was found: address, filters and gateway are those of the discovery."
        )


def _later(ask: Ask, format_: str) -> int:
    from nexus_cli.project.discover_later import discover_later  # noqa: PLC0415 - HTTP client: only for control

    refuse_copy("NEXUS_CONTROL_URL")
    made = asyncio.run(discover_later(ask))
    if format_ == "json":
        answer_json(made, default=as_object)
    else:
        answer(
            f"discovery {made.id} of {made.device} waits\n  nexus discoveries show {made.id}\n  nexus discover --from {made.id} --into FILE"
        )
    return Exit.OK
