"""Plans as text, Markdown and annotations."""

from __future__ import annotations

import textwrap
from typing import Any

from msgspec.structs import replace

from nexus_cli.cli.views.deployment import VERBS, deployment_text, progress_line
from nexus_cli.cli.views.plan_markdown import MOST_CHARACTERS, plan_annotations, plan_markdown
from nexus_cli.plan import stages
from nexus_cli.plan.document import plan_document
from nexus_cli.plan.hazards import Hazard, blocked
from nexus_cli.plan.text import consent, plan_text
from nexus_cli.project.live import NotGood
from nexus_cli.wire.control import DeploymentProgress, JournalLine, TableRow
from tests.unit.plan.test_plan import device, outcome, snapshot, tag


def plain(text: str, _: str) -> str:
    return text


def document(before: Any, after: Any, *, allow: tuple[str, ...] = (), **keys: Any) -> dict[str, Any]:
    found = outcome(before, after, **keys)
    return plan_document(found.unwrap(), findings=found.findings, allow=allow)


def test_text_of_a_small_plan() -> None:
    before = snapshot(
        device("a/l/one", tags={"energy": tag(deadband=0.5), "old": tag(address="holding:9"), "temp": tag()})
    )
    after = snapshot(
        device("a/l/one", description="meter", tags={"energy": tag(deadband=1.0), "temperature": tag()}),
        device("a/l/two"),
    )
    found = document(before, after, moved=[("a/l/one/temp", "a/l/one/temperature")])
    assert (
        plan_text(found, style=plain)
        == f"""\
Plan for acme/chicago against deployment 1

  + device.a/l/two (1 tag)
      devices: gateway gw reads it over tcp:10.0.0.9:502, shared with 1 device
      topics: 1 new topic
      series: 1 begins, or is resumed where the path was known before
      load: 0 -> 1 request for a full read on tcp:10.0.0.9:502
  ~ device.a/l/one
      description: none -> meter
      ~ energy  deadband: 0.5 -> 1.0
      - old
      -> temperature (was a/l/one/temp)
      devices: its session stays; only the tags below restart
      topics: 1 new topic
      topics: 2 retained messages cleared
      series: 1 keeps its history under a new name
      series: 1 forgotten; its samples are kept

Load of links:
  tcp:10.0.0.9:502 (2 devices): 1 -> 2 requests a cycle, 10 ms -> 20 ms of 1s, busy 1% -> 2% (predicted)

Needs consent:
  ! data-loss: a/l/one/old is forgotten: its samples stay, no new ones are stored [not allowed]
    consent: --allow data-loss=a/l/one/old

Effect: {found["effect"]}  (what an approval signs)
Plan: 1 to create, 1 to update (tags: 1 to create, 1 to update, 1 to move, 1 to forget)."""
    )


def test_the_steps_of_apply_are_shown_when_they_are_wanted_and_are_always_in_the_document() -> None:
    found = document(snapshot(device("a/l/one")), snapshot(device("a/l/one", description="meter")))
    assert [each["step"] for each in found["steps"]] == ["record", "notify", "observe", "finalise", "verify"]
    lines = plan_text(found, style=plain, steps=True).splitlines()
    at = lines.index("Steps of apply:")
    assert lines[at + 1 : at + 4] == [
        "  1. record 1 changed resource in one transaction",
        "  2. notify gateway gw",
        "  3. wait until gateway gw runs 1 device as planned",
    ]
    assert "Steps of apply:" not in plan_text(found, style=plain)
    older = {key: value for key, value in found.items() if key != "steps"}
    assert "Steps" not in plan_text(older, style=plain, steps=True), "saved by a version without steps"


