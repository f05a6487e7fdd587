"""EMQX's form: users, configuration, and the rules as a file, or for the built-in database where they are many."""

from __future__ import annotations

import msgspec

from nexus_cli.access.brokers.emqx import acl_conf, hocon, shared_file, users
from nexus_cli.access.brokers.emqx.client import NEWEST, Version
from nexus_cli.access.brokers.emqx.engine import AclFile, Broker, Database
from nexus_cli.access.brokers.emqx.form import volume_of
from nexus_cli.access.brokers.emqx.rules import database_rules
from nexus_cli.access.brokers.forms.asked import Asked
from nexus_cli.access.brokers.rendered import Rendered
from nexus_cli.access.request import Rules

RULES_FILE = "rules.json"
"""The bodies of the REST API's `rules/users`, where the built-in database holds the rules."""
_ANY_NUMBER = 2**31
_OLDEST: Version = (5, 8, 0)


def render(asked: Asked) -> Rendered:
    """`acl.conf` or `rules.json`, `users.json` and `nexus.hocon`.

    On a broker that others use, `acl.conf` is our block alone: the rest of the file is theirs.
    """
    version = version_of(asked.version)
    accounts = {asked.accounts.account(principal): hashes for principal, hashes in asked.hashes.items()}
    files = {users.FILE: users.bootstrap_users(accounts)}
    volume = volume_of(asked.grants)
    if volume.form == "file":
        made = acl_conf.render(asked.grants, asked.accounts, version=version)
        files |= {**made.files, hocon.FILE: hocon.configuration(hocon.Wanted(version=version))}
        if asked.accounts.shared:
            files[acl_conf.FILE] = shared_file.merge("", made, version=version)
        return Rendered(files=files, notes=made.notes)
    rules = database_rules(asked.grants, asked.accounts, version=version, max_rules=_ANY_NUMBER)
    wanted = hocon.Wanted(form="database", version=version, most_rules=rules.most)
    files |= {
        RULES_FILE: msgspec.json.format(msgspec.json.encode(rules.users), indent=2).decode() + "\n",
        hocon.FILE: f"# {volume.reason}.\n{hocon.configuration(wanted)}",
    }
    return Rendered(files=files, notes=rules.notes)


def read(rendered: Rendered) -> Rules:
    """The rules, asked as EMQX would be; a file must be one that every version from 5.8 on takes.

    Raises:
        NexusError: NX7024, EMQX would refuse them.
    """
    if acl_conf.FILE in rendered.files:
        return AclFile.read(rendered.files[acl_conf.FILE], _OLDEST)
    entries = msgspec.json.decode(rendered.files[RULES_FILE])
    database = Database.read(users=entries, version=NEWEST, max_rules=_ANY_NUMBER)
    return Broker(sources=(database,), no_match="deny", version=NEWEST)


def merge(existing: str, name: str, made: Rendered, version: str) -> str:
    """A file that is there with our part in it: our block of `acl.conf`; others are ours alone."""
    if name != acl_conf.FILE:
        return made.files[name]
    return shared_file.merge(existing, made, version=version_of(version))


def version_of(text: str) -> Version:
    """A version from its text; "" is the oldest that is known, whose files every later one reads."""
    return tuple(int(part) for part in text.split(".")) if text else _OLDEST[:2]
