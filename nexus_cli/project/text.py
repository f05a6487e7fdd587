"""The verbs of the text: load, validate, and the schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from nexus_cli.checks import check
from nexus_cli.checks.policies import not_met
from nexus_cli.diagnostics import Diagnostic, Outcome
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.missing import hint_of_missing
from nexus_cli.diagnostics.outcome import has_errors
from nexus_cli.drivers.registry import broken, kinds
from nexus_cli.model.bind import NONE_KEPT, Model, bind, collection_paused
from nexus_cli.model.bound import BoundDevice
from nexus_cli.model.kept import KeptDevice
from nexus_cli.model.keys import known_keys
from nexus_cli.model.resolve import snapshot_of
from nexus_cli.model.site import Inherited
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.project.cache import SiteCache, site_cache
from nexus_cli.source.load import load_files
from nexus_cli.source.nodes import SourceFile
from nexus_cli.source.remembered import UnsoundMemory
from nexus_cli.source.tree import SourceTree

T = TypeVar("T")
SITE_FILE = "site.yaml"


@dataclass(frozen=True, slots=True)
class Sourced(Outcome[T]):
    """An outcome with the texts that its findings quote."""

    files: tuple[SourceFile, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadedSite:
    """A site without errors: its text, its model, and what plan compares."""

    tree: SourceTree
    model: Model
    snapshot: Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How far a site could be read, with or without errors.

    Attributes:
        findings: With their places, joined, without the suppressed ones, in order.
        files: Every file that was read, for excerpts.
        tree: None when a file could not be parsed.
        model: What could be bound; None with `tree`.
        cache: The cache that was used; None without one.
    """

    findings: tuple[Diagnostic, ...]
    files: tuple[SourceFile, ...] = ()
    tree: SourceTree | None = None
    model: Model | None = None
    cache: SiteCache | None = None


def load(
    path: Path | str | None,
    *,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    use_cache: bool = False,
) -> Sourced[LoadedSite]:
    """Read, bind and check a site, and make its snapshot.

    Args:
        path: The site file, its folder, or None for `./site.yaml` or the only `sites/*/site.yaml`.
        env: Name of an overlay `env/ENV.yaml` beside the site file.
        variables: Values over the declared `vars`.
        use_cache: Take from the user's cache what did not change since the last run, and keep there what did.

    Returns:
        No value when there are errors; the findings are placed and in order.
    """
    reading = read(path, env=env, variables=variables, use_cache=use_cache)
    if reading.tree is None or reading.model is None or has_errors(reading.findings):
        return Sourced(None, reading.findings, reading.files)

    with collection_paused():
        snapshot = _snapshot(reading.tree, reading.model, reading.cache)
    return Sourced(LoadedSite(reading.tree, reading.model, snapshot), reading.findings, reading.files)


def _snapshot(tree: SourceTree, model: Model, cache: SiteCache | None) -> Snapshot:
    if cache is None:
        return snapshot_of(model)
    known = cache.known_configs(tree, model)
    snapshot = snapshot_of(model, known)
    cache.remember_configs(tree, model, snapshot, known)
    return snapshot


def read(
    path: Path | str | None,
    *,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    use_cache: bool = False,
) -> Reading:
    """Read, bind and check a site as far as it goes; `validate` shows the result. Arguments as for `load`."""
    located = locate(path)
    if located.value is None:
        return Reading(findings=located.findings)
    cache = site_cache(located.value, env=env, variables=variables or {}) if use_cache else None
    with collection_paused():
        if cache is not None:
            try:
                return _read(located.value, env, variables, cache)
            except UnsoundMemory:
                cache.file.remove()
        return _read(located.value, env, variables, None)


def _read(path: Path, env: str | None, variables: Mapping[str, str] | None, cache: SiteCache | None) -> Reading:
    files, source = load_files(
        path,
        env=env,
        variables=variables,
        inherited=frozenset(Inherited.model_fields),
        known=known_keys(kinds()),
        earlier=cache.earlier() if cache is not None else None,
    )
    tree = source.value
    if tree is None:
        return Reading(findings=source.findings, files=files)
    bound = bind(tree.root, kinds(), broken=broken(), kept=cache.kept(tree) if cache is not None else NONE_KEPT)
    model = bound.value
    sound = cache.sound_links(model, tree) if cache is not None and model is not None else ()
    checked = check(model, sound_links=sound) if model is not None else ()
    raw = [*source.findings, *bound.findings, *checked]
    if model is not None and model.site.policies and not has_errors(raw):
        raw += not_met(model)
    findings = tree.report(raw)
    if cache is not None and model is not None:
        cache.remember(tree, model, raw)
    return Reading(findings=findings, files=files, tree=tree, model=model, cache=cache)


