"""Importers over real files that nobody here wrote: everything is found or named, and fits into a site."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from nexus_cli.discover.found import Discovery
from nexus_cli.discover.importers import ImportOptions, import_file
from nexus_cli.discover.importers.xml_tree import parse_xml
from tests.importing import assert_counted, by_name, reasons, site_errors
from tests.real_data import DATA

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real files of {DATA.name} are not beside the project")

TWINCAT = {"ArbiterPLC.tmc": 313, "xtes_sxr_plc.tmc": 279, "Untitled1.tpy": 27}


def _import(path: Path, **options: object) -> list[Discovery]:
    outcome = import_file(path, options=ImportOptions(**options))  # type: ignore[arg-type]
    assert outcome.value is not None, outcome.findings
    assert all(finding.code == "NX6705" for finding in outcome.findings)
    for discovery in outcome.value:
        assert_counted(discovery)
    return outcome.value


def _files(folder: str, *patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in (DATA / folder).rglob(pattern) if path.is_file())


@pytest.mark.parametrize("name", TWINCAT)
def test_every_twincat_symbol_is_found_or_named(name: str, tmp_path: Path) -> None:
    path = next(DATA.rglob(name))
    (discovery,) = _import(path)

    symbols = [node for node in parse_xml(path.read_bytes()).walk() if node.name == "Symbol"]
    assert discovery.facts["symbols"] == discovery.facts["entries"] == len(symbols) == TWINCAT[name]
    mentioned = [found.tag["address"] for found in discovery.found] + [skipped.what for skipped in discovery.skipped]
    prefixes = {part for text in mentioned for part in _prefixes(text.replace("/", "."))}
    assert [node.value("Name") for node in symbols if node.value("Name").lstrip(".") not in prefixes] == []
    assert site_errors(tmp_path, [discovery]) == []


def _prefixes(address: str) -> list[str]:
    address = address.lstrip(".")
    marks = [position for position, sign in enumerate(address) if sign in ".[:,"]
    return [address, *(address[:position] for position in marks)]


def test_twincat_keeps_units_enumerations_and_arrays() -> None:
    (arbiter,) = _import(next(DATA.rglob("ArbiterPLC.tmc")))
    tags = by_name(arbiter)

    assert tags["GVL/g_FastFaultOutput1/q_xFastFaultOut"]["labels"] == {"pv": "FaultHWO"}
    assert tags["PMPS_GVL/MAX_FAST_FAULTS"]["type"] == "uint16"
    assert "fast faults" in tags["PMPS_GVL/MAX_FAST_FAULTS"]["description"]
    assert any(tag.get("values") for tag in tags.values())
    assert any(tag["type"].endswith("]") and not tag["type"].startswith("string") for tag in tags.values())
    assert arbiter.connection == {"port": 851}


def test_a_file_of_types_alone_says_so() -> None:
    outcome = import_file(next(DATA.rglob("ExternalTypes.tmc")))

    assert outcome.value is not None and outcome.value[0].found == []
    assert [finding.code for finding in outcome.findings] == ["NX6705"]


def test_s7_offsets_agree_with_the_expected_layout_byte_for_byte(tmp_path: Path) -> None:
    folder = DATA / "s7-db-snap7"
    (discovery,) = _import(next(folder.rglob("*.scl")))
    with (folder / "expected_layout_DB1.csv").open(encoding="utf-8-sig") as file:
        expected = list(csv.DictReader(file))

    tags = by_name(discovery)
    found = {name.removeprefix("Read_only/"): tag["address"] for name, tag in tags.items() if "Read_only" in name}
    wanted = {}
    for row in expected:
        kind = row["type"].upper()
        place = f"{row['byte']}.{row['bit']}" if kind == "BOOL" else row["byte"]
        wanted[row["name"]] = f"%DB1:{place}:{kind}" + ("[1]" if kind == "CHAR" else "")
    plain = {name: address + ("[1]" if address.endswith(":CHAR") else "") for name, address in found.items()}
    assert plain == wanted
    assert discovery.facts["block_bytes"] == {"Read_only": 37, "Data_block_2": 37}
    assert site_errors(tmp_path, [discovery]) == []


def test_s7_structures_arrays_and_strings_of_a_tia_export(tmp_path: Path) -> None:
    (discovery,) = _import(next((DATA / "s7-db-monitor").rglob("*.db")), mapping="DB_Test=1,DB_Test2=2,DB_Test3=3")

    addresses = {name: tag["address"] for name, tag in by_name(discovery).items()}
    assert addresses["DB_Test3/Binary numbers/LWord"] == "%DB3:8:LWORD"
    assert addresses["DB_Test3/Date and time/DTL"].endswith(":DTL")
    assert addresses["DB_Test3/Strings/WString[n]"].endswith(":WSTRING(20)")
    assert addresses["DB_Test2/char"] == "%DB2:0:CHAR[20]"
    assert addresses["DB_Test2/UDT1/string2"] == "%DB2:284:STRING(10)"
    assert addresses["DB_Test2/test"] == "%DB2:298:BYTE"
    assert addresses["DB_Test/udt2/Udt1Array[1]/int"].endswith(":INT")
    assert len(discovery.found) == 120 and discovery.skipped == []
    assert site_errors(tmp_path, [discovery]) == []


def test_without_a_number_every_variable_of_a_block_is_named() -> None:
    (discovery,) = _import(next((DATA / "s7-db-monitor").rglob("*.db")))

    assert discovery.found == []
    assert len(discovery.skipped) == 120
    assert all("--db 'DB_Test" in skipped.reason for skipped in discovery.skipped)


@pytest.mark.parametrize(("name", "found"), [("Boiler2", 116), ("Boiler1", 1), ("Examples", 20), ("Opc.Ua.Di", 2)])
def test_nodesets_of_machines(name: str, found: int, tmp_path: Path) -> None:
    path = next(path for path in _files(".", "*NodeSet2.xml") if name in str(path))
    (discovery,) = _import(path)

    assert len(discovery.found) == found
    assert site_errors(tmp_path, [discovery]) == []


def test_every_variable_of_every_nodeset_is_found_or_named(tmp_path: Path) -> None:
    discoveries = []
    for path in _files(".", "*NodeSet2.xml"):
        variables = [node for node in parse_xml(path.read_bytes()).children if node.name == "UAVariable"]
        (plain,) = _import(path)
        (typed,) = _import(path, with_types=True)
        assert plain.facts["variables"] == len(variables) == plain.facts["in"] - plain.facts["left_out"]
        assert len(typed.found) >= len(plain.found)
        assert sum("belongs to a" in skipped.reason for skipped in plain.skipped) >= len(typed.found) - len(plain.found)
        discoveries += [plain, typed]

    assert len(discoveries) == 16
    names = {"/".join(found.name) for discovery in discoveries for found in discovery.found}
    assert "Boilers/Boiler #2/ParameterSet/TargetTemperature" in names
    assert site_errors(tmp_path, discoveries) == []


def test_the_victron_rows(tmp_path: Path) -> None:
    path = DATA / "modbus-victron" / "attributes.csv"
    (discovery,) = _import(path, mapping="victron")

    assert discovery.facts["rows"] == discovery.facts["entries"] == 1003
    assert Counter(skipped.reason for skipped in discovery.skipped)["reserved by the vendor"] == 59
    assert len(discovery.found) == 1003 - 59
    tags = {(found.device, *found.name): found.tag for found in discovery.found}
    assert tags["gps", "Position", "Latitude"] == {
        "address": "holding:2800",
        "type": "int32",
        "unit": "deg",
        "scale": 1e-07,
    }
    assert tags["vebus", "CustomName"] == {"address": "holding:140", "type": "string[16]"}
    assert tags["vebus", "Ac", "ActiveIn", "L1", "P"]["scale"] == 10
    assert tags["vebus", "State"]["values"][252] == "External control"
    assert tags["grid", "Serial"]["type"] == "string[14]"
    assert site_errors(tmp_path, [discovery]) == []


def test_telegraf_cases(tmp_path: Path) -> None:
    discoveries = []
    for path in _files("modbus-telegraf-cases", "*.conf"):
        found = _import(path)
        discoveries += found
        errors = list(path.parent.glob("*.err"))
        if errors:  # Telegraf refuses such a file; here the field that it complains of is skipped with its words
            words = errors[0].read_text().strip()
            assert any(words in skipped.reason for item in found for skipped in item.skipped), path
        expected = path.parent / "expected.out"
        if expected.is_file():
            assert sum(len(item.found) for item in found) == _fields(expected.read_text()), path
    assert sum(len(discovery.found) for discovery in discoveries) > 150
    assert site_errors(tmp_path, discoveries) == []


def _fields(lines: str) -> int:
    """How many fields the expected lines have: `measurement,tags field=value,field=value [time]`."""
    count = 0
    for line in lines.replace("\\ ", "_").splitlines():
        if line.strip():
            count += len(line.split()[1].split(","))
    return count


def test_hivemq_configurations(tmp_path: Path) -> None:
    discoveries: dict[str, list[Discovery]] = {}
    for path in _files("gw-hivemq-edge", "*.xml"):
        discoveries[path.name] = _import(path)

    protocols = {item.protocol for found in discoveries.values() for item in found if item.found}
    assert protocols == {"modbus", "opcua", "s7", "ads"}
    (full,) = discoveries["legacy-s7-adapter-full-config.xml"]
    assert [found.tag["address"] for found in full.found] == ["%I204.0:BOOL", "%I205.0:BOOL"]
    (ported,) = discoveries["ads-adapter-full-config.xml"]
    assert ported.connection["tcp_port"] == 1234
    (secret,) = discoveries["opcua-adapter-full-config.xml"]
    assert "password" not in secret.connection and secret.connection["user"] == "edge"
    assert not any("keystore-password" in skipped.reason for skipped in secret.skipped)
    for name in ("modbus-adapter-minimal-config-missing-tag.xml", "opcua-adapter-minimal-config-missing-tag.xml"):
        (missing,) = discoveries[name]
        assert any("there is no tag" in reason for reason in reasons(missing).values())
    assert [item.facts["identity"]["adapter"] for item in discoveries["test-config.xml"]] == [
        "simulation-server-2",
        "modbus-1",
        "modbus-2",
    ]
    assert site_errors(tmp_path, [item for found in discoveries.values() for item in found]) == []


def test_devices_of_modbus_local_gateway(tmp_path: Path) -> None:
    discoveries = [item for path in _files("modbus-local-gateway", "*.yaml") for item in _import(path)]

    assert len(discoveries) == 22
    assert sum(discovery.facts["entries"] for discovery in discoveries) == 945
    drive = next(item for item in discoveries if item.facts["identity"]["model"] == "Altivar ATV312")
    assert by_name(drive)["LFr Frequency Reference via Bus"]["range"] == [18.0, 60.0]
    assert site_errors(tmp_path, discoveries) == []


def test_thingsboard_configurations(tmp_path: Path) -> None:
    files = [path for path in _files("modbus-opcua-thingsboard", "*.json") if "test_values" not in str(path)]
    discoveries = [item for path in files for item in _import(path)]

    assert len(discoveries) == len(files) == 58
    assert {item.protocol for item in discoveries if item.found} == {"modbus", "opcua"}
    assert site_errors(tmp_path, discoveries) == []
