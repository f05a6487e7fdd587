"""Edits that keep comments, by `ruamel.yaml`; slow, so never on the way of `validate` or `plan`."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from nexus_cli.diagnostics import Diagnostic, Outcome
from nexus_cli.source.encoding import decode
from nexus_cli.source.nodes import SourceFile
from nexus_cli.source.reader import Reader

WIDTH = 4096
"""Lines are never broken: a tag stays on one line."""
_BLANK_LINES = re.compile(r"\n{3,}")


def round_trip() -> Any:
    """A `ruamel.yaml` reader and writer with the house style: two spaces, list items indented by two."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = WIDTH
    yaml.allow_duplicate_keys = False
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), _null)
    return yaml


def _null(representer: Any, _value: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def formatted(data: bytes, *, name: str) -> Outcome[str]:
    """The text of a file in the house style; comments, order and values stay.

    Args:
        data: The file's bytes.
        name: As shown in findings.

    Returns:
        No value when the file can't be parsed, with the findings. A file that would not keep its meaning is given
        back as it is.
    """
    text, problems = decode(data, name)
    if text is None:
        return Outcome(None, tuple(problems))
    before, findings = _values(text, name)
    if problems or any(item.severity == "error" for item in findings):
        return Outcome(None, (*problems, *findings))
    tidy = _BLANK_LINES.sub("\n\n", "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")) + "\n"
    if _values(tidy, name)[0] != before:
        tidy = text  # trailing spaces or blank lines inside a block scalar carry meaning
    if before == repr(None):
        return Outcome(tidy)
    dumped = _dump(tidy)
    return Outcome(dumped if dumped is not None and _values(dumped, name)[0] == before else tidy)


def _dump(text: str) -> str | None:
    from ruamel.yaml.error import YAMLError

    yaml = round_trip()
    target = io.StringIO()
    try:
        yaml.dump(yaml.load(text), target)
    except (
        YAMLError,
        ValueError,
        NotImplementedError,
        AssertionError,
        AttributeError,
        TypeError,
        KeyError,
        IndexError,
    ):
        return None  # what ruamel can't round-trip stays as it is
    return target.getvalue()


def _values(text: str, name: str) -> tuple[Any, list[Diagnostic]]:
    reader = Reader(SourceFile(number=0, name=name, path=Path(name), text=text))
    root = reader.read()
    return repr(root), reader.findings
