"""The door to Mosquitto's dynamic security plug-in over MQTT: five questions, and no command that changes anything.

One question is open at a time. The answer is put together in the form of the plug-in's own file, without passwords: only the
keys that say who may do what are taken over, whatever else a version answers.

Source: Mosquitto 2.0 `plugins/dynamic-security`, `README.md` and `plugin.c`; the answers of 2.0.11.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Literal

import orjson

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.printable import one_line
from nexus_cli.settings import Settings
from nexus_cli.wire.client import BrokerClient
from nexus_cli.wire.identity import client_id
from nexus_cli.wire.message import Message

Question = Literal["getDefaultACLAccess", "getAnonymousGroup", "listRoles", "listGroups", "listClients"]
ASKED = "$CONTROL/dynamic-security/v1"
ANSWERED = f"{ASKED}/response"
PAGE = 500
"""Entries of one answer."""
MOST_PAGES = 2_000
ANSWER_S = 15.0
"""Longest wait for one answer."""
_KEPT: Mapping[str, tuple[str, ...]] = {
    "roles": ("rolename", "acls"),
    "groups": ("groupname", "roles"),
    "clients": ("username", "clientid", "disabled", "roles", "groups"),
}
_NAMES = {"roles": "rolename", "groups": "groupname", "clients": "username"}
_LISTS: Mapping[str, Question] = {"roles": "listRoles", "groups": "listGroups", "clients": "listClients"}
Plain = dict[str, Any]


async def read_dynamic_security(settings: Settings, *, answer_s: float = ANSWER_S) -> Plain:
    """Everything that the plug-in has, as its file has it, without passwords.

    Args:
        settings: Address, user and password of an administrator of the plug-in.
        answer_s: Longest wait for one answer.

    Raises:
        NexusError: NX6010, NX6011, NX6012 the broker; NX4204 it does not answer, NX4205 its answer can't be read,
            NX4206 something was changed meanwhile.
    """
    client = BrokerClient(settings=settings, client_id=client_id(settings, "adopt"))
    async with client.session() as messages:
        await client.subscribe([(ANSWERED, 1)])
        asking = _Asking(client, messages, answer_s)
        found = await _everything(asking)
        if await _everything(asking) != found:  # a user that changed its role between two lists would get both
            raise _changed(asking.url)
        return found


async def _everything(asking: _Asking) -> Plain:
    defaults = _rows((await asking.data("getDefaultACLAccess")).get("acls"), asking.url)
    anonymous = (await asking.data("getAnonymousGroup")).get("group")
    lists = {kind: await _list(asking, kind) for kind in _LISTS}
    return {
        "defaultACLAccess": {str(one.get("acltype")): one.get("allow") is True for one in defaults},
        "anonymousGroup": str((anonymous if isinstance(anonymous, dict) else {}).get("groupname") or ""),
        "roles": lists["roles"],
        "groups": _with_users(lists["groups"], lists["clients"]),
        "clients": [{key: value for key, value in one.items() if key != "groups"} for one in lists["clients"]],
    }


def _with_users(groups: Iterable[Plain], clients: Iterable[Plain]) -> list[Plain]:
    """The groups with their users: a client says the priority of its groups, a group does not say that of its clients."""
    users: dict[str, list[Plain]] = {}
    for client in clients:
        for group in client.get("groups") or []:
            member = {"username": client["username"], **{key: group[key] for key in ("priority",) if key in group}}
            users.setdefault(str(group.get("groupname")), []).append(member)
    return [{**group, "clients": users.get(str(group["groupname"]), [])} for group in groups]


async def _list(asking: _Asking, kind: str) -> list[Plain]:
    """Every entry of one list, page by page, in the order of the broker."""
    found: dict[str, Plain] = {}
    total = -1
    for _ in range(MOST_PAGES):
        data = await asking.data(_LISTS[kind], verbose=True, count=PAGE, offset=len(found))
        rows = _rows(data.get(kind), asking.url)
        if total not in (-1, data.get("totalCount")) or not isinstance(data.get("totalCount"), int):
            raise _changed(asking.url)
        total = data["totalCount"]
        for row in rows:
            found[_name(row, kind, asking.url)] = {key: row[key] for key in _KEPT[kind] if key in row}
        if len(found) >= total or not rows:
            break
    if len(found) != total:
        raise _changed(asking.url)
    return list(found.values())


class _Asking:
    """One question after the other over an open session.

    Attributes:
        url: Of the broker, for messages.
    """

    def __init__(self, client: BrokerClient, messages: AsyncIterator[Message], answer_s: float) -> None:
        self.url = str(client.url)
        self._client, self._messages, self._answer_s = client, messages, answer_s

    async def data(self, question: Question, **more: object) -> Plain:
        """The answer to a question; others' answers, which come on the same topic, are passed over."""
        mark = secrets.token_hex(8)
        asked = {"commands": [{"command": question, "correlationData": mark, **more}]}
        try:
            async with asyncio.timeout(self._answer_s):
                await self._client.publish(ASKED, orjson.dumps(asked), qos=1)
                async for message in self._messages:
                    answer = _marked(message, question, mark, self.url)
                    if answer is not None:
                        return _data(answer, question, self.url)
        except TimeoutError:
            pass
        raise NexusError(
            f"The broker at {self.url} does not answer questions about its dynamic security.",
            code="NX4204",
            cause=f"no answer to {question} within {self._answer_s:g} s",
            retriable=True,
        )


def _marked(message: Message, question: str, mark: str, url: str) -> Plain | None:
    if message.topic != ANSWERED:
        return None
    try:
        responses = orjson.loads(message.payload)["responses"]
    except (ValueError, KeyError, TypeError):
        raise _unreadable(url, question, "it is not the plug-in's JSON") from None
    for each in _rows(responses, url):
        if each.get("correlationData") == mark:
            return each
    return None


def _data(answer: Plain, question: str, url: str) -> Plain:
    if "error" in answer:
        raise _unreadable(url, question, one_line(str(answer["error"]))[:200])
    data = answer.get("data")
    if not isinstance(data, dict):
        raise _unreadable(url, question, "it has no data")
    return data


def _rows(value: object, url: str) -> list[Plain]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise _unreadable(url, "a question", "a list was expected")
    return value


def _name(row: Plain, kind: str, url: str) -> str:
    name = row.get(_NAMES[kind])
    if not isinstance(name, str):
        raise _unreadable(url, _LISTS[kind], "an entry has no name")
    return name


def _unreadable(url: str, question: str, cause: str) -> NexusError:
    """An answer is never repeated: it may hold a secret."""
    return NexusError(f"The answer of the broker at {url} can't be read.", code="NX4205", cause=f"{question}: {cause}")


def _changed(url: str) -> NexusError:
    return NexusError(
        f"The rights of the broker at {url} were changed while they were read.", code="NX4206", retriable=True
    )
