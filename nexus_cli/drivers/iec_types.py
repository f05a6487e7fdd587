"""The type of IEC 61131-3 that a PLC usually has for a type of the site language.

The other way round is `model.datatype.IEC_TYPES`. Dates differ by vendor, and are not in here.
Source: IEC 61131-3 §6.4.2 (elementary data types).
"""

from __future__ import annotations

NATURAL: dict[str, str] = {
    "bool": "BOOL",
    "int8": "SINT",
    "uint8": "USINT",
    "int16": "INT",
    "uint16": "UINT",
    "int32": "DINT",
    "uint32": "UDINT",
    "int64": "LINT",
    "uint64": "ULINT",
    "float32": "REAL",
    "float64": "LREAL",
    "duration": "TIME",
}
