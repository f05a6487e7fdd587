"""What a change of `defaults` and of templates reaches, by hand: who hands the value down, sessions, and what control keeps."""

from __future__ import annotations

from pathlib import Path

import msgspec
import orjson
import pytest

from nexus_cli.apply.request import Checked, DeploymentRequest
from nexus_cli.apply.run import StoredPlan, Work
from nexus_cli.apply.waves import part_of
from nexus_cli.plan.document import PlanDocument, plan_document
from nexus_cli.plan.document_reach import reach_of
from nexus_cli.plan.plan import Base, Plan, make_plan
from nexus_cli.plan.recorded import Made, plan_again
from nexus_cli.plan.text import plan_text
from nexus_cli.project.apply import ApplyOptions, request_of
from nexus_cli.project.compare import compare
from nexus_cli.project.ready import Ready
from nexus_cli.project.text import LoadedSite, load
from nexus_cli.settings import Settings
from nexus_cli.source.inheritance import Inheritance
from nexus_cli.wire.reach import Reach

SITE = """\
nexus: 1
enterprise: acme
site: chicago
defaults: {poll: 1s, connection: {timeout: 1s}}
templates:
  motor:
    protocol: modbus
    connection: {host: 10.0.0.9}
    tags:
      speed: {address: "holding:0", type: uint16}
areas:
  a:
    defaults: {}
    lines:
      l:
        defaults: {deadband: 1}
        devices:
          d1: {template: motor, connection: {unit_id: 1}}
          d2: {template: motor, connection: {unit_id: 2}, tags: {speed: {poll: 5s}}}
          d3: {template: motor, connection: {host: 10.0.0.7, timeout: 2s}}
      m:
        devices:
          e1:
            protocol: modbus
            connection: {host: 10.0.0.8}
            tags:
              x: {address: "holding:1", type: uint16}
              z: {address: "holding:3", type: uint16, range: [0, 5], quality: {range: reject}}
"""


def loaded(folder: Path, text: str) -> LoadedSite:
    file = folder / "site.yaml"
    file.write_text(text, encoding="utf-8")
    found = load(file)
    assert found.value is not None, found.findings
    return found.value


def planned(folder: Path, *swaps: tuple[str, str], before: str = SITE) -> Plan:
    text = before
    for old, new in swaps:
        assert old in text, old
        text = text.replace(old, new)
    first, second = loaded(folder, before), loaded(folder, text)
    recorded = first.snapshot
    base = Base(
        deployment=1,
        digest=recorded.digest,
        digests=recorded.digests,
        resources=orjson.loads(orjson.dumps(recorded.resources)),
    )
    return make_plan(
        base, second.snapshot, template_of=second.tree.template_of, giver_of=Inheritance(second.tree).giver
    ).unwrap()


def lines(plan: Plan) -> dict[str, str]:
    return {f"{each.path or each.level}: {', '.join(each.keys)}": each.reached.text for each in plan.defaults}


def test_a_default_of_the_site_reaches_who_says_nothing_nearer(tmp_path: Path) -> None:
    assert lines(planned(tmp_path, ("poll: 1s", "poll: 2s"))) == {
        "site: poll": "3 of 4 devices: 3 updated; 4 tags changed; no session restarts"
    }


def test_devices_on_one_link_share_the_session_that_restarts(tmp_path: Path) -> None:
    """d1 and d2 are behind one server, e1 behind another; d3 has its own time-out."""
    plan = planned(tmp_path, ("timeout: 1s", "timeout: 3s"))
    assert lines(plan) == {"site: connection.timeout": "3 of 4 devices: 3 updated; 0 tags changed; 2 sessions restart"}
    (motor,) = plan.templates
    assert motor.reached.text == "2 of 3 devices: 2 updated; 0 tags changed; 1 session restarts"


def test_a_key_of_the_device_alone_restarts_no_session(tmp_path: Path) -> None:
    (motor,) = planned(tmp_path, ("unit_id: 1", "unit_id: 7")).templates
    assert motor.reached.text == "1 of 3 devices: 1 updated; 0 tags changed; no session restarts"


def test_a_device_that_goes_to_an_open_link_sets_up_no_session(tmp_path: Path) -> None:
    to_the_others = ("{host: 10.0.0.7, timeout: 2s}", "{unit_id: 3}")
    (motor,) = planned(tmp_path, to_the_others).templates
    assert motor.reached.text == "1 of 3 devices: 1 updated; 0 tags changed; no session restarts"
    (motor,) = planned(tmp_path, ("{host: 10.0.0.7, timeout: 2s}", "{host: 10.0.0.6, timeout: 2s}")).templates
    assert motor.reached.text == "1 of 3 devices: 1 updated; 0 tags changed; 1 session restarts"


def test_each_key_counts_for_the_place_that_gives_it(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        ("defaults: {}", "defaults: {poll: 4s, quality: {flat: {for: 10m}}}"),
        ("deadband: 1", "deadband: 2"),
    )
    assert lines(plan) == {
        "a: poll, quality.flat": "4 of 4 devices: 4 updated; 5 tags changed; no session restarts",
        "a/l: deadband": "3 of 3 devices: 3 updated; 3 tags changed; no session restarts",
    }
    own = planned(
        tmp_path, ("{range: reject}", "{range: alarm}"), before=SITE.replace("{}", "{quality: {flat: {for: 9m}}}")
    )
    assert lines(own) == {}, "the rule that changed is the tag's own, whatever it inherits beside it"


