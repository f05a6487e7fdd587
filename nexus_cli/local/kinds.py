"""What kind of runtime a folder has: the plant, a mock or a replay. It is decided when the folder is made, and stays.

See docs/decisions/0086.
"""

from __future__ import annotations

from collections.abc import Mapping

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.layout import AMQTT, EMBEDDED, MOSQUITTO, Home, Runtime
from nexus_cli.setting_values import LIVE, MOCK

_NAMES = {LIVE: "the plant itself", MOCK: "a mock"}


def refuse_other_kind(home: Home, before: Runtime, wanted: str) -> None:
    """Refuse to make a mock of a plant's folder, or the other way round: rows, rights and addresses in it are of one kind.

    Raises:
        NexusError: NX6964.
    """
    has = before.environment or LIVE
    if not before.site or has == (wanted or LIVE):
        return
    other = "--mock " if wanted == MOCK else ""
    raise NexusError(
        f"The runtime in {home.path} is {_NAMES.get(has, f'a {has}')}, not {_NAMES.get(wanted or LIVE, f'a {wanted}')}.",
        code="NX6964",
        cause="its rows and those of the other would not be told apart",
        hint=f"a folder of its own: nexus --home .nexus-{wanted or 'plant'} up {other}SITE; or nexus down --wipe first",
    )


def refuse_foreign_servers(broker: str, database: str) -> None:
    """Refuse servers that were there before: simulated or replayed values stay in a broker and a database of their own.

    Raises:
        NexusError: NX6965.
    """
    for what, given, own in (("broker", broker, (MOSQUITTO, AMQTT)), ("database", database, (EMBEDDED,))):
        if given and given not in own:
            raise NexusError(
                f"A mock has a {what} of its own.",
                code="NX6965",
                hint=f"leave --{what} out, or write {' or '.join(own)}",
            )


def without_servers(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without the servers that a shell names: they may be the plant's."""
    return {name: value for name, value in environ.items() if not name.startswith(("NEXUS_BROKER_", "NEXUS_DATABASE_"))}
