"""A small OpenID provider on loopback: discovery document, keys that rotate, and tokens of every kind, right and wrong."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

CLIENT = "nexus"


@functools.cache
def rsa_key(number: int, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The same key for the same number: making one takes time."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@functools.cache
def ec_key(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: Any) -> bytes:
    found: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return found


def jwk(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    """A public key as a JWK."""
    algorithm: Any = (
        jwt.algorithms.ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else jwt.algorithms.RSAAlgorithm
    )
    found: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    found.pop("key_ops", None)
    return {**found, "kid": kid, "use": "sig", **more}


class Issuer:
    """The provider.

    Attributes:
        keys: What it publishes.
        mode: `well`, or how it fails: `down` (HTTP 500), `huge`, `nonsense`, `other` (names another issuer), `redirect`.
        asked: How often its keys were fetched.
        codes: What each code was given for (`allow`); each can be exchanged once.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: list[dict[str, Any]] = [jwk(rsa_key(1), "k1")]
        self.mode = "well"
        self.asked = 0
        self.codes: dict[str, dict[str, str]] = {}

    def claims(self, **more: Any) -> dict[str, Any]:
        """Right ones; None leaves a claim out."""
        now = int(time.time())
        found = {
            "iss": self.url,
            "aud": CLIENT,
            "azp": CLIENT,
            "sub": "5f1c",
            "preferred_username": "olga",
            "groups": ["operators", "everybody"],
            "iat": now,
            "exp": now + 300,
        } | more
        return {name: value for name, value in found.items() if value is not None}

    def token(self, *, key: Any = None, kid: str | None = "k1", algorithm: str = "RS256", **claims: Any) -> str:
        """A token, signed with the first key unless another is given."""
        head = {} if kid is None else {"kid": kid}
        return jwt.encode(self.claims(**claims), rsa_key(1) if key is None else key, algorithm=algorithm, headers=head)

    def allow(self, asked: dict[str, str], **claims: Any) -> str:
        """The code for a person who was sent here with these parameters and agreed; `claims` are of the id token."""
        code = f"code-{len(self.codes) + 1}"
        self.codes[code] = {**asked, "token": self.token(**{"nonce": asked["nonce"], **claims})}
        return code

    def exchange(self, form: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        """The answer of the token endpoint (RFC 6749 §4.1.3, RFC 7636 §4.6)."""
        given = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            given is None
            or form.get("grant_type") != "authorization_code"
            or any(form.get(name) != given[name] for name in ("client_id", "redirect_uri"))
            or challenge != given["code_challenge"]
        ):
            return 400, b'{"error": "invalid_grant"}', {}
        return 200, json.dumps({"id_token": given["token"], "token_type": "Bearer"}).encode(), {}

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers."""
        if self.mode == "down":
            return 500, b"", {}
        if self.mode == "huge":
            return 200, b'{"keys": "' + b"x" * 2_000_000 + b'"}', {}
        if self.mode == "nonsense":
            return 200, b"<html>", {}
        if self.mode == "redirect":
            return 302, b"", {"location": "http://192.0.2.1/elsewhere"}
        if path == "/.well-known/openid-configuration":
            issuer = "https://elsewhere.example" if self.mode == "other" else self.url
            places = {"authorization_endpoint": self.url + "/auth", "token_endpoint": self.url + "/token"}
            return 200, json.dumps({"issuer": issuer, "jwks_uri": self.url + "/keys", **places}).encode(), {}
        if path == "/keys":
            self.asked += 1
            return 200, json.dumps({"keys": self.keys}).encode(), {}
        return 404, b"", {}


@contextlib.contextmanager
def issuer() -> Iterator[Issuer]:
    """The provider while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(*found.answer(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
            self._send(*found.exchange(dict(parse_qsl(body))))

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Issuer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
