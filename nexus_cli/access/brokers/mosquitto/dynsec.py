"""The JSON of Mosquitto's dynamic security plug-in (`plugin_opt_config_file`).

Source: the plug-in's documentation, and 2.0.11 run. Unlike `acl_file` it refuses subscriptions, by real inclusion of
filters; it compares `$share/group/filter` with its prefix, so each filter is written in both forms. Topics are checked
again when a message is delivered: by rules of their own, `publishClientReceive`, which the shipped default allows.

The plug-in reads the file at its start alone and writes it itself after a `$CONTROL` command: put the file in place while
the broker is stopped. It has no administrator. See docs/decisions/0070.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.bounds import unbound_notes, unbounded_notes
from nexus_cli.access.brokers.names import check_filter, check_name
from nexus_cli.access.brokers.rendered import Note, Rendered
from nexus_cli.access.grants import Grant, principals
from nexus_cli.access.passwords import Hashes

BROKER = "mosquitto-dynsec"
FILE = "dynamic-security.json"
CLOSED = {"publishClientSend": False, "publishClientReceive": False, "subscribe": False, "unsubscribe": True}


def render(grants: Iterable[Grant], accounts: Accounts, hashes: Mapping[str, Hashes]) -> Rendered:
    """`dynamic-security.json`: a role and a client an account.

    Args:
        grants: Of the whole site.
        accounts: How principals are called at this broker.
        hashes: By principal. Who has none gets a role and no client, so is not let in (NX7014).

    Raises:
        NexusError: NX7010, a name or filter that a broker would misread.
    """
    grants = tuple(grants)
    names = principals(grants)
    known = [name for name in names if name in hashes]
    content = {
        "defaultACLAccess": CLOSED,
        "clients": [_client(accounts.account(name), hashes[name]) for name in known],
        "groups": [],
        "roles": [
            {"rolename": accounts.account(name), "acls": _acls(each for each in grants if each.principal == name)}
            for name in names
        ],
    }
    return Rendered(
        files={FILE: json.dumps(content, indent=2) + "\n"},
        notes=(
            *unbounded_notes(BROKER, grants),
            *unbound_notes(BROKER, grants, accounts),
            *(_unknown(name) for name in names if name not in hashes),
        ),
    )


def _client(account: str, hashes: Hashes) -> dict[str, Any]:
    iterations, salt, key = hashes.sha512.split("$")
    check_name(account)
    return {
        "username": account,
        "password": key,
        "salt": salt,
        "iterations": int(iterations),
        "roles": [{"rolename": account}],
    }


def _acls(grants: Iterable[Grant]) -> list[dict[str, Any]]:
    kinds = {
        "publish": (("publishClientSend", ""),),
        "subscribe": (("subscribePattern", ""), ("subscribePattern", "$share/+/"), ("publishClientReceive", "")),
    }
    written = set()
    for grant in grants:
        check_filter(grant.filter)
        for kind, prefix in kinds[grant.action]:
            # "#" already includes "$share/…" here, and a topic that begins with "$" is never delivered for it.
            if not (prefix and grant.filter == "#"):
                written.add((kind, prefix + grant.filter))
    return [{"acltype": kind, "topic": topic, "priority": 0, "allow": True} for kind, topic in sorted(written)]


def _unknown(name: str) -> Note:
    return Note(
        broker=BROKER,
        rule=f"user {name}",
        text="it has no stored password, so its role is there and its client is not; no client is let in under its name",
        code="NX7014",
    )
