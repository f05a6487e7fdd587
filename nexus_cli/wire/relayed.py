"""Whose request a web passes on to control: the client's address, vouched for with web's own token.

Without it the throttle of logins would take all people of a page for one client, and the audit trail would name web's
machine. No other sender is believed.
"""

from __future__ import annotations

ADDRESS = "x-nexus-client"
"""Header: the address of the client, as web's socket has it."""
VOUCHER = "x-nexus-web"
"""Header: web's own token."""
LONGEST_ADDRESS = 64


def relayed(address: str, *, token: str) -> dict[str, str]:
    """The headers of a request that is passed on; none where either is not known."""
    return {ADDRESS: address, VOUCHER: token} if address and token else {}
