"""Access, who: users, applications and groups, their roles, periods and passwords, and how people log in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from nexus_cli.access.accounts import SECOND
from nexus_cli.checks.names import slugify
from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.access import Member, Role, User
from nexus_cli.model.secrets import is_reference
from nexus_cli.model.shipped_roles import SHIPPED

RESERVED_PREFIX = "nexus."
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}\Z", re.ASCII)
_LOOKS = re.compile(
    r"(?:.*[-_.])?(?:viewer|guest|read(?:er|[-_.]?only)?|visitor|watch(?:er)?)(?:[-_.].*)?\Z", re.IGNORECASE
)


def _users(view: View) -> Iterator[tuple[str, User, ModelPath]]:
    """Users, then applications."""
    access = view.model.site.access
    for name, user in access.users.items():
        yield name, user, ("access", "users", name)
    for name, application in access.applications.items():
        yield name, application, ("access", "applications", name)


def _members(view: View) -> Iterator[tuple[str, Member, ModelPath]]:
    yield from _users(view)
    for name, group in view.model.site.access.groups.items():
        yield name, group, ("access", "groups", name)


def _roles(view: View) -> Iterator[tuple[str, ModelPath]]:
    """Every role that is given, with its place."""
    for _, member, base in _members(view):
        if member.role is not None:
            yield member.role, (*base, "role")
        for position, role in enumerate(member.roles):
            yield role, (*base, "roles", position)
    login = view.model.site.access.login
    if login is not None and login.oidc is not None:
        for group, role in login.oidc.groups.items():
            yield role, ("access", "login", "oidc", "groups", group)


def unknown_role(view: View) -> Iterator[Diagnostic]:
    """NX2601."""
    roles = [*view.model.names("access.roles", view.model.site.access.roles), *SHIPPED]
    for role, where in _roles(view):
        if role not in roles:
            yield finding("NX2601", f"there is no role '{role}'", where=where, hint=did_you_mean(role, roles))


def unknown_group(view: View) -> Iterator[Diagnostic]:
    """NX2611."""
    groups = view.model.names("access.groups", view.model.site.access.groups)
    for _, user, base in _users(view):
        for position, group in enumerate(user.groups):
            if group not in groups:
                hint = did_you_mean(group, groups) if groups else "declare it under 'groups:'"
                yield finding("NX2611", f"there is no group '{group}'", where=(*base, "groups", position), hint=hint)


def user_without_role(view: View) -> Iterator[Diagnostic]:
    """NX2604."""
    roles: Mapping[str, Role] = {**SHIPPED, **view.model.site.access.roles}
    for name, user, where in _users(view):
        if user.role is None and not user.roles and not user.groups:
            what = "application" if where[1] == "applications" else "user"
            hint = did_you_mean("", roles) or "role: …"
            yield finding("NX2604", f"the {what} '{name}' has no role", where=where, on_key=True, hint=hint)


def reserved_user(view: View) -> Iterator[Diagnostic]:
    """NX2605."""
    names = {name for name, _, _ in _users(view)}
    for name, _, where in _users(view):
        first = name.removesuffix(SECOND)
        if first != name and first in names:
            message = f"'{name}' is what the broker calls '{first}' while its password changes"
            yield finding("NX2605", message, where=where, on_key=True, hint="choose another name")
        if name.lower().startswith(RESERVED_PREFIX) or name.lower() == "nexus":
            message = f"the user name '{name}' is one of NEXUS's own"
            yield finding("NX2605", message, where=where, on_key=True, hint="choose another name")


def user_name(view: View) -> Iterator[Diagnostic]:
    """NX2606."""
    for name, _, where in _users(view):
        if not _USER.match(name):
            slug = slugify(name.replace("/", "-"))
            hint = f"write '{slug}'" if slug else "letters, digits, '.', '_', '@' and '-'"
            message = f"'{name[:60]}' can't be a user name: brokers read topic rules into it"
            yield finding("NX2606", message, where=where, on_key=True, hint=hint)


def user_and_application(view: View) -> Iterator[Diagnostic]:
    """NX2612."""
    access = view.model.site.access
    for name in access.applications:
        if name in access.users:
            message = f"'{name}' is a user, too"
            hint = "give the program a name of its own"
            yield finding("NX2612", message, where=("access", "applications", name), on_key=True, hint=hint)


def password_in_plain_text(view: View) -> Iterator[Diagnostic]:
    """NX2613. The text itself is not repeated."""
    for name, user, base in _users(view):
        if user.password is not None and not is_reference(user.password):
            hint = "password: '${env:NAME}' or '${file:PATH}', with nothing around it; or none: one is made"
            message = f"the password of '{name}' is in plain text"
            yield finding("NX2613", message, where=(*base, "password"), on_key=True, hint=hint)


def hours_without_zone(view: View) -> Iterator[Diagnostic]:
    """NX2614."""
    if view.model.site.time_zone is None:
        for name, member, base in _members(view):
            if member.hours:
                message = f"the hours of '{name}' are hours of UTC"
                hint = "time_zone: Europe/Berlin, at the top of the site"
                yield finding("NX2614", message, where=(*base, "hours"), on_key=True, hint=hint)


def period_over(view: View) -> Iterator[Diagnostic]:
    """NX2615. A day is over when it is over everywhere."""
    now = datetime.now(UTC)
    for name, member, base in _members(view):
        if member.valid is None or member.valid.until is None:
            continue
        begin, end = member.valid.from_, _after(member.valid.until)
        if begin is not None and _first(begin) >= end:
            message = f"the rights of '{name}' end before they begin"
        elif end + timedelta(hours=12) < now:
            message = f"the rights of '{name}' are over since {member.valid.until}"
        else:
            continue
        yield finding("NX2615", message, where=(*base, "valid", "until"), hint="a later day, or remove who has none")


def _first(text: str) -> datetime:
    """When a day, or a moment, begins; days are those of UTC here."""
    if len(text) > len("2026-12-31"):
        return datetime.fromisoformat(text)
    day = date.fromisoformat(text)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _after(text: str) -> datetime:
    try:
        return _first(text) + timedelta(days=0 if len(text) > len("2026-12-31") else 1)
    except OverflowError:  # the last day of the calendar
        return _first(text)


def role_unused(view: View) -> Iterator[Diagnostic]:
    """NX2608. One that was left out for its errors may have it."""
    if any(view.model.faulty.get(f"access.{part}") for part in ("users", "applications", "groups")):
        return
    used = {role for role, _ in _roles(view)}
    for name in view.model.site.access.roles:
        # Users that are elevated have `admin`.
        if name not in used and name != "admin":
            where = ("access", "roles", name)
            yield finding(
                "NX2608", f"no user has the role '{name}'", where=where, on_key=True, hint="give it to a user"
            )


def role_wider_than_name(view: View) -> Iterator[Diagnostic]:
    """NX2618."""
    for name, role in view.model.site.access.roles.items():
        if not _LOOKS.match(name):
            continue
        more = [word for word in ("write", "publish", "run", "apply", "admin") if getattr(role, word)]
        if more:
            where = ("access", "roles", name, more[0])
            message = f"'{name}' sounds as if it only looked, and has '{more[0]}'"
            yield finding("NX2618", message, where=where, on_key=True, hint="name it by what it may do: operator")


def issuer_in_the_open(view: View) -> Iterator[Diagnostic]:
    """NX2620."""
    login = view.model.site.access.login
    if login is None or login.oidc is None:
        return
    address = urlsplit(login.oidc.issuer)
    if address.scheme != "https" and not (address.scheme == "http" and _loopback(address.hostname or "")):
        where = ("access", "login", "oidc", "issuer")
        yield finding("NX2620", f"'{login.oidc.issuer[:200]}' is not https", where=where, hint="https://…")


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


CHECKS = (
    unknown_role,
    unknown_group,
    user_without_role,
    reserved_user,
    user_name,
    user_and_application,
    password_in_plain_text,
    hours_without_zone,
    period_over,
    role_unused,
    role_wider_than_name,
    issuer_in_the_open,
)
