"""Units that OPC UA servers name by their UNECE common code, in the spelling of the site language.

Source: UNECE Recommendation 20 (codes for units of measure), annexes I to III; OPC 10000-8 §5.6.3: an EUInformation
carries the code's characters as one integer, e.g. CEL = 0x43454C = 4408652.
"""

from __future__ import annotations

NAMESPACE = "http://www.opcfoundation.org/UA/units/un/cefact"

_UNITS = {
    "4G": "uV", "4H": "um", "2Z": "mV", "2X": "m/min", "2N": "dB", "23": "g/cm3", "28": "kg/m2",
    "59": "ppm", "AMH": "Ah", "AMP": "A", "4K": "mA", "B84": "uA", "2R": "kCi", "B22": "kA",
    "BAR": "bar", "MBR": "mbar", "PAL": "Pa", "A97": "hPa", "KPA": "kPa", "MPA": "MPa", "PS": "psi", "74": "mPa",
    "C49": "nS", "B99": "uS", "C27": "MS", "SIE": "S", "G42": "uS/cm", "H61": "mS/cm", "D10": "S/m",
    "CEL": "degC", "FAH": "degF", "KEL": "K", "CMT": "cm", "MMT": "mm", "MTR": "m", "KMT": "km", "INH": "in",
    "FOT": "ft", "CMQ": "cm3", "MMQ": "mm3", "MTQ": "m3", "LTR": "l", "MLT": "ml", "HLT": "hl", "GLL": "gal",
    "MTK": "m2", "CMK": "cm2", "MMK": "mm2", "DD": "deg", "C81": "rad", "D27": "sr",
    "GRM": "g", "KGM": "kg", "MGM": "mg", "TNE": "t", "LBR": "lb", "KMQ": "kg/m3", "GL": "g/l",
    "KGS": "kg/s", "E93": "kg/h", "4M": "mg/h", "E18": "t/h", "M4L": "mg/l", "M1": "mg/l", "F31": "kg/min",
    "HTZ": "Hz", "KHZ": "kHz", "MHZ": "MHz", "RPM": "rpm", "RPS": "1/s", "C94": "1/min", "C97": "1/s", "H10": "1/h",
    "SEC": "s", "MIN": "min", "HUR": "h", "DAY": "d", "C26": "ms", "B98": "us", "WEE": "week", "ANN": "year",
    "JOU": "J", "KJO": "kJ", "3B": "MJ", "GV": "GJ", "WHR": "Wh", "KWH": "kWh", "MWH": "MWh", "GWH": "GWh",
    "WTT": "W", "KWT": "kW", "MAW": "MW", "C31": "mW", "D46": "VA", "KVA": "kVA", "MVA": "MVA", "D44": "var",
    "KVR": "kvar", "K3": "kvarh", "KVT": "kV", "VLT": "V", "OHM": "ohm", "B49": "kohm", "B75": "Mohm", "D80": "uohm",
    "KMH": "km/h", "MTS": "m/s", "C16": "mm/s", "MSK": "m/s2", "H49": "cm/h", "H66": "mm/h", "H81": "mm/min",
    "LD": "l/d", "L2": "l/min", "E32": "l/h", "G51": "l/s", "MQH": "m3/h", "MQS": "m3/s", "G53": "m3/min",
    "NEW": "N", "B47": "kN", "B73": "MN", "NU": "N*m", "B48": "kN*m", "D83": "mN*m", "LUX": "lx", "LUM": "lm",
    "CDL": "cd", "P1": "%", "Q30": "pH", "D54": "W/m2", "FAR": "farad", "4O": "uF", "D33": "T", "C29": "mT",
    "BIT": "bit", "AD": "byte", "2P": "kB", "4L": "MB", "C62": "1", "H87": "pcs", "EA": "pcs", "NMP": "pcs",
    "UA": "torr", "ATM": "atm", "ATT": "at", "HN": "mmHg", "F79": "inHg", "F78": "inH2O", "HP": "mmH2O", "HJ": "PS",
    "FTQ": "ft3", "2K": "ft3/h", "2L": "ft3/min", "G2": "gal_us/min", "GLI": "gal_uk", "BLL": "bbl_oil", "BTU": "BTU",
    "STN": "ton_us", "LTN": "ton_uk", "B37": "kgf", "C78": "lbf", "HM": "mph", "KNT": "knot",
    "A99": "bit", "B10": "bit/s", "WEB": "Wb", "COU": "coulomb", "81": "H", "C14": "mH", "DBM": "dBm",
}  # fmt: skip
"""By common code."""


def common_code(unit_id: int) -> str:
    """The code whose characters the number holds; "" when it holds none."""
    if unit_id <= 0:
        return ""
    raw = unit_id.to_bytes((unit_id.bit_length() + 7) // 8, "big")
    return raw.decode("ascii") if raw.isalnum() and len(raw) <= 3 else ""


def unit_of(unit_id: int, *, namespace: str = NAMESPACE) -> str:
    """The unit behind an EUInformation's number, "" when the table does not have it (use its display name then)."""
    return _UNITS.get(common_code(unit_id), "") if namespace in ("", NAMESPACE) else ""


def units() -> dict[str, str]:
    """Every unit of the table by its common code."""
    return dict(_UNITS)
