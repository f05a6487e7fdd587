"""`nexus device`: take a device out of service for maintenance, and in again."""

from __future__ import annotations

import asyncio
import sys
from datetime import tzinfo

import click

from nexus_cli.cli.changing import agreed, styler
from nexus_cli.cli.completing import device_paths
from nexus_cli.cli.console import answer, answer_json
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import changes_runtime, color_option, format_option, reads_runtime, seconds, utc_option
from nexus_cli.cli.views.device import listing_text, out_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project import device as project
from nexus_cli.wire.control import as_object

CODES = help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)


@click.group("device", short_help="Take a device out of service, and in again.")
def command() -> None:
    """Devices out of service for maintenance: not read, not written, BAD out_of_service, and in service again by themselves."""


@command.command(
    "out-of-service",
    epilog="\b\nExamples:\n  nexus device out-of-service packaging/line-1/filler --for 30m --reason 'new valve'\n"
    "  nexus device out-of-service packaging/line-1/filler --for 2h --reason 'takes longer' --yes\n\n" + CODES,
)
@click.argument("path", metavar="PATH", shell_complete=device_paths)
@click.option(
    "--for",
    "for_s",
    required=True,
    metavar="TIME",
    callback=seconds("1m", "8h"),
    help="How long, 1m to 8h; the same command again replaces the end.",
)
@click.option("--reason", required=True, help="Why: shown to who wants to write to it, and in the audit trail.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@utc_option
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def out_of_service(path: str, for_s: int, reason: str, yes: bool, zone: tzinfo | None, format_: str) -> int:
    """Take device PATH (area/line/device) out of service.

    Its gateway closes the session, publishes BAD out_of_service, and refuses commands. At the end of the time it begins
    again by itself.
    """
    if not yes and not agreed(f"Take {path} out of service?"):
        return Exit.FINDINGS
    found = asyncio.run(project.take_out(path, for_s=for_s, reason=reason))
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(out_text(found, style=styler(sys.stdout), zone=zone))
    return Exit.OK


@command.command("in-service", epilog="\b\nExample:\n  nexus device in-service packaging/line-1/filler\n\n" + CODES)
@click.argument("path", metavar="PATH", shell_complete=device_paths)
@format_option("text", "json")
@color_option
@changes_runtime("NEXUS_CONTROL_URL")
def in_service(path: str, format_: str) -> int:
    """Take device PATH into service again, before its time is over."""
    ended = asyncio.run(project.take_in(path))
    if format_ == "json":
        answer_json({"device": path, "ended": ended})
    else:
        answer(f"{path} is in service again" if ended else f"{path} was in service")
    return Exit.OK


@command.command("list", epilog="\b\nExample:\n  nexus device list --utc\n\n" + CODES)
@utc_option
@format_option("text", "json")
@color_option
@reads_runtime("NEXUS_CONTROL_URL")
def list_(zone: tzinfo | None, format_: str) -> int:
    """Show the devices that are out of service: since when, until when, by whom and why."""
    found = asyncio.run(project.listing())
    if format_ == "json":
        answer_json(found, default=as_object)
    else:
        answer(listing_text(found, style=styler(sys.stdout), zone=zone))
    return Exit.OK
