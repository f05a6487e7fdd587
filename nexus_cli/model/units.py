"""Units that plants write, as exact factors: one table for site files, importers and OPC UA's codes.

A value in the kind's base unit is `value * factor + shift`; factors are exact fractions, or decimals with more digits
than a double has where the true one is irrational. Kinds are finer than physics: torque is not energy, apparent power
is not active power, revolutions are not hertz, gas under normal conditions is not gas as it flows, because a
conversion between those is a mistake on a plant.

Sources, by number in the table:
[1] BIPM SI Brochure, 9th edition (2019), tables 2 to 8 (SI, prefixes, units accepted for use with it).
[2] NIST SP 811 (2008), appendix B (psi, inHg, lb, gal, ft³, hp, BTU, kgf, conventional columns of water and mercury).
[3] DIN 1301-3:2018 (kp, PS, mWS, at: units that are no longer to be used, and are).
[4] UK Weights and Measures Act 1985, schedule 1 (gallon, ton, hundredweight, barrel of 36 gallons).
[5] NIST Handbook 44 (2024), appendix C (US ton; barrels: petroleum 42 gal, liquid 31.5 gal, beer 31 gal).
[6] DIN 1343:1990 (normal volume: 0 °C, 1.01325 bar); ISO 13443:1996 (standard m³: 15 °C, 1.01325 bar);
    standard ft³ of gas trade: 60 °F. What sccm and slm refer to is the maker's choice (SEMI E12: 0 °C).
A test compares every entry that pint knows with pint's.
"""

from __future__ import annotations

