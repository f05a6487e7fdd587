"""The part of `nexus tail` that records into a file."""

from __future__ import annotations

import asyncio
import re

import click

from nexus_cli.cli.console import note
from nexus_cli.cli.views.recording import recorded_text
from nexus_cli.cli.views.sizes import size_text
from nexus_cli.exit_codes import Exit
from nexus_cli.project.record import RecordRequest, RecordResult, record
from nexus_cli.runtime.lifecycle import stop_on_signals

_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([kKMGT]?)(i?)B?\Z")
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(text: str) -> int:
    """Bytes of `500MB`, `1.5GiB` or `4096`.

    Raises:
        click.BadParameter: It is no size.
    """
    match = _SIZE.match(text.strip())
    if match is None:
        raise click.BadParameter(f"'{text}' is not a size; write 500MB or 2GiB", param_hint="--max-size")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2]])


def run_recording(request: RecordRequest) -> int:
    """Record until a limit or Ctrl-C, which ends it well."""
    return asyncio.run(_run(request))


async def _run(request: RecordRequest) -> int:
    def progress(found: RecordResult) -> None:
        note(f"  {found.messages:,} messages, {size_text(found.size_bytes)}")

    async with stop_on_signals() as stop:
        found = await record(request, stop=stop, progress=progress)
    note(recorded_text(found, str(request.file)))
    return Exit.OK