def test_what_looks_renamed_is_offered_as_a_block_to_paste() -> None:
    path = "a/l/one"
    found = document(snapshot(device(path)), snapshot(device(path, tags={"energy-total": tag()})))
    block = "moved:\n  - {from: a/l/one/energy, to: a/l/one/energy-total}\n"
    assert textwrap.indent(block, "  ") in plan_text(found, style=plain)
    shown = plan_markdown(found)
    assert f"```yaml\n{block}```" in shown and shown.count("energy-total}") == 1
    allowed = document(snapshot(device(path)), snapshot(device(path, tags={"energy": tag(deadband=1.0)})))
    assert "Renamed?" not in plan_text(allowed, style=plain) + plan_markdown(allowed)


def test_text_of_no_change_and_of_many() -> None:
    same = document(snapshot(device("a/l/one")), snapshot(device("a/l/one")))
    assert plan_text(same, style=plain).endswith("Nothing to do: what is recorded is what is declared.")
    two = ("git:main:sites/a", "deployment 3")
    assert plan_text(same, style=plain, between=two).splitlines() == [
        "Difference of acme/chicago from git:main:sites/a to deployment 3",
        "",
        "No difference.",
    ]
    many = document(snapshot(), snapshot(*(device(f"a/l{n // 50}/d{n}") for n in range(100))))
    text = plan_text(many, style=plain)
    assert "against an empty runtime" in text
    assert "  + device.a/l0/* (50 devices, 50 tags)" in text and len(text.splitlines()) < 13


def test_markdown_stays_below_githubs_limit_and_keeps_the_headline() -> None:
    before = snapshot(*(device(f"a/l/d{n}") for n in range(20)))
    after = snapshot(*(device(f"a/l/d{n}", tags={f"t{m}": tag() for m in range(300)}) for n in range(20)))
    for left, right in ((before, after), (after, before)):
        text = plan_markdown(document(left, right))
        assert len(text) < MOST_CHARACTERS
        assert text.startswith("<!-- nexus plan acme/chicago -->\n### NEXUS plan for `acme/chicago`")
        assert text.count("\n```") == 2 * text.count("<details>") and text.endswith("</details>\n")
    assert (
        plan_markdown(document(before, before))
        == "<!-- nexus plan acme/chicago -->\n### NEXUS plan for `acme/chicago`\n\nNo changes.\n"
    )


def test_markdown_fence_can_not_be_broken_by_a_value() -> None:
    after = snapshot(device("a/l/one", description="```\n# pwned"))
    text = plan_markdown(document(snapshot(device("a/l/one")), after))
    assert "\n````diff\n" in text and "\n````\n" in text


def test_annotations_escape_and_stay_few() -> None:
    before = snapshot(*(device(f"a/l/d{n}") for n in range(30)))
    lines = plan_annotations(document(before, snapshot(device("a/l/d0")))).splitlines()
    errors = [line for line in lines if line.startswith("::error ")]
    assert len(errors) == 10 and errors[-1] == "::error title=NEXUS::and 20 more"
    assert errors[0].startswith("::error title=NX4101 data-loss::a/l/d1/energy is forgotten: ")
    assert lines[-1] == "::notice title=NEXUS plan::Plan: 29 to forget (tags: 29 to forget)."


def test_the_table_of_a_deployment() -> None:
    row = TableRow(address="device.a/l/one", action="create", gateway="gw", state="applied", verification="verified")
    counts = {"applied": 1, "unknown": 1, "verified": 1}
    found = DeploymentProgress(number=7, state="ended", outcome="partly", counts=counts)
    detail = "gateway gw did not answer"
    bad = replace(row, address="device.a/l/two", state="unknown", verification="", detail=detail)
    assert (
        deployment_text(replace(found, table=[row, bad]), style=plain)
        == """\
  device.a/l/one  applied   verified
  device.a/l/two  unknown               gateway gw did not answer

Partly applied as deployment 7: 1 applied, 0 failed, 0 skipped, 1 unknown (1 verified)."""
    )
    many = deployment_text(replace(found, table=[bad, *[row] * 100]), style=plain)
    assert "… and 100 more, applied" in many and many.count("device.") == 1


