"""Commands for the callers of web: checked as `nexus write` checks them, sent once under web's name with the caller's in it.

The rights are looked up right before: the broker checks web's rights and not the caller's, so this look is the caller's
whole bound. See docs/decisions/0077.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from typing import Any, NamedTuple

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.registry import kinds
from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.model.proof import proof_s
from nexus_cli.model.write_check import (
    TAG_LEVELS,
    Judged,
    expected,
    judge,
    no_device,
    no_tag_path,
    tag_to_write,
    writable_tags,
)
from nexus_cli.runtime.identity.auth import Caller
from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.runtime.web.site_view import SiteView
from nexus_cli.wire.command import LONGEST_REASON, Response, State
from nexus_cli.wire.control import Failure
from nexus_cli.wire.sample import Quality
from nexus_cli.wire.web_steering import LONGEST_S, USUAL_S, DryRun

MOST_WAITING = 8
"""Commands of one caller that wait for their answers (policy: refuse the newest)."""
MOST_WAITING_TOGETHER = 256
"""Of all callers together; as many as a gateway takes."""
LARGE_DEVICE = 64 * 1024
"""Bytes of a device's configuration that are read on the loop; a larger one is read in a thread."""
SCOPE = "values:write"


class _Sendable(NamedTuple):
    """A command that may be sent.

    Attributes:
        path: `area/line/device/tag`.
        device, tag: As recorded.
        judged: What is written.
        expect: What the tag must hold before; UNSET asks for nothing.
        may_read: Whether the caller may see the tag's value.
    """

    path: str
    device: DeviceConfig
    tag: TagConfig
    judged: Judged
    expect: Any
    may_read: bool


async def send_command(
    parts: WebParts,
    caller: Caller,
    *,
    path: str,
    value: Any,
    expect: Any = msgspec.UNSET,
    reason: str = "",
    timeout_s: float = USUAL_S,
    wish_id: str = "",
) -> Response:
    """Write one value to one tag for a caller, and wait for the answer of the device's gateway. It is never sent twice.

    Args:
        parts: Of this web.
        caller: Who asks; his rights are looked up again.
        path: `area/line/device/tag`.
        value: In the published unit; a text is read as a person types it.
        expect: What the tag must hold right before; UNSET asks for nothing.
        reason: For the audit trail, at most 500 characters.
        timeout_s: The command expires after this, above 0 and at most 60 s; the answer may come some seconds later, and
            later by the tag's `read_back_timeout`.
        wish_id: Of the caller's choice: the gateway carries out the same wish under the same id once, and answers it again;
            "" makes one.

    Returns:
        The gateway's answer; `refused` NX6812 when the gateway is known to be away, `unknown` NX6819 when none came.

    Raises:
        NexusError: It was not sent. NX6802 no such tag, NX6803 not writable, NX6804 out of service, NX6805 to NX6807 the
            value, NX6403 or NX6421 no right, NX6931 too many wait, NX6932 the rights can't be looked up, NX6405 the
            reason or time is out of bounds, NX6010 the broker is away, NX64xx the caller's token has ended.
    """
    if not 0 < timeout_s <= LONGEST_S or len(reason) > LONGEST_REASON:
        raise NexusError(
            f"A command lives more than 0 and at most {LONGEST_S:g} s, and its reason has at most {LONGEST_REASON} characters.",
            code="NX6405",
        )
    caller = await _looked_up(parts, caller)
    found = await _sendable(parts, caller, path=path, value=value, expect=expect)
    _refuse_many(parts, caller)
    away = _gateway_away(parts, found.device.gateway)
    if away:
        return Response(id="", state=State.REFUSED, path=found.path, code="NX6812", detail=away)
    command_id = _command_id(caller, wish_id)
    if parts.sender.awaits(command_id):
        raise NexusError(
            "This command waits for its answer already.", code="NX6931", hint="ask again under its id later"
        )
    answer = await parts.sender.write(
        found.path,
        command_id=command_id,
        value=found.judged.value,
        expect=None if found.expect is msgspec.UNSET else found.expect,
        expects=found.expect is not msgspec.UNSET,
        timeout_s=timeout_s,
        reason=reason,
        asked_by=caller.principal,
        gateway=found.device.gateway,
        proof_s=proof_s(found.tag),
    )
    return answer if found.may_read else _without_held(answer)


