"""`nexus access render`: a broker's files, read back before they are written; compared with those that are there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nexus_cli.access.accounts import Accounts
from nexus_cli.access.brokers.forms.asked import Asked
from nexus_cli.access.brokers.registry import Broker, broker, render_proven
from nexus_cli.access.brokers.rendered import Rendered
from nexus_cli.access.grants import principals
from nexus_cli.access.grants_file import NOTHING, read_wanted
from nexus_cli.access.passwords import Hashes, hash_password, verify_at_broker
from nexus_cli.access.questions import Book
from nexus_cli.atomic import replace_file
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.local.credentials import read_credentials, write_private

PRIVATE = 0o600
SHARED = 0o640
"""The broker's group may read rules; hashes only their owner."""
HASHES_FILE = "broker-hashes.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What was rendered for a broker.

    Attributes:
        broker: Which.
        made: Files and notes.
        shared: On a broker that others use, too.
        version: Of the broker; "" is the oldest known, whose files later ones read.
        without_password: Principals that no hash is known of: they can't connect with these files alone.
    """

    broker: Broker
    made: Rendered
    without_password: tuple[str, ...]
    shared: bool = True
    version: str = ""

    def private(self, name: str) -> bool:
        """True for a file with hashes of passwords."""
        return name.endswith(self.broker.private)

    def wanted(self, name: str, existing: str) -> str:
        """What a file is to hold: on a broker that others use, their part of it stays."""
        if not self.shared:
            return self.made.files[name]
        return self.broker.merged(existing, name, self.made, self.version)

    def mode(self, name: str, existing: str) -> int | None:
        """Permissions of a file; None keeps those of one that others use, too."""
        if self.private(name):
            return PRIVATE
        return None if existing and self.shared and self.broker.shares(name) else SHARED


def render(book: Book, *, name: str, home: Path, shared: bool, version: str = "") -> Files:
    """The files of a broker, proven by its own reader.

    Args:
        book: The site's rights now, at any hour: a broker's file can't wait for an hour to begin.
        name: Of the broker.
        home: The `.nexus` folder, for passwords that are there.
        shared: True for a broker that others use, too.
        version: Of the broker; "" is the oldest known, whose files later ones read.

    Raises:
        NexusError: NX7048 no such renderer, NX7010 not renderable, NX7047 the reader disagrees.
    """
    one = broker(name)
    if version and one.versions and version not in one.versions:
        hint = f"known: {', '.join(one.versions)}"
        raise NexusError(f"Rules for {one.name} {version} are not known.", code="NX7048", hint=hint)
    snapshot, grants = book.snapshot, book.grants
    accounts = Accounts(snapshot.enterprise, snapshot.site, shared)
    hashes = stored_hashes(home, principals(grants))
    topics = [book.topics.tag(path) for path in book.facts]
    made = render_proven(one, Asked(grants=grants, accounts=accounts, hashes=hashes, version=version, topics=topics))
    missing = tuple(each for each in principals(grants) if each not in hashes)
    return Files(broker=one, made=made, without_password=missing, shared=shared, version=version)


def not_in_their_period(book: Book) -> tuple[str, ...]:
    """Roles that are left out of the files, because their period is over or has not begun; one line each."""
    idle = (
        f"left out: {holder.name}, role {has.role}: {has.not_now}"
        for holder in book.holders
        for has in holder.has
        if has.not_now
    )
    return tuple(idle)


def stored_hashes(home: Path, names: tuple[str, ...]) -> dict[str, Hashes]:
    """Hashes of the broker passwords that the `.nexus` folder has, by principal.

    They are kept beside the passwords, so that the same rights give the same files, salts included.
    """
    known = read_credentials(home)["broker"]
    kept = _kept(home / HASHES_FILE)
    people = (read_wanted(home) or NOTHING).people
    found = {
        name: kept[name]
        if name in kept and verify_at_broker(known[name], kept[name].sha512)
        else hash_password(known[name], argon2id=False)
        for name in names
        if name in known and name not in people
    }
    if found and any(kept.get(name) != each for name, each in found.items()):
        write_private(home / HASHES_FILE, msgspec.json.encode({**kept, **found}))
    return found | {name: hashes for name, hashes in people.items() if name in names}


def _kept(file: Path) -> dict[str, Hashes]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Hashes])
    except (OSError, msgspec.DecodeError):
        return {}  # they are made again


def write(files: Files, folder: Path) -> list[Path]:
    """Write each file at once, rules 0640 and hashes 0600; a reader sees the old file or the new one.

    A file that others use, too, keeps its permissions.

    Raises:
        NexusError: NX6523, a file can't be written; those before it are.
    """
    written = []
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        for name in files.made.files:
            path = folder / name
            have = _text(path)
            replace_file(path, files.wanted(name, have).encode(), mode=files.mode(name, have))
            written.append(path)
    except OSError as error:
        raise NexusError(f"{folder} can't be written.", code="NX6523", cause=error.strerror or str(error)) from None
    return written


def _text(path: Path) -> str:
    """A file that is there, with its own line ends; "" when it is not."""
    try:
        return path.read_bytes().decode() if path.exists() else ""
    except (OSError, ValueError) as error:
        raise NexusError(f"{path} can't be read.", code="NX6523", cause=type(error).__name__) from None


def open_to_others(files: Files, folder: Path) -> list[Path]:
    """Files of others, with our part in them, that let everybody else do everything."""
    if not files.shared:
        return []
    shared = (folder / name for name in files.made.files if files.broker.shares(name))
    return [path for path in shared if files.broker.is_open(_text(path))]


def compare(files: Files, folder: Path) -> Mapping[str, str]:
    """What differs, as a unified diff by file name; of files with hashes of passwords only that they differ.

    Raises:
        NexusError: NX6523, a file can't be read.
    """
    found = {}
    for name in files.made.files:
        path = folder / name
        have = _text(path)
        text = files.wanted(name, have)
        if have != text and files.private(name):
            found[name] = (
                f"{path} {'differs' if have else 'is not there'} (it has hashes of passwords, and is not shown)"
            )
            continue
        lines = difflib.unified_diff(
            have.split("\n"), text.split("\n"), f"{path}", f"{path} (from the site file)", lineterm="", n=1
        )
        if difference := "\n".join(lines):
            found[name] = difference
    return found
