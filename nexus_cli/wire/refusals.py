"""What a broker client says when the broker does not answer, or refuses: one sentence each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.wire.lost import LostError, RefusedError
from nexus_cli.wire.mqtt import reasons
from nexus_cli.wire.url import BrokerUrl

SHOWN = 3


def refused(error: RefusedError, url: BrokerUrl, *, user: str) -> NexusError:
    """The broker does not let us in: NX6011 for who we are, NX6010 for anything else."""
    if error.code in reasons.USER_REFUSED:
        return NexusError(
            f"The broker at {url} refused the user '{user}'.", code="NX6011", cause=str(error), retriable=True
        )
    return unreachable(str(error), url)


@contextlib.contextmanager
def lost_as_unreachable(url: BrokerUrl) -> Iterator[None]:
    """Where the connection may end: as NX6010."""
    try:
        yield
    except LostError as error:
        raise unreachable(str(error), url) from None


def unreachable(cause: str, url: BrokerUrl) -> NexusError:
    """NX6010: no connection, or it was lost."""
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return NexusError(
            f"The certificate of the broker at {url} is not trusted.",
            code="NX6010",
            cause=cause,
            hint="name the PEM file of its CA in NEXUS_BROKER_CA, and its host as the certificate does",
            retriable=True,
        )
    return NexusError(
        f"The broker at {url} does not answer.",
        code="NX6010",
        cause=cause,
        hint="is it running? `nexus up` starts one, `nexus status` shows it; otherwise check NEXUS_BROKER_URL",
        retriable=True,
    )


def not_subscribed(filters: Sequence[str], url: BrokerUrl, *, user: str) -> NexusError:
    """NX6012: filters that the broker refuses."""
    shown = ", ".join(f"'{one}'" for one in filters[:SHOWN])
    more = f" and {len(filters) - SHOWN} more" if len(filters) > SHOWN else ""
    return NexusError(
        f"The broker at {url} refuses the subscription of {shown}{more}.",
        code="NX6012",
        hint=f"its access rules do not let '{user}' read that: give that user the right there",
        retriable=True,
    )