_FACTORS: dict[str, dict[str, str]] = {
    # electricity [1]
    "voltage": {"V": "1", "nV": "1/1000000000", "uV": "1/1000000", "mV": "1/1000", "kV": "1000", "MV": "1000000"},
    "current": {
        "A": "1", "pA": "1/1000000000000", "nA": "1/1000000000", "uA": "1/1000000", "mA": "1/1000", "kA": "1000",
    },
    "resistance": {
        "ohm": "1", "uohm": "1/1000000", "mohm": "1/1000", "kohm": "1000", "Mohm": "1000000", "Gohm": "1000000000",
        "Ω": "1", "kΩ": "1000", "MΩ": "1000000",
    },
    "power": {
        "W": "1", "nW": "1/1000000000", "uW": "1/1000000", "mW": "1/1000", "kW": "1000", "MW": "1000000",
        "GW": "1000000000", "hp": "745.69987158227022", "PS": "735.49875", "BTU/h": "52752792631/180000000000",
        "kBTU/h": "52752792631/180000000", "MMBTU/h": "52752792631/180000",
        "ton_ref": "52752792631/15000000",
    },
    "apparent power": {"VA": "1", "mVA": "1/1000", "kVA": "1000", "MVA": "1000000", "GVA": "1000000000"},
    "reactive power": {
        "var": "1", "VAr": "1", "mvar": "1/1000", "kvar": "1000", "kVAr": "1000", "Mvar": "1000000",
        "MVAr": "1000000",
    },
    "energy": {
        "J": "1", "mJ": "1/1000", "kJ": "1000", "MJ": "1000000", "GJ": "1000000000", "TJ": "1000000000000",
        "mWh": "18/5", "Wh": "3600", "kWh": "3600000", "MWh": "3600000000", "GWh": "3600000000000",
        "TWh": "3600000000000000", "BTU": "1055.05585262", "kBTU": "1055055.85262",
        "MMBTU": "1055055852.62",
    },
    "apparent energy": {"VAh": "1", "kVAh": "1000", "MVAh": "1000000"},
    "reactive energy": {
        "varh": "1", "VArh": "1", "kvarh": "1000", "kVArh": "1000", "Mvarh": "1000000", "MVArh": "1000000",
    },
    "charge": {"coulomb": "1", "mAh": "3.6", "Ah": "3600", "kAh": "3600000"},
    "conductance": {"S": "1", "nS": "1/1000000000", "uS": "1/1000000", "mS": "1/1000", "kS": "1000", "MS": "1000000"},
    "conductivity": {
        "S/m": "1", "uS/m": "1/1000000", "mS/m": "1/1000", "uS/cm": "1/10000", "mS/cm": "1/10", "S/cm": "100",
    },
    "capacitance": {"farad": "1", "pF": "1/1000000000000", "nF": "1/1000000000", "uF": "1/1000000", "mF": "1/1000"},
    "inductance": {"H": "1", "uH": "1/1000000", "mH": "1/1000"},
    "flux density": {"T": "1", "nT": "1/1000000000", "uT": "1/1000000", "mT": "1/1000"},
    # time, frequency, rotation, angle [1]
    "time": {
        "ns": "1/1000000000", "us": "1/1000000", "ms": "1/1000", "s": "1", "min": "60", "h": "3600", "d": "86400",
        "week": "604800",
    },
    "frequency": {
        "Hz": "1", "uHz": "1/1000000", "mHz": "1/1000", "kHz": "1000", "MHz": "1000000", "GHz": "1000000000",
        "1/s": "1", "1/min": "1/60", "1/h": "1/3600", "1/d": "1/86400",
    },
    "rotation": {
        "rpm": "1", "r/min": "1", "U/min": "1", "rev/min": "1", "krpm": "1000", "rps": "60", "r/s": "60",
        "rev/s": "60", "rph": "1/60", "r/h": "1/60", "rev/h": "1/60", "deg/s": "1/6", "°/s": "1/6",
        "rad/s": "9.54929658551372014613302580235", "rad/min": "0.159154943091895335768883763373",
    },
    "angle": {
        "deg": "1", "°": "1", "rad": "57.2957795130823208767981548141", "mrad": "0.0572957795130823208767981548141",
        "gon": "9/10", "arcmin": "1/60", "arcsec": "1/3600", "turn": "360", "rev": "360",
    },
    # mechanics [1] [2] [3]
    "force": {
        "N": "1", "uN": "1/1000000", "mN": "1/1000", "kN": "1000", "MN": "1000000", "gf": "0.00980665",
        "kgf": "9.80665", "kp": "9.80665", "tf": "9806.65", "lbf": "4.4482216152605",
    },
    "torque": {
        "N*m": "1", "Nm": "1", "mN*m": "1/1000", "mNm": "1/1000", "Ncm": "1/100", "N*cm": "1/100", "kN*m": "1000",
        "kNm": "1000", "MN*m": "1000000", "kgf*m": "9.80665", "kgfm": "9.80665", "kgf*cm": "0.0980665",
        "lbf*ft": "1.3558179483314004", "ft*lbf": "1.3558179483314004", "lbf*in": "0.1129848290276167",
        "in*lbf": "0.1129848290276167",
    },
    "pressure": {
        "Pa": "1", "uPa": "1/1000000", "mPa": "1/1000", "hPa": "100", "kPa": "1000", "MPa": "1000000",
        "GPa": "1000000000", "ubar": "1/10", "mbar": "100", "bar": "100000", "kbar": "100000000",
        "psi": "44482216152605/6451600000", "ksi": "44482216152605/6451600", "torr": "20265/152", "Torr": "20265/152",
        "mtorr": "20265/152000", "mTorr": "20265/152000", "mmHg": "133.322387415", "inHg": "3386.388640341",
        "mWS": "9806.65", "cmWS": "98.0665", "mmWS": "9.80665", "mH2O": "9806.65", "cmH2O": "98.0665",
        "mmH2O": "9.80665", "inH2O": "249.08891", "ftH2O": "2989.06692", "atm": "101325", "at": "98066.5",
        "kgf/cm2": "98066.5", "kp/cm2": "98066.5", "N/m2": "1", "kN/m2": "1000", "N/cm2": "10000", "N/mm2": "1000000",
    },
    # what a gauge or an absolute sensor says is a number of its own: the difference is the weather
    "gauge pressure": {
        "Pag": "1", "mbarg": "100", "barg": "100000", "bar(g)": "100000", "kPag": "1000", "kPa(g)": "1000",
        "MPag": "1000000", "psig": "44482216152605/6451600000",
    },
    "absolute pressure": {
        "Paa": "1", "mbara": "100", "bara": "100000", "bar(a)": "100000", "kPaa": "1000", "kPa(a)": "1000",
        "MPaa": "1000000", "psia": "44482216152605/6451600000",
    },
    "dynamic viscosity": {"Pa*s": "1", "mPa*s": "1/1000", "mPas": "1/1000", "cP": "1/1000"},
    "kinematic viscosity": {"m2/s": "1", "mm2/s": "1/1000000", "cSt": "1/1000000"},
    "length": {
        "nm": "1/1000000000", "um": "1/1000000", "µm": "1/1000000", "mm": "1/1000", "cm": "1/100", "dm": "1/10",
        "m": "1", "km": "1000", "mil": "0.0000254", "thou": "0.0000254", "in": "0.0254", "ft": "0.3048",
        "yd": "0.9144", "mi": "1609.344",
    },
    "area": {
        "mm2": "1/1000000", "cm2": "1/10000", "m2": "1", "m²": "1", "km2": "1000000", "ha": "10000",
        "in2": "0.00064516", "ft2": "0.09290304",
    },
    "speed": {
        "mm/h": "1/3600000", "mm/min": "1/60000", "mm/s": "1/1000", "cm/h": "1/360000", "cm/s": "1/100",
        "m/h": "1/3600", "m/min": "1/60", "m/s": "1", "km/h": "5/18", "in/s": "0.0254", "ft/min": "0.00508",
        "fpm": "0.00508", "ft/s": "0.3048", "mph": "0.44704", "knot": "463/900",
    },
    "acceleration": {"mm/s2": "1/1000", "cm/s2": "1/100", "m/s2": "1"},
    "mass": {
        "ng": "1/1000000000000", "ug": "1/1000000000", "mg": "1/1000000", "g": "1/1000", "kg": "1", "t": "1000",
        "kt": "1000000", "oz": "0.028349523125", "lb": "0.45359237", "cwt_us": "45.359237", "cwt_uk": "50.80234544",
        "ton_us": "907.18474", "ton_uk": "1016.0469088",
    },
    "mass flow": {
        "mg/h": "1/1000000", "g/h": "1/1000", "g/min": "3/50", "g/s": "18/5", "kg/d": "1/24", "kg/h": "1",
        "kg/min": "60", "kg/s": "3600", "t/d": "125/3", "t/h": "1000", "lb/h": "0.45359237", "lb/min": "27.2155422",
        "lb/s": "1632.932532",
    },
    "density": {
        "ug/m3": "1/1000000000", "mg/m3": "1/1000000", "g/m3": "1/1000", "ug/l": "1/1000000", "mg/l": "1/1000",
        "g/l": "1", "kg/m3": "1", "g/ml": "1000", "g/cm3": "1000", "kg/l": "1000", "kg/dm3": "1000", "t/m3": "1000",
        "lb/ft3": "28349523125/1769802912", "lb/gal_us": "736351250/6145149",
    },
    # volume and flow (base: litre, litre per hour) [1] [2] [4] [5]
    "volume": {
        "ul": "1/1000000", "mm3": "1/1000000", "ml": "1/1000", "cm3": "1/1000", "ccm": "1/1000", "cl": "1/100",
        "dl": "1/10", "l": "1", "L": "1", "dm3": "1", "hl": "100", "m3": "1000", "m³": "1000", "in3": "0.016387064",
        "ft3": "28.316846592", "fl_oz": "0.0295735295625", "gal": "3.785411784", "gal_us": "3.785411784",
        "gal_uk": "4.54609", "bbl_oil": "158.987294928", "bbl_us": "119.240471196", "bbl_beer": "117.347765304",
        "bbl_uk": "163.65924",
    },
    "flow": {
        "ml/h": "1/1000", "ml/min": "3/50", "ml/s": "18/5", "cm3/min": "3/50", "l/d": "1/24", "l/h": "1",
        "l/min": "60", "l/s": "3600", "hl/h": "100", "m3/d": "125/3", "m3/h": "1000", "m³/h": "1000",
        "m3/min": "60000", "m3/s": "3600000", "ft3/h": "28.316846592", "cfh": "28.316846592",
        "ft3/min": "1699.01079552", "cfm": "1699.01079552", "ft3/s": "101940.6477312", "gal/d": "0.157725491",
        "gal/h": "3.785411784", "gph": "3.785411784", "gal/min": "227.12470704", "gpm": "227.12470704",
        "gal_us/min": "227.12470704", "gal_uk/min": "272.7654", "gal_uk/h": "4.54609", "bbl_oil/d": "6.624470622",
        "bbl_oil/h": "158.987294928", "bbl_beer/h": "117.347765304",
    },
    # gas, as it would be under the conditions of [6]
    "normal volume": {"Nl": "1", "Nm3": "1000"},
    "normal flow": {
        "Nml/min": "3/50", "Nl/h": "1", "Nl/min": "60", "ln/min": "60", "mln/min": "3/50", "Nm3/d": "125/3",
        "Nm3/h": "1000", "Nm3/min": "60000", "Nm3/s": "3600000",
    },
    "standard volume": {"Sm3": "1"},
    "standard flow": {"Sm3/d": "1/24", "Sm3/h": "1", "Sm3/min": "60", "Sm3/s": "3600"},
    "standard volume (60 °F)": {"scf": "1", "Mscf": "1000", "MMscf": "1000000"},
    "standard flow (60 °F)": {"scfh": "1/60", "scfm": "1", "scfd": "1/1440", "MMscfd": "6250/9"},
    "flow of a mass flow controller": {"sccm": "1/1000", "slm": "1", "slpm": "1"},
    # parts and counts
    "ratio": {"": "1", "1": "1", "%": "1/100", "‰": "1/1000", "ppm": "1/1000000", "ppb": "1/1000000000"},
    "relative humidity": {"%RH": "1", "%rF": "1"},
    "volume fraction": {"vol%": "1", "%vol": "1", "Vol%": "1", "ppmv": "1/10000", "ppbv": "1/10000000"},
    "mass fraction": {"wt%": "1", "%wt": "1", "ppmw": "1/10000"},
    "count": {"pcs": "1", "pc": "1", "Stk": "1", "kpcs": "1000"},
    "count rate": {
        "pcs/s": "60", "pcs/min": "1", "pcs/h": "1/60", "pcs/d": "1/1440", "Stk/min": "1", "Stk/h": "1/60",
    },
    "data": {
        "bit": "1/8", "byte": "1", "B": "1", "kB": "1000", "MB": "1000000", "GB": "1000000000", "TB": "1000000000000",
        "KiB": "1024", "MiB": "1048576", "GiB": "1073741824",
    },
    "data rate": {
        "bit/s": "1", "kbit/s": "1000", "Mbit/s": "1000000", "Gbit/s": "1000000000", "B/s": "8", "kB/s": "8000",
        "MB/s": "8000000",
    },
    # scales of their own
    "level": {"dB": "1"},
    "sound level": {"dBA": "1", "dB(A)": "1"},
    "level of power": {"dBm": "1"},
    "acidity": {"pH": "1"},
    "turbidity": {"NTU": "1", "FNU": "1", "FTU": "1"},
    "sugar": {"degBrix": "1", "°Bx": "1", "Brix": "1"},
    "illuminance": {"lx": "1", "klx": "1000"},
    "luminous flux": {"lm": "1"},
    "irradiance": {"W/m2": "1", "kW/m2": "1000", "mW/cm2": "10"},
}  # fmt: skip
"""Factor by symbol, by kind; shifts are zero but for the temperatures below."""

