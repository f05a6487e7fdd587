"""`nexus test --record`: a test file from what a device does in the running runtime."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nexus_cli.access.people import ANY_TIME
from nexus_cli.access.questions import Book
from nexus_cli.diagnostics import Diagnostic
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.outcome import has_errors
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.project.live import site_topics
from nexus_cli.project.test import FOLDER, names_of, offline_record
from nexus_cli.project.testing.judging import Judge
from nexus_cli.project.testing.live.watched import Watched
from nexus_cli.project.testing.names import SiteNames
from nexus_cli.project.testing.plant import Record
from nexus_cli.project.testing.reading import read_tests
from nexus_cli.project.testing.recording import Draft, drafted, text_of
from nexus_cli.project.text import locate, read
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import client_id

MOST_VALUES = 20_000
"""A recording ends when it has so many: a longer test is not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What was written.

    Attributes:
        file: The new test file.
        tags: How many tags it gives values of.
        values: How many values.
        assertions: How many it has.
        left_out: What it does not have, with the reason.
        found: Whether `nexus test` looks where it is.
    """

    file: Path
    tags: int
    values: int
    assertions: int
    left_out: tuple[str, ...]
    found: bool = True


async def record_test(
    site: Path | str | None,
    device: str,
    *,
    for_ms: int,
    out: Path | None = None,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    settings: Settings | None = None,
    begun: Callable[[str], None] = lambda _: None,
) -> Recorded | tuple[Diagnostic, ...]:
    """Follow a device of the running runtime, and write what it did as a test that passes now.

    Args:
        site: The site file that the test belongs to; None is the only one.
        device: `area/line/device`.
        for_ms: How long, ms.
        out: The new file; None is `tests/` beside the site file, named after the device.
        env, variables: As of `run_tests`.
        settings: Instead of those of this folder.
        begun: Called with what is recorded, once it begins.

    Returns:
        What was written, or why nothing was: findings of the site, NX1110 the file exists or can't be written, NX1111
        there is no such device.

    Raises:
        NexusError: NX6510 and NX6520 there is no runtime of this site, or it published no value; NX6010 and others of
            the broker.
    """
    reading = read(site, env=env, variables=variables)
    located = locate(site).value
    if located is None or reading.model is None or has_errors(reading.findings):
        return reading.findings
    names = names_of(reading.model)
    path = device.strip("/").removeprefix(names.prefix)
    if wrong := _not_recordable(names, path):
        return (wrong,)
    file = out or located.parent / FOLDER / f"{path.replace('/', '-')}.yaml"
    if await asyncio.to_thread(file.exists):
        return (_exists(file),)
    chosen = settings or load_settings()
    topics = site_topics(chosen)
    if topics.live != names.topics.live:
        raise NexusError(
            f"The runtime here is of {chosen.site}, and the site file of {names.prefix.rstrip('/')}.",
            code="NX6510",
            hint="run it beside the .nexus folder of this site",
        )
    begun(f"recording {path} for {for_ms / 1000:g} s")
    record, took_ms = await _followed(names, path, for_ms, chosen)
    name = f"{path} on {datetime.now(UTC):%Y-%m-%d at %H:%M} UTC"
    draft = drafted(names, path, record, name=name, for_ms=took_ms)
    if not draft.given:
        why = "; ".join(draft.left_out)
        hint = "`nexus status` shows whether the device is reached"
        raise NexusError(f"{path} published no value that a test can give.", code="NX6520", cause=why, hint=hint)
    _keep_what_passes(names, draft, file)
    if not draft.assertions:
        raise NexusError(
            f"Nothing of {path} came out as this site file says: is it the one that was applied?",
            code="NX6520",
            cause="; ".join(draft.left_out),
            hint="`nexus plan` shows what differs",
        )
    if unwritten := await asyncio.to_thread(_write, file, text_of(draft)):
        return (unwritten,)
    return Recorded(
        file=file,
        tags=len(draft.given),
        values=draft.values,
        assertions=draft.assertions,
        left_out=tuple(draft.left_out),
        found=await asyncio.to_thread(_is_found, file, located.parent / FOLDER),
    )


def _not_recordable(names: SiteNames, path: str) -> Diagnostic | None:
    """NX1111 unless a gateway reads values of this device."""
    found = names.devices.get(path)
    if found is None:
        hint = did_you_mean(path, names.devices) or "write area/line/device, as `nexus find` shows it"
        return finding("NX1111", f"the site has no device '{path}'", hint=hint)
    if found.protocol == "external" or all(tag.expr for tag in found.tags.values()):
        return finding("NX1111", f"no gateway reads '{path}'", hint="record the device that its values come from")
    return None


async def _followed(names: SiteNames, device: str, for_ms: int, settings: Settings) -> tuple[Record, int]:
    """The samples of the device, the states of the alarms, and how long it took, ms."""
    watched = Watched(names)
    client = BrokerClient(settings=settings, client_id=client_id(settings, "test-record"))
    count, begin_s = 0, time.monotonic()
    async with client.session() as messages:
        watched.begin()
        begin_s = time.monotonic()
        try:
            async with asyncio.timeout(for_ms / 1000):
                await client.subscribe([(names.topics.tag(f"{device}/+"), 0), (names.topics.alert("+"), 0)])
                async for message in messages:
                    # What the broker kept is what the device has when the test begins.
                    watched.moment_ms = 0 if message.retain else round((time.monotonic() - begin_s) * 1000)
                    watched.take(message.topic, message.payload)
                    count += 1
                    if count >= MOST_VALUES:
                        break
        except TimeoutError:
            pass
    return watched.record, min(for_ms, round((time.monotonic() - begin_s) * 1000))


def _keep_what_passes(names: SiteNames, draft: Draft, file: Path) -> None:
    """Run the test as `nexus test` will, and take out, with the reason, what the chain alone does not give again."""
    case = read_tests(file, names, data=text_of(draft).encode()).cases[0]
    judge = Judge(names, Book(names.snapshot, ANY_TIME), ())
    for result in judge.judged(case, offline_record(names, case)):
        if not result.passed:
            why = f"the runtime had {result.expected}, the chain alone gives {result.got}"
            draft.leave_out(result.expectation.kind, result.expectation.subject, why)


def _is_found(file: Path, folder: Path) -> bool:
    return file.resolve().parent == folder.resolve() and file.suffix in (".yaml", ".yml")


def _write(file: Path, text: str) -> Diagnostic | None:
    """Write a new file; gives NX1110 when it is not written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        return _exists(file)
    except OSError as error:
        message = f"'{file.as_posix()}' can't be written: {error.strerror or error}"
        return finding("NX1110", message, hint="name a file that you may write with --out")
    return None


def _exists(file: Path) -> Diagnostic:
    message = f"'{file.as_posix()}' exists already, and is left as it is"
    return finding("NX1110", message, hint="name another file with --out, or remove this one")
