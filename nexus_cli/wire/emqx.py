"""The door to EMQX's REST API (5.8 to 6.x): the calls that a push of accounts and rules needs.

Every call may be done twice. Lists are read page by page; a name that occurs on two pages, because the table changed
meanwhile, counts once. Source: EMQX 5.8.9 and 5.10.4, `emqx_authn_api`, `emqx_authz_api_sources`,
`emqx_authz_api_mnesia`, `emqx_mgmt_api_clients`, `emqx_mgmt_api_subscriptions`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.emqx_request import EmqxRequests
from nexus_cli.wire.emqx_rows import Session as Session
from nexus_cli.wire.emqx_rows import Subscription as Subscription

PAGE = 500
MOST_PAGES = 10_000
AUTHENTICATOR = "password_based:built_in_database"
_USERS = f"/authentication/{quote(AUTHENTICATOR, safe='')}"
_SOURCES = "/authorization/sources"
_RULES = f"{_SOURCES}/built_in_database/rules/users"
_OLDEST, _NEWEST = (5, 8), 6
Plain = dict[str, Any]
Row = TypeVar("Row", bound=msgspec.Struct)


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user for `import_users`: hashed, never in clear text. Its representation shows no hash."""

    user_id: str
    password_hash: str
    salt: str
    is_superuser: bool = False

    def __repr__(self) -> str:
        return f"NewUser({self.user_id})"