UNITS: dict[str, tuple[str, str, str]] = {
    # temperature (base: kelvin) [1] [2]
    "K": ("temperature", "1", "0"),
    "degC": ("temperature", "1", "273.15"),
    "°C": ("temperature", "1", "273.15"),
    "degF": ("temperature", "5/9", "45967/180"),
    "°F": ("temperature", "5/9", "45967/180"),
    "degR": ("temperature", "5/9", "0"),
    "delta_degC": ("temperature difference", "1", "0"),
    "delta_degF": ("temperature difference", "5/9", "0"),
    **{symbol: (kind, factor, "0") for kind, symbols in _FACTORS.items() for symbol, factor in symbols.items()},
}
"""`SYMBOL: (kind, factor, shift)`."""

AMBIGUOUS: dict[str, tuple[str, ...]] = {
    "bbl": ("bbl_oil", "bbl_us", "bbl_beer", "bbl_uk"),
    "barrel": ("bbl_oil", "bbl_us", "bbl_beer", "bbl_uk"),
    "ton": ("t", "ton_us", "ton_uk"),
    "tons": ("t", "ton_us", "ton_uk"),
    "cwt": ("cwt_us", "cwt_uk"),
    "MBtu": ("kBTU", "MMBTU"),
    "MBTU": ("kBTU", "MMBTU"),
    "C": ("degC", "coulomb"),
    "F": ("degF", "farad"),
}
"""Names that mean different units to different people, and what to write instead: a guess would be wrong by up to 40 %."""

