"""Units that OPC UA servers name by their UNECE common code, in the spelling of the site language.

Source: UNECE Recommendation 20 (codes for units of measure), annexes I to III, as in the OPC Foundation's list of them
(UA-Nodeset, Schema/UNECE_to_OPCUA.csv); OPC 10000-8 §5.6.3: an EUInformation
carries the code's characters as one integer, e.g. CEL = 0x43454C = 4408652.
"""

from __future__ import annotations

NAMESPACE = "http://www.opcfoundation.org/UA/units/un/cefact"

_UNITS = {
    "4G": "ul", "D82": "uV", "4H": "um", "2Z": "mV", "2X": "m/min", "2N": "dB", "23": "g/cm3", "28": "kg/m2",
    "59": "ppm", "AMH": "Ah", "AMP": "A", "4K": "mA", "B84": "uA", "2R": "kCi", "B22": "kA",
    "BAR": "bar", "MBR": "mbar", "PAL": "Pa", "A97": "hPa", "KPA": "kPa", "MPA": "MPa", "PS": "psi", "74": "mPa",
    "C49": "nW", "B99": "uS", "C27": "mS", "SIE": "S", "G42": "uS/cm", "H61": "mS/cm", "D10": "S/m",
    "CEL": "degC", "FAH": "degF", "KEL": "K", "CMT": "cm", "MMT": "mm", "MTR": "m", "KMT": "km", "INH": "in",
    "FOT": "ft", "CMQ": "cm3", "MMQ": "mm3", "MTQ": "m3", "LTR": "l", "MLT": "ml", "HLT": "hl", "GLL": "gal",
    "MTK": "m2", "CMK": "cm2", "MMK": "mm2", "DD": "deg", "C81": "rad", "D27": "sr",
    "GRM": "g", "KGM": "kg", "MGM": "mg", "TNE": "t", "LBR": "lb", "KMQ": "kg/m3", "GL": "g/l",
    "KGS": "kg/s", "E93": "kg/h", "4M": "mg/h", "E18": "t/h", "M4L": "mg/l", "M1": "mg/l", "F31": "kg/min",
    "HTZ": "Hz", "KHZ": "kHz", "MHZ": "MHz", "RPM": "rpm", "RPS": "rps", "C94": "1/min", "C97": "1/s", "H10": "1/h",
    "SEC": "s", "MIN": "min", "HUR": "h", "DAY": "d", "C26": "ms", "B98": "us", "WEE": "week", "ANN": "year",
    "JOU": "J", "KJO": "kJ", "3B": "MJ", "GV": "GJ", "WHR": "Wh", "KWH": "kWh", "MWH": "MWh", "GWH": "GWh",
    "WTT": "W", "KWT": "kW", "MAW": "MW", "C31": "mW", "D46": "VA", "KVA": "kVA", "MVA": "MVA", "D44": "var",
    "KVR": "kvar", "K3": "kvarh", "KVT": "kV", "VLT": "V", "OHM": "ohm", "B49": "kohm", "B75": "Mohm", "D80": "uW",
    "KMH": "km/h", "MTS": "m/s", "C16": "mm/s", "MSK": "m/s2", "H49": "cm/h", "H67": "mm/h", "H81": "mm/min",
    "LD": "l/d", "L2": "l/min", "E32": "l/h", "G51": "l/s", "MQH": "m3/h", "MQS": "m3/s", "G53": "m3/min",
    "NEW": "N", "B47": "kN", "B73": "MN", "NU": "N*m", "B48": "kN*m", "D83": "mN*m", "LUX": "lx", "LUM": "lm",
    "CDL": "cd", "P1": "%", "Q30": "pH", "D54": "W/m2", "FAR": "farad", "4O": "uF", "D33": "T", "C29": "mT",
    "BIT": "bit", "AD": "byte", "2P": "kB", "4L": "MB", "C62": "1", "H87": "pcs", "EA": "pcs",
    "UA": "torr", "ATM": "atm", "ATT": "at", "HN": "mmHg", "F79": "inHg", "F78": "inH2O", "HP": "mmH2O", "HJ": "PS",
    "FTQ": "ft3", "2K": "ft3/h", "2L": "ft3/min", "G2": "gal_us/min", "GLI": "gal_uk", "BLL": "bbl_oil", "BTU": "BTU",
    "STN": "ton_us", "LTN": "ton_uk", "B37": "kgf", "C78": "lbf", "HM": "mph", "KNT": "knot",
    "C25": "mrad", "A91": "gon", "M44": "rev", "E96": "deg/s", "DMT": "dm", "C45": "nm", "YRD": "yd", "77": "mil",
    "KMK": "km2", "HAR": "ha", "INK": "in2", "FTK": "ft2", "DMQ": "dm3", "CLT": "cl", "DLT": "dl", "INQ": "in3",
    "C47": "ns", "2A": "rad/s", "M46": "r/min", "2M": "cm/s", "FR": "ft/min", "IU": "in/s", "FS": "ft/s",
    "M60": "m/h", "M39": "cm/s2", "M41": "mm/s2", "A86": "GHz", "MTZ": "mHz", "MC": "ug", "KTN": "kt", "ONZ": "oz",
    "D41": "t/m3", "GJ": "g/ml", "A93": "g/m3", "GP": "mg/m3", "B34": "kg/dm3", "H29": "ug/l", "GQ": "ug/m3",
    "87": "lb/ft3", "C20": "mN", "B92": "uN", "B51": "kp", "B74": "MN*m", "F88": "N*cm", "B38": "kgf*m",
    "F21": "lbf*in", "M92": "lbf*ft", "KBA": "kbar", "A89": "GPa", "B96": "uPa", "B85": "ubar", "C55": "N/m2",
    "C56": "N/mm2", "E01": "N/cm2", "E42": "kgf/cm2", "N20": "ksi", "C65": "Pa*s", "C24": "mPa*s", "C7": "cP",
    "S4": "m2/s", "C17": "mm2/s", "4C": "cSt", "D30": "TJ", "C15": "mJ", "85": "ft*lbf", "A90": "GW", "N12": "PS",
    "F27": "g/h", "F28": "g/min", "F29": "g/s", "F30": "kg/d", "4U": "lb/h", "K78": "lb/min", "K81": "lb/s",
    "L71": "t/d", "40": "ml/s", "41": "ml/min", "G49": "cm3/min", "G52": "m3/d", "G55": "ml/h", "G50": "gal/h",
    "C39": "nA", "C70": "pA", "B78": "MV", "C10": "mF", "C41": "nF", "4T": "pF", "D81": "uT", "C48": "nT",
    "B90": "uH", "B53": "kS", "G43": "uS/m", "H43": "S/cm", "K5": "kvar", "KLX": "klx", "61": "ppb", "2G": "V",
    "2H": "V", "B80": "Gbit/s", "C74": "kbit/s", "C79": "kVAh", "E17": "ft3/s", "E20": "Mbit/s", "J18": "degBrix",
    "NX": "‰", "FNU": "FNU", "NTU": "NTU", "SMI": "mi", "NM3": "Nm3", "SM3": "Sm3", "80": "psia",
    "A99": "bit", "B10": "bit/s", "WEB": "Wb", "COU": "coulomb", "81": "H", "C14": "mH", "DBM": "dBm",
}  # fmt: skip
"""By common code."""

