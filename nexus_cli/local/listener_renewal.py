"""Renewed certificates and revocation lists for servers that run: copied beside them, and read again at SIGHUP."""

from __future__ import annotations

import logging
from pathlib import Path

from nexus_cli.certificates.authority import authority_of
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.broker_mosquitto import LocalMosquitto
from nexus_cli.local.layout import EMBEDDED, MOSQUITTO, Home, Runtime
from nexus_cli.local.listening import SERVER, listener_files
from nexus_cli.local.postgres import EmbeddedPostgres

_log = logging.getLogger("nexus.supervisor")


class CertificateWatch:
    """Detects that `nexus certs` wrote what listeners show or check."""

    def __init__(self, home: Home) -> None:
        authority = authority_of(home.path)
        self._home = home
        self._files = (authority.ca_file, authority.crl_file, *authority.files(SERVER))
        self._seen = self._stamps()

    def renewed(self, runtime: Runtime) -> list[str]:
        """The services that have to read their files again; blocking. Files that don't belong together wait."""
        now = self._stamps()
        if now == self._seen or not runtime.listen:
            return []
        try:
            files = listener_files(self._home.path, runtime)
            reload = []
            if files is not None and runtime.broker_kind == MOSQUITTO:
                changed = LocalMosquitto(self._home.path).write_certificates(files)
                reload += ["broker"] if changed else []
            if files is not None and runtime.database_kind == EMBEDDED and runtime.database_tls:
                changed = EmbeddedPostgres(self._home.path).write_certificates(files)
                reload += ["database"] if changed else []
        except (NexusError, OSError) as error:
            _log.error("the certificates of broker and database stay as they are: %s", error)
            reload = []
        self._seen = now
        return reload

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        return tuple(_stamp(path) for path in self._files)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_ino)
