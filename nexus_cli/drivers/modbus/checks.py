"""Modbus numbers that look as if they counted from one although the address counts from zero."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic, ModelPath
from nexus_cli.model.bound import BoundDevice

_PREFIXED = re.compile(r"\s*(?P<area>[A-Za-z][A-Za-z_ ]*):(?P<number>\d{5})\b")
_FIRST = {"holding": 40_000, "input": 30_000}
"""Where the five-digit numbering of SCADA systems puts an area: 40001 is holding register 0 on the wire."""


def check_link(_link: str, devices: Sequence[BoundDevice]) -> Iterator[Diagnostic]:
    """NX3111: once per device.

    A tag at exactly 40000 proves that the device counts from zero (SunSpec begins there): 40000 is no one-based number.
    """
    for device in devices:
        suspects: list[tuple[str, ModelPath, str, str]] = []
        for bound in device.tags.values():
            written = str(getattr(bound.tag, "address", ""))
            match = _PREFIXED.match(written)
            area = bound.address.text.partition(":")[0] if bound.address is not None else ""
            first = _FIRST.get(area)
            if match is None or first is None or not first <= int(match["number"]) < first + 10_000:
                continue
            if int(match["number"]) == first:
                break
            zero_based = f"{area}:{int(match['number']) - first - 1}"
            suspects.append((written, bound.where, match["number"], zero_based))
        else:
            if suspects:
                written, where, number, zero_based = suspects[0]
                more = f" ({len(suspects)} tags of this device look like that)" if len(suspects) > 1 else ""
                yield finding(
                    "NX3111",
                    f"'{written}' is register {number} counted from zero{more}",
                    where=(*where, "address"),
                    hint=f"if the manual counts from one, as in {number}, write {number} alone, or {zero_based}",
                )
