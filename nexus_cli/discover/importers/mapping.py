"""The small declared mapping from the columns of a vendor's register table to keys of a tag."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from nexus_cli.diagnostics.outcome import has_errors
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.discover.importers.reading import MalformedError, SourceBytes
from nexus_cli.discover.site_keys import ConnectionKeys
from nexus_cli.model.problems import findings_of
from nexus_cli.model.site import Strict
from nexus_cli.source.nodes import SourceFile
from nexus_cli.source.reader import Reader

BUILT_IN = Path(__file__).parent / "mappings"
MAX_MAPPING_BYTES = 1024 * 1024
Column = Annotated[int, Field(ge=1, le=1000)] | str


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"'{text}' is not a regular expression: {error}") from None
    return text


Pattern = Annotated[str, Field(max_length=200), AfterValidator(_pattern)]


class Columns(Strict):
    """The column of each key: its number, from 1, or its heading."""

    name: Column = Field(description="Name of the value.")
    address: Column = Field(description="Register number, or an address in any dialect when `area` is left out.")
    type: Column | None = Field(default=None, description="Type; `type:` of the mapping when left out.")
    area: Column | None = Field(default=None, description="coil, discrete, input or holding, or a key of `areas`.")
    device: Column | None = Field(default=None, description="Device that the row belongs to.")
    unit: Column | None = Field(default=None, description="Unit.")
    scale: Column | None = Field(default=None, description="Factor, read as `scale` says.")
    offset: Column | None = Field(default=None, description="Added after the scale.")
    low: Column | None = Field(default=None, description="Lowest value.")
    high: Column | None = Field(default=None, description="Highest value.")
    bit: Column | None = Field(default=None, description="Bit of the register, for a bool.")
    description: Column | None = Field(default=None, description="For people.")
    registers: Column | None = Field(
        default=None, description="Registers that the value takes, for types without a width."
    )
    order: Column | None = Field(default=None, description="Byte order of the row.")
    unit_id: Column | None = Field(default=None, description="Unit id behind the connection.")


class Codes(Strict):
    """Names of an enumeration in one cell, such as `0=Off;1=On`."""

    column: Column = Field(description="The column with the names.")
    between: str = Field(default=";", min_length=1, max_length=5, description="Between two of them.")
    assign: str = Field(default="=", min_length=1, max_length=5, description="Between a code and its name.")


class Skip(Strict):
    """Rows that are not values."""

    column: Column = Field(description="What is looked at.")
    pattern: Pattern = Field(description="Regular expression that the cell begins with.")
    reason: str = Field(description="Why such a row is skipped.")


class Mapping(Strict):
    """A mapping file."""

    mapping: Literal[1] = Field(description="Version of this language.")
    title: str = Field(default="", description="For people.")
    header: bool = Field(default=True, description="The first row holds headings.")
    delimiter: str = Field(default="", max_length=1, description="Between cells; found out when left out.")
    columns: Columns = Field(description="The column of each key.")
    area: Literal["coil", "discrete", "input", "holding"] | None = Field(default=None, description="Area of every row.")
    areas: dict[str, Literal["coil", "discrete", "input", "holding"]] = Field(
        default_factory=dict, description="Area by what the area column says."
    )
    base: Literal[0, 1] = Field(default=0, description="What register numbers count from.")
    type: str | None = Field(default=None, description="Type of every row without one.")
    types: dict[str, str] = Field(default_factory=dict, description="Our type by the vendor's.")
    separator: str = Field(default="", max_length=5, description="Between the levels of a name.")
    remove: list[str] = Field(default_factory=list, description="Taken off the beginning of a device's name.")
    scale: Literal["multiply", "divide", "exponent"] = Field(
        default="multiply", description="value = register * cell, register / cell, or register * 10^cell."
    )
    strings: Literal["characters", "registers"] = Field(
        default="characters", description="What the number of string[8] counts."
    )
    order: str | None = Field(default=None, description="Byte order of the device: ABCD, CDAB, BADC, DCBA.")
    codes: Codes | None = Field(default=None, description="The column with names of an enumeration.")
    skip: Skip | None = Field(default=None, description="Rows that are not values.")
    connection: ConnectionKeys = Field(default_factory=dict, description="What is known of the way to the device.")


def built_in() -> list[str]:
    """Names of the mappings that come with NEXUS."""
    return sorted(path.stem for path in BUILT_IN.glob("*.yaml"))


def load_mapping(name: str) -> Mapping:
    """A built-in mapping by name, or one from a file.

    Raises:
        MalformedError: NX6704, none was named, there is none, or it is wrong.
    """
    if not name:
        names = ", ".join(built_in())
        raise MalformedError(
            "no row of the table has headings for a name and an address, so that its columns need a mapping",
            code="NX6704",
            hint=f"a first row such as name,address,type,unit,scale; or --mapping {names} or a file of your own (docs/importers.md)",
        )
    path = BUILT_IN / f"{name}.yaml" if name in built_in() else Path(name)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MAPPING_BYTES)
    except (OSError, ValueError):
        hint = did_you_mean(name, built_in())
        raise MalformedError(f"there is no mapping '{name}'", code="NX6704", hint=hint) from None
    reader = Reader(SourceFile(number=0, name=path.name, path=path, text=SourceBytes(path, data).text()))
    root = reader.read()
    findings = list(reader.findings)
    if not has_errors(findings):
        try:
            return Mapping.model_validate(root)
        except ValidationError as error:
            findings = findings_of(error, base=(), raw=root, shape=Mapping)
    first = next(item for item in findings if item.severity == "error")
    raise MalformedError(f"the mapping '{name}': {first.message}", code="NX6704", hint=first.hint)