def read_all(
    paths: Sequence[Path | str],
    *,
    env: str | None = None,
    variables: Mapping[str, str] | None = None,
    use_cache: bool = False,
) -> tuple[Reading, ...]:
    """Read several sites, each once however often it is named; none means the default site.

    A folder without a site file means the sites in it.
    """
    chosen: dict[object, Path | str | None] = {}
    for path in (one for given in paths for one in _inside(given)):
        located = locate(path).value
        chosen.setdefault(located.resolve() if located is not None else path, path)
    wanted = chosen.values() if paths else (None,)
    return tuple(read(path, env=env, variables=variables, use_cache=use_cache) for path in wanted)


def _inside(path: Path | str) -> Sequence[Path | str]:
    """The sites in a folder that has no site file itself, such as `sites`; the path as it is for everything else."""
    given = Path(path)
    if not given.is_dir() or (given / SITE_FILE).exists():
        return (path,)
    return _sites_below(given) or (path,)


def _sites_below(folder: Path) -> list[Path]:
    """Site files one or two levels below a folder."""
    return sorted(folder.glob(f"*/{SITE_FILE}")) or sorted(folder.glob(f"sites/*/{SITE_FILE}"))


def sites_of(paths: Sequence[Path | str]) -> tuple[Path, ...]:
    """The site files that files belong to: the `site.yaml` beside or nearest above each; files of no site are left out."""
    found: dict[Path, None] = {}
    for path in paths:
        here = Path(path).absolute()
        for folder in (here, *here.parents) if here.is_dir() else here.parents:
            if (folder / SITE_FILE).is_file():
                site = folder / SITE_FILE
                found[site.relative_to(Path.cwd()) if site.is_relative_to(Path.cwd()) else site] = None
                break
    return tuple(found)


def locate(path: Path | str | None) -> Outcome[Path]:
    """The site file that a path, a folder, or nothing selects."""
    if path is not None:
        given = Path(path)
        target = given / SITE_FILE if given.is_dir() else given
        if target.is_file():
            return Outcome(target)
        message = f"there is no site file '{target.as_posix()}'"
        if given.is_dir() and (inside := _sites_below(given)):
            names = ", ".join(item.parent.as_posix() for item in inside[:8]) + (", …" if len(inside) > 8 else "")
            hint = f"it holds {len(inside)} site{'s' * (len(inside) > 1)}, name one: {names}"
            return Outcome(None, (finding("NX0007", message, hint=hint),))
        if given.is_dir():
            return Outcome(None, (finding("NX0007", message, hint=f"`nexus init {given.as_posix()}` writes one"),))
        return Outcome(None, (_missing(given),))
    if Path(SITE_FILE).is_file():
        return Outcome(Path(SITE_FILE))
    sites = sorted(Path("sites").glob(f"*/{SITE_FILE}"))
    if len(sites) == 1:
        return Outcome(sites[0])
    if not sites:
        message = f"there is no '{SITE_FILE}' here, and no 'sites/*/{SITE_FILE}'"
        below = sorted(item.parent.as_posix() for item in Path().glob(f"*/{SITE_FILE}"))[:4]
        hint = f"there is one in {' and '.join(below)}: name it, or go there" if below else ""
        hint = hint or "name a site file, or write one with `nexus init`"
        return Outcome(None, (finding("NX0007", message, hint=hint),))
    names = ", ".join(item.parent.as_posix() for item in sites[:8]) + (", …" if len(sites) > 8 else "")
    return Outcome(
        None,
        (
            finding(
                "NX0007",
                f"there are {len(sites)} sites here",
                hint=f"go to its folder, or name one of {names} (as SITE, or with --site)",
            ),
        ),
    )


def _missing(given: Path) -> Diagnostic:
    """Of a path that is neither a file nor a folder."""
    hint = hint_of_missing(given)
    if not hint and given.suffix.lower() in ("", ".yaml", ".yml"):
        folder = given.parent if given.suffix else given
        hint = f"name a site file or its folder; `nexus init {folder.as_posix()}` writes a site there"
    saved = f"name a site file or its folder; `nexus plan --out {given.as_posix()}` saves a plan for `apply`"
    return finding("NX0007", f"there is no file or folder '{given.as_posix()}'", hint=hint or saved)


def facts(reading: Reading) -> dict[str, object] | None:
    """The site's own part of the answer of `validate`, or None without a model."""
    model = reading.model
    if model is None:
        return None
    site = model.site
    return {
        "name": f"{site.enterprise}/{site.site}",
        "devices": len(model.devices),
        "tags": sum(_tag_count(device) for device in model.devices.values()),
    }


def _tag_count(device: BoundDevice) -> int:
    if isinstance(device, KeptDevice):
        return len(device.facts.tags) + len(device.facts.calculated)
    return len(device.tags) + len(device.device.calculated)


def facts_of_all(readings: Sequence[Reading]) -> dict[str, object] | None:
    """As `facts`; of several sites the sums, with each site's own below `sites`. None when one has no model."""
    each = [facts(reading) for reading in readings]
    known = [one for one in each if one is not None]
    if len(known) < len(each):
        return None
    if len(known) == 1:
        return known[0]
    sums = {key: sum(int(str(one[key])) for one in known) for key in ("devices", "tags")}
    return {"name": ", ".join(str(one["name"]) for one in known), **sums, "sites": known}
