"""A small server that plays the comments of GitHub's and GitLab's REST APIs, with pages, accounts and refusals."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_GITHUB = re.compile(r"/repos/acme/plant/issues/7/comments|/repos/acme/plant/issues/comments/(?P<id>\d+)")
_GITLAB = re.compile(r"/projects/42/merge_requests/7/notes(?:/(?P<id>\d+))?")


class Forge:
    """What the server holds.

    Attributes:
        comments: As the API gives them, oldest first.
        calls: Method and path of each call.
        account: Number of the token's account; None for a job's own token.
        refuses: Answers 403 to what writes.
    """

    def __init__(self, *, account: int | None = None) -> None:
        self.comments: list[dict[str, Any]] = []
        self.calls: list[tuple[str, str]] = []
        self.account = account
        self.refuses = False
        self.url = ""

    def add(self, body: str, *, author: int = 1, kind: str = "User") -> None:
        """A comment of somebody."""
        self.comments.append({"id": len(self.comments) + 1, "body": body, "user": {"id": author, "type": kind}})

    def answer(self, method: str, target: str, body: dict[str, Any], token: str) -> tuple[int, Any]:
        """Status and JSON of the answer to a call."""
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        self.calls.append((method, path))
        if token != "secret":
            return 401, {"message": "Bad credentials"}
        if path == "/user":
            return (200, {"id": self.account}) if self.account is not None else (403, {"message": "not by a job"})
        match = _GITHUB.fullmatch(path) or _GITLAB.fullmatch(path)
        if match is None:
            return 404, {"message": "Not Found"}
        if method == "GET":
            size, page = int(query["per_page"][0]), int(query["page"][0])
            return 200, self.comments[(page - 1) * size : page * size]
        if self.refuses:
            return 403, {"message": "Resource not accessible by integration"}
        if method == "POST" and match["id"] is None:
            self.add(body["body"], author=self.account or 99, kind="Bot" if self.account is None else "User")
            return 201, self.comments[-1]
        known = next(each for each in self.comments if each["id"] == int(match["id"]))
        assert method == ("PATCH" if "/repos/" in path else "PUT")
        known["body"] = body["body"]
        return 200, known


@contextmanager
def serving(forge: Forge) -> Iterator[Forge]:
    """The forge on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else {}
            token = self.headers.get("PRIVATE-TOKEN") or self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, answer = forge.answer(self.command, self.path, body, token)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = _any

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    forge.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield forge
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
