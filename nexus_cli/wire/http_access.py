"""The door to control's API for accounts: logins, tokens, passwords, elevations."""

from __future__ import annotations

from collections.abc import Sequence

from nexus_cli.wire import control_access
from nexus_cli.wire.http import ControlClient, level


class AccessClient(ControlClient):
    """`ControlClient` with the calls about accounts; errors as there."""

    async def login(self, user: str, password: str) -> control_access.Session:
        """Log in with a password; needs no token."""
        asked = control_access.LoginRequest(user=user, password=password)
        return await self.call("POST", "/login", control_access.Session, body=asked)

    async def login_oidc(self, token: str) -> control_access.Session:
        """Log in with a token of the OpenID provider; needs no other token."""
        asked = control_access.OidcLoginRequest(token=token)
        return await self.call("POST", "/login/oidc", control_access.Session, body=asked)

    async def oidc_provider(self) -> control_access.OidcProvider:
        """Where people log in with the OpenID provider."""
        return await self.call("GET", "/login/oidc", control_access.OidcProvider)

    async def logout(self) -> bool:
        """Revoke the token of this client; False for one that is not ours to revoke (`credentials.json`)."""
        return (await self.call("POST", "/logout", control_access.Revoked, body={})).revoked

    async def identity(self) -> control_access.Identity:
        """Who we are, and what we may do with this token."""
        return await self.call("GET", "/identity", control_access.Identity)

    async def access(self) -> control_access.AccessOverview:
        """Every account with its password, tokens and elevation."""
        return await self.call("GET", "/access", control_access.AccessOverview)

    async def make_token(
        self, principal: str = "", *, ttl_s: int, scopes: Sequence[str] = (control_access.ALL,), note: str = ""
    ) -> control_access.NewToken:
        """Make an API token, for ourselves when `principal` is ""; `ttl_s` 60 s to 366 days."""
        asked = control_access.TokenRequest(principal=principal, scopes=list(scopes), ttl_s=ttl_s, note=note)
        return await self.call("POST", "/access/tokens", control_access.NewToken, body=asked)

    async def tokens(self, principal: str = "") -> list[control_access.TokenInfo]:
        """Tokens and sessions, the newest first: of everybody who may see all, else our own."""
        params = {"principal": principal}
        return (await self.call("GET", "/access/tokens", control_access.TokenList, params=params)).tokens

    async def revoke_token(self, token_id: str) -> bool:
        """Revoke a token or session at once; False when it had ended."""
        path = f"/access/tokens/{level(token_id)}"
        return (await self.call("DELETE", path, control_access.Revoked)).revoked

    async def elevate(self, user: str, *, for_s: int, reason: str) -> control_access.Elevation:
        """Give a user the role `admin` for 60 s to 8 h."""
        asked = control_access.ElevationRequest(user=user, for_s=for_s, reason=reason)
        return await self.call("POST", "/access/elevations", control_access.Elevation, body=asked)

    async def elevations(self) -> list[control_access.Elevation]:
        """Elevations in force, the newest first."""
        return (await self.call("GET", "/access/elevations", control_access.Elevations)).elevations

    async def end_elevation(self, elevation_id: str) -> bool:
        """End an elevation now; False when it had ended."""
        path = f"/access/elevations/{level(elevation_id)}"
        return (await self.call("DELETE", path, control_access.ElevationEnded)).ended

    async def rotate(
        self, principals: Sequence[str] = (), *, keep_old_s: int = control_access.KEEP_OLD_S
    ) -> list[control_access.NewPassword]:
        """Make new passwords, of everybody without `principals`; each is shown this once."""
        asked = control_access.RotateRequest(principals=list(principals), keep_old_s=keep_old_s)
        answer = await self.call("POST", "/access/rotate", control_access.NewPasswords, body=asked, timeout_s=120.0)
        return answer.passwords

    async def renew_signing_key(self) -> control_access.KeyRenewed:
        """Sign tokens with a new key; those of the key before it stay valid until they end or the next renewal."""
        return await self.call("POST", "/access/signing-key", control_access.KeyRenewed, body={})