def test_progress_tells_what_is_waited_for_and_what_failed() -> None:
    line = JournalLine(id=1, step="observe", subject="gw", state="begun")
    assert progress_line(line) == "waiting for gateway gw …"
    assert progress_line(replace(line, state="done")) == "gateway gw runs it"
    failed = replace(line, state="failed", detail={"message": "no answer within 20 s"})
    assert progress_line(failed) == "waiting for gateway gw: failed: no answer within 20 s"
    assert progress_line(replace(line, step="notify")) is None
    stop = replace(line, step="before", subject="stop-filler")
    assert progress_line(stop) == "running sequence stop-filler before the change …"
    start = replace(stop, step="after", subject="start-filler")
    assert progress_line(start) == "running sequence start-filler after the change …"
    steps = {value for name, value in vars(stages).items() if name.isupper() and isinstance(value, str)}
    assert {"before", "after", "record", "verify"} <= steps and steps <= VERBS.keys(), "each has its words"
    assert "control does not answer" in str(progress_line(replace(line, step="away", subject="60")))


def test_what_only_follows_another_key_is_not_told_twice() -> None:
    before = snapshot(device("a/l/one", tags={"energy": tag(unit="kWh", publish_unit="kWh")}))
    after = snapshot(device("a/l/one", tags={"energy": tag(unit="MWh", publish_unit="MWh")}))
    assert "~ energy  unit: kWh -> MWh\n" in plan_text(document(before, after), style=plain)
    after = snapshot(device("a/l/one", tags={"energy": tag(unit="MWh", publish_unit="kWh")}))
    assert "~ energy  unit: kWh -> MWh\n" in plan_text(document(before, after), style=plain)


def test_a_consent_covers_what_it_is_for_and_little_else() -> None:
    hazards = [{"name": "data-loss", "scope": "a/l/one"}, {"name": "series-break", "scope": "a/l/x"}]
    assert consent(hazards, "data-loss") == "data-loss=a/l/one"
    more = [*hazards, {"name": "data-loss", "scope": "a/l/two"}]
    assert consent(more, "data-loss") == "data-loss=a/l/*"
    assert consent([*more, {"name": "data-loss", "scope": "a/x"}], "data-loss") == "data-loss=a/**"
    assert consent([*more, {"name": "data-loss", "scope": "b/l/two"}], "data-loss") == "data-loss=*/l/*"


def test_one_edit_of_a_template_is_told_once_with_its_count_and_its_consents() -> None:
    def plant(unit: str) -> Any:
        tags = {f"t{n}": tag(unit=unit, publish_unit=unit) for n in range(30)}
        return snapshot(*(device(f"a{n // 100}/l{n // 20}/d{n}", tags=tags) for n in range(300)))

    found = document(plant("kWh"), plant("MWh"))
    text = plan_text(found, style=plain)
    lines = text.splitlines()
    assert len(lines) < 80
    assert lines[1] == lines[-1] == "Plan: 300 to update (tags: 9000 to update)."
    assert lines[3] == "Needs consent: series-break 9,000; see below."
    assert "  ~ 300 devices alike: a0/l0/* (20), a0/l1/* (20), a0/l2/* (20), a0/l3/* (20)" in text
    assert "      ~ t0  unit: kWh -> MWh" in lines and "      … and 10 tags more (--format json shows all)" in lines
    offered = [line.partition("--allow ")[2] for line in lines if "--allow" in line]
    for glob in offered[:-1]:
        assert blocked_by(found, glob) < 9000
    assert offered[-1] == "series-break=*/*/*/*" and blocked_by(found, offered[-1]) == 0
    assert blocked_by(found, *offered[:-1]) == 0
    shown = plan_markdown(found)
    assert len(shown) < 10_000 and "cut here" not in shown


