"""The files of a git revision, in a folder of their own: what `nexus diff` compares."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.suggest import did_you_mean


def split_revision(text: str) -> tuple[str, str] | None:
    """(revision, path) of `git:REV`, `git:REV:PATH` or `REV:PATH`; None for what is none of them."""
    marked = text.startswith("git:")
    revision, colon, path = text.removeprefix("git:").partition(":")
    return (revision, path) if revision and (marked or (colon and path)) else None


def extract(revision: str, path: str, folder: Path) -> Path:
    """Write the files of a revision into a folder; gives the one that `path`, from the top of the repository, names there.

    Raises:
        NexusError: NX5018, there is no such revision, no such path in it, or no repository here.
    """
    top = _git("rev-parse", "--show-toplevel").decode().strip()
    if revision.startswith("-") or not _known(revision):
        names = _git("for-each-ref", "--format=%(refname:short)").decode().split()
        raise NexusError(
            f"Git has no revision '{revision}'.",
            code="NX5018",
            hint=did_you_mean(revision, names) or "`git log --oneline` lists revisions",
        )
    if path and not _known(f"{revision}:{path}"):
        listed = _git("-C", top, "ls-tree", "-r", "-t", "--name-only", revision).decode().splitlines()
        raise NexusError(
            f"There is no '{path}' in revision {revision}.",
            code="NX5018",
            hint=did_you_mean(path, listed) or f"`git ls-tree -r --name-only {revision}` lists what there is",
        )
    archive = _git("-C", top, "archive", "--format=tar", revision)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder / path


def _known(name: str) -> bool:
    try:
        _git("rev-parse", "--verify", "--quiet", "--end-of-options", name if ":" in name else f"{name}^{{commit}}")
    except NexusError:
        return False
    return True


def _git(*arguments: str) -> bytes:
    try:
        found = subprocess.run(["git", *arguments], capture_output=True, check=False, timeout=60)
    except OSError as error:
        raise NexusError("Git is not on this machine.", code="NX5018", cause=str(error)) from None
    except subprocess.TimeoutExpired:
        raise NexusError("Git did not answer for a minute.", code="NX5018") from None
    if found.returncode != 0:
        said = found.stderr.decode(errors="replace").strip()
        raise NexusError("Git could not give the files.", code="NX5018", cause=said[-500:])
    return found.stdout
