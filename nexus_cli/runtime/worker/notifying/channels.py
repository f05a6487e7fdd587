"""Sends one message over a channel. Secrets are resolved here and nowhere before; no error holds one."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.utils import formatdate
from functools import partial
from typing import ParamSpec
from urllib.parse import urlsplit

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.drivers.base import DriverError
from nexus_cli.drivers.secrets import resolve
from nexus_cli.model.resources import ChannelConfig
from nexus_cli.runtime.worker.kinds import PlainError
from nexus_cli.runtime.worker.notifying.messages import Text
from nexus_cli.wire.webhook import WebhookError, post

SMTP_S = 30.0
_SENDING = ThreadPoolExecutor(max_workers=16, thread_name_prefix="send")
"""Its own: a mail server that hangs must not keep names of others from being looked up, which the loop's threads do."""
P = ParamSpec("P")


class NotSentError(PlainError):
    """It surely was not sent: no one was reached, or the server refused it. Any other error leaves open whether it was."""


async def send(name: str, channel: ChannelConfig, text: Text) -> None:
    """Send it.

    Raises:
        NotSentError: It was not sent.
        Exception: It may have been.
    """
    try:
        if channel.kind == "mail":
            await _in_thread(_mail, channel, text)
        elif channel.kind == "webhook":
            headers = {key: resolve(value) for key, value in channel.headers.items()}
            key = resolve(channel.key) if channel.key else ""
            await post(
                resolve(channel.url), text.document | {"text": text.body}, key=key, headers=headers, id_=text.key
            )
        else:
            await _in_thread(_apprise, resolve(channel.url), text)
    except DriverError as error:
        raise NotSentError(f"channel {name}: {error}".replace("the gateway", "the worker")) from None
    except WebhookError as error:
        if error.sent:
            raise
        raise NotSentError(f"channel {name}: {error}") from None


async def _in_thread(act: Callable[P, None], *args: P.args, **keys: P.kwargs) -> None:
    await asyncio.get_running_loop().run_in_executor(_SENDING, partial(act, *args, **keys))


def _mail(channel: ChannelConfig, text: Text) -> None:
    host, _, port = channel.server.rpartition(":")
    host = host.strip("[]")
    message = EmailMessage()
    message["Subject"] = " ".join(text.subject.split())
    message["From"], message["To"] = channel.sender, ", ".join(channel.to)
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = f"<{text.key}@{host or 'nexus'}>"
    message["X-Nexus-Key"] = text.key
    message.set_content(text.body)
    user, password = resolve(channel.user), resolve(channel.password) if channel.password else ""
    context = ssl.create_default_context()
    try:
        server = (
            smtplib.SMTP_SSL(host, int(port), timeout=SMTP_S, context=context)
            if channel.security == "tls"
            else smtplib.SMTP(host, int(port), timeout=SMTP_S)
        )
    except (OSError, ValueError, smtplib.SMTPException) as error:
        raise NotSentError(f"the mail server {channel.server} can't be reached: {_said(error)}") from None
    try:
        if channel.security == "starttls":
            _surely(lambda: server.starttls(context=context))
        if user:
            _surely(lambda: server.login(user, password))
        try:
            server.send_message(message)
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused, smtplib.SMTPNotSupportedError) as error:
            raise NotSentError(f"the mail server {channel.server} refused it: {_said(error)}") from None
    finally:
        server.close()


def _surely(act: Callable[[], object]) -> None:
    """A step before the message itself: nothing was sent when it fails."""
    try:
        act()
    except (OSError, smtplib.SMTPException) as error:
        raise NotSentError(f"the mail server did not let us in: {_said(error)}") from None
    except ValueError:  # smtplib sends ASCII only; its error may hold what could not be encoded
        raise NotSentError("user or password of the mail server have characters that are not ASCII") from None


def _said(error: BaseException) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        told = error.smtp_error
        return f"{error.smtp_code} {told.decode(errors='replace') if isinstance(told, bytes) else told}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"no recipient is taken ({', '.join(error.recipients)})"
    return str(error) or type(error).__name__


def _apprise(url: str, text: Text) -> None:
    try:
        import apprise  # noqa: PLC0415 - an extra
    except ImportError:
        raise NexusError(
            "Apprise is not installed, which this channel needs.",
            code="NX6450",
            cause="the channel has a `url`",
            hint="pip install 'nexus-cli[notify]' where the worker runs, then start it again",
        ) from None
    service = apprise.Apprise()
    scheme = urlsplit(url).scheme or "?"
    if not service.add(url):
        raise NotSentError(f"Apprise does not know the address ({scheme}://…)")
    if not service.notify(body=text.body, title=text.subject):
        raise NotSentError(f"{scheme}:// did not take it; Apprise says no more")
