"""`nexus demo`: a small plant, from devices to rows."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack

import click

from nexus_cli.cli.console import answer, colour_wanted, note
from nexus_cli.cli.demo_display import reporting
from nexus_cli.cli.exit_help import help_text
from nexus_cli.cli.views.demo import render_summary
from nexus_cli.exit_codes import Exit
from nexus_cli.project.demo import running_demo
from nexus_cli.runtime.lifecycle import on_signals


@click.command(
    "demo", short_help="Start a small simulated plant.", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)
@click.option("--once", is_flag=True, help="Exit after the summary, with 1 if a tag never arrived.")
@click.option(
    "--broker", default="", metavar="KIND|URL", help="mosquitto, amqtt, or mqtt(s)://host:port of your own broker."
)
@click.option("--keep", is_flag=True, help="Keep .nexus with its rows and credentials.")
def command(once: bool, broker: str, keep: bool) -> int:
    """Simulate the demo site's devices as protocol servers, start the runtime, plan, apply, follow and query.

    Stays up until Ctrl-C, so that another terminal can try `nexus tail`, `nexus read`, `nexus status`.

    \b
    Example:
      nexus demo --once --broker amqtt
    """
    return asyncio.run(_demo(once=once, broker=broker, keep=keep))


async def _demo(*, once: bool, broker: str, keep: bool) -> int:
    me, stop, runs = asyncio.current_task(), asyncio.Event(), False
    assert me is not None

    def end() -> None:
        # While it starts, the first signal cancels it, and what was started is stopped on the way out.
        if not runs and not stop.is_set():
            me.cancel()
        stop.set()

    with on_signals(end):
        try:
            async with AsyncExitStack() as stack:
                with reporting() as report:
                    demo = running_demo(broker=broker, keep=keep, report=report, on_end=note)
                    summary = await stack.enter_async_context(demo)
                runs = True
                answer("\n" + render_summary(summary, colour=colour_wanted(sys.stdout)) + "\n")
                if not once:
                    note("Ctrl-C ends it; meanwhile, in another terminal: nexus tail 'bottling/**'")
                    await stop.wait()
        except asyncio.CancelledError:
            if not stop.is_set():
                raise
            me.uncancel()
            note("interrupted; everything is stopped")
            return Exit.INTERRUPTED
    return Exit.FINDINGS if summary.missing else Exit.OK
