"""Band 6, runtime: logins, tokens and rights at control's API."""

from nexus_cli.diagnostics.codes.code import Code, text
from nexus_cli.exit_codes import Exit

IDENTITY: tuple[Code, ...] = (
    Code(
        id="NX6411",
        slug="apply-outside",
        exit=Exit.FINDINGS,
        summary="The deployment changes what the user may not change.",
        why="`apply` of a role covers devices and tags by path; anything else needs `**`, and roles, users, groups and "
        "the login need `admin`. So no user widens his own rights.",
        bad=text("apply: [packaging/**] in the role, and a change of a device in mixing"),
        good=text("ask a user whose role covers it, or widen `apply` of the role"),
    ),
    Code(
        id="NX6412",
        slug="token-ended",
        hint="log in again, or make a new token",
        summary="The token is past its end.",
        why="Every token and login ends, so that a lost one is worth little.",
        bad=text("a token of last month in NEXUS_CONTROL_TOKEN"),
        good=text("POST /login, or a new token"),
    ),
    Code(
        id="NX6413",
        slug="token-revoked",
        hint="log in again, or make a new token",
        summary="The token was revoked, or its user is no longer declared.",
        why="A revocation holds at once, in every control of the site.",
        bad=text("a token that was revoked because a laptop was lost"),
        good=text("POST /login, or a new token"),
    ),
    Code(
        id="NX6415",
        slug="login-refused",
        summary="Control refused the login.",
        why="Unknown user, wrong password, no role at this moment, or a program, which uses tokens: the answer does not "
        "say which, so that nothing can be learned by trying.",
        good=text("check name and password; an administrator makes a new password"),
    ),
    Code(
        id="NX6416",
        slug="login-throttled",
        summary="Too many failed logins: control wants a pause.",
        why="Guessing passwords must take years. A login from an address where the user logged in before is not slowed "
        "down by attempts from elsewhere.",
        good=text("wait as long as the hint and the header Retry-After say"),
    ),
    Code(
        id="NX6417",
        slug="logins-busy",
        hint="try again in some seconds",
        summary="Control verifies too many logins at once, or the user has too many sessions.",
        why="A password takes a core for 50 ms; logins must not hold up deployments and alarms.",
        good=text("try again in some seconds; end sessions that are not needed"),
    ),
    Code(
        id="NX6418",
        slug="no-openid-provider",
        exit=Exit.FINDINGS,
        summary="The site has no OpenID provider.",
        why="Logins with accounts of a provider need its address and the role of each group.",
        good=text("login: {oidc: {issuer: …, audience: …, groups: {…}}} under access, applied"),
    ),
    Code(
        id="NX6419",
        slug="openid-login-refused",
        summary="The token of the OpenID provider is not accepted.",
        why="Signature, issuer, audience, azp and times are checked, and a group of the user must give a role; the cause "
        "names the check that failed.",
        good=text("compare issuer, audience and groups of the site with those of the provider"),
    ),
    Code(
        id="NX6420",
        slug="openid-provider-unavailable",
        summary="The OpenID provider can't be asked.",
        why="Its discovery document and keys are needed to verify a token. Logins with passwords work meanwhile.",
        good=text("look at the cause: address, certificate, proxy"),
    ),
    Code(
        id="NX6421",
        slug="scope-missing",
        summary="The token's scopes do not include what the request needs.",
        why="A token may do at most what its scopes say, even if its user may do more.",
        bad=text("a token with the scope state:read, used for nexus apply"),
        good=text("make a token with the scope that the cause names"),
    ),
    Code(
        id="NX6422",
        slug="token-not-made",
        exit=Exit.FINDINGS,
        summary="The token that was asked for can't be made.",
        why="Tokens are of declared users and applications, with known scopes, and with no more than the token that asks.",
        good=text("declare the application under access, apply, and ask again"),
    ),
    Code(
        id="NX6423",
        slug="no-such-token",
        exit=Exit.FINDINGS,
        summary="There is no token with this id.",
        why="A user sees and revokes its own tokens; `admin` those of everybody.",
        good=text("list the tokens first"),
    ),
    Code(
        id="NX6424",
        slug="signing-key-unusable",
        hint="repair .nexus/signing.json, or move it away: control makes a new one, and all tokens and logins end",
        summary="Control can't read or write the keys that sign tokens.",
        why="Without a key no token can be made or verified. Every control of a site needs the same file.",
        good=text("a file of mode 0600 that control's user may read and write"),
    ),
    Code(
        id="NX6425",
        slug="no-such-account",
        exit=Exit.FINDINGS,
        summary="The site declares no user or application of this name.",
        why="Passwords and elevation are of those that are applied.",
        good=text("declare it under access, and apply"),
    ),
    Code(
        id="NX6426",
        slug="password-in-the-site",
        exit=Exit.FINDINGS,
        summary="The site file names the password of this user.",
        why="Control follows what `password:` refers to; a password made beside it would end at once.",
        good=text("change the variable or the file that it refers to, or remove `password:` and apply"),
    ),
)
