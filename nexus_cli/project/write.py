"""`nexus write`: one value to one tag, and an answer that can be trusted."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, replace

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.registry import kinds
from nexus_cli.exit_codes import Exit
from nexus_cli.model.config import TagConfig, device_from_json
from nexus_cli.model.datatype import parse_type
from nexus_cli.model.inversion import InversionError
from nexus_cli.model.proof import proof_s
from nexus_cli.model.write_check import (
    TAG_LEVELS,
    expected,
    judge,
    no_device,
    no_tag_path,
    parse_value,
    tag_to_write,
    writable_tags,
)
from nexus_cli.project.live import read
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.command import Command, CommandError, Response, State, decode_response, encode, too_large
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.sample import Value
from nexus_cli.wire.signature import seal, signer_of
from nexus_cli.wire.topic import Topics

LONGEST_S = 60.0
ANSWER_LATE_S = 3.0
"""How long after its expiry an answer is still waited for: the device may be at work when it expires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A checked write, before anything is sent.

    Attributes:
        path: `area/line/device/tag`.
        tag: As it was applied.
        gateway: Only its answer is accepted.
        value: The requested value, in the published unit.
        will_be: What the device will hold, after rounding to what it can.
        old: The newest live value, None when there is none or it is BAD.
        quality: Its quality.
    """

    path: str
    tag: TagConfig
    gateway: str
    value: Value
    will_be: Value
    old: Value
    quality: str


async def prepare(path: str, text: str, *, settings: Settings | None = None) -> Wish:
    """Look the tag up, read the value, and check whether the gateway would accept the write. Writes nothing.

    Raises:
        NexusError: NX6802 to NX6807; NX6400 control is away.
    """
    settings = settings or load_settings()
    topics = site_topics(settings)
    path = (topics.path(path) or path).strip("/")
    tag, gateway = await _tag(path, settings)
    judged = judge(path, tag, _typed(text, tag))
    old, quality = await _live(path, settings)
    return Wish(
        path=path, tag=tag, gateway=gateway, value=judged.value, will_be=judged.will_be, old=old, quality=quality
    )


def _typed(text: str, tag: TagConfig) -> Value:
    """What was typed; of a tag that holds JSON it is read as JSON. Raises NexusError NX6805."""
    if parse_type(tag.type).base != "json":
        return text
    try:
        found: Value = parse_value(text, tag)
    except InversionError as error:
        raise NexusError(f"{error}.", code=error.code, hint=error.hint, exit_code=1) from None
    return found


def read_expectation(wish: Wish, text: str) -> Value:
    """The value of `--expect`. Raises NexusError NX6805."""
    try:
        found: Value = expected(wish.tag, _typed(text, wish.tag), said="--expect")
    except NexusError as error:
        raise NexusError(error.message, code=error.code, hint=error.hint, exit_code=Exit.USAGE) from None
    return found


async def write(
    wish: Wish,
    *,
    expect: Value | msgspec.UnsetType = msgspec.UNSET,
    timeout_s: float = 10.0,
    reason: str = "",
    settings: Settings | None = None,
) -> Response:
    """Send the command and wait for its answer.

    Args:
        wish: From `prepare`.
        expect: What the tag must hold right before.
        timeout_s: The command expires after this, at most 60 s.
        reason: For the audit trail.
        settings: Instead of those of this folder.

    Returns:
        The gateway's answer; `unknown` NX6819 when none came.

    Raises:
        NexusError: NX6010, NX6011: the broker was not reached; nothing was sent.
    """
    settings = settings or load_settings()
    command = Command(
        id=f"cli-{os.urandom(12).hex()}",
        value=wish.value,
        expires_at=int((time.time() + min(timeout_s, LONGEST_S)) * 1e6) - 1000,
        expect=expect,
        reason=reason,
    )
    wait_s = timeout_s + proof_s(wish.tag) + ANSWER_LATE_S
    return await send(wish.path, command, gateway=wish.gateway, settings=settings, wait_s=wait_s)


async def send(path: str, command: Command, *, gateway: str, settings: Settings, wait_s: float) -> Response:
    """Publish a command once and wait for the answer of the device's gateway. It is never sent a second time: without an answer the state is `unknown`."""
    topics = site_topics(settings)
    payload = encode(command)
    if problem := too_large(payload):
        return Response(id=command.id, state=State.REFUSED, path=path, code="NX6801", detail=problem)
    signer = signer_of(settings)
    client = BrokerClient(settings=settings, client_id=client_id(settings, "write"))
    sent = False
    detail = "no gateway answered in time; the command has expired and will not be carried out any more"
    try:
        async with asyncio.timeout(wait_s), client.session() as messages:
            await client.subscribe([(topics.response(gateway, settings.principal, command.id), 1)])
            sent = True
            topic = topics.command(path, settings.principal)
            if signer is not None:
                key, sign = signer
                payload = seal(key=key, sign=sign, topic=topic, payload=payload, time_us=int(time.time() * 1e6))
            await client.publish(topic, payload, qos=2)
            async for message in messages:
                try:
                    return decode_response(message.payload)
                except CommandError:
                    continue
    except TimeoutError:
        if not sent:
            raise NexusError("The broker did not answer in time.", code="NX6010", retriable=True) from None
        detail += _foreign(settings)
    except NexusError as error:
        if not sent:
            raise
        detail = f"the broker was lost before the answer came: {error.cause or error.message}"
    return Response(id=command.id, state=State.UNKNOWN, path=path, code="NX6819", detail=detail)


