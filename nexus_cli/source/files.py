"""Which files make a site: the site file, what it includes, and the overlay of an environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nexus_cli.diagnostics import Diagnostic, Place
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.source.encoding import decode
from nexus_cli.source.nodes import Map, SourceFile, key_end, span_end, unpack
from nexus_cli.source.reader import Reader
from nexus_cli.source.syntax import control_findings, without_controls

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_FILES = 10_000


@dataclass(slots=True)
class Part:
    """One file of the site, read."""

    file: SourceFile
    root: Map
    references: list[tuple[Any, Any]]
    shared: bool


@dataclass(slots=True)
class Gathered:
    """Everything read, and what was wrong on the way.

    Attributes:
        files: Every file that was opened, by number.
        parts: The site file first, then its includes in order of their names.
        overlay: The environment's overlay, or None.
        broken: True when a file could not be parsed, so that the tree would lack a part.
        references: `(container, key)` of every string with `${` in it.
    """

    files: list[SourceFile] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    overlay: Part | None = None
    findings: list[Diagnostic] = field(default_factory=list)
    broken: bool = False
    references: list[tuple[Any, Any]] = field(default_factory=list)

    def put(self, base: Map, key: Any, value: Any, mark: int) -> None:
        """Set a key together with its mark, and note a reference in it."""
        base[key] = value
        base.marks[key] = mark
        if has_reference(value):
            self.references.append((base, key))

    def place(self, mark: int | None, *, on_key: bool = False, value: object = None) -> Place | None:
        """The place of a mark: of the key, or of the scalar value."""
        return place_of(self.files, mark, on_key=on_key, value=value)

    def add(self, code: str, message: str, *, place: Place | None = None, hint: str = "", related: Any = ()) -> None:
        """Note a finding."""
        self.findings.append(finding(code, message, place=place, hint=hint, related=related))


def has_reference(value: object) -> bool:
    """True for a string that holds `${`."""
    return isinstance(value, str) and "${" in value


def place_of(files: list[SourceFile], mark: int | None, *, on_key: bool = False, value: object = None) -> Place | None:
    """The place of a mark in these files; containers and empty values are shown by their key."""
    if mark is None:
        return None
    number, key_start, value_start = unpack(mark)
    if number >= len(files):
        return None
    file = files[number]
    empty = value is None and not file.text.startswith(("null", "Null", "NULL", "~"), value_start)
    start = key_start if on_key or empty or isinstance(value, (dict, list)) else value_start
    if start == key_start:
        return file.place(start, key_end(file.text, start))
    return file.place(start, span_end(file.text, start, value))


def gather(path: Path, *, env: str | None) -> Gathered:
    """Read the site file, everything it includes, and the overlay `env/ENV.yaml` beside it."""
    gathered = Gathered()
    root = _read(gathered, path)
    if root is None:
        return gathered
    gathered.parts.append(root)
    folder = path.parent.resolve()  # of the name that was given: mounted files are often links into a sibling folder
    seen = {path.resolve(): root.file}
    _include(gathered, root, folder=folder, seen=seen, chain=(path.resolve(),))
    if env is not None:
        gathered.overlay = _overlay(gathered, path, env)
    return gathered


def _read(gathered: Gathered, path: Path, *, asked: Place | None = None) -> Part | None:
    name = shown(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise IsADirectoryError(f"'{name}' is not a file")
        if size > MAX_FILE_BYTES:
            message = f"'{name}' has {size:,} bytes; at most {MAX_FILE_BYTES:,} are read"
            gathered.add("NX0004", message, place=asked)
            gathered.broken = True
            return None
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a file"
        gathered.add("NX0001", f"'{name}' can't be read: {reason.lower()}", place=asked)
        gathered.broken = True
        return None
    text, problems = decode(data, name)
    if text is None:
        gathered.findings.extend(problem.at(asked) for problem in problems)
        gathered.broken = True
        return None
    gathered.findings.extend(problems)
    file = SourceFile(number=len(gathered.files), name=name, path=path, text=text)
    gathered.files.append(file)
    return _parse(gathered, file)


def _parse(gathered: Gathered, file: SourceFile) -> Part | None:
    reader = Reader(file)
    root = reader.read()
    gathered.findings.extend(reader.findings)
    if any(item.code == "NX0003" for item in reader.findings) and control_findings(file):
        clean = SourceFile(number=file.number, name=file.name, path=file.path, text=without_controls(file.text))
        reader = Reader(clean)
        root = reader.read()
        known = {(item.code, item.place) for item in gathered.findings}
        gathered.findings.extend(item for item in reader.findings if (item.code, item.place) not in known)
    if isinstance(root, Map):
        return Part(file, root, reader.references, reader.shared)
    gathered.broken = True
    if root is None and not reader.findings:
        hint = (
            "remove it, and `nexus init` writes a first site"
            if file.number == 0
            else "remove it, or write what it should declare"
        )
        gathered.add("NX0005", f"'{file.name}' has no content", place=file.place(0), hint=hint)
    elif root is not None:
        start = len(file.text) - len(file.text.lstrip())
        message = f"the top of '{file.name}' is {_kind(root)}, not a map of keys"
        gathered.add("NX0006", message, place=file.place(start, start + 1), hint="start with keys such as `areas:`")
    return None


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else f"the value '{str(value)[:40]}'"


def _include(
    gathered: Gathered, part: Part, *, folder: Path, seen: dict[Path, SourceFile], chain: tuple[Path, ...]
) -> None:
    patterns = part.root.get("include")
    if patterns is None:
        return
    mark = part.root.marks["include"]
    if not isinstance(patterns, list):
        place = gathered.place(mark, value=patterns)
        gathered.add("NX0035", "'include' is not a list of file patterns", place=place, hint="include: [areas/*.yaml]")
        return
    for pattern, item_mark in zip(patterns, getattr(patterns, "marks", []), strict=True):
        place = gathered.place(item_mark, value=pattern)
        if not isinstance(pattern, str) or not pattern.strip() or "${" in pattern or "\0" in pattern:
            hint = "variables can't choose files; write a relative path or pattern"
            gathered.add("NX0035", f"'{pattern}' is not a file pattern", place=place, hint=hint)
            continue
        for path in _matches(gathered, part, pattern, folder=folder, place=place):
            _take(gathered, path, place=place, folder=folder, seen=seen, chain=chain)


def _take(
    gathered: Gathered,
    path: Path,
    *,
    place: Place | None,
    folder: Path,
    seen: dict[Path, SourceFile],
    chain: tuple[Path, ...],
) -> None:
    real = path.resolve()
    if real in chain:
        circle = " → ".join(item.name for item in (*chain[chain.index(real) :], real))
        gathered.add("NX0031", f"files include each other in a circle: {circle}", place=place)
        return
    if not real.is_relative_to(folder):
        message = f"'{shown(path)}' lies outside the folder of the site"
        gathered.add("NX0032", message, place=place, hint=f"the site's folder is '{shown(folder)}'")
        gathered.broken = True
        return
    if real in seen or len(seen) >= MAX_FILES:
        return
    part = _read(gathered, path, asked=place)
    if part is None:
        return
    seen[real] = part.file
    gathered.parts.append(part)
    _include(gathered, part, folder=folder, seen=seen, chain=(*chain, real))


def _matches(gathered: Gathered, part: Part, pattern: str, *, folder: Path, place: Place | None) -> list[Path]:
    base = part.file.path.parent
    if Path(pattern).is_absolute() or pattern.startswith("~"):
        message = f"'{pattern}' is an absolute path"
        gathered.add("NX0032", message, place=place, hint="write it relative to this file, inside the site's folder")
        gathered.broken = True
        return []
    if not any(character in pattern for character in "*?["):
        path = Path(os.path.normpath(base / pattern))
        if path.is_file() or not path.resolve().is_relative_to(folder):
            return [path]
        near = did_you_mean(path.name, [item.name for item in _siblings(path)])
        gathered.add(
            "NX0030",
            f"the included file '{pattern}' does not exist",
            place=place,
            hint=near or "write the file, or take it off `include`",
        )
        gathered.broken = True
        return []
    try:
        found = sorted(path for path in base.glob(pattern) if path.is_file())
    except (ValueError, OSError, NotImplementedError, IndexError) as error:
        gathered.add("NX0035", f"'{pattern}' is not a file pattern: {error}", place=place)
        gathered.broken = True
        return []
    if not found:
        gathered.add("NX0034", f"the pattern '{pattern}' matches no file", place=place)
    return [Path(os.path.normpath(path)) for path in found]


def _siblings(path: Path) -> list[Path]:
    try:
        return [item for item in path.parent.iterdir() if item.suffix in (".yaml", ".yml")]
    except OSError:
        return []


def _overlay(gathered: Gathered, path: Path, env: str) -> Part | None:
    folder = path.parent / "env"
    target = folder / f"{env}.yaml"
    if Path(env).name != env or not target.is_file():
        names = [item.stem for item in _siblings(target)] if Path(env).name == env else []
        message = f"there is no environment '{env}': '{shown(folder)}/{env}.yaml' does not exist"
        gathered.add("NX0040", message, hint=did_you_mean(env, names) or "write that file, or leave --env out")
        gathered.broken = True
        return None
    return _read(gathered, target)


def shown(path: Path) -> str:
    """A path as findings show it: relative to the working folder when it lies below it, with forward slashes."""
    try:
        relative = path.resolve().relative_to(Path.cwd().resolve()) if path.is_absolute() else path
    except (ValueError, OSError):
        relative = path
    return Path(os.path.normpath(relative)).as_posix()
