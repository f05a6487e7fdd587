"""Band 6, runtime: the page of the role web."""

from nexus_cli.diagnostics.codes.code import Code, text

CODES: tuple[Code, ...] = (
    Code(
        id="NX6950",
        slug="not-from-the-page",
        hint="programs show `Authorization: Bearer TOKEN`; a proxy in front passes the Host header on",
        summary="A request with the cookie of a session does not come from the page of this site.",
        why="A browser sends the cookie by itself, so any page that a person opens could act in his name.",
        bad=text("POST …/commands with the cookie, and Origin: https://elsewhere.example"),
        good=text("the same address in Origin and Host, and X-Nexus-CSRF: 1"),
    ),
    Code(
        id="NX6951",
        slug="login-not-begun-here",
        hint="begin the login again on the page, in the same browser",
        summary="The answer of an OpenID provider does not belong to a login that this browser began.",
        why="Otherwise somebody could send a person a link that logs him in under another name.",
        bad=text("the provider's answer opened in another browser, or ten minutes later"),
        good=text("the login begun and ended in one browser"),
    ),
)
