"""A new site: small, commented, and right from the first line."""

from __future__ import annotations

import re
from pathlib import Path

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.project.schema import schema_files

SCHEMA_FILE = "site.schema.json"
OVERLAY_FILE = "overlay.schema.json"
"""Of `env/NAME.yaml`, where nothing is required."""

SITE = """\
# yaml-language-server: $schema={schema}
#
# The whole site in one file: what there is, what it publishes, how long it is kept.
#   nexus validate         is it right?
#   nexus explain PATH     what happens to one tag, from this file to the database row
#   nexus sim              serve the devices below without hardware (leave it running)
#   nexus up               start broker, database and gateways on this machine
#   nexus plan             what would change?
#   nexus apply            make it so

nexus: 1                # version of the site language
{enterprise}# first level of every topic
{site}# second level

defaults:               # for every tag, unless the tag, its device, line or area says otherwise
  poll: 1s
  retention: process

retention:
  process: {{keep: 90d}}  # samples older than this are dropped

templates:              # a device type: written once, used by many devices
  energy-meter:
    protocol: modbus
    parameters:
      unit_id: {{type: integer, default: 1}}
    connection: {{unit_id: "${{param:unit_id}}"}}
    tags:
      voltage-l1:
        address: input:0            # the first input register
        type: float32
        unit: V
        range: [0, 500]             # outside it the value is UNCERTAIN
        deadband: 0.5               # publish when it moved by more
      energy: {{address: input:342, type: float32, unit: kWh, poll: 10s, heartbeat: 10m}}

areas:
  packaging:
    lines:
      line-1:
        devices:
          meter-1:                  # its topics: {path}/packaging/line-1/meter-1/…
            template: energy-meter
            with: {{unit_id: 3}}
            connection: {{host: 127.0.0.1, port: 15020}}
"""

TEST_FILE = "tests/line-1.yaml"
TEST = """\
# What a device holds, and what has to come of it: `nexus test` runs this without a device.

tests:
  the meter counts in volts, and an impossible voltage is doubtful:
    given:
      packaging/line-1/meter-1/voltage-l1:
        - {at: 0s, registers: [0x4366, 0x8000]}   # 230.5 as the device holds it
        - {at: 2s, value: 700}
    expect:
      sample:
        packaging/line-1/meter-1/voltage-l1: {value: 700, quality: UNCERTAIN, reason: out_of_range, unit: V}
      row:
        packaging/line-1/meter-1/voltage-l1: [230.5, {value: 700, at: 2s}]
"""


def init(folder: Path) -> Path:
    """Write `site.yaml`, a test of it, and a schema for editors, into a folder, which is made if it is missing.

    A folder that has tests keeps them, and gets none.

    Returns:
        The file that was written.

    Raises:
        NexusError: There is already one, or the folder can't be written.
    """
    target = folder / "site.yaml"
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or "plant"
    text = SITE.format(
        schema=_schema(folder),
        path=f"acme/{name}",
        enterprise=f"{'enterprise: acme':24}",
        site=f"{f'site: {name}':23} ",
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
        test = folder / TEST_FILE
        if not test.parent.exists():
            test.parent.mkdir()
            test.write_text(TEST, encoding="utf-8")
        copy = folder / "schemas" / SCHEMA_FILE
        if f"$schema=schemas/{SCHEMA_FILE}" in text and not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            for name in (SCHEMA_FILE, OVERLAY_FILE):
                copy.with_name(name).write_text(schema_files()[name], encoding="utf-8")
    except FileExistsError:
        message = f"'{target.as_posix()}' exists already, and is left as it is."
        raise NexusError(message, code="NX0001", hint="name another folder: nexus init DIR") from None
    except OSError as error:
        message = f"'{target.as_posix()}' can't be written."
        hint = "name a folder that you may write to: nexus init DIR"
        raise NexusError(message, code="NX0001", cause=str(error.strerror or error), hint=hint) from None
    return target


def _schema(folder: Path) -> str:
    """Where the editor finds the schema: in a checkout above, else in a copy that is written beside the site."""
    start = folder.resolve()
    for level, parent in enumerate([start, *start.parents][:6]):
        if (parent / "schemas" / SCHEMA_FILE).is_file():
            return "../" * level + f"schemas/{SCHEMA_FILE}"
    return f"schemas/{SCHEMA_FILE}"