def as_user(user: str) -> Settings:
    """Settings to send a command as a declared user, who logs in at the broker with its own password.

    Raises:
        NexusError: NX6011, no password is given.
    """
    own, settings = load_settings(), load_settings(principal=user)
    if not settings.broker_password:
        raise NexusError(
            f"No password of '{user}' is given.",
            code="NX6011",
            hint=f"NEXUS_BROKER_PASSWORD_FILE names a file with it; `nexus access rotate {user}` makes one, and prints the "
            "account: NEXUS_BROKER_USER names that, where it is another",
        )
    return replace(settings, control_token=settings.control_token or own.control_token)


def _foreign(settings: Settings) -> str:
    """Why no gateway may have received the command: a broker drops what its user may not publish, and says nothing."""
    if settings.broker_user.partition("@")[0] == settings.principal:
        return ""
    return (
        f". It was sent as {settings.principal} by the broker's user '{settings.broker_user}' (NEXUS_BROKER_USER): "
        "a broker drops what its user may not publish; --as USER sends it as that user"
    )


def site_topics(settings: Settings) -> Topics:
    """The topics of the settings' site. Raises NexusError NX6510 without one."""
    enterprise, slash, site = settings.site.partition("/")
    if not slash:
        raise NexusError(
            "No runtime is configured here.",
            code="NX6510",
            hint="run it beside the .nexus folder of `nexus up`, or set NEXUS_SITE=enterprise/site and NEXUS_CONTROL_URL",
        )
    return Topics(enterprise, site)


async def _tag(path: str, settings: Settings) -> tuple[TagConfig, str]:
    device_path = path.rpartition("/")[0]
    async with ControlClient(settings) as control:
        if path.count("/") != TAG_LEVELS - 1:
            raise await _no_tag_path(control, path)
        found = (await control.resources([f"device.{device_path}"])).get(f"device.{device_path}")
        if found is None:
            raise no_device(device_path, await _devices(control))
    device = device_from_json(found)
    return tag_to_write(path, device, kinds()), device.gateway


async def _devices(control: ControlClient) -> list[str]:
    return [one.removeprefix("device.") for one in (await control.state()).digests if one.startswith("device.")]


async def _no_tag_path(control: ControlClient, path: str) -> NexusError:
    devices = await _devices(control)
    found = (await control.resources([f"device.{path}"])).get(f"device.{path}") if path in devices else None
    return no_tag_path(path, devices, writable_tags(device_from_json(found)) if found is not None else ())


async def _live(path: str, settings: Settings) -> tuple[Value, str]:
    try:
        found = await read(path, settings=settings)
    except NexusError as error:
        if error.code != "NX6520":
            raise
        return None, ""
    return found.value, found.quality
