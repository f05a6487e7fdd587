"""`nexus write`: one value to one tag, and an answer that can be trusted."""

from __future__ import annotations

import asyncio
import os
import re
import time
from dataclasses import dataclass, replace

import msgspec
import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.drivers.registry import kinds
from nexus_cli.exit_codes import Exit
from nexus_cli.model.config import DeviceConfig, TagConfig, device_from_json
from nexus_cli.model.datatype import INTEGER_BOUNDS, parse_type
from nexus_cli.model.inversion import InversionError, published_of, raw_of
from nexus_cli.model.proof import proof_s
from nexus_cli.model.writable import why_unwritable
from nexus_cli.project.live import read
from nexus_cli.settings import Settings, load_settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.command import Command, CommandError, Response, State, decode_response, encode, too_large
from nexus_cli.wire.http import ControlClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.sample import Value
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


def parse_value(text: str, tag: TagConfig) -> Value:
    """A value as a person types it, by the tag's type: `42`, `on`, `true`, `[1, 2]`, a name of an enumeration.

    Raises:
        InversionError: It is none.
    """
    kind = parse_type(tag.type)
    if kind.count or kind.base == "json":
        try:
            found: Value = orjson.loads(text)
        except ValueError:
            raise InversionError(f"'{text}' is not JSON, and the tag is {kind}", code="NX6805") from None
        return found
    if kind.base == "bool":
        truth = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}.get(text.lower())
        if truth is None:
            raise InversionError(f"'{text}' is neither true nor false", code="NX6805", hint="write true or false")
        return truth
    if not (kind.numeric or kind.base == "duration") or text in tag.values.values():
        return text
    try:
        return int(text, 0)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        if tag.values:
            return text  # the inversion says which names there are
        raise InversionError(f"'{text}' is not a number", code="NX6805", hint=_number_hint(text, tag)) from None
    whole = kind.base in INTEGER_BOUNDS and number.is_integer() and abs(number) < 2**53
    return int(number) if whole else number


_NUMBER = re.compile(r"(?P<number>[+-]?\d+(?:[.,]\d+)?)\s*(?P<unit>[^\d\s.,][^\d]{0,20})?\Z")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+\Z", re.ASCII)


def _number_hint(text: str, tag: TagConfig) -> str:
    """The likely correction of `42,5` or `42 degC`; never a guess at a conversion."""
    if _THOUSANDS.match(text.strip()):
        return f"write {text.strip().replace(',', '')}, or a point before decimals"
    match = _NUMBER.match(text.strip())
    unit = f"values of this tag are in {tag.publish_unit}" if tag.publish_unit else "values of this tag have no unit"
    if match is None:
        return "write a number such as 42 or 42.5"
    number = match["number"].replace(",", ".")
    if match["unit"] is None:
        return f"write {number}"
    if match["unit"].strip() == tag.publish_unit:
        return f"write {number}: {unit}"
    return f"write the number alone: {unit}"


async def prepare(path: str, text: str, *, settings: Settings | None = None) -> Wish:
    """Look the tag up, read the value, and check whether the gateway would accept the write. Writes nothing.

    Raises:
        NexusError: NX6802 to NX6807; NX6400 control is away.
    """
    settings = settings or load_settings()
    topics = site_topics(settings)
    path = (topics.path(path) or path).strip("/")
    tag, gateway = await _tag(path, settings)
    try:
        value = parse_value(text, tag)
        raw = raw_of(tag, value)
    except InversionError as error:
        raise NexusError(f"{path}: {error}.", code=error.code, hint=error.hint, exit_code=1) from None
    old, quality = await _live(path, settings)
    return Wish(
        path=path, tag=tag, gateway=gateway, value=value, will_be=published_of(tag, raw), old=old, quality=quality
    )


def read_expectation(wish: Wish, text: str) -> Value:
    """The value of `--expect`. Raises NexusError NX6805."""
    try:
        value = parse_value(text, wish.tag)
        raw_of(wish.tag, value, bounded=False)
    except InversionError as error:
        raise NexusError(f"--expect: {error}.", code=error.code, hint=error.hint, exit_code=Exit.USAGE) from None
    return value


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
    client = BrokerClient(settings=settings, client_id=client_id(settings, "write"))
    sent = False
    detail = "no gateway answered in time; the command has expired and will not be carried out any more"
    try:
        async with asyncio.timeout(wait_s), client.session() as messages:
            await client.subscribe([(topics.response(gateway, settings.principal, command.id), 1)])
            sent = True
            await client.publish(topics.command(path, settings.principal), payload, qos=2)
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
    device_path, _, name = path.rpartition("/")
    async with ControlClient(settings) as control:
        if path.count("/") != 3:
            hint = await _path_hint(control, path)
            raise NexusError(f"'{path}' is not the path of a tag.", code="NX6802", hint=hint)
        found = (await control.resources([f"device.{device_path}"])).get(f"device.{device_path}")
        if found is None:
            known = [
                one.removeprefix("device.") for one in (await control.state()).digests if one.startswith("device.")
            ]
            hint = did_you_mean(device_path, known) if known else "nothing was applied yet: `nexus apply SITE`"
            hint = hint or "`nexus show` lists what was applied"
            raise NexusError(f"There is no device '{device_path}'.", code="NX6802", hint=hint)
    device = device_from_json(found)
    tag = device.tags.get(name)
    if tag is None:
        raise NexusError(f"{device_path} has no tag '{name}'.", code="NX6802", hint=did_you_mean(name, device.tags))
    if not tag.writable:
        raise not_writable(path, device, tag)
    if not (tag.enabled and device.enabled):
        raise NexusError(f"{path} is out of service (enabled: false).", code="NX6804")
    return tag, device.gateway


def not_writable(path: str, device: DeviceConfig, tag: TagConfig) -> NexusError:
    """NX6803, with why it can never be written, or how it is made writable."""
    why = why_unwritable(device, tag, kinds())
    can = sorted(name for name, one in device.tags.items() if one.writable)
    hint = f"writable here: {', '.join(can[:8])}" if can else "say `writable: true` in the site file and apply"
    if why and not can:
        hint = f"no tag of {device.path} is writable"
    return NexusError(f"{path} is not writable.", code="NX6803", cause=why, hint=hint)


async def _path_hint(control: ControlClient, path: str) -> str:
    """The likely path for a device, a dotted path, or a tag's bare name."""
    devices = [one.removeprefix("device.") for one in (await control.state()).digests if one.startswith("device.")]
    if path.count("/") == 2 and path in devices:
        found = (await control.resources([f"device.{path}"])).get(f"device.{path}")
        tags = device_from_json(found).tags if found is not None else {}
        can = sorted(name for name, one in tags.items() if one.writable)
        return f"writable there: {', '.join(can[:8])}" if can else "that is a device, and nothing of it is writable"
    if path.count(".") == 3 and "/" not in path and path.replace(".", "/").rpartition("/")[0] in devices:
        return f"did you mean {path.replace('.', '/')}?"
    if "*" in path:
        return "one tag at a time: area/line/device/tag"
    return "write area/line/device/tag; `nexus tail` shows every path"


async def _live(path: str, settings: Settings) -> tuple[Value, str]:
    try:
        found = await read(path, settings=settings)
    except NexusError as error:
        if error.code != "NX6520":
            raise
        return None, ""
    return found.value, found.quality
