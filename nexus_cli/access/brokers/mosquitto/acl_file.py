"""Mosquitto's `acl_file`.

Source: mosquitto.conf(5), and mosquitto 2.0.11 run: a bad line at reload leaves *no* rules and everything is allowed, so
a file is read back by `acl_reader` before it is written beside the old one and renamed. See docs/decisions/0070.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.bounds import unbound_notes, unbounded_notes
from nexus_cli.access.brokers.mosquitto.passwords import read_salts, render_hashes, render_passwords
from nexus_cli.access.brokers.names import check_filter, check_name
from nexus_cli.access.brokers.rendered import Rendered
from nexus_cli.access.grants import Grant
from nexus_cli.access.passwords import Hashes

__all__ = ["BROKER", "check_filter", "check_name", "read_salts", "render", "render_acl", "render_passwords"]

BROKER = "mosquitto"


def render(grants: Iterable[Grant], accounts: Accounts, hashes: Mapping[str, Hashes] | None = None) -> Rendered:
    """`acl` and `passwords`, as `acl_file` and `password_file` name them.

    Args:
        grants: Of the whole site.
        accounts: How principals are called at this broker.
        hashes: By principal; None leaves `passwords` out. Who is not in it is not let in.

    Raises:
        NexusError: NX7010, a name or filter that Mosquitto would misread.
    """
    grants = tuple(grants)
    files = {"acl": render_acl(replace(grant, principal=accounts.account(grant.principal)) for grant in grants)}
    if hashes is not None:
        files["passwords"] = render_hashes({accounts.account(name): each.sha512 for name, each in hashes.items()})
    return Rendered(files=files, notes=(*unbounded_notes(BROKER, grants), *unbound_notes(BROKER, grants, accounts)))


def render_acl(grants: Iterable[Grant]) -> str:
    """The `acl_file`: a section a principal, `read`, `write` or `readwrite` a filter; what is not there is refused.

    There are no lines before the first `user` (they would be for clients without a user name), no `pattern` lines (they
    would be for everybody), and `$share` is not named: Mosquitto checks what it delivers, by its real topic.

    Raises:
        NexusError: NX7010, a name or filter that Mosquitto would misread.
    """
    rights: dict[str, dict[str, set[str]]] = {}
    for grant in grants:
        check_name(grant.principal)
        check_filter(grant.filter)
        rights.setdefault(grant.principal, {}).setdefault(grant.filter, set()).add(grant.action)
    lines = ["# Written by nexus; edits are lost. Rules come from `access:` and the devices of the site."]
    for principal in sorted(rights):
        lines += ["", f"user {principal}"]
        for filter_, actions in sorted(rights[principal].items()):
            word = "readwrite" if len(actions) == 2 else "write" if "publish" in actions else "read"
            lines.append(f"topic {word} {filter_}")
    return "\n".join(lines) + "\n"
