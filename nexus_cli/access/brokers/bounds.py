"""Notes on limits that a broker's rules have no words for: retain, quality of service, client ids.

Topics are never among them: what a broker can't say about topics is left out (NX7014), or said narrower.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.rendered import Note
from nexus_cli.access.grants import Grant, principals


def unbounded_notes(broker: str, grants: Iterable[Grant]) -> Iterator[Note]:
    """A note (NX7013) for each limit of retain or QoS that the broker's rules can't say."""
    for grant in grants:
        if grant.retain is None and grant.qos is None:
            continue
        limits = []
        if grant.retain is not None:
            limits.append("retained only" if grant.retain else "never retained")
        if grant.qos is not None:
            limits.append("QoS " + " or ".join(map(str, grant.qos)))
        yield Note(
            broker=broker,
            rule=f"{grant.principal} {grant.action} {grant.filter}, {', '.join(limits)}",
            text="these rules know neither retain nor QoS, so the message passes the broker; "
            "a gateway refuses a retained command, and reads commands of any QoS once",
            code="NX7013",
        )


def unbound_notes(broker: str, grants: Iterable[Grant], accounts: Accounts) -> Iterator[Note]:
    """One note (NX7013) when client ids are to be bound to their users and the broker's rules can't bind them."""
    bound = [name for name in principals(grants) if accounts.client_ids(name) is not None]
    if bound:
        yield Note(
            broker=broker,
            rule=f"client ids of {', '.join(bound)}",
            text="these rules do not bind a client id to a user; rights depend on the user alone, so who takes another's "
            "id gains no right, but ends that connection; each NEXUS process makes its id new, with 96 random bits",
            code="NX7013",
        )
