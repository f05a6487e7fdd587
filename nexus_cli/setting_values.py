"""Values of NEXUS_* variables that are numbers or words, read or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath

from nexus_cli.diagnostics.errors import NexusError

HISTORIAN_WRITERS, MOST_WRITERS = 2, 16
WORKER_JOBS, MOST_JOBS = 40, 4000
LIVE, MOCK, REPLAY = "live", "mock", "replay"
ENVIRONMENTS = (LIVE, MOCK, REPLAY)
"""The plant; simulators in the place of its devices; something recorded, under a site name of its own."""
EXPORTS_KEEP_DAYS, MOST_KEEP_DAYS = 7, 3650


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlace:
    """Where the worker writes exports and web reads them (`NEXUS_EXPORTS_…`).

    Attributes:
        to: A folder by its whole path, or `s3://bucket/prefix`; "" is `exports` in the home folder.
        keep_days: How long an export is kept.
        endpoint, region, user, password: Of an object store, as in `archive:`; "" leaves them to its library.
    """

    to: str = ""
    keep_days: int = EXPORTS_KEEP_DAYS
    endpoint: str = ""
    region: str = ""
    user: str = ""
    password: str = field(default="", repr=False)


EXPORTS = ExportPlace()


def wrong(message: str, *, hint: str = "", cause: str = "") -> NexusError:
    """An error for the value of a variable: a usage error."""
    return NexusError(message, code="NX6001", cause=cause, hint=hint)


def text(name: str, value: str) -> str:
    """The value as it is. Raises NexusError NX6001: it is not UTF-8."""
    try:
        return value.encode().decode()
    except UnicodeEncodeError:  # bytes that are no UTF-8 arrive as lone surrogates
        raise wrong(f"{name} is not UTF-8 text.") from None


def one_of(name: str, value: str, choices: tuple[str, ...]) -> str:
    """The value as it is. Raises NexusError NX6001: it is none of the choices."""
    if value not in choices:
        raise wrong(f"{name} is '{value}'.", hint=f"write one of {', '.join(filter(None, choices))}")
    return value


def port(value: str) -> int:
    """A port of HTTP, 0 to 65535; "" is 0. Raises NexusError NX6001."""
    if not value:
        return 0
    if not (value.isascii() and value.isdecimal() and int(value) < 65_536):
        raise wrong(f"NEXUS_HTTP_PORT is '{value}', not a port number.", hint="write 0 (any free one) to 65535")
    return int(value)


def rate(value: str) -> float | None:
    """Live values per second, 1 to 1,000,000; None for `off`. Raises NexusError NX6001."""
    if value == "off":
        return None
    try:
        per_s = float(value)
    except ValueError:
        per_s = 0.0
    if not 1.0 <= per_s <= 1_000_000.0:
        raise wrong(f"NEXUS_LIVE_RATE is '{value}', not a number of messages per second from 1 to 1000000, or off.")
    return per_s


def writers(value: str) -> int:
    """Connections of a historian, 1 to 16. Raises NexusError NX6001."""
    number = int(value) if value.isascii() and value.isdecimal() and len(value) < 4 else 0
    if not 1 <= number <= MOST_WRITERS:
        raise wrong(f"NEXUS_HISTORIAN_WRITERS is '{value}', not a number of connections from 1 to {MOST_WRITERS}.")
    return number


def jobs(value: str) -> int:
    """Jobs that a worker has in hand at most, 2 to 4000. Raises NexusError NX6001."""
    number = int(value) if value.isascii() and value.isdecimal() and len(value) < 6 else 0
    if not 2 <= number <= MOST_JOBS:
        raise wrong(f"NEXUS_WORKER_JOBS is '{value}', not a number of jobs from 2 to {MOST_JOBS}.")
    return number


def globs(value: str) -> tuple[str, ...]:
    """Comma-separated globs of names; nothing is `*`."""
    return tuple(each.strip() for each in value.split(",") if each.strip()) or ("*",)


def environment(given: str, recorded: object) -> str:
    """What kind of runtime this is: as `runtime.json` records it, else as NEXUS_ENVIRONMENT says. No variable makes a mock
    look like the plant. Raises NexusError NX6001."""
    kind = one_of("NEXUS_ENVIRONMENT", given or LIVE, ENVIRONMENTS)
    return str(recorded) if recorded in (MOCK, REPLAY) else kind


def export_place(pick: Callable[[str, object], str]) -> ExportPlace:
    """The settings of exports; `pick` gives a variable. Raises NexusError NX6001."""
    to, days = pick("NEXUS_EXPORTS_TO", ""), pick("NEXUS_EXPORTS_KEEP_DAYS", EXPORTS_KEEP_DAYS)
    if to and not (PurePath(to).is_absolute() or (to.startswith("s3://") and to.removeprefix("s3://").strip("/"))):
        raise wrong(f"NEXUS_EXPORTS_TO is '{to}'.", hint="write the whole path of a folder, or s3://BUCKET/PREFIX")
    number = int(days) if days.isascii() and days.isdecimal() and len(days) < 6 else 0
    if not 1 <= number <= MOST_KEEP_DAYS:
        raise wrong(f"NEXUS_EXPORTS_KEEP_DAYS is '{days}', not a number of days from 1 to {MOST_KEEP_DAYS}.")
    return ExportPlace(
        to=to,
        keep_days=number,
        endpoint=pick("NEXUS_EXPORTS_ENDPOINT", ""),
        region=pick("NEXUS_EXPORTS_REGION", ""),
        user=pick("NEXUS_EXPORTS_USER", ""),
        password=pick("NEXUS_EXPORTS_PASSWORD", ""),
    )
