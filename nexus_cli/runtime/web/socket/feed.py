"""What every subscription of a client is."""

from __future__ import annotations

from typing import Protocol

from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.site_view import SiteView


class Feed(Protocol):
    """One subscription. Only its client's writer calls `take`, and sends what it gives before it calls again.

    Attributes:
        due_s: Loop time from which it may have something to say; `inf` while it waits for something to happen.
    """

    due_s: float

    def take(self, now_s: float) -> bytes | None:
        """The next message; None when there is none now, with a later `due_s`."""
        ...

    async def renew(self, view: SiteView, rights: CallerRights) -> bytes | None:
        """The site or the caller's rights have changed; gives a message that says so."""
        ...

    def close(self) -> None:
        """It is over."""
        ...
