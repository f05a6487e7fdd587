"""EMQX's REST API as far as a push uses it, on a loopback port: answers, limits and errors as 5.8 gives them.

It can be cut at any request (before or after it was carried out), be busy, and hold other tenants' users and rules. Its
MQTT side is `tests/emqx_mqtt.py`, which decides by the same state.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

KEY, SECRET = "push-key", "planted-api-secret-5c1d"
DATABASE = "built_in_database"
Answer = tuple[int, Any]


@dataclass
class Session:
    """A client's session."""

    clientid: str
    username: str
    connected_at: str = "2026-12-01T06:00:00.000+00:00"
    connected: bool = True


@dataclass
class State:
    """All that a cluster keeps; plain data, so that two can be compared."""

    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    client_rules: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    for_all: list[dict[str, Any]] = field(default_factory=list)
    authenticators: list[dict[str, Any]] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    subscriptions: list[tuple[str, str]] = field(default_factory=list)
    file: str = "{allow, all}.\n"


def shared_state() -> State:
    """A cluster with its settings made, and nobody on it."""
    return State(
        authenticators=[authenticator()],
        sources=[{"type": DATABASE, "enable": True, "max_rules": 100}],
        settings={"no_match": "deny", "deny_action": "ignore", "cache": {"enable": True, "max_size": 32, "ttl": "1m"}},
    )


def authenticator(**algorithm: Any) -> dict[str, Any]:
    """The one for passwords."""
    return {
        "id": f"password_based:{DATABASE}",
        "mechanism": "password_based",
        "backend": DATABASE,
        "user_id_type": "username",
        "enable": True,
        "password_hash_algorithm": algorithm or {"name": "pbkdf2", "mac_fun": "sha256", "iterations": 20_000},
    }


