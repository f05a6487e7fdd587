"""Notifications: channels that can be reached, routes that lead to them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nexus_cli.access.globs import names_matching
from nexus_cli.checks.view import View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.notifications import Channel, Route
from nexus_cli.model.secrets import is_reference, is_secret_key, password_in_url, references

HERE = ("notifications",)
KINDS = ("mail", "webhook", "url")
_SERVER = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})\Z")
_MAIL = re.compile(r"[^\s@,]+@[^\s@,]+")
_SENDER = re.compile(r"[^<>\r\n]*<[^\s@,<>]+@[^\s@,<>]+>|[^\s@,<>]+@[^\s@,<>]+")
_HTTP = re.compile(r"https?://[^/\s]+", re.IGNORECASE)
_AUTHORIZING = re.compile(r"(?:authorization|cookie|.*(?:key|token|secret|password))\Z", re.IGNORECASE)


def _channels(view: View) -> Iterator[tuple[str, Channel, ModelPath]]:
    for name, channel in view.model.site.notifications.channels.items():
        yield name, channel, (*HERE, "channels", name)


def _routes(view: View) -> Iterator[tuple[str, Route, ModelPath]]:
    for name, route in view.model.site.notifications.routes.items():
        yield name, route, (*HERE, "routes", name)


def unknown_channel(view: View) -> Iterator[Diagnostic]:
    """NX2730."""
    known = view.model.site.notifications.channels
    for _, route, where in _routes(view):
        named = [(("to", place), name) for place, name in enumerate(route.to)]
        for step, one in enumerate(route.escalate):
            named += [(("escalate", step, "to", place), name) for place, name in enumerate(one.to)]  # type: ignore[misc]
        for at, name in named:
            if name not in known:
                hint = did_you_mean(name, known)
                yield finding("NX2730", f"there is no channel '{name}'", where=(*where, *at), hint=hint)


def channel_kind(view: View) -> Iterator[Diagnostic]:
    """NX2731."""
    for _, channel, where in _channels(view):
        given = [kind for kind in KINDS if getattr(channel, kind) is not None]
        if len(given) != 1:
            said = f"the channel has {' and '.join(map(repr, given))}" if given else "the channel reaches no one"
            hint = "make one channel of each" if given else "add 'mail', 'webhook' or 'url'"
            yield finding("NX2731", said, where=where, on_key=True, hint=hint)


def channel_address(view: View) -> Iterator[Diagnostic]:
    """NX2732."""
    for _, channel, where in _channels(view):
        if channel.mail is not None:
            match = _SERVER.match(channel.mail.server)
            if match is None or not 0 < int(match[1]) < 65_536:
                message = f"'{channel.mail.server}' is not host:port"
                yield finding("NX2732", message, where=(*where, "mail", "server"), hint="such as mail.acme.example:587")
            sender = channel.mail.from_
            if sender is not None and not _SENDER.fullmatch(sender):
                yield finding(
                    "NX2732", f"'{' '.join(sender.split())}' is no mail address", where=(*where, "mail", "from")
                )
            if channel.mail.password is not None and channel.mail.user is None:
                message = "a password without `user` is used for nothing"
                yield finding("NX2732", message, where=(*where, "mail", "password"), hint="user: the login name")
            for place, address in enumerate(channel.mail.to):
                if not _MAIL.fullmatch(address):
                    yield finding(
                        "NX2732",
                        f"'{' '.join(address.split())}' is no mail address",
                        where=(*where, "mail", "to", place),
                    )
        if channel.webhook is not None and not (_HTTP.match(channel.webhook.url) or references(channel.webhook.url)):
            message = "the webhook's url is not http:// or https://"
            yield finding("NX2732", message, where=(*where, "webhook", "url"))


def plain_secret(view: View) -> Iterator[Diagnostic]:
    """NX2733."""
    hint = "write a reference: ${env:NAME} or ${file:PATH}; the worker reads it"
    for _, channel, where in _channels(view):
        if channel.mail is not None and channel.mail.password and not is_reference(channel.mail.password):
            yield finding("NX2733", "the password is in the site file", where=(*where, "mail", "password"), hint=hint)
        if channel.webhook is not None:
            hook = channel.webhook
            if hook.key and not is_reference(hook.key):
                yield finding("NX2733", "the key is in the site file", where=(*where, "webhook", "key"), hint=hint)
            if password_in_url(hook.url):
                yield finding("NX2733", "the url holds a password", where=(*where, "webhook", "url"), hint=hint)
            for name, value in hook.headers.items():
                if (_AUTHORIZING.match(name) or is_secret_key(name)) and not references(value):
                    at = (*where, "webhook", "headers", name)
                    yield finding("NX2733", f"the header '{name}' holds a secret", where=at, hint=hint)
        if channel.url is not None and not references(channel.url):
            # In an address of Apprise the token is the address.
            yield finding("NX2733", "the address is in the site file", where=(*where, "url"), hint=hint)


def route_never(view: View) -> Iterator[Diagnostic]:
    """NX2734."""
    alarms = {name: one for name, one in view.model.site.alerts.items() if one.priority is not None}
    for _, route, where in _routes(view):
        fits = [
            name
            for name, one in alarms.items()
            if (not route.priorities or one.priority in route.priorities)
            and _fits(route.groups, one.group or "")
            and _fits(route.alerts, name)
        ]
        if not fits:
            said = "no alarm takes this route" if alarms else "no alert has a priority, so none is an alarm"
            hint = (
                "compare priorities, groups and alerts with those of `alerts:`" if alarms else "give one a `priority`"
            )
            yield finding("NX2734", said, where=where, on_key=True, hint=hint)


def _fits(globs: list[str], name: str) -> bool:
    return not globs or any(name in names_matching(glob, {name}) for glob in globs)


def hours_without_zone(view: View) -> Iterator[Diagnostic]:
    """NX2735."""
    if view.model.site.time_zone:
        return
    for _, route, where in _routes(view):
        if route.hours:
            message = "its hours are read in UTC: the site has no time_zone"
            yield finding("NX2735", message, where=(*where, "hours"), on_key=True, hint="time_zone: Europe/Berlin")


def digest_ends(view: View) -> Iterator[Diagnostic]:
    """NX2736."""
    digest = view.model.site.notifications.digest
    if digest.below > digest.above:
        message = f"a flood that begins above {digest.above} alarms and ends below {digest.below} ends as it begins"
        yield finding("NX2736", message, where=(*HERE, "digest"), on_key=True, hint="let `below` be at most `above`")


CHECKS = (
    unknown_channel,
    channel_kind,
    channel_address,
    plain_secret,
    route_never,
    hours_without_zone,
    digest_ends,
)