def blocked_by(found: dict[str, Any], *allow: str) -> int:
    hazards = [
        Hazard(**{key: each[key] for key in ("name", "scope", "address", "message")}) for each in found["hazards"]
    ]
    return len(blocked(hazards, allow))


def test_many_different_updates_are_counted_by_line() -> None:
    before = snapshot(*(device(f"a/l{n // 50}/d{n}", description="x") for n in range(100)))
    after = snapshot(*(device(f"a/l{n // 50}/d{n}", description=f"y{n}") for n in range(100)))
    text = plan_text(document(before, after), style=plain)
    assert "  ~ device.a/l0/d0\n      description: x -> y0\n" in text
    assert "  ~ 80 devices more (0 tags): a/l0/* (30), a/l1/* (50)" in text


def test_values_that_are_missing_after_an_apply_say_where_to_look() -> None:
    detail = "1 of 2 tags are not GOOD"
    row = TableRow(address="device.a/l/one", state="applied", verification="verified", detail=detail)
    found = DeploymentProgress(number=3, state="ended", outcome="applied", counts={"applied": 1}, table=[row])
    assert deployment_text(found, style=plain).endswith("nexus tail --where 'quality!=GOOD'")
    silent = replace(found, table=[replace(row, verification="unverified")])
    assert deployment_text(silent, style=plain).endswith("nexus status, nexus logs")
    tags = [NotGood(path=f"a/l/one/t{number}", quality="BAD", reason="no_answer") for number in range(20)]
    told = deployment_text(found, style=plain, not_good=tags).splitlines()
    assert told[3:6] == ["", "Not GOOD yet:", "  a/l/one/t0  BAD        no_answer"]
    assert told[-3:] == ["  … and 12 more", "", "All of them, live: nexus tail --where 'quality!=GOOD'"]


def test_a_long_table_of_a_deployment_says_once_what_ended_alike() -> None:
    def row(line: int, number: int, detail: str = "") -> TableRow:
        word = "unverified" if detail else "verified"
        address = f"device.a/l{line}/d{number}"
        return TableRow(
            address=address, action="create", gateway="gw", state="applied", verification=word, detail=detail
        )

    table = [row(number % 2, number, f"no answer from 10.0.0.{number}:502 in time") for number in range(200)]
    table += [row(2, 1, "wrong unit id"), *(row(3, number) for number in range(100))]
    found = DeploymentProgress(
        number=7, state="ended", outcome="applied", counts={"applied": 301}, table=table, left_out=9
    )
    lines = deployment_text(found, style=plain).splitlines()
    assert lines[0].split() == [
        "200",
        "alike",
        "applied",
        "unverified",
        "no",
        "answer",
        "from",
        "10.0.0.0:502",
        "in",
        "time",
    ]
    assert lines[1].strip() == "device.a/l0/* (100), device.a/l1/* (100)"
    assert lines[2].split()[0] == "device.a/l2/d1" and lines[3].strip() == "… and 109 more, applied"
    assert len(lines) < 8


PEOPLE = {
    "role__op": {"read": ["a/**"], "write": ["a/l/one/*"]},
    "role__contractor": {"read": ["b/**"]},
    "user__ann": {"roles": ["op"]},
    "user__bob": {"roles": ["op"]},
    "user__eve": {"roles": ["contractor"], "valid_until": "2026-12-31"},
}


def rights_plan(**keys: Any) -> dict[str, Any]:
    """A plan in which ann and bob read more and write less, and eve stays longer."""
    devices = [device("a/l/one", tags={name: tag(writable=True) for name in "abcdefg"}), device("b/l/two")]
    after = {
        **PEOPLE,
        "role__op": {"read": ["**"]},
        "user__eve": {"roles": ["contractor"], "valid_until": "2027-06-30"},
    }
    return document(snapshot(*devices, **PEOPLE), snapshot(*devices, **after), **keys)