class EmqxServer:
    """See the module.

    Attributes:
        state: What it keeps.
        log: Method and path of each request that arrived.
        bodies: What they carried, as bytes.
        cleared: How often the cache was cleared.
        cut_at: Number of the request (from 1) at which connections end; None never. With `cut_for` requests from there.
        cut_after: Whether that request is carried out first.
        busy: Statuses (and Retry-After) that the next requests get instead of an answer.
        watch: Called with the state after each request that changed something.
        page_limit: Largest page that it gives.
        delay_s: How long each answer takes.
        lingering: How often a kicked session is still listed.
    """

    def __init__(self, state: State | None = None, *, version: str = "5.8.9") -> None:
        self.state = state or shared_state()
        self.version = version
        self.log: list[tuple[str, str]] = []
        self.bodies: list[bytes] = []
        self.cleared = 0
        self.cut_at: int | None = None
        self.cut_for, self.cut_after = 1_000, False
        self.busy: list[tuple[int, str]] = []
        self.watch: Callable[[State], None] = lambda _state: None
        self.page_limit = 10_000
        self.delay_s = 0.0
        self.lingering = 0
        self.lingers: dict[str, tuple[Session, int]] = {}
        self._lock = threading.Lock()
        self.url = ""

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Requests that may change something."""
        return [each for each in self.log if each[0] != "GET"]

    @contextlib.contextmanager
    def running(self) -> Iterator[EmqxServer]:
        """Listening, for the length of a block."""
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args: Any) -> None:
                pass

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                with api._lock:
                    found = api._receive(self.command, self.path, body, dict(self.headers.items()))
                if found is None:
                    self.close_connection = True
                    return
                time.sleep(api.delay_s)
                status, answer, headers = found
                data = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # the client did not wait
                    self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = _serve

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join(10)

    def _receive(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, Any, dict[str, str]] | None:
        self.log.append((method, path))
        self.bodies.append(body)
        cut = self.cut_at is not None and self.cut_at <= len(self.log) < self.cut_at + self.cut_for
        if cut and not (self.cut_after and len(self.log) == self.cut_at):
            return None
        if self.busy:
            status, after = self.busy.pop(0)
            return status, {"code": "BUSY"}, {"retry-after": after} if after else {}
        given = {name.lower(): value for name, value in headers.items()}
        expected = "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
        if given.get("authorization") != expected:
            return 401, {"code": "BAD_API_KEY_OR_SECRET", "message": "Check api_key/api_secret"}, {}
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        before = copy.deepcopy(self.state)
        status, answer = self._answer(method, parts.path.removeprefix("/api/v5"), query, body, given)
        if self.state != before:
            self.watch(self.state)
        return None if cut else (status, answer, {})

    def _answer(self, method: str, path: str, query: dict[str, str], body: bytes, headers: dict[str, str]) -> Answer:
        for verb, pattern, call in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match is not None and verb == method:
                upload = headers.get("content-type", "").startswith("multipart/")
                data = _upload(body, headers) if upload else json.loads(body) if body else None
                return call(self, [unquote(each) for each in match.groups()], query, data)
        return 404, {"code": "NOT_FOUND", "message": f"{method} {path}"}

    def _page(self, rows: list[dict[str, Any]], query: dict[str, str]) -> Answer:
        page, limit = int(query.get("page", 1)), min(int(query.get("limit", 100)), self.page_limit)
        start = (page - 1) * limit
        meta = {"page": page, "limit": limit, "count": len(rows), "hasnext": start + limit < len(rows)}
        return 200, {"data": rows[start : start + limit], "meta": meta}

    # --- authentication -------------------------------------------------------------------------------------

    def _nodes(self, _names: list[str], _query: dict[str, str], _data: Any) -> Answer:
        return 200, [{"node": "emqx@10.0.0.1", "version": self.version, "node_status": "running"}]

    def _authenticators(self, _names: list[str], _query: dict[str, str], _data: Any) -> Answer:
        return 200, self.state.authenticators

    def _new_authenticator(self, _names: list[str], _query: dict[str, str], data: Any) -> Answer:
        made = {"id": f"{data['mechanism']}:{data['backend']}", **data}
        if any(one["id"] == made["id"] for one in self.state.authenticators):
            return 409, {"code": "ALREADY_EXISTS", "message": "it exists"}
        self.state.authenticators.append(made)
        return 200, made

    def _users(self, _names: list[str], query: dict[str, str], _data: Any) -> Answer:
        if not self.state.authenticators:
            return 404, {"code": "NOT_FOUND", "message": "no authenticator"}
        like = query.get("like_user_id", "")
        users = {name: user for name, user in sorted(self.state.users.items()) if like in name}
        rows = [{"user_id": name, "is_superuser": user["is_superuser"]} for name, user in users.items()]
        return self._page(rows, query)

    def _import(self, _names: list[str], query: dict[str, str], data: Any) -> Answer:
        if query.get("type") != "hash" or not self.state.authenticators:
            return 400, {"code": "BAD_REQUEST", "message": "bad import"}
        overridden = 0
        for user in data:
            if not user["user_id"] or not user["password_hash"]:
                return 400, {"code": "BAD_REQUEST", "message": "bad_format"}
            overridden += user["user_id"] in self.state.users
            self.state.users[user["user_id"]] = {name: user[name] for name in ("password_hash", "salt", "is_superuser")}
        new = len(data) - overridden
        return 200, {"total": len(data), "success": new, "override": overridden, "skipped": 0, "failed": 0}

    def _no_user(self, names: list[str], _query: dict[str, str], _data: Any) -> Answer:
        if self.state.users.pop(names[0], None) is None:
            return 404, {"code": "NOT_FOUND", "message": "User not found"}
        return 204, None

    # --- authorization --------------------------------------------------------------------------------------

    def _sources(self, _names: list[str], _query: dict[str, str], _data: Any) -> Answer:
        return 200, {"sources": self.state.sources}

    def _new_source(self, _names: list[str], _query: dict[str, str], data: Any) -> Answer:
        if any(one["type"] == data["type"] for one in self.state.sources):
            return 400, {"code": "ALREADY_EXISTS", "message": "duplicated_authz_source_type"}
        self.state.sources.insert(0, {"max_rules": 100, **data})
        return 204, None

    def _put_source(self, names: list[str], _query: dict[str, str], data: Any) -> Answer:
        for place, one in enumerate(self.state.sources):
            if one["type"] == names[0]:
                if names[0] == "file":
                    if not data["rules"].rstrip().endswith("."):
                        return 400, {"code": "BAD_REQUEST", "message": "bad_acl_file_content"}
                    self.state.file = data["rules"]
                else:
                    self.state.sources[place] = data
                return 204, None
        return 404, {"code": "NOT_FOUND", "message": "no such source"}

    def _file(self, _names: list[str], _query: dict[str, str], _data: Any) -> Answer:
        if not any(one["type"] == "file" for one in self.state.sources):
            return 404, {"code": "NOT_FOUND", "message": "no such source"}
        return 200, {"type": "file", "enable": True, "rules": self.state.file}

    def _move(self, names: list[str], _query: dict[str, str], data: Any) -> Answer:
        assert data == {"position": "front"}
        self.state.sources.sort(key=lambda one: one["type"] != names[0])
        return 204, None

    def _rules(self, _names: list[str], query: dict[str, str], _data: Any) -> Answer:
        like = query.get("like_username", "")
        names = [name for name in sorted(self.state.rules) if like in name]
        return self._page([{"username": name, "rules": self.state.rules[name]} for name in names], query)

    def _client_rules(self, _names: list[str], query: dict[str, str], _data: Any) -> Answer:
        rules = sorted(self.state.client_rules.items())
        return self._page([{"clientid": name, "rules": each} for name, each in rules], query)

    def _put_rules(self, names: list[str], _query: dict[str, str], data: Any) -> Answer:
        most = next((one["max_rules"] for one in self.state.sources if one["type"] == DATABASE), None)
        if most is None:
            return 404, {"code": "NOT_FOUND", "message": "no such source"}
        if data["username"] != names[0]:
            return 400, {"code": "BAD_REQUEST", "message": "username differs"}
        if len(data["rules"]) > most:
            return 400, {"code": "BAD_REQUEST", "message": f"The maximum number of rules is {most}"}
        self.state.rules[names[0]] = data["rules"]
        return 204, None

    def _no_rules(self, names: list[str], _query: dict[str, str], _data: Any) -> Answer:
        if self.state.rules.pop(names[0], None) is None:
            return 404, {"code": "NOT_FOUND", "message": "username not found"}
        return 204, None

    def _for_all(self, _names: list[str], _query: dict[str, str], _data: Any) -> Answer:
        return 200, {"rules": self.state.for_all}

    def _settings(self, _names: list[str], _query: dict[str, str], _data: Any) -> Answer:
        return 200, self.state.settings

    def _put_settings(self, _names: list[str], _query: dict[str, str], data: Any) -> Answer:
        self.state.settings = data
        return 200, data

    def _clear(self, _names: list[str], _query: dict[str, str], _data: Any) -> Answer:
        self.cleared += 1
        return 204, None

    # --- clients --------------------------------------------------------------------------------------------

    def _clients(self, _names: list[str], query: dict[str, str], _data: Any) -> Answer:
        for name, (_, left) in list(self.lingers.items()):
            self.lingers[name] = (self.lingers[name][0], left - 1)
            if left <= 0:
                del self.lingers[name]
        listed = [*self.state.sessions.values(), *(session for session, _ in self.lingers.values())]
        return self._page([vars(one) for one in listed if one.username == query.get("username", one.username)], query)

    def _subscriptions(self, _names: list[str], query: dict[str, str], _data: Any) -> Answer:
        rows = [
            {"clientid": client, "topic": topic, "qos": 1, "node": "emqx@10.0.0.1", "nl": 0, "rap": 0, "rh": 0}
            for client, topic in self.state.subscriptions
        ]
        return self._page(rows, query)

    def _kick_all(self, _names: list[str], query: dict[str, str], data: Any) -> Answer:
        for name in data:
            self._kick([name], query, None)
        return 204, None

    def _kick(self, names: list[str], _query: dict[str, str], _data: Any) -> Answer:
        session = self.state.sessions.pop(names[0], None)
        if session is None:
            return 404, {"code": "CLIENTID_NOT_FOUND", "message": "Client ID not found"}
        if self.lingering:
            self.lingers[names[0]] = (session, self.lingering)
        return 204, None


_Call = Callable[[EmqxServer, list[str], dict[str, str], Any], Answer]
_AUTH, _AUTHZ = r"/authentication/password_based%3Abuilt_in_database", "/authorization/sources"
_ENTRIES = rf"{_AUTHZ}/built_in_database/rules"
_ROUTES: list[tuple[str, str, _Call]] = [
    ("GET", "/nodes", EmqxServer._nodes),
    ("GET", "/authentication", EmqxServer._authenticators),
    ("POST", "/authentication", EmqxServer._new_authenticator),
    ("GET", rf"{_AUTH}/users", EmqxServer._users),
    ("POST", rf"{_AUTH}/import_users", EmqxServer._import),
    ("DELETE", rf"{_AUTH}/users/([^/]+)", EmqxServer._no_user),
    ("GET", _AUTHZ, EmqxServer._sources),
    ("POST", _AUTHZ, EmqxServer._new_source),
    ("GET", rf"{_AUTHZ}/file", EmqxServer._file),
    ("PUT", rf"{_AUTHZ}/([a-z_]+)", EmqxServer._put_source),
    ("POST", rf"{_AUTHZ}/([a-z_]+)/move", EmqxServer._move),
    ("GET", rf"{_ENTRIES}/users", EmqxServer._rules),
    ("PUT", rf"{_ENTRIES}/users/([^/]+)", EmqxServer._put_rules),
    ("DELETE", rf"{_ENTRIES}/users/([^/]+)", EmqxServer._no_rules),
    ("GET", rf"{_ENTRIES}/clients", EmqxServer._client_rules),
    ("GET", rf"{_ENTRIES}/all", EmqxServer._for_all),
    ("GET", "/authorization/settings", EmqxServer._settings),
    ("PUT", "/authorization/settings", EmqxServer._put_settings),
    ("DELETE", "/authorization/cache", EmqxServer._clear),
    ("GET", "/clients", EmqxServer._clients),
    ("GET", "/subscriptions", EmqxServer._subscriptions),
    ("POST", "/clients/kickout/bulk", EmqxServer._kick_all),
    ("DELETE", "/clients/([^/]+)", EmqxServer._kick),
]


def _upload(body: bytes, headers: dict[str, str]) -> Any:
    message = BytesParser().parsebytes(b"content-type: " + headers["content-type"].encode() + b"\r\n\r\n" + body)
    part = next(each for each in message.walk() if each.get_filename())
    assert part.get_param("name", header="content-disposition") == "filename"
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    return json.loads(data)
