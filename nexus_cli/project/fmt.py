"""Format files: selection, and the changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus_cli.atomic import replace_file
from nexus_cli.diagnostics import Diagnostic
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.missing import hint_of_missing
from nexus_cli.project.text import locate
from nexus_cli.source.edit import styled
from nexus_cli.source.files import shown
from nexus_cli.source.nodes import SourceFile

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Formatted:
    """One file, before and after.

    Attributes:
        path: Where it lies.
        before, after: Its text, a byte order mark and line breaks as they are.
        kept: True when it stays as it is because the style would cost it a value or a comment.
    """

    path: Path
    before: str
    after: str
    kept: bool = False

    @property
    def changed(self) -> bool:
        """True when formatting changes it."""
        return self.before != self.after


@dataclass(frozen=True, slots=True, kw_only=True)
class Formatting:
    """All files, and why some could not be formatted."""

    files: tuple[Formatted, ...]
    findings: tuple[Diagnostic, ...]
    sources: tuple[SourceFile, ...]


def fmt(paths: Sequence[str], *, write: bool, on_file: Callable[[str], None] | None = None) -> Formatting:
    """Format YAML files and the YAML files in folders (default: the site that `validate` would take).

    Args:
        paths: Files or folders; empty for the folder of the default site.
        write: False only computes.
        on_file: Called with one short sentence a file.
    """
    findings: list[Diagnostic] = []
    if not paths:
        located = locate(None)
        findings.extend(located.findings)
        paths = [str(located.value.parent)] if located.value else []
    files: list[Formatted] = []
    sources: list[SourceFile] = []
    targets = _targets(paths, findings)
    for number, path in enumerate(targets, start=1):
        if on_file is not None:
            on_file(f"{number} of {len(targets)}: {shown(path)}")
        try:
            data = path.read_bytes()
        except OSError as error:
            findings.append(finding("NX0001", f"'{shown(path)}' can't be read: {error.strerror}"))
            continue
        outcome = styled(data, name=shown(path))
        before = data.decode("utf-8", errors="replace")
        if outcome.value is None:
            findings.extend(outcome.findings)
            sources.append(SourceFile(number=len(sources), name=shown(path), path=path, text=before))
            continue
        result = Formatted(path=path, before=before, after=outcome.value.text, kept=outcome.value.kept)
        files.append(result)
        if write and result.changed:
            replace_file(path, result.after.encode())
    return Formatting(files=tuple(files), findings=tuple(findings), sources=tuple(sources))


def _targets(paths: Sequence[str], findings: list[Diagnostic]) -> list[Path]:
    targets: dict[Path, None] = {}
    for text in paths:
        path = Path(text)
        if path.is_dir():
            below = sorted(item for item in path.rglob("*") if item.suffix in SUFFIXES and item.is_file())
            hidden = [item for item in below if any(part.startswith(".") for part in item.relative_to(path).parts)]
            targets.update(dict.fromkeys(item for item in below if item not in hidden))
        elif path.is_file():
            targets[path] = None
        else:
            message = f"'{path.as_posix()}' can't be read: there is no such file"
            findings.append(finding("NX0001", message, hint=hint_of_missing(path)))
    return list(targets)
