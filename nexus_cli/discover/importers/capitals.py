"""Units in capitals, as EPICS displays and many register tables have them, in the letters that they are known by."""

from __future__ import annotations

from nexus_cli.discover.importers.units import unit_of

_SPELT = (
    *("torr", "mtorr", "bar", "mbar", "Pa", "hPa", "kPa", "MPa", "psi", "inHg", "mmHg", "inH2O", "mmH2O", "atm"),
    *("W", "kW", "MW", "GW", "VA", "kVA", "MVA", "var", "kvar", "Wh", "kWh", "MWh", "GWh", "kvarh", "kVAh", "J", "kJ", "MJ", "GJ"),
    *("kcal", "V", "kV", "A", "mA", "kA", "Hz", "kHz", "MHz", "ohm", "l", "ml", "l/min", "ml/min", "l/h", "l/s", "m3", "m3/h", "m3/min"),
    *("kg", "kg/h", "kg/s", "t/h", "lb/h", "cfm", "rpm", "mm", "cm", "m", "m/s", "mm/s", "s", "min", "h", "degC", "degF", "K", "ppm"),
)  # fmt: skip
_BY_CAPITALS = {unit.upper(): unit for unit in _SPELT if unit != "mA"} | {"LPM": "l/min"}
"""MW and MPA are the large ones, because the small ones are not written like that; MA could be either."""


def in_known_letters(written: str) -> str:
    """A unit that is known by other letters' sizes; anything else, and what is known already, as it is."""
    text = written.strip()
    if not text or (unit_of(text) and (text.upper() not in _BY_CAPITALS or unit_of(text) == text)):
        return written
    spelt = _BY_CAPITALS.get(text.upper(), "") if text == text.upper() or text.lower().endswith("torr") else ""
    return spelt if spelt and unit_of(spelt) else written
