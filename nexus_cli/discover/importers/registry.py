"""The formats there are: a literal table. A file is recognised by its content; a format loads when it is needed.

See docs/decisions/0023.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from nexus_cli.diagnostics import Diagnostic, Outcome
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Place
from nexus_cli.diagnostics.missing import hint_of_missing
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.discover.found import Discovery
from nexus_cli.discover.importers.options import MAX_BYTES, ImportOptions
from nexus_cli.discover.importers.reading import MalformedError, SourceBytes

HEAD = 64 * 1024
"""Bytes in which a format shows itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format.

    Attributes:
        name: For `--file-format`.
        title: For people.
        marks: Recognises the first characters of a file, comments included.
        suffixes: Extensions for files whose content says nothing; also what a person may expect to work.
        reader: `module:function` below this package, `(SourceBytes, ImportOptions) -> list[Discovery]`.
    """

    name: str
    title: str
    marks: str
    suffixes: tuple[str, ...]
    reader: str


FORMATS: tuple[Format, ...] = (
    Format(
        name="tmc",
        title="TwinCAT 3 (.tmc)",
        marks=r"<TcModuleClass\b",
        suffixes=(".tmc",),
        reader="twincat.symbols:read_tmc",
    ),
    Format(
        name="tpy",
        title="TwinCAT (.tpy)",
        marks=r"<PlcProjectInfo\b",
        suffixes=(".tpy",),
        reader="twincat.symbols:read_tpy",
    ),
    Format(
        name="nodeset", title="OPC UA NodeSet2", marks=r"<(\w+:)?UANodeSet\b", suffixes=(), reader="nodeset.nodes:read"
    ),
    Format(name="hivemq", title="HiveMQ Edge", marks=r"<hivemq\b", suffixes=(), reader="hivemq.config:read"),
    Format(
        name="telegraf",
        title="Telegraf",
        marks=r"(?m)^[ \t]*\[\[?[ \t]*inputs\.",
        suffixes=(".conf",),
        reader="telegraf.config:read",
    ),
    Format(
        name="tia",
        title="TIA Portal source",
        marks=r"(?im)^[ \t]*(DATA_BLOCK|TYPE)[ \t]+(\"[^\"\n]+\"|\w+)",
        suffixes=(".db", ".scl", ".udt", ".awl"),
        reader="tia.source:read",
    ),
    Format(
        name="local-gateway",
        title="modbus_local_gateway device",
        marks=r"(?m)^(read_write_word|read_only_word|read_write_boolean|read_only_boolean):",
        suffixes=(),
        reader="local_gateway:read",
    ),
    Format(
        name="thingsboard",
        title="ThingsBoard gateway",
        marks=r'"(slaves|deviceNodePattern|deviceNodeSource)"\s*:',
        suffixes=(),
        reader="thingsboard:read",
    ),
    Format(name="csv", title="register table", marks=r"(?!)", suffixes=(".csv", ".tsv"), reader="register_table:read"),
)
_BY_NAME = {item.name: item for item in FORMATS}


def import_file(path: Path | str, *, options: ImportOptions | None = None) -> Outcome[list[Discovery]]:
    """Read a file of another tool.

    Args:
        path: The file.
        options: What a person says about it.

    Returns:
        One discovery per device connection that the file describes, in its order; no value, and findings NX67xx, when
        it can't be read. Never raises for the content of a file.
    """
    chosen = options or ImportOptions()
    source = _read(Path(path))
    if isinstance(source, Diagnostic):
        return Outcome(None, (source,))
    known = _format(source, chosen)
    if isinstance(known, Diagnostic):
        return Outcome(None, (known,))
    try:
        discoveries = _reader(known)(source, chosen)
    except MalformedError as error:
        place = Place(source.name, error.line, max(error.column, 1)) if error.line else None
        message = f"{source.name} ({known.title}): {error}"
        return Outcome(None, (finding(error.code, message, place=place, hint=error.hint),))
    except RecursionError:
        message = f"{source.name} ({known.title}): nested too deeply"
        return Outcome(None, (finding("NX6702", message),))
    if any(discovery.found for discovery in discoveries):
        return Outcome(discoveries)
    skipped = sum(len(discovery.skipped) for discovery in discoveries)
    message = f"nothing in {source.name} ({known.title}) can become a tag; skipped: {skipped}"
    return Outcome(discoveries, (finding("NX6705", message),))


def _read(path: Path) -> SourceBytes | Diagnostic:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        hint = hint_of_missing(path) if isinstance(error, FileNotFoundError) else ""
        return finding("NX6700", f"'{path.as_posix()}' can't be read: {reason}", hint=hint)
    except ValueError:
        return finding("NX6700", "the path holds a NUL")
    if len(data) > MAX_BYTES:
        return finding("NX6700", f"'{path.as_posix()}' is larger than {MAX_BYTES // 1024 // 1024} MB")
    return SourceBytes(path, data)


def _format(source: SourceBytes, options: ImportOptions) -> Format | Diagnostic:
    if options.format:
        if options.format in _BY_NAME:
            return _BY_NAME[options.format]
        hint = did_you_mean(options.format, _BY_NAME)
        return finding("NX6701", f"there is no importer '{options.format}'", hint=hint)
    head = SourceBytes(source.path, source.data[:HEAD]).text()
    for item in FORMATS:
        if re.search(item.marks, head):
            return item
    if options.mapping:
        return _BY_NAME["csv"]
    suffix = source.path.suffix.lower()
    for item in FORMATS:
        if suffix in item.suffixes:
            return item
    return finding(
        "NX6701",
        f"'{source.name}' is of no format that can be imported",
        hint="if it is one of them, choose it with --file-format:  " + ", ".join(item.name for item in FORMATS),
    )


def _reader(known: Format) -> Callable[[SourceBytes, ImportOptions], list[Discovery]]:
    module, _, name = known.reader.partition(":")
    reader: Any = getattr(import_module(f"nexus_cli.discover.importers.{module}"), name)
    return reader  # type: ignore[no-any-return]
