"""A saved plan: what was shown, what to record, and the digests of both sides; refused when either moved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import orjson

from nexus_cli import __version__
from nexus_cli.atomic import replace_file
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.diagnostics.missing import hint_of_missing
from nexus_cli.model.config import digest
from nexus_cli.model.snapshot import Changed
from nexus_cli.plan.document import FORMAT_VERSION, PlanDocument

KIND = "nexus-plan"
MARK = b'{"kind":"nexus-plan"'
"""How a saved plan begins; distinguishes it from a site file without reading it whole."""


class PlanSource(TypedDict):
    """The files that a plan was made from: the site file, the name of its overlay, and values over its variables."""

    path: str
    env: str | None
    variables: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A plan from a file.

    Attributes:
        site: `enterprise/site`.
        base_deployment: Number of the deployment it was made against.
        base_digest, desired_digest: Both sides.
        changed: Attributes to record by address; None removes.
        document: What was shown.
        source: The files it was made from.
    """

    site: str
    base_deployment: int
    base_digest: str
    desired_digest: str
    changed: Changed
    document: PlanDocument
    source: PlanSource


def write_planfile(
    path: Path,
    *,
    document: PlanDocument,
    changed: Changed,
    source: PlanSource,
) -> None:
    """Write a plan beside and rename it into place, readable by its owner alone.

    Raises:
        NexusError: NX4003, the folder can't be written.
    """
    body = {"plan": document, "changed": changed, "source": source}
    data = orjson.dumps(
        {
            "kind": KIND,
            "format_version": FORMAT_VERSION,
            "nexus_version": __version__,
            "digest": digest(orjson.loads(orjson.dumps(body))),
            **body,
        }
    )
    try:
        replace_file(path, data, mode=0o600)
    except OSError as error:
        raise NexusError(f"The plan can't be written to '{path}'.", code="NX4003", cause=str(error)) from None


def is_planfile(path: Path) -> bool:
    """True when a file begins as a saved plan does, or is named `.plan`: what is wrong with it is then said of a plan."""
    if path.suffix == ".plan" and path.is_file():
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(MARK)) == MARK
    except OSError:
        return False


def read_planfile(path: Path) -> SavedPlan:
    """Read a saved plan.

    Raises:
        NexusError: NX4003, unreadable, damaged or edited; NX4006, of another version.
    """
    try:
        data = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise _damaged(path, str(error.strerror), hint=hint_of_missing(path)) from None
    except OSError as error:
        raise _damaged(path, str(error.strerror)) from None
    except ValueError as error:
        raise _damaged(path, str(error)) from None
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise _damaged(path, "it is not a saved plan")
    if data.get("format_version") != FORMAT_VERSION:
        raise NexusError(
            f"The plan '{path}' has format {data.get('format_version')}, this version reads {FORMAT_VERSION}.",
            code="NX4006",
        )
    body = {key: data.get(key) for key in ("plan", "changed", "source")}
    if data.get("digest") != digest(body):
        raise _damaged(path, "its content does not match its digest: it was cut off or edited")
    document = data["plan"]
    try:
        return SavedPlan(
            site=document["site"],
            base_deployment=document["base"]["deployment"],
            base_digest=document["base"]["digest"],
            desired_digest=document["desired"]["digest"],
            changed=data["changed"],
            document=document,
            source=data["source"],
        )
    except (KeyError, TypeError) as error:
        raise _damaged(path, f"a field is missing: {error}") from None


def _damaged(path: Path, cause: str, *, hint: str = "") -> NexusError:
    return NexusError(
        f"The plan '{path}' can't be used.",
        code="NX4003",
        cause=cause,
        hint=hint or f"plan again: nexus plan SITE --out {path}",
    )
