"""Proposals into files: matched by address, hand-written keys untouched, twice changes nothing."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.diagnostics import NexusError
from nexus_cli.discover.edit import Edit, edited, proved, unwritable, write
from nexus_cli.discover.found import Discovery, Found
from nexus_cli.discover.propose import propose
from nexus_cli.drivers.registry import kinds
from nexus_cli.project.discover import Ask, Discovered
from nexus_cli.project.discover import edit as edit_text
from nexus_cli.project.text import read
from tests.examples import examples

AT = "packaging/line-1/filler"
SITE = """\
nexus: 1
enterprise: acme
site: chicago
areas:
  packaging:
    lines:
      line-1:
        devices:
          filler:
            protocol: modbus
            connection: {host: 10.0.0.9}
            tags:
              # checked by Ann
              volt: {address: 400101, type: float32, deadband: 0.5, writable: true}   # her own name
              old: {address: "holding:900", type: int16}
            calculated:
              double: {expr: volt * 2, type: float64}
"""


def found(number: int, *name: str, **keys: Any) -> Found:
    tag = {"address": f"holding:{number}", "type": "float32", **keys}
    return Found(device="", name=name or (f"Register {number}",), tag=tag)


def discovery(*values: Found, complete: bool = True) -> Discovery:
    return Discovery(
        protocol="modbus",
        connection={"host": "10.0.0.9"},
        found=list(values),
        source="test",
        facts={"complete": complete},
    )


def edit(site: Path, *values: Found, at: str = AT, mode: Any = "merge", complete: bool = True) -> Any:
    reading = read(site)
    tree = reading.tree
    assert tree is not None

    def file_of(path: tuple[str, ...]) -> str:
        place = tree.place(path, True)
        return place.file if place is not None else ""

    return edited(
        [propose(discovery(*values, complete=complete))],
        file=site,
        at=at,
        mode=mode,
        model=reading.model,
        file_of=file_of,
        kinds=kinds(),
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return path


def test_a_tag_is_known_by_its_address_however_it_is_spelt(site: Path) -> None:
    change: Edit = edit(site, found(100, unit="V"), found(102, "Current", unit="A")).value
    assert change.merged.kept == [f"{AT}/volt"]
    assert change.merged.added == {AT: ["current"]}
    line = '              current: {address: "holding:102", type: float32, unit: A}\n'
    assert change.after.replace(line, "") == SITE
    assert not proved(change, site=site, files=[site], check=lambda path: read(path).findings)
    write(change)
    assert edit(site, found(100, unit="V"), found(102, "Current", unit="A")).value.merged.empty


def test_overwrite_replaces_what_discovery_knows_and_nothing_else(site: Path) -> None:
    change = edit(site, found(100, "Voltage", unit="V", type="int32"), mode="overwrite").value
    assert "volt: {address: 400101, type: int32, deadband: 0.5, writable: true, unit: V" in change.after
    assert "# her own name" in change.after
    assert change.merged.changed == {f"{AT}/volt": ["type", "unit"]}
    site.write_text(change.after)
    assert edit(site, found(100, "Voltage", unit="V", type="int32"), mode="overwrite").value.merged.empty


def test_merge_says_what_overwrite_would_take(site: Path) -> None:
    values = (found(100, "V", type="int16", unit="V"), found(900, type="int16", range=[0, 5]))
    change = edit(site, *values).value
    assert change is not None
    assert change.merged.empty
    assert change.after == change.before
    differing = change.merged.differing
    assert differing[f"{AT}/volt"] == {"type": ("float32", "int16"), "unit": (None, "V")}
    assert list(differing[f"{AT}/old"]) == ["range"], "where a value came from is no difference to tell"
    overwritten = edit(site, *values, mode="overwrite").value
    assert overwritten is not None
    assert not overwritten.merged.differing
    assert overwritten.merged.changed == {f"{AT}/volt": ["type", "unit"], f"{AT}/old": ["range", "description"]}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize(
    ("mode", "values", "gone", "come"),
    [
        (
            "merge",
            (found(100), found(102, "Current", unit="A"), found(900)),
            [],
            ['              current: {address: "holding:102", type: float32, unit: A}'],
        ),
        (
            "overwrite",
            (found(100, "Volt", type="int32"), found(900, "Old", type="int16")),
            ["              volt: {address: 400101, type: float32, deadband: 0.5, writable: true}   # her own name"],
            ["              volt: {address: 400101, type: int32, deadband: 0.5, writable: true}   # her own name"],
        ),
        ("prune", (found(100),), ['              old: {address: "holding:900", type: int16}'], []),
        ("merge", (found(100), found(900)), [], []),
    ],
    ids=["add", "overwrite", "prune", "nothing"],
)
def test_mark_and_line_breaks_stay_and_every_byte_beside_the_edit(
    mode: str, values: tuple[Found, ...], gone: list[str], come: list[str], newline: str, mark: bytes, site: Path
) -> None:
    before = mark + SITE.replace("\n", newline).encode()
    site.write_bytes(before)
    change = edit(site, *values, mode=mode).value
    write(change)
    after = site.read_bytes()
    assert after.startswith(mark + b"nexus: 1") and after.endswith(newline.encode())
    assert after.count(b"\n") == after.count(newline.encode()) and (b"\r" in after) == ("\r" in newline)
    lines, held = (text.removeprefix(mark).decode().split(newline) for text in (after, before))
    assert [line for line in held if line not in gone] == [line for line in lines if line not in come]
    assert [line for line in lines if line not in held] == come
    assert read(site).model is not None
    assert edit(site, *values, mode=mode).value.merged.empty, "twice changes nothing"


def test_prune_removes_what_is_gone_but_not_calculated_tags(site: Path) -> None:
    change = edit(site, found(100), mode="prune").value
    assert change.merged.removed == [f"{AT}/old"]
    assert "double:" in change.after
    assert "# checked by Ann" in change.after
    assert "old:" not in change.after
    partly = edit(site, found(100), mode="prune", complete=False)
    assert [item.code for item in partly.findings] == ["NX6605"]


def test_a_new_device_is_made(site: Path) -> None:
    change = edit(site, found(1), at="packaging/line-2/meter").value
    assert change.merged.created == ["packaging/line-2/meter"]
    assert not proved(change, site=site, files=[site], check=lambda path: read(path).findings)
    write(change)
    reading = read(site)
    assert reading.model is not None
    assert list(reading.model.devices["packaging/line-2/meter"].tags) == ["register-1"]


def test_names_that_are_taken_are_avoided(site: Path) -> None:
    change = edit(site, found(5, "Volt"), found(6, "double")).value
    assert change.merged.added == {AT: ["volt-2", "double-2"]}


def test_two_values_of_one_address_become_one_tag(site: Path) -> None:
    change = edit(site, found(5, "A"), found(5, "B")).value
    assert change.merged.added == {AT: ["a"]}
    assert change.merged.skipped == [("B", "the same address as A")]


def test_what_would_break_the_site_is_not_written(site: Path) -> None:
    change = edit(site, found(5, "A", range=[9.0, 1.0])).value
    problems = proved(change, site=site, files=[site], check=lambda path: read(path).findings)
    assert {item.code for item in problems} == {"NX6604"}
    assert "NX2102" in problems[0].message


def test_one_odd_tag_costs_itself_and_not_the_edit(site: Path) -> None:
    values = [
        found(5, "A", range=[9.0, 1.0]),
        found(6, "B", type="uint16", values={-1: "none", 0: "off"}),
        found(7, "A"),
        found(8, "C", type="int16", deadband=-3),
    ]
    there = Discovered(proposals=(propose(discovery(*values)),), site=site, reading=read(site))
    change = edit_text(there, Ask(target="", into=site, at=AT), mode="merge").value
    assert change is not None
    assert change.merged.added == {AT: ["a", "b", "a-2"]}
    skipped = dict(change.merged.skipped)
    assert sorted(skipped) == ["A: range", "B: values", "C"]
    assert "NX2112" in skipped["B: values"] and "-1" in skipped["B: values"]
    write(change)
    assert not [one for one in read(site).findings if one.severity == "error"]


def test_another_protocol_and_another_file_are_refused(site: Path, tmp_path: Path) -> None:
    outcome = edit(site, found(1), at="nowhere")
    assert [item.code for item in outcome.findings] == ["NX6603"]
    opcua = Discovery(protocol="opcua", connection={"endpoint": "opc.tcp://x:1"}, source="t")
    opcua.found.append(Found(device="", name=("x",), tag={"node": "ns=2;s=x", "type": "bool"}))
    reading = read(site)
    other = edited(
        [propose(opcua)], file=site, at=AT, mode="merge", model=reading.model, file_of=lambda _p: "", kinds=kinds()
    )
    assert [item.code for item in other.findings] == ["NX6606"]
    assert reading.tree is not None
    elsewhere = edited(
        [propose(discovery(found(1)))],
        file=tmp_path / "other.yaml",
        at=AT,
        mode="merge",
        model=reading.model,
        file_of=lambda path: reading.tree.place(path, True).file,
        kinds=kinds(),
    )
    assert [item.code for item in elsewhere.findings] == ["NX6603"]


def test_a_read_only_file_is_refused_before_the_device_is_asked(site: Path) -> None:
    assert unwritable(site) == ()
    assert unwritable(site.parent / "new" / "folder" / "a.yaml") == ()
    site.chmod(0o444)
    (refused,) = unwritable(site)
    assert refused.code == "NX6603"
    assert "read-only" in refused.message
    assert refused.hint.startswith("chmod u+w")


def test_chmod_is_no_advice_on_a_disk_that_is_mounted_read_only(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_cli.discover.edit.os.access", lambda *_: False)
    mounted = SimpleNamespace(f_flag=os.ST_RDONLY)
    monkeypatch.setattr("nexus_cli.discover.edit.os.statvfs", lambda _: mounted)
    (refused,) = unwritable(site)
    assert refused.message.endswith("lies on a file system that can't be written")
    assert "chmod" not in refused.hint


def test_a_read_only_file_is_not_replaced_though_its_folder_may_be_written(site: Path) -> None:
    before = site.read_text(encoding="utf-8")
    site.chmod(0o444)
    with pytest.raises(NexusError, match="read-only") as caught:
        write(Edit(path=site, before=before, after="nexus: 1\n"))
    assert caught.value.code == "NX6603"
    assert site.read_text(encoding="utf-8") == before
    site.chmod(0o644)
    write(Edit(path=site, before=before, after="nexus: 1\n"))
    assert site.read_text(encoding="utf-8") == "nexus: 1\n"


def test_several_devices_may_stand_in_one_new_line(site: Path) -> None:
    one = Discovery(protocol="external", source="t", facts={"complete": True})
    for place in ("cells/c-1/a", "cells/c-1/b", "cells/c-2/a"):
        one.found.append(Found(device=place, name=("w",), tag={"type": "float64"}))
    change = edited(
        [propose(one)], file=site, at="", mode="merge", model=read(site).model, file_of=lambda _p: "", kinds=kinds()
    ).value
    assert change is not None
    assert change.merged.created == ["cells/c-1/a", "cells/c-1/b", "cells/c-2/a"]
    assert not proved(change, site=site, files=[site], check=lambda path: read(path).findings)


NAME = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=8)
VALUES = st.lists(
    st.builds(
        found,
        st.integers(0, 300),
        NAME,
        NAME,
        type=st.sampled_from(["float32", "int16", "uint16"]),
        unit=st.sampled_from(["", "V", "%"]),
        description=st.text(max_size=12),
    ),
    max_size=12,
)


@settings(max_examples=examples(40), deadline=None)
@given(VALUES, st.sampled_from(["merge", "overwrite", "prune"]), st.sampled_from([AT, "packaging/line-1/new"]))
def test_discovery_twice_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, values: list[Found], mode: str, at: str
) -> None:
    site = tmp_path_factory.mktemp("twice") / "site.yaml"
    site.write_text(SITE)
    first = edit(site, *values, mode=mode, at=at).value
    site.write_bytes(first.after.encode())
    assert not proved(first, site=site, files=[site], check=lambda path: read(path).findings)
    second = edit(site, *values, mode=mode, at=at).value
    assert second.merged.empty
    assert second.after == first.after


def test_a_file_that_somebody_changed_meanwhile_is_left_alone(site: Path) -> None:
    change = edit(site, found(7)).value
    assert change is not None
    theirs = SITE + "# theirs\n"
    site.write_text(theirs)
    with pytest.raises(NexusError) as caught:
        write(change)
    assert caught.value.code == "NX6603"
    assert site.read_text() == theirs
    assert [path.name for path in site.parent.iterdir()] == [site.name], "no file is left behind"
