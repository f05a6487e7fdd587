"""From a proposal to an edited file: where each device goes, the edit, the proof that the site still validates.

Nothing is written before the edited site was read as a whole and has no error that it did not have before.

See docs/decisions/0022.
"""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nexus_cli.atomic import replace_file
from nexus_cli.diagnostics import Diagnostic, NexusError, Outcome
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.outcome import has_errors
from nexus_cli.discover.merge import Merged, Mode, Odd, merge
from nexus_cli.discover.placement import Existing, device_at, device_path, existing_device, split_at
from nexus_cli.discover.propose import Proposal, ProposedDevice
from nexus_cli.discover.target import connected
from nexus_cli.model.bound import Model
from nexus_cli.model.driver_kind import DriverKind
from nexus_cli.source.document import Document, DocumentError
from nexus_cli.source.files import shown

DISPENSABLE = frozenset({"description", "labels", "range", "values", "unit"})
"""Keys without which a tag still reads the right value."""
Check = Callable[[Path], tuple[Diagnostic, ...]]
"""Reads a site file and gives its findings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """The result of an edit, before it is written.

    Attributes:
        path: The file.
        before, after: Its text; `before` is empty for a new file.
        merged: What changes.
        notes: What to know about it, for people.
    """

    path: Path
    before: str
    after: str
    merged: Merged = field(default_factory=Merged)
    notes: tuple[str, ...] = ()

    def diff(self) -> str:
        """Unified diff, "" when nothing changes."""
        name = shown(self.path)
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True),
            self.after.splitlines(keepends=True),
            fromfile=f"a/{name}" if self.before else "/dev/null",
            tofile=f"b/{name}",
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def edited(
    proposals: Iterable[Proposal],
    *,
    file: Path,
    at: str,
    mode: Mode,
    model: Model | None,
    file_of: Callable[[tuple[str, ...]], str],
    kinds: Mapping[str, DriverKind],
    odd: Odd | None = None,
) -> Outcome[Edit]:
    """Make the edit, without writing anything.

    Args:
        proposals: What was found.
        file: The file to edit; may be new.
        at: `area/line/device` of the device itself; further devices go beside it. "" when each device says its
            own whole place (MQTT).
        mode: How far to go.
        model: The site as it is, None when there is none yet.
        file_of: Name of the file that declares a model path.
        kinds: Driver kinds by protocol.
        odd: What to leave out of new tags (`odd_ones` of an earlier try).
    """
    wanted = tuple(proposals)
    if mode == "prune" and not all(proposal.complete for proposal in wanted):
        message = "what was looked at is only a part of the device, so that nothing can be removed"
        return Outcome(None, (finding("NX6605", message, hint="leave out filters and limits, and let it end"),))
    try:
        before = file.read_bytes().decode("utf-8-sig") if file.exists() else ""
        document = Document(before)
    except (OSError, UnicodeDecodeError, DocumentError) as error:
        hint = f"nexus validate {shown(file)} shows where" if isinstance(error, DocumentError) else ""
        return Outcome(None, (finding("NX6603", f"'{shown(file)}' can't be edited: {error}", hint=hint),))
    merged = Merged()
    for proposal, device in ((one, device) for one in wanted for device in one.devices):
        problem = _device(
            device,
            proposal,
            document,
            merged,
            file=file,
            at=at,
            mode=mode,
            model=model,
            file_of=file_of,
            kinds=kinds,
            odd=odd,
        )
        if problem is not None:
            return Outcome(None, (problem,))
    try:
        after = before if merged.empty else document.text()
    except DocumentError as error:
        return Outcome(None, (finding("NX6603", f"'{shown(file)}' can't be edited: {error}"),))
    return Outcome(Edit(path=file, before=before, after=after, merged=merged))


def _device(
    device: ProposedDevice,
    proposal: Proposal,
    document: Document,
    merged: Merged,
    *,
    file: Path,
    at: str,
    mode: Mode,
    model: Model | None,
    file_of: Callable[[tuple[str, ...]], str],
    kinds: Mapping[str, DriverKind],
    odd: Odd | None,
) -> Diagnostic | None:
    place = device_at(at, device.place)
    if split_at(place) is None:
        hint = "--at packaging/line-1/filler, in small letters, digits, '.', '_' and '-'"
        return finding("NX6603", f"'{place}' is not area/line/device", hint=hint)
    held = existing_device(model, place, namespaces=proposal.facts.get("namespaces", ()))
    if held.device is None and document.has(device_path(place)):
        return finding("NX6603", f"'{place}' is in '{shown(file)}', which has errors", hint="nexus validate shows them")
    if held.device is not None:
        problem = _conflict(held, place, proposal.protocol, file, file_of)
        if problem is not None:
            return problem
    kind = None if proposal.protocol == "external" else kinds[proposal.protocol]
    connection = held.device.connection if held.device is not None else None
    if kind is not None and connection is None:
        made = connected(place, proposal.protocol, device.head.get("connection", {}), kinds)
        if made.value is None:
            first = made.findings[0]
            return finding("NX6601", first.message, hint="--set host=10.0.0.9 adds a key of the connection")
        connection = kind.connection.model_validate(device.head.get("connection", {}))
    try:
        present = frozenset(proposal.facts.get("present", ()))
        merge(
            document,
            place,
            device,
            held,
            mode=mode,
            kind=kind,
            connection=connection,
            merged=merged,
            present=present,
            odd=odd,
        )
    except DocumentError as error:
        return finding("NX6603", f"'{place}' can't be written to '{shown(file)}': {error}")
    return None


def _conflict(
    held: Existing, place: str, protocol: str, file: Path, file_of: Callable[[tuple[str, ...]], str]
) -> Diagnostic | None:
    assert held.device is not None
    have = held.device.device.protocol
    if have != protocol:
        message = f"'{place}' uses {have}, the discovered device uses {protocol}"
        return finding("NX6606", message, where=(*held.device.where, "protocol"), hint="--at another device")
    declared = file_of(device_path(place))
    if declared and declared != shown(file):
        message = f"'{place}' is declared in '{declared}'"
        return finding("NX6603", message, where=held.device.where, hint=f"--into {declared}")
    return None


def proved(edit: Edit, *, site: Path, files: Iterable[Path], check: Check) -> tuple[Diagnostic, ...]:
    """Errors that the edited site has and the present one has not; none means that it may be written.

    The site's files are laid out beside each other in a temporary folder, the edited one among them.
    """
    return proved_together([edit], site=site, files=files, check=check)


def proved_together(
    edits: Sequence[Edit], *, site: Path, files: Iterable[Path], check: Check
) -> tuple[Diagnostic, ...]:
    """The same of several edits that belong together."""
    root = site.parent.resolve()
    before = {(item.code, item.message) for item in check(site) if has_errors((item,))} if site.is_file() else set()
    texts = {edit.path.resolve(): edit.after for edit in edits}
    with tempfile.TemporaryDirectory(prefix="nexus-discover-") as folder:
        target = Path(folder) / "site"
        for path in {*(one.resolve() for one in files), *texts}:
            if not path.is_relative_to(root):
                continue
            copy = target / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(texts[path].encode() if path in texts else path.read_bytes())
        found = check(target / site.name) if (target / site.name).is_file() else ()
        shown_as = str(target)
        return tuple(
            finding("NX6604", f"{item.code}: {item.message}".replace(shown_as, "…"), where=item.where, hint=item.hint)
            for item in found
            if has_errors((item,)) and (item.code, item.message) not in before
        )


def odd_ones(edit: Edit, problems: Iterable[Diagnostic]) -> dict[str, dict[str, str]]:
    """Keys to leave out of the new tags, so that one invalid tag does not fail the edit.

    Returns:
        As `merge.Odd`; empty when a problem concerns something else.
    """
    found: dict[str, dict[str, str]] = {}
    for problem in problems:
        path = tag_at(problem)
        device, _, name = path.rpartition("/")
        if name not in edit.merged.added.get(device, ()):
            return {}
        key = str(problem.where[8]) if len(problem.where) > 8 else ""
        found.setdefault(path, {})[key if key in DISPENSABLE else ""] = problem.message
    return found


def tag_at(problem: Diagnostic) -> str:
    """Path of the tag that a finding is about, or about a key of; "" where it is about something else."""
    where = [str(key) for key in problem.where]
    is_tag = where[:7:2] == ["areas", "lines", "devices", "tags"] and len(where) > 7
    return "/".join(where[1:8:2]) if is_tag else ""


def unwritable(path: Path) -> tuple[Diagnostic, ...]:
    """Why a file can't be edited, known before a long walk; none when it can, or can be made."""
    name = shown(path)
    if path.exists():
        if path.stat().st_mode & 0o222 and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
            return ()
        if hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY:
            hint = "name a file elsewhere; --dry-run shows what would change"
            return (finding("NX6603", f"'{name}' lies on a file system that can't be written", hint=hint),)
        hint = f"chmod u+w {name}, or --dry-run shows what would change"
        return (finding("NX6603", f"'{name}' is read-only", hint=hint),)
    folder = next((one for one in path.absolute().parents if one.exists()), Path("/"))
    if folder.is_dir() and os.access(folder, os.W_OK):
        return ()
    return (finding("NX6603", f"'{name}' can't be made: the folder '{shown(folder)}' is read-only"),)


def refuse_unwritable(path: Path) -> None:
    """Refuse a file that is read-only: replacing a file asks only its folder. Raises NexusError NX6603."""
    for problem in unwritable(path.resolve()):
        raise NexusError(f"{problem.message}.", code=problem.code, hint=problem.hint)


def write(edit: Edit) -> None:
    """Put the new text in place of the old one at once.

    Raises:
        OSError: It can't be written.
        NexusError: NX6603, the file is read-only, or changed since it was read.
    """
    refuse_unwritable(edit.path)
    now = edit.path.read_bytes().decode("utf-8-sig", "replace") if edit.path.exists() else ""
    if now != edit.before:
        raise NexusError(
            f"{shown(edit.path)} was changed by somebody else meanwhile; nothing was written.",
            code="NX6603",
            hint="the same command again",
        )
    path = edit.path.resolve()  # behind a link, its target
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = b"\xef\xbb\xbf" if path.exists() and path.read_bytes()[:3] == b"\xef\xbb\xbf" else b""
    replace_file(path, mark + edit.after.encode())
