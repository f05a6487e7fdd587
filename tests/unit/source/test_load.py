"""Includes, overlays, variables, templates, precedence, and the way back to the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from nexus_cli.diagnostics import Diagnostic, Outcome
from nexus_cli.diagnostics.codes import finding
from nexus_cli.source.tree import SourceTree
from tests.sources import load_site

INHERITED = frozenset({"poll", "mode", "retention", "deadband", "heartbeat", "enabled", "live"})
Load = Callable[..., Outcome[SourceTree]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def run(
        files: Mapping[str, str], *, env: str | None = None, variables: Mapping[str, str] | None = None
    ) -> Outcome[SourceTree]:
        for name, text in files.items():
            target = tmp_path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        return load_site(tmp_path / "site.yaml", env=env, variables=variables, inherited=INHERITED)

    return run


def devices(outcome: Outcome[SourceTree]) -> dict[str, Any]:
    found: dict[str, Any] = outcome.unwrap().root["areas"]["a"]["lines"]["l"]["devices"]
    return found


def codes(findings: tuple[Diagnostic, ...]) -> list[str]:
    return [item.code for item in findings]


def site(*devices_: str, extra: str = "", line: str = "") -> str:
    body = "".join(f"          {text}\n" for text in devices_)
    return f"{extra}\nareas:\n  a:\n    lines:\n      l:\n{line}        devices:\n{body}"


WHERE = ("areas", "a", "lines", "l", "devices")


def test_precedence_from_tag_to_site(load: Load) -> None:
    text = """
defaults: {poll: 1s, retention: site, mode: poll, heartbeat: 1h, connection: {timeout: 9s, pause: 1ms}}
templates:
  t:
    protocol: modbus
    heartbeat: 2h
    connection: {unit_id: 7, timeout: 8s}
    tags: {x: {type: int16, deadband: 1, retention: template-tag}, y: {type: int16}, z: {type: int16, poll: 5s}}
areas:
  a:
    defaults: {poll: 2s, connection: {timeout: 7s}}
    lines:
      l:
        defaults: {poll: 3s}
        devices:
          d: {template: t, poll: 4s, connection: {host: h}, tags: {x: {poll: 6s}, z: {retention: own}}}
          e: {template: t}