class Emqx:
    """See the module. Use as `async with Emqx(requests) as emqx:`.

    Every method raises NexusError: NX7025 not reachable (retriable), NX7026 key refused, NX7027 another API, NX7028
    refused with EMQX's message.
    """

    def __init__(self, requests: EmqxRequests) -> None:
        """Over these requests, which it closes."""
        self._ask = requests
        self.url = requests.url

    async def __aenter__(self) -> Emqx:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._ask.close()

    async def version(self) -> str:
        """Version of the oldest node. Raises NX7027 when its API is not known here."""
        nodes = await self._list("GET", "/nodes")
        versions = [str(node.get("version", "")) for node in nodes]
        numbers = sorted((_numbers(text), text) for text in versions)
        if not numbers or numbers[0][0] < _OLDEST or numbers[-1][0][0] > _NEWEST:
            raise NexusError(
                f"EMQX at {self.url} has a version whose API is not known here: {', '.join(versions) or 'none'}.",
                code="NX7027",
            )
        return numbers[0][1]

    # --- who may connect ------------------------------------------------------------------------------------

    async def authenticators(self) -> list[Plain]:
        """All, in their order."""
        return await self._list("GET", "/authentication")

    async def create_authenticator(self, algorithm: Mapping[str, Any]) -> None:
        """Make the one for passwords of user names in the built-in database; one that exists stays as it is."""
        body = {
            "mechanism": "password_based",
            "backend": "built_in_database",
            "user_id_type": "username",
            "password_hash_algorithm": dict(algorithm),
            "enable": True,
        }
        await self._ask.call("POST", "/authentication", body=body, fine=(409,))

    async def users(self, like: str) -> dict[str, bool]:
        """Users whose name contains a text, all with ""; True for a superuser, whom EMQX lets do everything."""
        rows = self._rows(f"{_USERS}/users", {"like_user_id": like} if like else {})
        return {str(row.get("user_id", "")): row.get("is_superuser") is True async for row in rows}

    async def import_users(self, users: Sequence[NewUser]) -> None:
        """Make users, or give existing ones these passwords; connected clients stay.

        Raises:
            NexusError: Also NX7028 when EMQX skipped one.
        """
        answer = await self._ask.call(
            "POST", f"{_USERS}/import_users", params={"type": "hash"}, file=("users.json", msgspec.json.encode(users))
        )
        lost = _lost(answer, len(users)) if isinstance(answer, dict) else 0
        if lost:
            raise NexusError(f"EMQX at {self.url} did not take {lost:,} of {len(users):,} users.", code="NX7028")

    async def delete_user(self, name: str) -> None:
        """Remove a user; one that is gone already is no failure."""
        await self._ask.call("DELETE", f"{_USERS}/users/{_level(name)}", fine=(404,))

    # --- what they may do -----------------------------------------------------------------------------------

    async def sources(self) -> list[Plain]:
        """Authorization sources, in the order in which they are asked."""
        answer = await self._ask.call("GET", _SOURCES)
        return _plain_list(answer.get("sources") if isinstance(answer, dict) else None, self.url)

    async def create_source(self) -> None:
        """Make the built-in database a source, in front of all others; one that exists stays as it is."""
        if any(source.get("type") == "built_in_database" for source in await self.sources()):
            return
        await self._ask.call("POST", _SOURCES, body={"type": "built_in_database", "enable": True})

    async def move_source_to_front(self) -> None:
        """Have the built-in database asked first; the order of the others stays."""
        await self._ask.call("POST", f"{_SOURCES}/built_in_database/move", body={"position": "front"})

    async def set_max_rules(self, most: int) -> None:
        """Let an entry have so many rules; the rest of the source stays as it is."""
        source = next((one for one in await self.sources() if one.get("type") == "built_in_database"), {})
        body = {**source, "type": "built_in_database", "max_rules": most}
        await self._ask.call("PUT", f"{_SOURCES}/built_in_database", body=body)

    async def file_rules(self) -> str:
        """Text of the file source; "" when there is none."""
        answer = await self._ask.call("GET", f"{_SOURCES}/file", fine=(404,))
        return str(answer.get("rules", "")) if isinstance(answer, dict) else ""

    async def put_file_rules(self, text: str) -> None:
        """Replace the file source's text; a text that EMQX can't read changes nothing (NX7028)."""
        await self._ask.call("PUT", f"{_SOURCES}/file", body={"type": "file", "enable": True, "rules": text})

    async def rules(self, like: str) -> dict[str, list[Plain]]:
        """Entries of the built-in database by user name, of names that contain a text, all with ""."""
        found: dict[str, list[Plain]] = {}
        async for row in self._rows(_RULES, {"like_username": like} if like else {}):
            found[str(row.get("username", ""))] = _plain_list(row.get("rules"), self.url)
        return found

    async def client_rules(self) -> dict[str, list[Plain]]:
        """Entries of the built-in database by client id."""
        found: dict[str, list[Plain]] = {}
        async for row in self._rows(f"{_SOURCES}/built_in_database/rules/clients", {}):
            found[str(row.get("clientid", ""))] = _plain_list(row.get("rules"), self.url)
        return found

    async def put_rules(self, name: str, rules: Sequence[Plain]) -> None:
        """Make or replace the whole entry of a user."""
        body = {"username": name, "rules": list(rules)}
        await self._ask.call("PUT", f"{_RULES}/{_level(name)}", body=body)

    async def delete_rules(self, name: str) -> None:
        """Remove the entry of a user; one that is gone already is no failure."""
        await self._ask.call("DELETE", f"{_RULES}/{_level(name)}", fine=(404,))

    async def rules_for_all(self) -> list[Plain]:
        """Rules of the built-in database for every user."""
        answer = await self._ask.call("GET", f"{_SOURCES}/built_in_database/rules/all", fine=(404,))
        return _plain_list(answer.get("rules") if isinstance(answer, dict) else [], self.url)

    async def settings(self) -> Plain:
        """`no_match`, `deny_action` and `cache` of authorization."""
        answer = await self._ask.call("GET", "/authorization/settings")
        return answer if isinstance(answer, dict) else {}

    async def put_settings(self, settings: Mapping[str, Any]) -> None:
        """Replace them; they concern every client of the cluster."""
        await self._ask.call("PUT", "/authorization/settings", body=dict(settings))

    async def clear_cache(self) -> None:
        """Have every node compute its decisions again; a switched-off cache is no failure."""
        await self._ask.call("DELETE", "/authorization/cache", fine=(404,))

    # --- who is connected -----------------------------------------------------------------------------------

    async def sessions(self, name: str) -> list[Session]:
        """Sessions of a user, kept ones included."""
        rows = [row async for row in self._rows("/clients", {"username": name})]
        return [session for session in self._read(rows, Session) if session.username == name]

    async def clients(self, *, most: int) -> list[Session]:
        """Every session, kept ones included. Raises NexusError NX7027 also when there are more than `most`."""
        return self._read(await self._some("/clients", most), Session)

    async def subscriptions(self, *, most: int) -> list[Subscription]:
        """What every client subscribed to. Raises NexusError NX7027 also when there are more than `most`."""
        return self._read(await self._some("/subscriptions", most), Subscription)

    async def kick(self, client_id: str) -> None:
        """End a session, with its subscriptions and what waits in it; one that is gone already is no failure."""
        if not client_id.strip("."):  # `.` and `..` are no levels of a path (RFC 3986 §5.2.4)
            await self._ask.call("POST", "/clients/kickout/bulk", body=[client_id])
            return
        await self._ask.call("DELETE", f"/clients/{_level(client_id)}", fine=(404,))

    # --- pages ----------------------------------------------------------------------------------------------

    async def _list(self, method: str, path: str) -> list[Plain]:
        return _plain_list(await self._ask.call(method, path), self.url)

    async def _some(self, path: str, most: int) -> list[Plain]:
        rows = []
        async for row in self._rows(path, {}):
            rows.append(row)
            if len(rows) > most:
                raise NexusError(f"EMQX at {self.url} has more than {most:,} {path.strip('/')}.", code="NX7027")
        return rows

    def _read(self, rows: list[Plain], kind: type[Row]) -> list[Row]:
        try:
            return msgspec.convert(rows, list[kind])  # type: ignore[valid-type]
        except msgspec.MsgspecError as error:
            raise _other_api(self.url, str(error)) from None

    async def _rows(self, path: str, params: Mapping[str, str]) -> AsyncIterator[Plain]:
        for page in range(1, MOST_PAGES + 1):
            query = {**params, "page": str(page), "limit": str(PAGE)}
            answer = await self._ask.call("GET", path, params=query)
            if not isinstance(answer, dict):
                raise _other_api(self.url, f"GET {path}: not an object")
            rows = _plain_list(answer.get("data"), self.url)
            for row in rows:
                yield row
            meta = answer.get("meta")
            more = meta.get("hasnext", len(rows) == PAGE) if isinstance(meta, dict) else len(rows) == PAGE
            if not more or not rows:
                return
        raise _other_api(self.url, f"GET {path}: it does not end")


def _lost(answer: Mapping[str, Any], sent: int) -> int:
    """How many users an import did not take, by each of its counts that is there."""
    count = {name: found for name, found in answer.items() if type(found) is int}
    taken = count.get("success", sent) + count.get("override", 0)
    return max(count.get("failed", 0) + count.get("skipped", 0), sent - taken, 0)


def _plain_list(value: object, url: str) -> list[Plain]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise _other_api(url, "a list was expected")
    return value


def _other_api(url: str, cause: str) -> NexusError:
    return NexusError(f"EMQX at {url} gave an answer that can't be read here.", code="NX7027", cause=cause)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version)[:3]) or (0,)


def _level(text: str) -> str:
    return quote(text, safe="")
