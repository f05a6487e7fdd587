"""`nexus probe`: find the address of a Modbus value."""

from __future__ import annotations

import asyncio

import click

from nexus_cli.cli.changing import complain
from nexus_cli.cli.console import answer, answer_json
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import WholeNumber, color_option, format_option
from nexus_cli.cli.views.probe import compared, document, text
from nexus_cli.drivers.modbus.kind import KIND
from nexus_cli.drivers.opinion import LIBRARY, named
from nexus_cli.exit_codes import Exit
from nexus_cli.project.probe import Second, probe
from nexus_cli.settings import load_settings

EPILOG = (
    "\b\nExamples:\n  nexus probe 'modbus://10.0.0.9?unit=3' --address holding:100 --expect 230.1\n"
    "  nexus probe modbus://10.0.0.9 --address 400101 --expect 50 --tolerance 2% --around 20\n"
    "  nexus probe modbus://10.0.0.9 --address holding:100 --expect 230.1 --client library\n\n"
    + help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)


@click.command("probe", epilog=EPILOG)
@click.argument("target")
@click.option("--address", required=True, help="Address from the manual, in any notation.")
@click.option("--expect", required=True, type=float, help="Value that the device's display shows.")
@click.option("--tolerance", default="", help="Tolerance, such as 0.5 or 2%. [default: half the last digit]")
@click.option(
    "--around", type=WholeNumber(0, 60), default=5, show_default=True, help="Number of registers on either side."
)
@click.option("--most", type=WholeNumber(min=1), default=10, show_default=True, help="Number of candidates to show.")
@click.option(
    "--client",
    type=click.Choice(["nexus", "library"]),
    default="nexus",
    help="library also reads the registers through pymodbus, and compares.",
)
@format_option("text", "json")
@color_option
def command(
    target: str, address: str, expect: float, tolerance: str, around: int, most: int, client: str, format_: str
) -> int:
    """Try area, base, type, byte order and scale around an address, and show what gives the expected value.

    Reads only, and from this machine: the device must be reachable from here. Finds manuals that count from one, swap
    words or scale by ten.
    """
    second = None
    if client == "library":
        second = Second(client=named(LIBRARY, KIND.name))
    outcome = asyncio.run(
        probe(
            target,
            address=address,
            expected=expect,
            tolerance=tolerance,
            around=around,
            settings=load_settings(),
            second=second,
        )
    )
    complain(outcome.findings)
    if outcome.value is None:
        return Exit.FINDINGS
    result = document(outcome.value, expected=expect, second=second)
    if format_ == "json":
        answer_json(result)
    elif outcome.value:
        answer(text(result, most=most))
    if second is not None and format_ != "json":
        answer(compared(result))
    return Exit.OK if outcome.value and not (second is not None and second.differ) else Exit.FINDINGS