def test_what_no_text_gives_any_more_is_built_in(tmp_path: Path) -> None:
    before = SITE.replace("poll: 1s", "poll: 2s")
    assert lines(planned(tmp_path, ("poll: 2s, ", ""), before=before)) == {
        "built-in: poll": "3 of 4 devices: 3 updated; 4 tags changed; no session restarts"
    }
    alone = planned(tmp_path, ("speed: {poll: 5s}", "speed: {}"), before=SITE.replace("poll: 1s, ", ""))
    assert lines(alone) == {}, "one device lost a line of its own"


def test_new_devices_and_first_plans_are_no_change_of_defaults(tmp_path: Path) -> None:
    one_more = ("      m:\n", "          d4: {template: motor, connection: {unit_id: 4}}\n      m:\n")
    assert lines(planned(tmp_path, one_more)) == {}


def test_the_text_names_few_devices_and_counts_many(tmp_path: Path) -> None:
    text = plan_text(plan_document(planned(tmp_path, ("poll: 1s", "poll: 2s"))), style=lambda text, _: text)
    assert "\nDefaults:\n  site: poll: 3 of 4 devices: " in text and "\n      a/l/d1, a/l/d3, a/m/e1\n" in text
    many = "".join(f"          n{n}: {{template: motor, connection: {{unit_id: {n + 10}}}}}\n" for n in range(9))
    before = SITE.replace("      m:\n", f"{many}      m:\n")
    text = plan_text(
        plan_document(planned(tmp_path, ("poll: 1s", "poll: 2s"), before=before)), style=lambda text, _: text
    )
    assert "\n  site: poll: 12 of 13 devices: 12 updated; 13 tags changed; no session restarts\n" in text
    assert "\n      a/l/* (11), a/m/* (1)\n" in text


def sent(plan: Plan) -> tuple[PlanDocument, StoredPlan]:
    """A plan, and what control keeps of it."""
    document = plan_document(plan)
    ready = Ready(
        site="acme/chicago",
        document=document,
        changed=plan.desired,
        source={"path": "site.yaml", "env": None, "variables": {}},
    )
    body = request_of(ready, ApplyOptions())
    reach = msgspec.json.decode(msgspec.json.encode(body.plan.reach), type=Reach)
    request = DeploymentRequest(base_digest="", desired_digest="", changed=plan.desired, reach=reach)
    before = {each.address: dict(each.before) for each in plan.changes if each.before is not None}
    work = Work.accepted(request, Checked(digests={}, changes=plan.changes), before=before, summary={})
    return document, Work.stored(orjson.dumps(work.document()).decode()).plan


def test_a_deployment_on_record_shows_what_its_plan_showed(tmp_path: Path) -> None:
    plan = planned(tmp_path, ("poll: 1s", "poll: 2s"), ("timeout: 1s", "timeout: 3s"))
    document, stored = sent(plan)
    made = Made(
        site="acme/chicago",
        base=1,
        base_digest=plan.base_digest,
        desired_digest=plan.desired_digest,
        changed=stored.changed,
        before=stored.before,
        reach=stored.reach,
    )
    again = plan_document(plan_again(made, {}))
    assert document["templates"] and document["defaults"]
    assert (again["templates"], again["defaults"]) == (document["templates"], document["defaults"])
    assert part_of(stored, list(stored.changed)).reach == stored.reach
    assert part_of(stored, [*stored.changed][:1]).reach is None, "a wave does a part of it"


def test_what_has_no_reach_sends_and_keeps_none(tmp_path: Path) -> None:
    plan = planned(tmp_path, ("  l:\n", "  l:\n        description: packing\n"))
    document = plan_document(plan)
    assert reach_of(document.get("templates", ()), document.get("defaults", ())) is None
    request = DeploymentRequest(base_digest="", desired_digest="", changed={})
    work = Work.accepted(request, Checked(digests={}, changes=()), before={}, summary={})
    assert (
        "reach" not in work.document()
        and Work.stored('{"changed":{},"before":{},"digests":{},"moved":[],"allow":[]}').plan.reach is None
    )


@pytest.mark.parametrize("word", ["a\x1b[2J", "x" * 501, "a\nb"])
def test_names_that_control_would_print_are_plain(word: str) -> None:
    one = {"template": word, "devices": [], "unchanged": 0, "tags": 0, "actions": {}}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"templates": [one]}, Reach)


def test_a_comparison_of_files_invents_no_change_of_a_range(tmp_path: Path) -> None:
    for name, text in (("one", SITE), ("two", SITE.replace("poll: 1s", "poll: 2s"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "site.yaml").write_text(text, encoding="utf-8")
    document = compare(str(tmp_path / "one"), str(tmp_path / "two"), settings=Settings(home=tmp_path)).document
    assert document is not None and document["readers"] == []
    keys = {tuple(tag["change"]["keys"]) for change in document["resource_changes"] for tag in change["tags"]}
    assert keys == {("poll_ms",)}
    assert [each["path"] or each["level"] for each in document["defaults"]] == ["site"]
