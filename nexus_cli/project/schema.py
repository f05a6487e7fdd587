"""The generated files of the language: JSON Schemas, and a page per finding."""

from __future__ import annotations

import json
from pathlib import Path

from nexus_cli.diagnostics.codes import catalogue
from nexus_cli.diagnostics.codes.page import index_page, page
from nexus_cli.discover.adopt.schema import adoption_schema
from nexus_cli.discover.adopt.series_schema import series_adoption_schema
from nexus_cli.drivers.registry import kinds
from nexus_cli.local.status_schema import status_schema
from nexus_cli.model.json_schema import json_schema, overlay_schema
from nexus_cli.plan.document_schema import plan_schema
from nexus_cli.project.output_file import write_text
from nexus_cli.project.testing.schema import file_schema, report_schema
from nexus_cli.wire.approval_schema import approval_schema
from nexus_cli.wire.change_schemas import change_schemas
from nexus_cli.wire.history_schemas import history_schemas
from nexus_cli.wire.schemas import message_schemas, report_schemas


def schema_files() -> dict[str, str]:
    """Content of every file in `schemas/`, by name."""
    known = kinds()
    schemas = {
        "site": json_schema(known),
        "overlay": overlay_schema(known),
        "plan": plan_schema(),
        "approval": approval_schema(),
        "adoption": adoption_schema(),
        "series-adoption": series_adoption_schema(),
        **message_schemas(),
        **report_schemas(),
    }
    schemas |= {"test-file": file_schema(), "test-report": report_schema()}
    schemas |= history_schemas(schemas["plan"]) | change_schemas()
    schemas["status"] = status_schema()
    return {
        f"{name}.schema.json": json.dumps(body, indent=2, ensure_ascii=False) + "\n" for name, body in schemas.items()
    }


def code_pages() -> dict[str, str]:
    """Content of every file in `docs/codes/`, by name: one page per code and an index."""
    codes = catalogue()
    return {**{f"{code.id}.md": page(code) for code in codes.values()}, "README.md": index_page(list(codes.values()))}


CODE_PAGES = "NX[0-9][0-9][0-9][0-9].md"
"""Names of generated pages."""


def stale(folder: Path, files: dict[str, str]) -> list[str]:
    """Names of the files in a folder that are missing, differ, or should not be there."""
    wrong = []
    for name, content in files.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            wrong.append(name)
    suffix = next(iter(files)).partition(".")[2]
    pattern = CODE_PAGES if suffix == "md" else f"*.{suffix}"  # a folder may hold a person's own Markdown
    extra = [path.name for path in folder.glob(pattern) if path.name not in files] if folder.is_dir() else []
    return sorted(wrong + extra)


def write(folder: Path, files: dict[str, str]) -> list[str]:
    """Write stale files, remove superfluous ones, and give the names of both. Raises NexusError NX6523."""
    changed = stale(folder, files)
    for name in changed:
        if name in files:
            write_text(folder / name, files[name])
        else:
            (folder / name).unlink()
    return changed
