"""Names of MQTT sessions that no other client can guess or take.

A second connection with a client id ends the first one (MQTT 3.1.1 §3.1.4), from any user: most brokers do not tie
ids to users. So an id carries 96 random bits, new in every process. Sessions are clean: nothing is left behind.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from nexus_cli.settings import Settings

SECRET_BYTES = 12
ROUNDS = 50_000
"""PBKDF2 rounds for the group's name: brokers log it, and a password of a person must not be guessed from it."""


def client_id(settings: Settings, purpose: str) -> str:
    """A client id for one connection: `{user}-{purpose}-{random}`. Longer than the 23 bytes that every broker must take
    (§3.1.3.1); mosquitto, amqtt, EMQX and HiveMQ take 65,535.

    A broker that can bind rights to ids knows ours by their form (`access.accounts.Accounts.client_ids`).

    Args:
        settings: The user that connects.
        purpose: For people who read the broker's list, e.g. `commands`; what is no `a-z`, `0-9`, `.`, `_` or `-` becomes a `-`.
    """
    plain = re.sub(r"[^a-z0-9._-]", "-", purpose.lower()) or "-"
    return f"{settings.broker_user or settings.principal}-{plain}-{secrets.token_hex(SECRET_BYTES)}"


def share_group(settings: Settings) -> str:
    """The group of shared subscriptions that all historians of a site use and no other client can join.

    Derived from the password that they all connect with. Brokers can't authorise group names (EMQX and HiveMQ check
    the filter behind it, mosquitto's ACL file checks no subscription at all), so the name has to be the secret. On a
    broker without passwords there is nothing to protect, and the name is the site's.
    """
    salt = f"nexus share group {settings.site}".encode()
    return "nexus-" + hashlib.pbkdf2_hmac("sha256", settings.broker_password.encode(), salt, ROUNDS, 16).hex()
