"""Text written to a file that a person, or a CI job's variable, names: one that can't be written is a plain error."""

from __future__ import annotations

from pathlib import Path

from nexus_cli.diagnostics.errors import NexusError

HINT = "name a file in a folder that you may write to"
SUMMARY = "GITHUB_STEP_SUMMARY"


def write_text(path: Path, text: str) -> None:
    """Write it, with its folder. Raises NexusError NX6523."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _not_written(path, error, HINT) from None


def append_summary(path: str, text: str) -> None:
    """Add Markdown to the summary of a GitHub job, the file that `GITHUB_STEP_SUMMARY` names. Raises NexusError NX6523."""
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _not_written(Path(path), error, f"{SUMMARY} names it: unset it outside of a GitHub job") from None


def _not_written(path: Path, error: OSError, hint: str) -> NexusError:
    cause = error.strerror or str(error)
    return NexusError(f"{path.as_posix()} can't be written.", code="NX6523", cause=cause, hint=hint)
