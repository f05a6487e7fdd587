"""Secrets that were changed while a process runs (`nexus access rotate`): what is refused is tried once with what is kept now."""

from __future__ import annotations

from dataclasses import replace

from nexus_cli.accounts import SECOND
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.settings import Settings, load_settings


def with_kept_secrets(settings: Settings) -> Settings | None:
    """The settings with the password and the token that are kept now; None when they are the same, or can't be read.

    Those of another user, or of another broker, are not ours to try; nor any where the token is a caller's own
    (settings without a principal).
    """
    begun = settings
    if not settings.principal:
        return None
    try:
        kept = load_settings(principal=settings.principal, home=settings.home)
    except NexusError:
        return None
    if (kept.broker_url, kept.broker_user + SECOND) == (settings.broker_url, settings.broker_user):
        settings = replace(settings, broker_user=kept.broker_user)
    if (kept.broker_url, kept.broker_user) != (settings.broker_url, settings.broker_user):
        kept = replace(kept, broker_password=settings.broker_password)
    if kept.control_url != settings.control_url:
        kept = replace(kept, control_token=settings.control_token)
    found = replace(settings, broker_password=kept.broker_password, control_token=kept.control_token)
    return None if found == begun else found


def next_account(settings: Settings) -> Settings | None:
    """Where a client goes before its password ends: to its second account with the password that is kept now, and from there back.

    None when it is where it belongs, or the account is not ours to change.
    """
    try:
        kept = load_settings(principal=settings.principal, home=settings.home)
    except NexusError:
        return None
    if kept.broker_url != settings.broker_url or not kept.broker_user or not kept.broker_password:
        return None
    if settings.broker_user == kept.broker_user + SECOND:
        return replace(settings, broker_user=kept.broker_user, broker_password=kept.broker_password)
    if settings.broker_user != kept.broker_user or settings.broker_password == kept.broker_password:
        return None
    return replace(settings, broker_user=kept.broker_user + SECOND, broker_password=kept.broker_password)
