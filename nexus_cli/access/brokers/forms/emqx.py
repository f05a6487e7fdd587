"""EMQX's files as the registry calls them."""

from __future__ import annotations

from nexus_cli.access.brokers.emqx import acl_conf, hocon, shared_file
from nexus_cli.access.brokers.emqx.client import Version
from nexus_cli.access.brokers.emqx.engine import AclFile
from nexus_cli.access.brokers.emqx.users import bootstrap_users
from nexus_cli.access.brokers.forms.asked import Asked
from nexus_cli.access.brokers.rendered import Rendered
from nexus_cli.access.request import Rules

USERS = "users.json"
OLDEST: Version = (5, 8)
"""What is written for it every later version reads."""


def render(asked: Asked) -> Rendered:
    """`acl.conf`, the configuration that names it, and bootstrap users where passwords are known.

    On a broker that others use, `acl.conf` is our block alone (the rest of the file is theirs), and there is no
    configuration: it would be for all of them.
    """
    version = version_of(asked.version)
    made = acl_conf.render(asked.grants, asked.accounts, version=version)
    files = dict(made.files)
    if asked.accounts.shared:
        files[acl_conf.FILE] = shared_file.merge("", made, version=version)
    else:
        files[hocon.FILE] = hocon.configuration(hocon.Wanted(version=version))
    if asked.hashes:
        users = {asked.accounts.account(name): each for name, each in asked.hashes.items()}
        files[USERS] = bootstrap_users(users)
    return Rendered(files=files, notes=made.notes)


def read(made: Rendered) -> Rules:
    """The rules of `acl.conf`, with `no_match = deny`."""
    return AclFile.read(made.files[acl_conf.FILE])


def merge(existing: str, name: str, made: Rendered) -> str:
    """A file that is there with our part in it: our block of `acl.conf`; others are ours alone."""
    return shared_file.merge(existing, made) if name == acl_conf.FILE and existing else made.files[name]


def version_of(text: str) -> Version:
    """`5.8` as (5, 8); "" is the oldest, whose files every later version reads."""
    return tuple(int(part) for part in text.split(".")) if text else OLDEST