_SAYS_VALUE = {
    "NX6813": "the tag does not hold what was expected",
    "NX6815": "the device took the write, and then held another value",
}
"""Codes whose detail has what the tag holds, and what a caller reads that may not see it."""


def _without_held(answer: Response) -> Response:
    """The answer for a caller that may write the tag and not read it: nothing of what the tag holds, also not in words."""
    detail = _SAYS_VALUE.get(answer.code, answer.detail)
    return msgspec.structs.replace(answer, old=None, read_back=None, detail=detail)


async def dry_run(parts: WebParts, caller: Caller, *, path: str, value: Any, expect: Any = msgspec.UNSET) -> DryRun:
    """What `send_command` would do, without sending. Raises NexusError where the caller may not even know of the tag."""
    caller = await _looked_up(parts, caller)
    try:
        found = await _sendable(parts, caller, path=path, value=value, expect=expect)
    except NexusError as error:
        if error.code in ("NX6802", "NX6403", "NX6421"):
            raise
        refusal = Failure(code=error.code, message=error.message, hint=error.hint, cause=error.cause)
        tag = parts.keeper.view.by_path[path.strip("/")]
        rights = await parts.callers.rights(parts.keeper.view, caller)
        old = _old(parts, tag.path) if rights.may_read(tag) else None
        return DryRun(path=tag.path, old=old, unit=tag.unit, refusal=refusal)
    away = _gateway_away(parts, found.device.gateway)
    return DryRun(
        path=found.path,
        old=_old(parts, found.path) if found.may_read else None,
        will_be=found.judged.will_be,
        unit=found.tag.publish_unit,
        refusal=Failure(code="NX6812", message=f"{away[:1].upper()}{away[1:]}.") if away else None,
    )


async def _looked_up(parts: WebParts, caller: Caller) -> Caller:
    """The caller as the record says now, after a look at what is deployed: what was remembered may have been taken away.

    Raises:
        NexusError: NX6932, NX6403, NX6421, or why the token holds no more.
    """
    try:
        caller = await parts.callers.again(caller)
    except NexusError as error:
        if error.code.startswith("NX62"):
            raise _not_looked_up(error.message) from None
        raise
    await parts.keeper.look()
    if parts.keeper.problem:
        raise _not_looked_up(parts.keeper.problem)
    if not caller.may(SCOPE):
        code = "NX6421" if SCOPE in caller.held.scopes else "NX6403"
        whose = "This token of " if code == "NX6421" else ""
        raise NexusError(f"{whose}{caller.principal} may not write.", code=code, cause=f"needs the scope {SCOPE}")
    return caller


def _command_id(caller: Caller, wish_id: str) -> str:
    """Ids are one caller's own: no caller meets the command of another by its id."""
    if not wish_id:
        return f"web-{secrets.token_hex(12)}"
    own = f"{caller.principal}\0{wish_id}".encode()
    return f"web-{hashlib.blake2b(own, digest_size=16).hexdigest()}"


def _not_looked_up(why: str) -> NexusError:
    return NexusError(
        "Nothing was sent: the rights can't be looked up.",
        code="NX6932",
        cause=why,
        hint="rights are in the database; write again when it answers",
        retriable=True,
    )


