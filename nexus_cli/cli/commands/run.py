"""`nexus run`: one role in the foreground."""

from __future__ import annotations

import click

from nexus_cli.cli.completing import gateways
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import changes_runtime
from nexus_cli.exit_codes import Exit
from nexus_cli.project.run_role import run_role

ROLES = ("control", "gateway", "historian", "web", "worker", "broker", "simulator", "supervisor")


@click.command(
    "run",
    short_help="Run one role in the foreground.",
    epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE),
)
@click.argument("role", type=click.Choice(ROLES))
@click.option(
    "--name",
    default="",
    shell_complete=gateways,
    help="Name of the gateway (as in `gateways:`), or of one historian, web or worker of several.",
)
@changes_runtime("NEXUS_BROKER_URL")
def command(role: str, name: str) -> int:
    """Run one role until SIGTERM or Ctrl-C. `nexus up` starts them all; use this under systemd or Kubernetes.

    The addresses of broker, database and control, and the credentials, come from NEXUS_* variables or the .nexus
    folder. `broker` is the Python broker that `nexus up` uses without mosquitto; `simulator` serves the
    devices of a mock (`nexus up --mock`); `supervisor` restarts the other processes.

    \b
    Example:
      NEXUS_SITE=acme/chicago NEXUS_BROKER_URL=mqtts://broker:8883 nexus run gateway --name gw-1
    """
    run_role(role, name=name)
    return Exit.OK
