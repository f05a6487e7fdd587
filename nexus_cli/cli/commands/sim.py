"""`nexus sim`: a site's devices as real protocol servers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from nexus_cli.cli.changing import complain
from nexus_cli.cli.console import answer, answer_json, note
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.options import color_option, env_option, format_option, site_argument, var_option
from nexus_cli.cli.views.simulation import document, text
from nexus_cli.exit_codes import Exit
from nexus_cli.model.config import DeviceConfig
from nexus_cli.model.site import parse_duration
from nexus_cli.project.simulate import devices_of, serving, until_stopped, write_overlay
from nexus_cli.project.text import load, locate
from nexus_cli.runtime.event_loop import loop_factory
from nexus_cli.runtime.lifecycle import stop_on_signals
from nexus_cli.settings import load_settings

EPILOG = (
    "\b\nExamples:\n  nexus sim sites/demo\n"
    "  nexus sim sites/demo --overlay sites/demo/env/sim.yaml   # then: nexus apply sites/demo --env sim\n\n"
    + help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)


@click.command("sim", epilog=EPILOG)
@site_argument
@env_option
@var_option
@click.option(
    "--overlay",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write an overlay whose connections lead to the simulators.",
)
@click.option("--duration", metavar="TIME", help="Stop after this time, e.g. 30s. [default: at Ctrl-C]")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the signals; equal seeds give equal signals."
)
@format_option("text", "json")
@color_option
def command(
    path: str | None,
    env: str | None,
    variables: dict[str, str],
    overlay: Path | None,
    duration: str | None,
    seed: int,
    format_: str,
) -> int:
    """Simulate every device of a site as a protocol server, with the signals that its tags declare.

    A link on this machine is served on its own port, any other on a free local port.
    """
    try:
        duration_s = parse_duration(duration) / 1000 if duration else None
    except ValueError as error:
        raise click.BadParameter(f"{error}; write 500ms, 10s or 5m", param_hint="--duration") from None
    loaded = load(path, env=env, variables=variables)
    if loaded.value is None:
        complain(loaded.findings, loaded.files)
        return Exit.FINDINGS

    devices = devices_of(loaded.value.snapshot, folder=locate(path).unwrap().parent)
    with asyncio.Runner(loop_factory=loop_factory(load_settings().event_loop)) as runner:
        runner.run(_serve(devices, overlay=overlay, duration_s=duration_s, seed=seed, format_=format_))
    return Exit.OK


async def _serve(
    devices: Sequence[DeviceConfig], *, overlay: Path | None, duration_s: float | None, seed: int, format_: str
) -> None:
    async with stop_on_signals() as stop, serving(devices, seed=seed) as simulation:
        if overlay is not None:
            write_overlay(simulation, overlay)
        result = document(simulation, overlay=overlay.as_posix() if overlay is not None else "")
        if format_ == "json":
            answer_json(result)
        else:
            answer(text(result))
        if simulation.links:
            note("Ctrl-C stops it")
            await until_stopped(stop, duration_s=duration_s)
