"""`nexus demo`: a small plant, from devices to rows."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack

import click

from nexus_cli.cli.console import answer, colour_wanted, note
from nexus_cli.cli.exit_codes import Exit, help_text


@click.command(
    "demo", short_help="Bring a small plant to life.", epilog=help_text(Exit.OK, Exit.FINDINGS, Exit.OUTSIDE)
)
@click.option("--once", is_flag=True, help="End after the summary; exits with 1 if a tag never arrived.")
@click.option("--broker", default="", metavar="KIND|URL", help="mosquitto, amqtt, or mqtt(s)://host:port of yours.")
@click.option("--keep", is_flag=True, help="Leave .nexus with rows and credentials behind.")
def command(once: bool, broker: str, keep: bool) -> int:
    """Serve the demo site's devices as real protocol servers, start everything, plan, apply, watch, query.

    Stays up until Ctrl-C, so that another terminal can try `nexus tail`, `nexus read`, `nexus status`.

    \b
    Example:
      nexus demo --once --broker amqtt
    """
    return asyncio.run(_demo(once=once, broker=broker, keep=keep))


async def _demo(*, once: bool, broker: str, keep: bool) -> int:
    from nexus_cli.cli.demo_display import telling
    from nexus_cli.cli.views.demo import render_summary
    from nexus_cli.project.demo import running_demo
    from nexus_cli.runtime.lifecycle import stop_on_signals

    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    assert me is not None
    async with AsyncExitStack() as stack:
        # While it starts, an interrupt cancels it, and what was started is stopped on the way out.
        loop.add_signal_handler(signal.SIGTERM, me.cancel)
        with telling() as tell:
            summary = await stack.enter_async_context(running_demo(broker=broker, keep=keep, tell=tell, on_end=note))
        answer("\n" + render_summary(summary, colour=colour_wanted(sys.stdout)) + "\n")
        if not once:
            note("Ctrl-C ends it; meanwhile, in another terminal: nexus tail 'bottling/**'")
            async with stop_on_signals() as stop:
                await stop.wait()
    return Exit.FINDINGS if summary.missing else Exit.OK