_ALIKE = frozenset(
    [
        *("C63", "C73", "C80", "M43", "M70", "M72", "H77", "MAR", "ARE", "DAA", "GRO", "AB"),
        *("FC", "HMQ", "TQD", "2C", "2Y", "KR", "D6"),
    ]
)
"""Codes whose display name is another unit's symbol here: a picohenry is a `pH`, a bel a `B`, an are an `a`, a parsec a
`pc`, and a `kft³` a thousand cubic feet."""


def common_code(unit_id: int) -> str:
    """The code whose characters the number holds; "" when it holds none."""
    if unit_id <= 0:
        return ""
    raw = unit_id.to_bytes((unit_id.bit_length() + 7) // 8, "big")
    return raw.decode("ascii") if raw.isalnum() and len(raw) <= 3 else ""


def unit_of(unit_id: int, *, namespace: str = NAMESPACE) -> str:
    """The unit behind an EUInformation's number, "" when the table does not have it (use its display name then)."""
    return _UNITS.get(common_code(unit_id), "") if namespace in ("", NAMESPACE) else ""


def name_of(unit_id: int, name: str, *, namespace: str = NAMESPACE) -> str:
    """The server's own name of a unit that is not in the table, with its code where the name alone would mislead."""
    code = common_code(unit_id)
    return f"{name} ({code})" if code in _ALIKE and namespace in ("", NAMESPACE) else name


def units() -> dict[str, str]:
    """Every unit of the table by its common code."""
    return dict(_UNITS)