SPELLINGS: dict[str, str] = {
    "%rh": "%RH", "% rh": "%RH", "percent": "%", "amp": "A", "amps": "A", "ampere": "A", "amperes": "A", "a ac": "A",
    "a dc": "A", "volt": "V", "volts": "V", "v ac": "V", "v dc": "V", "watt": "W", "watts": "W", "w ac": "W",
    "w dc": "W", "voltamps": "VA", "volt-amps": "VA", "vars": "var", "kwh": "kWh", "wh": "Wh", "mwh": "MWh",
    "kvarh": "kvarh", "celsius": "degC", "deg c": "degC", "degree celsius": "degC", "degrees celsius": "degC",
    "degrees centigrade": "degC", "c": "degC", "℃": "degC", "fahrenheit": "degF", "deg f": "degF",
    "degrees fahrenheit": "degF", "℉": "degF", "decimal degrees": "deg", "degree": "deg", "degrees": "deg",
    "hertz": "Hz", "hz": "Hz", "rpm": "rpm", "r/min": "rpm", "1/min (rpm)": "rpm", "lux": "lx", "second": "s",
    "seconds": "s", "sec": "s", "minute": "min", "minutes": "min", "hour": "h", "hours": "h", "hrs": "h", "day": "d",
    "days": "d", "w/m^2": "W/m2", "w/m²": "W/m2", "m^3": "m3", "m^3/h": "m3/h", "m^2": "m2", "liter": "l",
    "litre": "l", "liters": "l", "count": "pcs", "ohms": "ohm", "ω": "ohm", "ug/m^3": "ug/m3", "µg/m³": "ug/m3",
    "μg/m³": "ug/m3", "% rf": "%RH", "%r.h.": "%RH", "% r.h.": "%RH", "rh": "%RH", "relative humidity": "%RH",
    "pieces": "pcs", "piece": "pcs", "stück": "pcs", "stk.": "pcs", "ea": "pcs", "each": "pcs", "parts": "pcs",
    "kgf/cm²": "kgf/cm2", "kgf/cm^2": "kgf/cm2", "mm hg": "mmHg", "in hg": "inHg", "in h2o": "inH2O",
    "mm h2o": "mmH2O", "inwc": "inH2O", "in wc": "inH2O", "mmwc": "mmH2O", "m ws": "mWS", "mm ws": "mmWS",
    "nm³/h": "Nm3/h", "nm3/hr": "Nm3/h", "nm3/h": "Nm3/h", "sm³/h": "Sm3/h", "sm3/h": "Sm3/h", "m3/hr": "m3/h",
    "m³/hr": "m3/h", "l/hr": "l/h", "lpm": "l/min", "lph": "l/h", "lps": "l/s", "ltr": "l", "liter/min": "l/min",
    "litre/min": "l/min", "kg/hr": "kg/h", "t/hr": "t/h", "lbs": "lb", "lbs/h": "lb/h", "lbs/hr": "lb/h",
    "lb/hr": "lb/h", "ft³/min": "ft3/min", "ft^3/min": "ft3/min", "cu ft": "ft3", "us gal": "gal_us",
    "us gallon": "gal_us", "us gallons": "gal_us", "imp gal": "gal_uk", "uk gal": "gal_uk",
    "imperial gallon": "gal_uk", "gallon": "gal", "gallons": "gal", "us gpm": "gpm", "usgpm": "gpm",
    "gal/min (us)": "gpm", "oil barrel": "bbl_oil", "bopd": "bbl_oil/d", "bpd": "bbl_oil/d", "short ton": "ton_us",
    "long ton": "ton_uk", "tonne": "t", "tonnes": "t", "metric ton": "t", "umdr/min": "rpm", "u/min": "rpm",
    "revolutions per minute": "rpm", "degc": "degC", "degf": "degF",
    "°c": "degC", "ºc": "degC", "deg.c": "degC", "deg. c": "degC", "°f": "degF", "ohm": "ohm", "kohm": "kohm",
    "bar": "bar", "mbar": "mbar", "barg": "barg", "bara": "bara", "hpa": "hPa", "kpa": "kPa", "psi": "psi",
    "psig": "psig", "psia": "psia", "gpm": "gpm", "scfm": "scfm", "upm": "rpm", "min-1": "1/min", "min⁻¹": "1/min",
    "s-1": "1/s", "s⁻¹": "1/s", "std": "h", "sek": "s", "m3/std": "m3/h", "m³/std": "m3/h", "l/std": "l/h",
    "kg/std": "kg/h", "t/std": "t/h", "pcs": "pcs", "stk": "pcs", "mmbtu": "MMBTU", "mmbtu/h": "MMBTU/h", "mmbtu/hr": "MMBTU/h", "deg": "deg", "us/cm": "uS/cm", "ms/cm": "mS/cm",
}  # fmt: skip
"""What vendors write, in lower case with single blanks, in our spelling; what the table has is never looked up here."""
