"""The files of a site: the site file, its includes, and the overlay of an environment."""

from __future__ import annotations

import os
from pathlib import Path

from nexus_cli.diagnostics import Place
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.source.draft import Draft, Part
from nexus_cli.source.encoding import decode
from nexus_cli.source.nodes import Map, SourceFile
from nexus_cli.source.reader import Reader
from nexus_cli.source.sections import read_sections
from nexus_cli.source.syntax import control_findings, deceptive_findings, without_controls

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_FILES = 10_000


def gather(path: Path, *, env: str | None, known: frozenset[bytes] | None = None) -> Draft:
    """Read the site file, everything it includes, and the overlay `env/ENV.yaml` beside it.

    Args:
        path: The site file.
        env: The environment.
        known: Digests of sections that are not opened (`sections.read_sections`); None reads every file as a whole.
    """
    draft = Draft(known=known)
    root = _read(draft, path)
    if root is None:
        return draft
    draft.parts.append(root)
    folder = path.parent.resolve()  # of the name that was given: mounted files are often links into a sibling folder
    seen = {path.resolve(): root.file}
    _include(draft, root, folder=folder, seen=seen, chain=(path.resolve(),))
    if env is not None:
        draft.overlay = _overlay(draft, path, env)
    return draft


def read_data(path: Path) -> tuple[bytes | None, str, str]:
    """The bytes of a file of the user's; None with the code and the words of what is wrong with it (NX0001, NX0004).

    Neither a folder nor a pipe is opened: one of its name would wait for a writer.
    """
    name = shown(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise IsADirectoryError(f"'{name}' is not a file")
        if size > MAX_FILE_BYTES:
            return None, "NX0004", f"'{name}' has {size:,} bytes; at most {MAX_FILE_BYTES:,} are read"
        return path.read_bytes(), "", ""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a file"
        return None, "NX0001", f"'{name}' can't be read: {reason.lower()}"


def _read(draft: Draft, path: Path, *, asked: Place | None = None) -> Part | None:
    name = shown(path)
    data, code, message = read_data(path)
    if data is None:
        draft.add(code, message, place=asked)
        draft.broken = True
        return None
    text, problems = decode(data, name)
    if text is None:
        draft.findings.extend(problem.at(asked) for problem in problems)
        draft.broken = True
        return None
    draft.findings.extend(problems)
    file = SourceFile(number=len(draft.files), name=name, path=path, text=text)
    draft.files.append(file)
    return _in_sections(draft, file) or _parse(draft, file)


def _in_sections(draft: Draft, file: SourceFile) -> Part | None:
    """The file read in sections, None where it has to be read as a whole."""
    if draft.known is None or deceptive_findings(file):
        return None
    read = read_sections(file, draft.known, draft.pool)
    return Part(file, read.root, read.references, shared=False) if read is not None else None


def _parse(draft: Draft, file: SourceFile) -> Part | None:
    reader = Reader(file)
    root = reader.read()
    draft.findings.extend(reader.findings)
    if any(item.code == "NX0003" for item in reader.findings) and control_findings(file):
        clean = SourceFile(number=file.number, name=file.name, path=file.path, text=without_controls(file.text))
        reader = Reader(clean)
        root = reader.read()
        known = {(item.code, item.place) for item in draft.findings}
        draft.findings.extend(item for item in reader.findings if (item.code, item.place) not in known)
    if isinstance(root, Map):
        return Part(file, root, reader.references, reader.shared)
    draft.broken = True
    if root is None and not reader.findings:
        hint = (
            "remove it, and `nexus init` writes a first site"
            if file.number == 0
            else "remove it, or write what it should declare"
        )
        draft.add("NX0005", f"'{file.name}' has no content", place=file.place(0), hint=hint)
    elif root is not None:
        start = len(file.text) - len(file.text.lstrip())
        message = f"the top of '{file.name}' is {_kind(root)}, not a map of keys"
        draft.add("NX0006", message, place=file.place(start, start + 1), hint="start with keys such as `areas:`")
    return None


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else f"the value '{str(value)[:40]}'"


def _include(draft: Draft, part: Part, *, folder: Path, seen: dict[Path, SourceFile], chain: tuple[Path, ...]) -> None:
    patterns = part.root.get("include")
    if patterns is None:
        return
    mark = part.root.marks["include"]
    if not isinstance(patterns, list):
        place = draft.place(mark, value=patterns)
        draft.add("NX0035", "'include' is not a list of file patterns", place=place, hint="include: [areas/*.yaml]")
        return
    for pattern, item_mark in zip(patterns, getattr(patterns, "marks", []), strict=True):
        place = draft.place(item_mark, value=pattern)
        if not isinstance(pattern, str) or not pattern.strip() or "${" in pattern or "\0" in pattern:
            hint = "variables can't choose files; write a relative path or pattern"
            draft.add("NX0035", f"'{pattern}' is not a file pattern", place=place, hint=hint)
            continue
        for path in _matches(draft, part, pattern, folder=folder, place=place):
            _take(draft, path, place=place, folder=folder, seen=seen, chain=chain)


def _take(
    draft: Draft,
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
        draft.add("NX0031", f"files include each other in a circle: {circle}", place=place)
        return
    if not real.is_relative_to(folder):
        message = f"'{shown(path)}' lies outside the folder of the site"
        draft.add("NX0032", message, place=place, hint=f"the site's folder is '{shown(folder)}'")
        draft.broken = True
        return
    if real in seen or len(seen) >= MAX_FILES:
        return
    part = _read(draft, path, asked=place)
    if part is None:
        return
    seen[real] = part.file
    draft.parts.append(part)
    _include(draft, part, folder=folder, seen=seen, chain=(*chain, real))


def _matches(draft: Draft, part: Part, pattern: str, *, folder: Path, place: Place | None) -> list[Path]:
    base = part.file.path.parent
    if Path(pattern).is_absolute() or pattern.startswith("~"):
        message = f"'{pattern}' is an absolute path"
        draft.add("NX0032", message, place=place, hint="write it relative to this file, inside the site's folder")
        draft.broken = True
        return []
    if not any(character in pattern for character in "*?["):
        path = Path(os.path.normpath(base / pattern))
        if path.is_file() or not path.resolve().is_relative_to(folder):
            return [path]
        near = did_you_mean(path.name, [item.name for item in _siblings(path)])
        draft.add(
            "NX0030",
            f"the included file '{pattern}' does not exist",
            place=place,
            hint=near or "write the file, or take it off `include`",
        )
        draft.broken = True
        return []
    try:
        found = sorted(path for path in base.glob(pattern) if path.is_file())
    except (ValueError, OSError, NotImplementedError, IndexError) as error:
        draft.add("NX0035", f"'{pattern}' is not a file pattern: {error}", place=place)
        draft.broken = True
        return []
    if not found:
        draft.add("NX0034", f"the pattern '{pattern}' matches no file", place=place)
    return [Path(os.path.normpath(path)) for path in found]


def _siblings(path: Path) -> list[Path]:
    try:
        return [item for item in path.parent.iterdir() if item.suffix in (".yaml", ".yml")]
    except OSError:
        return []


def _overlay(draft: Draft, path: Path, env: str) -> Part | None:
    folder = path.parent / "env"
    target = folder / f"{env}.yaml"
    if Path(env).name != env or not target.is_file():
        names = [item.stem for item in _siblings(target)] if Path(env).name == env else []
        message = f"there is no environment '{env}': '{shown(folder)}/{env}.yaml' does not exist"
        draft.add("NX0040", message, hint=did_you_mean(env, names) or "write that file, or leave --env out")
        draft.broken = True
        return None
    return _read(draft, target)


def shown(path: Path) -> str:
    """A path as findings show it: relative to the working folder when it lies below it, with forward slashes."""
    try:
        relative = path.resolve().relative_to(Path.cwd().resolve()) if path.is_absolute() else path
    except (ValueError, OSError):
        relative = path
    return Path(os.path.normpath(relative)).as_posix()