async def _sendable(parts: WebParts, caller: Caller, *, path: str, value: Any, expect: Any) -> _Sendable:
    """Look a tag up, and check what the gateway would check. Raises NexusError as `send_command`."""
    view = parts.keeper.view
    rights = await parts.callers.rights(view, caller)
    path = (parts.topics.path(path) or path).strip("/")
    device = await _device(view, rights, path)
    tag_view = view.by_path.get(path)
    if tag_view is not None and not (rights.may_read(tag_view) or rights.may_write(tag_view)):
        tag_view = None  # as one that is not there
    if tag_view is None:
        seen = {tag.name for tag in _known_tags(view, rights, device.path)}
        shown = {name: tag for name, tag in device.tags.items() if name in seen}
        tag_to_write(path, msgspec.structs.replace(device, tags=shown), kinds())
        raise NexusError(f"There is no tag '{path[:200]}'.", code="NX6802")
    try:
        tag = tag_to_write(path, device, kinds())
    except NexusError as error:
        topic = parts.topics.tag(path)
        if error.code == "NX6803" and rights.may_publish(topic) and not rights.everything:
            hint = f"publish on {topic} at the broker under your own name, as your role says"
            raise NexusError(error.message, code=error.code, cause=error.cause, hint=hint) from None
        raise
    if not rights.may_write(tag_view):
        raise NexusError(
            f"{caller.principal} may not write {path}.",
            code="NX6403",
            hint=f"a role with `write: [{path}]`, given to this user and applied",
        )
    judged = judge(path, tag, value)
    wanted = expect if expect is msgspec.UNSET else expected(tag, expect)
    return _Sendable(path, device, tag, judged, wanted, rights.may_read(tag_view))


async def _device(view: SiteView, rights: CallerRights, path: str) -> DeviceConfig:
    """The device of a tag's path, as far as the caller may know of it. Raises NexusError NX6802."""
    known = [each for each in view.devices if _known_tags(view, rights, each)] if _is_lost(view, rights, path) else []
    if path.count("/") != TAG_LEVELS - 1:
        device = await _decoded(view, path) if path in known else None
        raise no_tag_path(path, known, writable_tags(device) if device is not None else ())
    device_path = path.rpartition("/")[0]
    found = None if known else await _decoded(view, device_path)
    if found is None:
        raise no_device(device_path, known)
    return found


def _is_lost(view: SiteView, rights: CallerRights, path: str) -> bool:
    """True when the path leads to no device that the caller may know of: then the likely one is looked for."""
    return path.count("/") != TAG_LEVELS - 1 or not _known_tags(view, rights, path.rpartition("/")[0])


def _known_tags(view: SiteView, rights: CallerRights, device: str) -> list[Any]:
    found = view.devices.get(device)
    if found is None:
        return []
    return [tag for tag in view.tags[found.first : found.last] if rights.may_read(tag) or rights.may_write(tag)]


async def _decoded(view: SiteView, path: str) -> DeviceConfig | None:
    found = view.devices.get(path)
    if found is None or len(found.raw) <= LARGE_DEVICE:
        return view.device(path)
    return await asyncio.to_thread(view.device, path)


def _refuse_many(parts: WebParts, caller: Caller) -> None:
    if parts.sender.waiting_for(caller.principal) >= MOST_WAITING or parts.sender.waiting >= MOST_WAITING_TOGETHER:
        raise NexusError(
            f"{MOST_WAITING} commands of {caller.principal} wait for their answers.",
            code="NX6931",
            hint="wait for the answers of the commands before",
            retriable=True,
        )


class _Health(msgspec.Struct):
    state: str = ""


_health = msgspec.json.Decoder(_Health)


def _gateway_away(parts: WebParts, gateway: str) -> str:
    """Why no gateway would answer, as its own last message says; "" when nothing is known against it."""
    slot = parts.cache.known(parts.topics.health("gateway", gateway))
    payload = parts.cache.payload(slot) if slot is not None else None
    if not payload:
        return ""
    try:
        state = _health.decode(payload).state
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    words = {"lost": "is lost", "stopping": "has stopped"}.get(state)
    return f"gateway {gateway} {words}" if words else ""


def _old(parts: WebParts, path: str) -> Any:
    """The newest value; None when there is none or it is BAD."""
    slot = parts.cache.known(parts.topics.tag(path))
    newest = parts.cache.read(slot) if slot is not None else None
    return None if newest is None or newest.quality is Quality.BAD else newest.value
