"""What `nexus discover` is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nexus_cli.discover.filters import Wanted
from nexus_cli.discover.importers.options import ImportOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a person asked for.

    Attributes:
        target: An address, a file, or "" for the device at `at`.
        into: File to edit, None only shows.
        at: `area/line/device`.
        wanted: Filters and limits.
        connection: Further connection keys (user, password reference, security, trust).
        via: Gateway that browses for us, "" for ourselves.
        fresh: Do not continue an earlier run.
        importing: How a file is read.
        stored: Id of a discovery of the worker, whose result is taken instead of looking; "" looks.
    """

    target: str = ""
    into: Path | None = None
    at: str = ""
    wanted: Wanted = field(default_factory=Wanted)
    connection: Mapping[str, Any] = field(default_factory=dict)
    via: str = ""
    fresh: bool = False
    importing: ImportOptions = field(default_factory=ImportOptions)
    stored: str = ""