"""
    outcome = load({"site.yaml": text})
    assert outcome.findings == ()
    d, e = devices(outcome)["d"], devices(outcome)["e"]
    assert d["tags"]["x"] == {
        "type": "int16",
        "deadband": 1,
        "retention": "template-tag",
        "poll": "6s",
        "mode": "poll",
        "heartbeat": "2h",
    }
    assert d["tags"]["y"]["poll"] == "4s" and e["tags"]["y"]["poll"] == "3s"
    assert d["tags"]["z"]["poll"] == "5s" and d["tags"]["z"]["retention"] == "own"
    assert d["connection"] == {"timeout": "8s", "pause": "1ms", "unit_id": 7, "host": "h"}
    assert "template" not in d and "with" not in d
    assert outcome.unwrap().template_of == {"a/l/d": "t", "a/l/e": "t"}


def test_null_removes_and_stops_inheritance(load: Load) -> None:
    text = site(
        "d: {template: t, tags: {x: null, y: {deadband: null, poll: null}}, connection: {pause: null}}",
        extra="defaults: {poll: 1s, connection: {pause: 5ms}}\n"
        "templates: {t: {protocol: modbus, tags: {x: {type: int8}, y: {type: int8, deadband: 2}}}}",
    )
    device = devices(load({"site.yaml": text}))["d"]
    assert device["tags"] == {"y": {"type": "int8"}}
    assert device["connection"] == {}


def test_disabled_areas_reach_device_and_tags(load: Load) -> None:
    text = site("d: {protocol: modbus, tags: {x: {type: int8}}}", extra="defaults: {enabled: false}")
    device = devices(load({"site.yaml": text}))["d"]
    assert device["enabled"] is False and device["tags"]["x"]["enabled"] is False


def test_parameters_keep_their_type_and_join_as_text(load: Load) -> None:
    text = site(
        "d: {template: t, with: {u: 3, on: true, names: [p, q]}}",
        extra="""templates:
  t:
    protocol: modbus
    parameters: {u: {type: integer}, on: {type: boolean}, scale: {type: number, default: 0.5}, names: {type: list}}
    connection: {unit_id: "${param:u}", name: "unit-${param:u}-${param:on}"}
    labels: "${param:names}"
    tags: {x: {type: int8, writable: "${param:on}", scale: "${param:scale}"}, plain: {type: int8}}""",
    )
    outcome = load({"site.yaml": text})
    assert outcome.findings == ()
    device = devices(outcome)["d"]
    assert device["connection"] == {"unit_id": 3, "name": "unit-3-true"}
    assert device["labels"] == ["p", "q"]
    assert device["tags"]["x"] == {"type": "int8", "writable": True, "scale": 0.5}


def test_equal_instances_share_their_tags(load: Load) -> None:
    template = "templates: {t: {protocol: modbus, tags: {x: {type: int8}}}}\ndefaults: {poll: 1s}"
    made = devices(load({"site.yaml": site("d: {template: t}", "e: {template: t}", extra=template)}))
    assert made["d"]["tags"] is made["e"]["tags"]


def test_includes_are_sorted_and_joined(load: Load) -> None:
    outcome = load(
        {
            "site.yaml": "nexus: 1\ninclude: ['areas/*.yaml']\nvars: {h: one}\n",
            "areas/b.yaml": "areas: {b: {lines: {}}}\ndefaults: {retention: '${var:h}'}\n",
            "areas/a.yaml": "areas: {a: {lines: {}}}\ndefaults: {poll: 1s}\n",
        }
    )
    tree = outcome.unwrap()
    assert list(tree.root["areas"]) == ["a", "b"]
    assert tree.root["defaults"] == {"poll": "1s", "retention": "one"}
    place = tree.place(("areas", "b"))
    assert place is not None and place.file.endswith("areas/b.yaml")


def test_an_include_that_is_broken_leaves_no_tree(load: Load) -> None:
    outcome = load({"site.yaml": "nexus: 1\ninclude: [a.yaml, b.yaml]\n", "a.yaml": "a: [\n", "b.yaml": "b: 1\nb: 2\n"})
    assert outcome.value is None
    assert codes(outcome.findings) == ["NX0010", "NX0012"]


@pytest.mark.parametrize("name", ["../x.yaml", "/etc/passwd", "~/x.yaml", "a/../../x.yaml"])
def test_includes_stay_in_the_folder(load: Load, tmp_path: Path, name: str) -> None:
    (tmp_path.parent / "x.yaml").write_text("a: 1\n")
    outcome = load({"site.yaml": f"nexus: 1\ninclude: ['{name}']\n"})
    assert outcome.value is None
    assert codes(outcome.findings) == ["NX0032"]


def test_a_link_out_of_the_folder_is_an_escape(load: Load, tmp_path: Path) -> None:
    (tmp_path.parent / "secret.yaml").write_text("a: 1\n")
    (tmp_path / "link.yaml").symlink_to(tmp_path.parent / "secret.yaml")
    assert codes(load({"site.yaml": "include: [link.yaml]\n"}).findings) == ["NX0032"]


def test_overlays_replace_remove_and_reach_into_templates(load: Load) -> None:
    base = site(
        "d: {template: t, connection: {host: h}, tags: {own: {type: int8}}}",
        "e: {protocol: modbus, tags: {x: {type: int8, values: {0: a, 1: b}}, gone: {type: int8}}}",
        extra="vars: {v: 1}\ntemplates: {t: {protocol: modbus, tags: {x: {type: int8, unit: V}, y: {type: int8}}}}",
    )
    over = site(
        "d: {connection: {host: sim, port: 15020}, tags: {x: {unit: mV}, y: null, own: {unit: A}}}",
        "e: {tags: {x: {values: {7: c}}, gone: null}}",
        extra="vars: {v: 2}",
    )
    outcome = load({"site.yaml": base, "env/sim.yaml": over}, env="sim")
    assert outcome.findings == ()
    d, e = devices(outcome)["d"], devices(outcome)["e"]
    assert d["connection"] == {"host": "sim", "port": 15020}
    assert d["tags"] == {"x": {"type": "int8", "unit": "mV"}, "own": {"type": "int8", "unit": "A"}}
    assert e["tags"] == {"x": {"type": "int8", "values": {7: "c"}}}
    assert outcome.unwrap().root["vars"] == {"v": 2}


@pytest.mark.parametrize(
    "over",
    [
        "areas: {b: {lines: {}}}",
        "areas: {a: {lines: {l: {devices: {f: {}}}}}}",
        "areas: {a: {lines: {l: {devices: {d: {tags: {nope: {unit: V}}}}}}}}",
        "areas: {a: {lines: {l: {devices: {d: {description: null}}}}}}",
        "alerts: {x: {above: 1}}",
    ],
)
def test_an_overlay_that_matches_nothing(load: Load, over: str) -> None:
    base = site("d: {protocol: modbus, tags: {x: {type: int8}}}")
    assert codes(load({"site.yaml": base, "env/p.yaml": over + "\n"}, env="p").findings) == ["NX0041"]


@pytest.mark.parametrize("env", ["nope", "../site", "", "a/b", "p\0q"])
def test_an_environment_that_is_not_there(load: Load, env: str) -> None:
    outcome = load({"site.yaml": "nexus: 1\n", "env/prod.yaml": "nexus: 1\n"}, env=env)
    assert outcome.value is None
    assert codes(outcome.findings) == ["NX0040"]


def test_variables_from_the_command_line(load: Load) -> None:
    text = site(
        "d: {protocol: modbus, connection: {host: 'plc-${var:n}', port: '${var:port}', password: '${env:PW}'}}",
        extra="vars: {n: '1', port: 502}",
    )
    outcome = load({"site.yaml": text}, variables={"n": "07", "port": "1502"})
    assert outcome.findings == ()
    assert devices(outcome)["d"]["connection"] == {"host": "plc-07", "port": 1502, "password": "${env:PW}"}


def test_aliases_are_not_changed_for_all(load: Load) -> None:
    text = site("d: &d {protocol: modbus, connection: {host: a}, tags: {x: {type: int8}}}", "e: *d")
    outcome = load({"site.yaml": text, "env/p.yaml": site("e: {connection: {host: b}}")}, env="p")
    made = devices(outcome)
    assert (made["d"]["connection"]["host"], made["e"]["connection"]["host"]) == ("a", "b")


def test_a_finding_in_a_template_is_told_once(load: Load) -> None:
    template = "templates:\n  t:\n    protocol: modbus\n    tags:\n      x: {type: int8, unit: degX}"
    tree = load({"site.yaml": site("d: {template: t}", "e: {template: t}", extra=template)}).unwrap()
    found = [finding("NX0020", "unit 'degX'", where=(*WHERE, name, "tags", "x", "unit")) for name in "de"]
    settled = tree.report(found)
    assert len(settled) == 1
    assert settled[0].place is not None and (settled[0].place.line, settled[0].place.column) == (5, 29)
    assert settled[0].related[0].message == "used by 'a/l/d' and 1 more"


def test_places_of_missing_keys_and_inherited_values(load: Load) -> None:
    tree = load(
        {"site.yaml": site("d: {protocol: modbus, tags: {x: {unit: V}}}", extra="defaults: {poll: 1x}")}
    ).unwrap()
    missing = tree.place((*WHERE, "d", "tags", "x", "type"))
    assert missing is not None and (missing.line, missing.column, missing.end_column) == (7, 40, 41)
    inherited = tree.place((*WHERE, "d", "tags", "x", "poll"))
    assert inherited is not None and (inherited.line, inherited.column) == (1, 18)
    nowhere = tree.place(("zzz",))
    assert nowhere is not None and nowhere.line == 1


@pytest.mark.parametrize(
    ("comment", "left"),
    [
        ("x: {type: int8}  # nexus:ignore NX2201 -- agreed with the vendor", []),
        ("x: {type: int8}  # nexus:ignore NX2201", ["NX0071", "NX2201"]),
        ("x: {type: int8}  # nexus:ignore NX9998 -- why", ["NX2201", "NX0072"]),
        ("x: {type: int8}  # nexus:ignore NX2202 -- why", ["NX2201", "NX0070"]),
        ("x: {type: int8, d: '# nexus:ignore NX2201 -- text'}", ["NX2201"]),
    ],
)
def test_suppressions(load: Load, comment: str, left: list[str]) -> None:
    text = f"areas:\n  a:\n    lines:\n      l:\n        devices:\n          d:\n            tags:\n              {comment}\n"
    tree = load({"site.yaml": text}).unwrap()
    settled = tree.report([finding("NX2201", "odd", where=(*WHERE, "d", "tags", "x", "type"))])
    assert sorted(codes(settled)) == sorted(left)


def test_a_suppression_on_its_own_line_is_for_the_next(load: Load) -> None:
    text = site("# nexus:ignore NX2201, NX2202 -- both", "", "d: {tags: {x: {type: int8}}}")
    tree = load({"site.yaml": text}).unwrap()
    where = (*WHERE, "d", "tags", "x")
    assert tree.report([finding(code, "odd", where=where) for code in ("NX2201", "NX2202")]) == ()


def test_comments_reach_the_findings_of_a_later_stage(load: Load) -> None:
    tree = load(
        {"site.yaml": "moved:\n  - {from: a, to: b}  # nexus:ignore NX4005 -- done on the other plant\n"}
    ).unwrap()
    assert tree.report([]) == (), "whether it is useless is not known before the plan"
    where = ("moved", 0, "from")
    assert tree.report_later([finding("NX4005", "odd", where=where)]) == ()
    kept = tree.report_later([finding("NX4004", "secret", where=where), finding("NX4001", "not built", where=where)])
    assert codes(kept) == ["NX4001", "NX4004"]
    assert all(item.place is not None and item.place.line == 2 for item in kept)


def test_files_that_can_not_be_read(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert codes(load_site(tmp_path / "absent.yaml").findings) == ["NX0001"]
    monkeypatch.setattr("nexus_cli.source.files.MAX_FILE_BYTES", 10)
    assert codes(load({"site.yaml": "nexus: 1\nsite: x\n"}).findings) == ["NX0004"]


@pytest.mark.parametrize(
    "shape", ["[]", "3", "{a: 3}", "{a: {lines: []}}", "{a: {lines: {l: {devices: {d: 5}}}}}", "~"]
)
def test_odd_shapes_are_left_to_the_model(load: Load, shape: str) -> None:
    outcome = load({"site.yaml": f"areas: {shape}\ntemplates: {shape}\ndefaults: {shape}\nvars: {shape}\n"})
    assert outcome.value is not None


@pytest.mark.parametrize("value", ["'${var:b}'", "['${var:a}']", "{x: {y: '${var:a}'}}", "'p-${param:u}'"])
def test_variables_do_not_refer_to_variables(load: Load, value: str) -> None:
    text = site("d: {protocol: modbus, connection: {host: '${var:a}'}}", extra=f"vars: {{a: {value}, b: 1}}")
    assert codes(load({"site.yaml": text}).findings)[0] == "NX0052"


@pytest.mark.parametrize("given", [{"a": "x\udcff"}, {"a\ud800": "x"}])
def test_values_of_the_command_line_that_are_no_text(load: Load, given: dict[str, str]) -> None:
    text = site("d: {protocol: modbus, connection: {host: '${var:a}'}}", extra="vars: {a: h}")
    outcome = load({"site.yaml": text}, variables=given)
    assert codes(outcome.findings) == ["NX0053"]
    assert "is not UTF-8 text" in outcome.findings[0].message
    outcome.findings[0].message.encode()
    assert devices(outcome)["d"]["connection"] == {"host": "h"}


def test_a_malformed_reference_in_a_variable(load: Load) -> None:
    assert codes(load({"site.yaml": "vars: {a: '${HOST}'}\n"}).findings) == ["NX0050"]


def test_a_variable_may_hold_a_secret_reference(load: Load) -> None:
    text = site("d: {protocol: modbus, connection: {host: '${var:a}'}}", extra="vars: {a: '${env:HOST}'}")
    outcome = load({"site.yaml": text})
    assert outcome.findings == () and devices(outcome)["d"]["connection"] == {"host": "${env:HOST}"}


def test_mounted_files_are_links_into_a_sibling(tmp_path: Path) -> None:
    """Kubernetes mounts a ConfigMap as links through `..data`, so that it can be replaced at once."""
    data = tmp_path / "..2026"
    data.mkdir()
    (data / "site.yaml").write_text("nexus: 1\ninclude: [area.yaml]\n")
    (data / "area.yaml").write_text("areas: {a: {lines: {}}}\n")
    (tmp_path / "..data").symlink_to(data)
    for name in ("site.yaml", "area.yaml"):
        (tmp_path / name).symlink_to(Path("..data") / name)
    outcome = load_site(tmp_path / "site.yaml")
    assert outcome.findings == () and outcome.unwrap().root["areas"] == {"a": {"lines": {}}}
