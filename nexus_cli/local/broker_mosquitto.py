"""Mosquitto as the local broker: with authentication, the grants of the site, and a short autosave interval.

As root it runs as an unprivileged user inside `.nexus/mosquitto`, with relative paths (its parents stay closed).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from nexus_cli.access.brokers.mosquitto.acl_file import render_acl
from nexus_cli.access.brokers.mosquitto.acl_reader import validate
from nexus_cli.access.brokers.mosquitto.passwords import (
    check_passwords,
    join_passwords,
    read_salts,
    render_hashes,
    render_passwords,
)
from nexus_cli.access.grants import HISTORIAN, Grant, principals
from nexus_cli.access.grants_file import Wanted
from nexus_cli.accounts import SECOND
from nexus_cli.local.credentials import write_private
from nexus_cli.local.identity import hand_over, private_folder, unprivileged
from nexus_cli.local.listening import ListenerFiles
from nexus_cli.local.ports import LOOPBACK
from nexus_cli.local.postgres import Launch

NAME = "mosquitto"
LIMITS = "keeps what it retains; a kill loses at most the last 5 s of it"
PLACES = "/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/sbin:/opt/homebrew/opt/mosquitto/sbin"

QUEUED_MESSAGES = 50_000
QUEUED_BYTES = 64 << 20
PACKET_BYTES = 4 << 20
"""Limit of a packet, in bytes: a gateway splits at 960 KiB, and a broker allocates memory before it checks the sender's
rights."""

CONFIGURATION = """\
# Written by `nexus up`; edits are lost.
listener {port} {host}
{tls}allow_anonymous false
password_file passwords
acl_file acl
persistence true
persistence_location ./
# The default (30 minutes) loses everything at a kill.
autosave_interval 5
# What one client that reads slowly may cost, on disk too. A full queue drops what was acknowledged: of frames, custody
# sends it again. It must hold what is retained, which a new subscriber gets at once, and the windows of two gateways.
max_queued_messages {queued_messages}
max_queued_bytes {queued_bytes}
max_inflight_messages 1000
max_packet_size {packet_bytes}
# Nobody of NEXUS leaves a session behind; of others it must not queue and be saved for ever.
persistent_client_expiration 1d
set_tcp_nodelay true
# Unbuffered: a refused login is in the log at once, not behind 4 KiB of others.
log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages true
"""


TLS = """\
cafile ca.pem
certfile server.pem
keyfile server.key
tls_version tlsv1.2
"""
MUTUAL = """\
require_certificate true
crlfile crl.pem
"""
"""A password is asked for too: the certificate says which machine it is, the password which principal."""


def program() -> str | None:
    """The path of mosquitto, or None (Debian installs it in /usr/sbin, which is not in a user's PATH)."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=PLACES)


class LocalMosquitto:
    """The broker's files and command line; the supervisor runs it."""

    def __init__(self, home: Path) -> None:
        self.folder = (home / NAME).resolve()
        self.identity = unprivileged("mosquitto", "nobody")

    def prepare(
        self,
        *,
        port: int,
        wanted: Wanted,
        passwords: Mapping[str, str],
        files: ListenerFiles | None = None,
    ) -> None:
        """Write configuration, rules, passwords and certificates; the broker may be running. Without `files` it listens
        on the loopback interface."""
        private_folder(self.folder, self.identity)
        if files is not None:
            self.write_certificates(files)
        self._write(
            "mosquitto.conf",
            CONFIGURATION.format(
                port=port,
                host=LOOPBACK if files is None else files.host,
                tls="" if files is None else TLS + (MUTUAL if files.mutual else ""),
                queued_messages=QUEUED_MESSAGES,
                queued_bytes=QUEUED_BYTES,
                packet_bytes=PACKET_BYTES,
            ),
        )
        self.write_access(wanted, passwords)

    def outdated(self, name: str, password: str) -> bool:
        """Whether the password file has another password of this user than this one."""
        text = self._text("passwords")
        before = {line.partition(":")[0]: line for line in text.splitlines()}
        return name in before and render_passwords({name: password}, salts=read_salts(text)).strip() != before[name]

    def write_access(self, wanted: Wanted, passwords: Mapping[str, str], *, handing_over: bool = False) -> bool:
        """Write rules and passwords, each atomically; True when one has changed (then reload).

        Both are read back first, as Mosquitto will read them: of a bad line it would make "everything is allowed". The
        rules that were in force before stay beside them as `acl.before`.

        Args:
            wanted: Rules, and hashes of the passwords of declared users.
            passwords: Of NEXUS's own principals (and of users whom an earlier version gave one), in clear text.
            handing_over: The historian's account keeps the password that it has; the new one holds for its second account
                alone (`wire.handover`).

        Raises:
            NexusError: NX7010, a grant can't be rendered, NX7035 and NX7037, Mosquitto would misread a file; both files
                are unchanged.
        """
        acl, lines = self._rendered(wanted, passwords, handing_over=handing_over)
        changed = self._write("passwords", lines)
        self._keep(acl)
        return self._write("acl", acl) or changed

    def altered(self, wanted: Wanted, passwords: Mapping[str, str]) -> tuple[str, ...]:
        """Which of the two files are not as `write_access` would write them now: another hand changed them. Nothing is written.

        Raises:
            NexusError, OSError: As `write_access`.
        """
        acl, lines = self._rendered(wanted, passwords)
        return tuple(name for name, text in (("acl", acl), ("passwords", lines)) if self._text(name) != text)

    def _rendered(self, wanted: Wanted, passwords: Mapping[str, str], *, handing_over: bool = False) -> tuple[str, str]:
        """The text of both files, read back as Mosquitto will."""
        grants = (*wanted.grants, *_of_second_account(wanted.grants))
        acl = render_acl(grants)
        validate(acl)
        names = set(principals(grants))
        if HISTORIAN in passwords:
            passwords = {**passwords, HISTORIAN + SECOND: passwords[HISTORIAN]}
        hashed = {name: hashes.sha512 for name, hashes in wanted.people.items() if name in names}
        known = {name: passwords[name] for name in names if name in passwords and name not in hashed}
        before = self._text("passwords")
        kept = "".join(line for line in before.splitlines(keepends=True) if line.startswith(f"{HISTORIAN}:"))
        new = render_passwords(known, salts=read_salts(before))
        lines = join_passwords(new, render_hashes(hashed), kept if handing_over else "")
        check_passwords(lines)
        return acl, lines

    def _text(self, name: str) -> str:
        """What a file has; "" without one. It may be garbled."""
        try:
            return (self.folder / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def _keep(self, acl: str) -> None:
        """Keep the rules that are about to be replaced."""
        if (before := self._text("acl")) not in ("", acl):
            self._write("acl.before", before)

    def write_certificates(self, files: ListenerFiles) -> bool:
        """Write what the listener shows and checks; True when something has changed (then reload)."""
        changed = [self._write(name, data.decode("ascii")) for name, data in files.by_name().items()]
        return any(changed)

    def launch(self) -> Launch:
        """How to start it; `prepare` must have run and `program` must have found it."""
        return Launch(
            command=(program() or NAME, "-c", "mosquitto.conf"),
            folder=self.folder,
            environment={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": str(self.folder)},
            identity=self.identity,
        )

    def _write(self, name: str, text: str) -> bool:
        path = self.folder / name
        if path.exists() and self._text(name) == text:
            return False
        beside = path.with_name(f".{name}.new")
        write_private(beside, text.encode())
        hand_over(beside, self.identity)
        beside.replace(path)
        return True


def _of_second_account(grants: Iterable[Grant]) -> Iterator[Grant]:
    """The rights of the historian's second account: Mosquitto ends the connections of an account at once whose password has
    changed, and what others publish meanwhile is not sent again."""
    return (replace(grant, principal=HISTORIAN + SECOND) for grant in grants if grant.principal == HISTORIAN)