def test_text_of_a_plan_that_changes_rights() -> None:
    found = rights_plan(allow=("acl-widen=ann",))
    assert (
        plan_text(found, style=plain)
        == f"""\
Plan for acme/chicago against deployment 1

  ~ role.op
      read: ["a/**"] -> ["**"]
      write: ["a/l/one/*"] -> none
  ~ user.eve
      valid_until: 2026-12-31 -> 2027-06-30

Rights:
  - ann, bob may no longer write 7 tags: a/l/one/a, a/l/one/b, a/l/one/c and 4 more
  + ann, bob may now read 1 tag: b/l/two/energy
  + eve may now use role contractor until 2027-06-30 (before: until 2026-12-31)
    live sessions of ann, bob on Mosquitto lose it as soon as the new rules are in force: each message is checked
    live sessions of ann, bob on HiveMQ keep the rights that they connected with until they end: disconnect those clients

Needs consent:
  ! acl-widen: ann may now read 1 tag: b/l/two/energy [allowed]
  ! acl-widen: bob may now read 1 tag: b/l/two/energy [not allowed]
  ! acl-widen: eve may now use role contractor until 2027-06-30 (before: until 2026-12-31) [not allowed]
    consent for all of them: --allow acl-widen=ann --allow acl-widen=bob --allow acl-widen=eve

Effect: {found["effect"]}  (what an approval signs)
Plan: 2 to update."""
    )


def test_rights_in_json_are_whole_and_shared() -> None:
    found = rights_plan()
    assert found["rights"] == [
        {
            "principals": ["ann", "bob"],
            "action": "write",
            "kind": "tag",
            "gained": [],
            "lost": [f"a/l/one/{name}" for name in "abcdefg"],
        },
        {"principals": ["ann", "bob"], "action": "read", "kind": "tag", "gained": ["b/l/two/energy"], "lost": []},
        {
            "principals": ["eve"],
            "action": "time",
            "kind": "time",
            "gained": ["role contractor until 2027-06-30 (before: until 2026-12-31)"],
            "lost": [],
        },
    ]
    older = {key: value for key, value in found.items() if key not in ("rights", "sessions")}
    assert "Rights:" not in plan_text(older, style=plain) and "acl-widen" in plan_text(older, style=plain)
    assert "+   ann, bob may now read 1 tag: b/l/two/energy" in plan_markdown(found)


def test_the_broker_of_nexus_up_is_named_alone() -> None:
    devices = [device("a/l/one", tags={"s": tag(writable=True)})]
    before, after = snapshot(*devices, **PEOPLE), snapshot(*devices, **{**PEOPLE, "role__op": {"read": []}})
    for broker, expected in (
        ("amqtt", [("amqtt", True)]),
        ("mosquitto", [("mosquitto", True)]),
        ("external", [("Mosquitto", True), ("EMQX", False), ("HiveMQ", False)]),
        ("", [("Mosquitto", True), ("EMQX", False), ("HiveMQ", False)]),
    ):
        found = document(before, after, broker=broker)
        assert [(each["broker"], each["at_once"]) for each in found["sessions"]] == expected
        assert all(each["principals"] == ["ann", "bob"] for each in found["sessions"])


def test_many_who_gain_are_one_line_with_one_consent() -> None:
    crowd = {f"user__u{number:02}": {"roles": ["op"]} for number in range(30)}
    devices = [device("a/l/one"), device("b/l/two")]
    found = document(
        snapshot(*devices, role__op={"read": []}, **crowd), snapshot(*devices, role__op={"read": ["b/**"]}, **crowd)
    )
    text = plan_text(found, style=plain)
    assert "  + u00, u01, u02 and 27 more may now read 1 tag: b/l/two/energy" in text
    assert "consent: --allow acl-widen=*" in text
    assert "  ! acl-widen: u00, u01, u02 and 27 more may now read 1 tag: b/l/two/energy [not allowed]" in text
