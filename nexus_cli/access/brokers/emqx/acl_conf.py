"""Grants as EMQX's `acl.conf`: denials first, then what each account may do, grouped, each line with its reason.

The block between the markers is ours: in a file that others use, too, only it is replaced (`shared_file.py`).
See docs/decisions/0068.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.emqx.client import Version, all_covers_dollar
from nexus_cli.access.brokers.emqx.names import check_filter, check_name
from nexus_cli.access.brokers.emqx.terms import Atom, Term, string, write
from nexus_cli.access.brokers.emqx.widening import denials
from nexus_cli.access.brokers.rendered import Rendered
from nexus_cli.access.grants import Grant

FILE = "acl.conf"
CLOSED = ("#", "$SYS/#", "$nexus/#", "$events/#", "$file/#", "$queue/#", "$q/#", "$stream/#", "$s/#", "$sp/#")
"""What the last rule denies where `all` does not cover `$…` topics: EMQX's own `$` prefixes, and those we know of."""
_HEAD = "%% Written by nexus from `access:` of the site; edits between the markers are lost. First match decides."
_OWN_END = "%% Nothing else, also where `all` leaves out topics that begin with `$` (before EMQX 5.8.9, 5.9.2, 5.10.1)."

Options = tuple[tuple[int, ...] | None, bool | None]


def render(grants: Iterable[Grant], accounts: Accounts, *, version: Version = (5, 8)) -> Rendered:
    """A whole `acl.conf` for a broker that serves this site alone; `merge` takes only our block of it.

    Args:
        grants: Of the site.
        accounts: How its principals are called at the broker, and which client ids NEXUS's own ones use.
        version: Of EMQX. With three places, topics `all` are written where that version reads them.

    Raises:
        NexusError: NX7010, a name or filter that EMQX would misread. NX7020, a filter that it would widen.
    """
    everything = write_topics(version)
    closing = [_OWN_END, f"{{deny, all, all, {everything}}}.", "{deny, all}."]
    return Rendered(files={FILE: block(grants, accounts, version=version) + "\n" + "\n".join(closing) + "\n"})


def block(grants: Iterable[Grant], accounts: Accounts, *, version: Version = (5, 8)) -> str:
    """Our rules between their markers, with a last one that denies our accounts everything else."""
    lines = [begin_marker(accounts), _HEAD]
    by_principal: dict[str, list[Grant]] = {}
    for grant in grants:
        check_filter(grant.filter)
        by_principal.setdefault(grant.principal, []).append(grant)
    for principal, mine in sorted(by_principal.items()):
        check_name(accounts.account(principal))
        lines += ["", f"%% {accounts.account(principal)}", *_rules(principal, mine, accounts)]
    if accounts.suffix:
        ours: Term = (Atom("username"), (Atom("re"), string(f"^.+{re.escape(accounts.suffix)}$")))
        lines += ["", f"{{deny, {write(ours)}, all, {write_topics(version)}}}."]
    lines.append(end_marker(accounts))
    return "\n".join(lines) + "\n"


def begin_marker(accounts: Accounts) -> str:
    """The line that our block begins with."""
    return f"%% nexus {accounts.enterprise}/{accounts.site} begin"


def end_marker(accounts: Accounts) -> str:
    """The line that our block ends with."""
    return f"%% nexus {accounts.enterprise}/{accounts.site} end"


def write_topics(version: Version) -> str:
    """Every topic: `all` where a version that is known to its patch reads it, else a list."""
    if len(version) >= 3 and all_covers_dollar(version):
        return "all"
    return write([string(each) for each in CLOSED])


def who_of(principal: str, accounts: Accounts) -> Term:
    """The condition on the client: its account, and for NEXUS's own processes the client ids they use."""
    user: Term = (Atom("username"), string(accounts.account(principal)))
    client_ids = accounts.client_ids(principal)
    if client_ids is None:
        return user
    return (Atom("and"), [user, (Atom("clientid"), (Atom("re"), string(client_ids)))])


def _rules(principal: str, grants: Sequence[Grant], accounts: Accounts) -> list[str]:
    who = write(who_of(principal, accounts))
    subscribes = [grant for grant in grants if grant.action == "subscribe"]
    lines = [
        f"{{deny, {write((Atom('username'), string(accounts.account(principal))))}, subscribe, "
        f"[{write((Atom('eq'), string(wide)))}]}}. % a rule that ends in + would grant it"
        for wide in denials(subscribes)
    ]
    for action, topics in _grouped(grants).items():
        lines.append(f"{{allow, {who}, {action}, [")
        last = len(topics) - 1
        for place, (filter_, why) in enumerate(topics.items()):
            comma = "" if place == last else ","
            lines.append(f"  {write(string(filter_))}{comma}{_comment(why)}")
        lines.append("]}.")
    return lines


def _grouped(grants: Sequence[Grant]) -> Mapping[str, dict[str, str]]:
    """Reasons by filter, by action as it is written; actions without limits come first."""
    found: dict[str, dict[str, str]] = {}
    for grant in sorted(grants, key=lambda grant: (grant.action, _options(grant) != (None, None), grant.key)):
        found.setdefault(_action(grant), {}).setdefault(grant.filter, grant.why)
    return found


def _options(grant: Grant) -> Options:
    """Limits on a published message; a subscription has none."""
    return (grant.qos, grant.retain) if grant.action == "publish" else (None, None)


def _action(grant: Grant) -> str:
    qos, retain = _options(grant)
    options: list[Term] = []
    if qos is not None:
        options.append((Atom("qos"), list(qos)))
    if retain is not None:
        options.append((Atom("retain"), Atom("true" if retain else "false")))
    return write((Atom(grant.action), options)) if options else grant.action


def _comment(why: str) -> str:
    text = " ".join(why.split())
    return f" % {text:.100}" if text else ""
