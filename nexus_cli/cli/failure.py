"""How a failure is shown: one from outside in one plain sentence, a bug of NEXUS as a crash report to paste."""

from __future__ import annotations

import errno
import os
import platform
import sys
import tempfile
import traceback
from pathlib import Path

from nexus_cli import __version__
from nexus_cli.cli.console import colour_wanted, note, style
from nexus_cli.diagnostics.errors import FindingsError, NexusError
from nexus_cli.diagnostics.printable import one_line
from nexus_cli.exit_codes import Exit
from nexus_cli.project.control_start import control_starts
from nexus_cli.settings import home_folder, unreadable

MACHINE = {
    errno.EACCES: "change its rights, run as its owner, or name another folder",
    errno.EPERM: "change its rights, run as its owner, or name another folder",
    errno.EROFS: "it lies on a file system that can't be written; name another folder",
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room in your quota",
    errno.ENOTDIR: "a part of its path is a file",
    errno.ENAMETOOLONG: "use a shorter folder or name",
}
"""Errors of a disk, with a hint; any other OSError that arrives here is a bug."""

_ELSEWHERE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""Errors that another folder mends; for the `.nexus` folder `--home` names it."""


def report(error: Exception) -> int:
    """Report the failure on stderr and give the exit code."""
    colour = colour_wanted(sys.stderr)
    error = _unreadable(error) or error
    if isinstance(error, NexusError):
        note(style(f"error[{error.code}]", "error", enabled=colour) + f": {one_line(error.message)}")
        if isinstance(error, FindingsError):
            for found in error.findings:
                note(one_line(f"  {found.code}: {found.message}" + (f" ({found.hint})" if found.hint else "")))
        if error.cause:
            note(f"  = cause: {one_line(error.cause)}")
        if hint := _control_starts(error) or error.hint:
            note(f"  = hint: {one_line(hint)}")
        return error.exit_code
    if isinstance(error, OSError) and error.errno in MACHINE and error.filename is not None:
        note(style("error[NX6000]", "error", enabled=colour) + f": '{error.filename}' can't be used.")
        note(f"  = cause: {error.strerror}")
        option = " (--home DIR)" if error.errno in _ELSEWHERE and _in_home(error) else ""
        note(f"  = hint: {MACHINE[error.errno]}{option}")
        return Exit.OUTSIDE
    text = "".join(traceback.format_exception(error))
    body = f"nexus {__version__} on Python {platform.python_version()}, {platform.platform()}\n\n{text}"
    with tempfile.NamedTemporaryFile("w", prefix="nexus-crash-", suffix=".txt", delete=False, encoding="utf-8") as file:
        file.write(body)
    note(style("error[NX9000]", "error", enabled=colour) + f": this is a bug in nexus ({type(error).__name__}).")
    note(f"  report: {Path(file.name)} (no values of your site are in it beyond the text of the error)")
    return Exit.BUG


def _in_home(error: OSError) -> bool:
    """Whether an error is about the `.nexus` folder or a file in it."""
    if not isinstance(error.filename, (str, os.PathLike)):
        return False
    return Path(os.path.abspath(error.filename)).is_relative_to(os.path.abspath(home_folder(os.environ)))  # noqa: PTH100 - resolve() would read the folder


def _unreadable(error: Exception) -> NexusError | None:
    """The same answer from every command where the files of the `.nexus` folder may not be read."""
    if not isinstance(error, PermissionError) or not _in_home(error):
        return None
    path = Path(error.filename)
    return None if not _hidden(path) else unreadable(path, error)


def _hidden(path: Path) -> bool:
    """Whether we may not know if a file is there, or not read it."""
    try:
        there = path.exists()
    except OSError:
        return True
    return there and not os.access(path, os.R_OK)


def _control_starts(error: NexusError) -> str:
    """The better hint while the runtime of this folder is still starting."""
    if error.code != "NX6400":
        return ""

    return control_starts()
