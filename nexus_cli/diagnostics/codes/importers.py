"""Band 6, importers: files of other tools."""

from nexus_cli.diagnostics.codes.code import Code, console, text
from nexus_cli.diagnostics.diagnostic import Severity

CODES: tuple[Code, ...] = (
    Code(
        id="NX6700",
        slug="import-unreadable",
        summary="A file to import can't be read.",
        why="It is not there, is a folder, is larger than 64 MB, or the rights to read it are missing.",
        bad=console("nexus discover exports/plc.tmc   # moved elsewhere"),
        good=console("nexus discover ../plc/plc.tmc"),
    ),
    Code(
        id="NX6701",
        slug="import-format",
        summary="A file of a format that no importer knows.",
        why="Formats are recognised by their content; guessing one would invent tags.",
        bad=console("nexus discover notes.txt"),
        good=text(
            "TwinCAT .tmc/.tpy, TIA .db/.scl, NodeSet2 XML, register CSV, Telegraf .conf, HiveMQ Edge XML, or --file-format"
        ),
    ),
    Code(
        id="NX6702",
        slug="import-malformed",
        summary="A file to import is broken.",
        why="Importing half a file would give wrong or missing tags.",
        bad=text("an XML file that ends in the middle"),
        good=text("the file exported again from its tool"),
    ),
    Code(
        id="NX6703",
        slug="import-unsafe",
        summary="An XML file with a document type.",
        why="Document types can expand to gigabytes or fetch other files; no engineering tool writes one.",
        bad=text("<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>"),
        good=text("the same file without its DOCTYPE"),
    ),
    Code(
        id="NX6704",
        slug="import-mapping",
        summary="A mapping of register columns that is missing or wrong.",
        why="Where the headings do not say what the columns are, a mapping must say which one is the address.",
        bad=console("nexus discover registers.csv   # whose columns have no headings"),
        good=console("nexus discover registers.csv --mapping victron   # or a mapping file, see docs/importers.md"),
    ),
    Code(
        id="NX6705",
        slug="import-nothing",
        summary="Nothing in the file can become a tag.",
        why="The list of skipped entries gives the reason for each.",
        bad=text("a symbol file that holds only data types"),
        good=text("the symbol file of the PLC project"),
        severity=Severity.WARNING,
    ),
)
