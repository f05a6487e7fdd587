"""Units as vendors write them, in the spelling of the site language."""

from __future__ import annotations

import re

from nexus_cli.model.quantities import known

_SPELLINGS: dict[str, str] = {
    "%rh": "%",
    "% rh": "%",
    "percent": "%",
    "amp": "A",
    "amps": "A",
    "ampere": "A",
    "amperes": "A",
    "a ac": "A",
    "a dc": "A",
    "volt": "V",
    "volts": "V",
    "v ac": "V",
    "v dc": "V",
    "watt": "W",
    "watts": "W",
    "w ac": "W",
    "w dc": "W",
    "voltamps": "VA",
    "volt-amps": "VA",
    "vars": "var",
    "kwh": "kWh",
    "wh": "Wh",
    "mwh": "MWh",
    "kvarh": "kvarh",
    "celsius": "degC",
    "deg c": "degC",
    "degree celsius": "degC",
    "degrees celsius": "degC",
    "degrees centigrade": "degC",
    "c": "degC",
    "℃": "degC",
    "fahrenheit": "degF",
    "deg f": "degF",
    "degrees fahrenheit": "degF",
    "℉": "degF",
    "decimal degrees": "deg",
    "degree": "deg",
    "degrees": "deg",
    "hertz": "Hz",
    "hz": "Hz",
    "rpm": "rpm",
    "r/min": "rpm",
    "1/min (rpm)": "rpm",
    "lux": "lx",
    "second": "s",
    "seconds": "s",
    "sec": "s",
    "minute": "min",
    "minutes": "min",
    "hour": "h",
    "hours": "h",
    "hrs": "h",
    "day": "d",
    "days": "d",
    "w/m^2": "W/m2",
    "w/m²": "W/m2",
    "m^3": "m3",
    "m^3/h": "m3/h",
    "m^2": "m2",
    "liter": "l",
    "litre": "l",
    "liters": "l",
    "count": "pcs",
    "ohms": "ohm",
    "ω": "ohm",
    "kbar": "kbar",
    "ug/m^3": "ug/m**3",
    "µg/m³": "ug/m**3",
    "μg/m³": "ug/m**3",
}
"""By the lower-case spelling, blanks reduced to one."""


def unit_of(written: str) -> str:
    """The unit in our spelling, or "" when it can't be converted by anything here."""
    text = re.sub(r"\s+", " ", written.strip().replace("Â", ""))
    if not text:
        return ""
    spelled = _SPELLINGS.get(text.lower(), text)
    return spelled if known(spelled) else ""
