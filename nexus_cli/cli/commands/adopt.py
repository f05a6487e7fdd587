"""`nexus adopt`: what exists beside the devices becomes part of a site file."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from nexus_cli.cli.changing import agreed, styler
from nexus_cli.cli.commands.adopt_series import series
from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.discovering import seconds
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import color_option, format_option
from nexus_cli.cli.views.adopt import adoption_document, adoption_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project import adopt as project

EXITS = help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)


@click.group("adopt", short_help="Take broker rights, topics and series into a site file.", epilog=EXITS)
def command() -> None:
    """Take what exists beside the devices into a site file. Each thing that is found is adopted, or listed with the reason.

    \b
    Example:
      nexus adopt access /etc/mosquitto/acl --into site.yaml
      nexus adopt topics --into site.yaml --listen 30s
      nexus adopt series --into site.yaml
    """


@command.command("access", epilog=EXITS)
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--from-broker",
    metavar="ADDRESS",
    default=None,
    help="A running broker instead of a file: mqtt://HOST of Mosquitto, or emqx (NEXUS_EMQX_*).",
)
@click.option("--user", default=None, help="User at Mosquitto, an administrator of its dynamic security.")
@click.option("--password", default=None, help="Its password, as a reference: ${env:NAME} or ${file:PATH}.")
@click.option("--into", required=True, type=click.Path(path_type=Path), help="The site file that gets roles and users.")
@click.option("--dry-run", is_flag=True, help="Show what would be adopted, and end.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@format_option("text", "json")
@color_option
def access(
    file: Path | None,
    from_broker: str | None,
    user: str | None,
    password: str | None,
    into: Path,
    dry_run: bool,
    yes: bool,
    format_: str,
) -> int:
    """Users and rules of FILE, or of a running broker, as roles and users. The broker is only asked.

    FILE is Mosquitto's acl_file or dynamic security, or HiveMQ's credentials.xml.

    \b
    Example:
      nexus adopt access dynamic-security.json --into site.yaml --dry-run
      nexus adopt access --from-broker mqtt://broker.plant --user admin --password '${env:ADMIN}' --into site.yaml
      nexus adopt access --from-broker emqx --into site.yaml --dry-run
    """
    if (file is None) == (from_broker is None):
        raise click.UsageError("Name a FILE, or a running broker with --from-broker.")
    if from_broker is not None:
        from nexus_cli.project import adopt_broker as broker  # noqa: PLC0415 - MQTT, which a file does not need

        asked = broker.BrokerAsked(address=from_broker, user=user, password=password)
        found = asyncio.run(broker.access_of_broker(asked, into=into))
    elif user is not None or password is not None:
        raise click.UsageError("--user and --password go with --from-broker.")
    else:
        assert file is not None, "one of the two is there"
        found = project.access(file, into=into)
    return _finished(found, dry_run=dry_run, yes=yes, format_=format_)


@command.command("topics", epilog=EXITS)
@click.argument("filter_", metavar="[FILTER]", default="")
@click.option(
    "--into", required=True, type=click.Path(path_type=Path), help="The site file that gets external devices."
)
@click.option("--at", default="", help="Only topics of this device: area/line/device.")
@click.option("--broker", default="", help="Address of the broker, mqtt://…; the default is NEXUS_BROKER_URL.")
@click.option("--user", default=None, help="User at the broker.")
@click.option("--password", default=None, help="Its password, as a reference: ${env:NAME} or ${file:PATH}.")
@click.option("--listen", default="10s", show_default=True, help="How long to listen.")
@click.option("--dry-run", is_flag=True, help="Show what would be adopted, and end.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@format_option("text", "json")
@color_option
def topics(filter_: str, into: Path, dry_run: bool, yes: bool, format_: str, **options: str | None) -> int:
    """Topics that others publish as external devices and tags, with types, and units where payloads say so.

    \b
    Example:
      nexus adopt topics 'acme/chicago/#' --into site.yaml --broker mqtt://broker.plant:1883 --dry-run
    """
    wanted = project.TopicsWanted(
        filter=filter_,
        at=(options["at"] or "").strip("/"),
        broker=options["broker"] or "",
        user=options["user"],
        password=options["password"],
        listen_s=seconds(options["listen"] or "10s"),
    )
    return _finished(asyncio.run(project.topics(wanted, into=into)), dry_run=dry_run, yes=yes, format_=format_)


def _finished(found: project.Adoption, *, dry_run: bool, yes: bool, format_: str) -> int:
    """Show it, ask, write it."""
    if format_ == "text":
        answer(adoption_text(adoption_document(found, written=False), styler(sys.stdout)))
    written = False
    if found.edit is not None and not dry_run:
        if not yes and not agreed("Write this?"):
            return Exit.FINDINGS
        project.write(found)
        written = True
    if format_ == "json":
        answer_json(adoption_document(found, written=written))
    else:
        for text in found.notes:
            note(text)
    return Exit.OK


command.add_command(series)
