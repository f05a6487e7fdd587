"""Logins with the accounts of an OpenID provider: the authorization code flow with PKCE, in the browser's own address bar.

No token is ever in an address: the provider gives a code that is worth nothing without the verifier, which only the cookie of
the browser that began has. Any web of the site can end what another one began.

The provider has a session of its own, which outlives the page's. A browser that was logged out therefore asks the provider
to ask (`prompt=login`): at a screen that several people use, the next one must not become the one before.

See docs/decisions/0117.

Source: OpenID Connect Core 1.0 §3.1, §3.1.2.1 (prompt); RFC 7636 (PKCE); RFC 9700 (security of OAuth 2.0).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import urlencode

import jwt
from fastapi import FastAPI, Request, Response
from starlette.responses import RedirectResponse
from starlette.types import Scope

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.runtime.api.decisions import Decision, open_route
from nexus_cli.runtime.web.page.control_login import control_login, control_provider
from nexus_cli.runtime.web.page.sessions import named_cookie, path_of, start_session
from nexus_cli.runtime.web.parts import WebParts
from nexus_cli.wire.oidc import exchange_code

COOKIE = "nexus-login"
LEFT = "nexus-left"
"""Of a browser that was logged out; it goes with the next login at the provider, or with the browser."""
LASTS_S = 600
"""How long a person may take at the provider, in seconds."""
DECISIONS: tuple[Decision, ...] = (
    open_route("GET", "/session/oidc"),
    open_route("GET", "/session/oidc/return"),
)


@dataclass(frozen=True, slots=True)
class _Begun:
    """What the browser keeps between the two redirects."""

    state: str
    verifier: str
    nonce: str
    scheme: str

    @classmethod
    def new(cls, scheme: str) -> _Begun:
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(48), secrets.token_urlsafe(24), scheme)

    @classmethod
    def read(cls, cookie: str) -> _Begun | None:
        parts = cookie.split("~")
        return cls(*parts) if len(parts) == 4 and parts[3] in ("http", "https") else None

    def __str__(self) -> str:
        return "~".join((self.state, self.verifier, self.nonce, self.scheme))

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def add_oidc_routes(app: FastAPI, *, base: str, parts: WebParts) -> None:
    """Add them."""
    site = parts.settings.site
    place = path_of(site) + "/session/oidc"

    @app.get(base + "/session/oidc", include_in_schema=False)
    async def begin(request: Request, scheme: str = "") -> Response:
        """Send the person to the provider. `scheme`: what the page's own address begins with; a proxy may add TLS."""
        try:
            provider = await control_provider(parts, request)
        except NexusError as error:
            return _back(error.code)
        begun = _Begun.new("https" if "https" in (scheme, request.url.scheme) else "http")
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": _return_address(request, begun, place),
            "scope": "openid profile email",
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": begun.challenge,
            "code_challenge_method": "S256",
        }
        if named_cookie(request.scope, LEFT):
            asked["prompt"] = "login"
        joint = "&" if "?" in provider.authorization_endpoint else "?"
        answer = RedirectResponse(provider.authorization_endpoint + joint + urlencode(asked), 303)
        # Lax: the provider's redirect is another site's, and the cookie has to come back with it.
        answer.set_cookie(
            COOKIE,
            str(begun),
            max_age=LASTS_S,
            path=place,
            secure=begun.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return answer

    @app.get(base + "/session/oidc/return", include_in_schema=False)
    async def end(request: Request, code: str = "", state: str = "") -> Response:
        begun = _Begun.read(named_cookie(request.scope, COOKIE))
        if begun is None or not code or not hmac.compare_digest(begun.state.encode(), state.encode()):
            return _back("NX6951")
        try:
            provider = await control_provider(parts, request)
            token = await exchange_code(
                provider.token_endpoint,
                code=code,
                client_id=provider.client_id,
                verifier=begun.verifier,
                redirect_uri=_return_address(request, begun, place),
            )
            _refuse_other_nonce(token, begun.nonce)
            session = await control_login(parts, request, "/login/oidc", {"token": token})
        except NexusError as error:
            answer = _back(error.code)
        else:
            answer = _back("")
            seconds = (session.expires - parts.clock.wall_us()) // 1_000_000
            scope = _as_of(request.scope, begun.scheme)
            start_session(answer, scope, site=site, token=session.token, seconds=seconds)
            answer.delete_cookie(LEFT, path=place)
        answer.delete_cookie(COOKIE, path=place)
        return answer


def remember_left(answer: Response, scope: Scope, *, site: str) -> None:
    """This browser was logged out: the provider has to ask who is next."""
    secure = scope.get("scheme") == "https"
    answer.set_cookie(LEFT, "1", path=path_of(site) + "/session/oidc", secure=secure, httponly=True, samesite="lax")


def _return_address(request: Request, begun: _Begun, place: str) -> str:
    return f"{begun.scheme}://{request.headers.get('host', '')}{place}/return"


def _back(code: str) -> Response:
    """To the page; a code says what went wrong."""
    return RedirectResponse(f"/#login={code}" if code else "/", 303)


def _as_of(scope: Scope, scheme: str) -> Scope:
    return {**scope, "scheme": scheme}


def _refuse_other_nonce(token: str, nonce: str) -> None:
    """The signature is control's to check; whether the token answers this login only the browser's cookie can say.

    Raises:
        NexusError: NX6951.
    """
    try:
        said = str(jwt.decode(token, options={"verify_signature": False}).get("nonce", ""))
    except jwt.PyJWTError:
        said = ""
    if not hmac.compare_digest(said.encode(), nonce.encode()):
        raise NexusError("The login at the OpenID provider is not the one that began here.", code="NX6951")
