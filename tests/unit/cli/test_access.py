"""`nexus access` as people use it: answers with exit codes, files for brokers, and the mistakes of a tired engineer."""

from __future__ import annotations

import json
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from nexus_cli.cli.commands.access import command
from nexus_cli.diagnostics.errors import NexusError
from tests.sessions import Step, run_inside, run_process

PAGE = Path(__file__).parents[3] / "docs" / "access.md"
MORNING = "--at 2026-12-01T08:00:00-06:00"


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    """The site of docs/access.md."""
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    (tmp_path / "site.yaml").write_text(found[1], encoding="utf-8")
    return tmp_path


def run(plant: Path, line: str) -> Step:
    return run_inside(f"nexus access {line}", cwd=plant)


def test_list_has_everybody_in_two_lines(plant: Path) -> None:
    seen = run(plant, f"list {MORNING}")
    assert seen.code == 0
    lines = seen.expected.splitlines()
    assert lines[0] == "acme/chicago"
    assert lines[1].split(maxsplit=1) == ["ann", "operator (group shift-a) · 8 rules"]
    assert lines[2].strip() == (
        "read packaging/**; write packaging/** (labels team=north); run warm-up; acknowledge *; "
        "not write packaging/line-1/gate/**"
    )
    assert "dispatcher (application) · until 2027-06-30" in seen.expected
    assert lines[-1] == "group shift-a: operator → ann"


def test_list_in_json_says_what_is_not_now(plant: Path) -> None:
    found = json.loads(run(plant, "list --at 2026-12-01T20:00:00-06:00 --format json").expected)
    ann = next(each for each in found["principals"] if each["name"] == "ann")
    assert ann["roles"] == [
        {"role": "operator", "via": "group shift-a", "not_now": "not at this hour (mon-fri 06:00-14:00)"}
    ]
    assert (ann["may"], ann["rules"]) == ("nothing", 0)


def test_roles_are_declared_or_shipped(plant: Path) -> None:
    text = run(plant, "list --roles").expected
    assert "engineer (shipped, up to confidential data): boss" in text
    assert "operator (declared, up to internal data): ann" in text
    assert "  deny write packaging/line-1/gate/**  site.yaml:" in text


def test_can_ends_with_0_for_yes_and_1_for_no(plant: Path) -> None:
    yes = run(plant, f"can ann write packaging/line-1/filler/setpoint {MORNING}")
    assert (yes.code, yes.expected.splitlines()[0]) == (0, "yes: ann may write packaging/line-1/filler/setpoint")
    assert '- {path: "packaging/**", labels: {team: north}}' in yes.expected
    no = run(plant, f"can ann write packaging/line-1/gate/open {MORNING} --format json")
    found = json.loads(no.expected)
    assert (no.code, found["allowed"]) == (1, False)
    assert (found["answers"][0]["reason"], found["answers"][0]["line"]) == (
        "deny",
        "deny write packaging/line-1/gate/**",
    )
    partly = run(plant, f"can ann read packaging/** {MORNING}")
    assert partly.code == 1
    assert "yes: ann may read packaging/** (4 of 5, e.g. packaging/line-1/filler/temperature)" in partly.expected


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("can anne read packaging/**", 1, "error[NX7040]: acme/chicago has no user or application 'anne'\n  = hint: did you mean 'ann'?"),
        ("can operator read packaging/**", 1, "error[NX7040]: 'operator' is a role, not a user"),
        ("can shift-a read packaging/**", 1, "error[NX7040]: 'shift-a' is a group, not a user"),
        ("can ann raed packaging/**", 64, "Error: 'raed' is not an action: did you mean 'read'?"),
        ("can ann write", 64, "Error: 'write' needs a tag path"),
        ("can ann read packaging/line-1/filer/temperature", 1, "= hint: did you mean 'packaging/line-1/filler/temperature'?"),
        ("can ann read filler-too-hot", 1, "error[NX7041]: 'filler-too-hot' is an alert, not a tag"),
        ("can ann publish packaging/line-1/filler/setpoint", 1, "= hint: for the tag ask for write"),
        ("who-can run warmup", 1, "= hint: did you mean 'warm-up'?"),
        ("who-can read packaging/** --site nowhere", 1, "error[NX0007]: there is no file or folder 'nowhere'"),
        ("can ann run warm-up --at yesterdayish", 1, "error[NX6211]: 'yesterdayish' is not a time."),
        ("explain nexus.histrian", 1, "= hint: did you mean 'nexus.historian'?"),
        ("render --at any --broker mosquito", 64, "mosquitto"),
        ("render --at any --broker emqx --check", 64, "Error: --check needs --out DIR"),
        ("render --at any --broker emqx --version 4.4", 1, "error[NX7048]: Rules for emqx 4.4 are not known."),
        ("rotate", 64, "Error: name who gets a new password, or --all"),
        ("elevate ann", 64, "Error: name the user and the reason"),
        ("token ann --ttl 1", 64, "'1' is not a duration such as 30m, 8h or 90d"),
        ("token ann --for mqtt", 1, "error[NX7049]: There is no secret to sign a broker token with."),
    ],
)  # fmt: skip
def test_mistakes(line: str, code: int, text: str, plant: Path) -> None:
    seen = run_process(f"nexus access {line}", cwd=plant)
    assert text in seen.expected
    assert seen.code == code


def test_a_topic_in_place_of_a_path(plant: Path) -> None:
    seen = run(plant, f"can ann write acme/chicago/packaging/line-1/filler/setpoint {MORNING}")
    assert (seen.code, seen.expected.splitlines()[0]) == (0, "yes: ann may write packaging/line-1/filler/setpoint")


def test_diff_against_another_file(plant: Path) -> None:
    text = (plant / "site.yaml").read_text(encoding="utf-8")
    (plant / "new").mkdir()
    wider = text.replace("labels: {team: north}}", "labels: {}}").replace("run: [warm-up]", "run: []")
    (plant / "new" / "site.yaml").write_text(wider.replace("panel-1: {role: viewer}", ""), encoding="utf-8")
    seen = run(plant, "diff new --from site.yaml --detailed-exitcode")
    assert seen.code == 2
    assert seen.expected.splitlines() == [
        "acme/chicago",
        "  ann may now write 1 tag: packaging/line-2/capper/speed",
        "  ann may no longer run 1 sequence: warm-up",
        "  panel-1 may no longer read 4 tags: packaging/line-1/filler/setpoint, packaging/line-1/filler/temperature, "
        "packaging/line-1/gate/open and 1 more",
        "  panel-1 may no longer see 1 alert: filler-too-hot",
    ]
    same = run(plant, "diff --from site.yaml --detailed-exitcode")
    assert (same.code, same.expected) == (0, "acme/chicago: no principal gains or loses a right")


def test_diff_against_nothing_recorded(plant: Path) -> None:
    seen = run_process("nexus access diff", cwd=plant)
    assert (seen.code, seen.expected.splitlines()[0]) == (6, "error[NX6400]: No runtime is configured here.")


def test_check(plant: Path) -> None:
    assert "acme/chicago: nothing to report" in run(plant, "check --strict").expected
    site = plant / "site.yaml"
    text = site.read_text(encoding="utf-8").replace("run: [warm-up]", "run: [warm-up, 'warm-*']")
    site.write_text(
        text.replace("valid: {until: 2027-06-30}", "valid: {until: 2020-06-30}, hours: [mon]"), encoding="utf-8"
    )
    seen = run(plant, "check --strict --broker mosquitto")
    assert seen.code == 1
    assert set(re.findall(r"\[(NX70\d\d)\]", seen.expected)) == {"NX7013", "NX7042", "NX7044", "NX7045"}
    assert "'run warm-*' gives nothing beyond 'run warm-up'" in seen.expected
    assert "the rights of 'mes' have ended (2020-06-30)" in seen.expected
    assert "control does not answer: who has a password was not looked at" in seen.expected


@pytest.mark.parametrize("broker", ["emqx", "mosquitto", "hivemq-enterprise"])
def test_rendered_files_are_compared(broker: str, plant: Path) -> None:
    made = run(plant, f"render --at any --broker {broker} --own --out out")
    assert made.code == 0, made.expected
    same = run(plant, f"render --at any --broker {broker} --own --out out --check")
    assert (same.code, same.expected.splitlines()[-1]) == (0, "out is as the site file says")
    rules = next(path for path in (plant / "out").iterdir() if "ann" in path.read_text(encoding="utf-8"))
    assert stat.S_IMODE(rules.stat().st_mode) == 0o640
    rules.write_text(rules.read_text(encoding="utf-8").replace("line-2", "line-9"), encoding="utf-8")
    other = run(plant, f"render --at any --broker {broker} --own --out out --check")
    assert other.code == 1
    assert "1 file of out differ from the site file" in other.expected
    assert "line-9" in other.expected


def test_hashes_are_private_and_stay_the_same(plant: Path) -> None:
    home = plant / ".nexus"
    home.mkdir(mode=0o700)
    secret = "a-planted-password-0123456789"
    (home / "credentials.json").write_text(json.dumps({"broker": {"ann": secret}}), encoding="utf-8")
    made = run_inside("nexus --home .nexus access render --at any --broker mosquitto --out out", cwd=plant)
    assert "without a password in this .nexus folder" in made.expected
    passwords = plant / "out" / "passwords"
    assert stat.S_IMODE(passwords.stat().st_mode) == 0o600
    assert passwords.read_text(encoding="utf-8").startswith("ann@acme.chicago:$7$")
    again = run_inside("nexus --home .nexus access render --at any --broker mosquitto --out out --check", cwd=plant)
    assert again.code == 0, again.expected
    shown = run_inside("nexus --home .nexus access render --at any --broker mosquitto", cwd=plant)
    assert "$7$" not in shown.expected
    written = [path for path in plant.rglob("*") if path.is_file() and path.name != "credentials.json"]
    assert [path.name for path in written if secret in path.read_text(encoding="utf-8")] == []


def test_a_shared_acl_conf_keeps_what_others_have_in_it(plant: Path) -> None:
    (plant / "out").mkdir()
    theirs = '{allow, {username, "other"}, all, ["other/#"]}.\n{deny, all}.\n'
    (plant / "out" / "acl.conf").write_text(theirs, encoding="utf-8")
    assert run(plant, "render --at any --broker emqx --out out").code == 0
    text = (plant / "out" / "acl.conf").read_text(encoding="utf-8")
    assert text.startswith(theirs.splitlines()[0])
    assert text.rstrip().endswith("{deny, all}.")
    assert '{username, "ann@acme.chicago"}' in text
    assert run(plant, "render --at any --broker emqx --out out --check").code == 0


def test_a_broker_token_is_alone_on_stdout(plant: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "planted-secret-of-at-least-32-bytes"
    (plant / "secret").write_text(secret + "\n", encoding="utf-8")
    monkeypatch.setenv("NEXUS_EMQX_JWT_SECRET_FILE", str(plant / "secret"))
    seen = run(plant, "token mes --for mqtt --ttl 10m")
    assert seen.code == 0, seen.expected
    claims = jwt.decode(seen.expected.strip(), secret, algorithms=["HS256"], audience="mqtt")
    assert (claims["username"], claims["exp"] - claims["iat"]) == ("mes@acme.chicago", 600)
    assert any(
        rule.get("topic") == "erp/orders/line-1" or "erp/orders/line-1" in rule.get("topics", ())
        for rule in claims["acl"]
    )


def test_a_broker_token_ends_with_its_users_rights(plant: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "planted-secret-of-at-least-32-bytes"
    monkeypatch.setenv("NEXUS_EMQX_JWT_SECRET", secret)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    site = plant / "site.yaml"
    site.write_text(site.read_text(encoding="utf-8").replace("2027-06-30", until.isoformat()), encoding="utf-8")
    long, short = (run(plant, f"token mes --for mqtt --ttl {ttl}").expected.strip() for ttl in ("90d", "1h"))
    ends = [jwt.decode(each, secret, algorithms=["HS256"], audience="mqtt") for each in (long, short)]
    assert ends[0]["exp"] == until.timestamp()
    assert ends[1]["exp"] - ends[1]["iat"] == 3600


def test_whose_period_is_over_is_in_no_file(plant: Path) -> None:
    site = plant / "site.yaml"
    site.write_text(site.read_text(encoding="utf-8").replace("2027-06-30", "2020-01-01"), encoding="utf-8")
    for broker, file in (("emqx", "acl.conf"), ("mosquitto", "acl"), ("hivemq-enterprise", "ese-file-realm.xml")):
        made = run(plant, f"render --at any --broker {broker} --own --out {broker}")
        assert made.code == 0, made.expected
        assert "left out: mes, role dispatcher: over since 2020-01-01" in made.expected
        text = (plant / broker / file).read_text(encoding="utf-8")
        assert "mes" not in re.findall(r"[\w.-]+", text) and "ann" in re.findall(r"[\w.-]+", text)


def test_what_others_have_in_an_acl_conf_stays_byte_for_byte(plant: Path) -> None:
    theirs = b'%% theirs\r\n{allow, {username, "other"}, all, ["other/#"]}.\r\n{allow, all}.'
    file = plant / "out" / "acl.conf"
    file.parent.mkdir()
    file.write_bytes(theirs)
    file.chmod(0o644)
    made = run(plant, "render --at any --broker emqx --out out")
    assert made.code == 0, made.expected
    assert "acl.conf ends in {allow, all}" in made.expected
    text = file.read_bytes()
    begin, end = text.index(b"%% nexus acme/chicago begin"), text.index(b"%% nexus acme/chicago end\n")
    assert text[:begin] + text[end + len(b"%% nexus acme/chicago end\n") :] == theirs
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert run(plant, "render --at any --broker emqx --out out --check").code == 0


def test_a_shared_acl_conf_may_have_what_its_version_reads(plant: Path) -> None:
    file = plant / "out" / "acl.conf"
    file.parent.mkdir()
    who = '{\'and\', [{username, "other"}, {zone, "tenants"}]}'
    file.write_text(f'{{allow, {who}, all, ["other/#"]}}.\n{{deny, all}}.\n', encoding="utf-8")
    with pytest.raises(NexusError) as refused:
        run(plant, "render --at any --broker emqx --version 5.8 --out out")
    assert refused.value.code == "NX7024"
    assert run(plant, "render --at any --broker emqx --version 5.10 --out out").code == 0


@pytest.mark.parametrize("edit", [(b"\n", b"\r\n"), (b"\nuser ann", b"\x0cuser ann"), (b"/#\n", b"/# \n")])
def test_edits_that_are_not_seen_on_a_screen_are_differences(plant: Path, edit: tuple[bytes, bytes]) -> None:
    assert run(plant, "render --at any --broker mosquitto --own --out out").code == 0
    file = plant / "out" / "acl"
    file.write_bytes(file.read_bytes().replace(*edit))
    seen = run(plant, "render --at any --broker mosquitto --own --out out --check")
    assert seen.code == 1
    assert "1 file of out differ from the site file" in seen.expected


def test_every_command_has_an_example_and_its_exit_codes() -> None:
    flat = [each for one in command.commands.values() for each in getattr(one, "commands", {"": one}).values()]
    assert {
        "list",
        "who-can",
        "can",
        "explain",
        "diff",
        "check",
        "render",
        "token",
        "tokens",
        "elevate",
        "rotate",
    } <= set(command.commands)
    assert [
        each.name for each in flat if "Example" not in (each.epilog or "") or "Exit codes" not in (each.epilog or "")
    ] == []


def test_rules_are_those_of_the_moment_and_the_next_change_is_said(plant: Path) -> None:
    early = run(plant, "render --at 2026-12-01T07:00:00-06:00 --broker mosquitto --own --out early")
    late = run(plant, "render --at 2026-12-01T21:00:00-06:00 --broker mosquitto --own --out late")
    assert "user ann\n" in (plant / "early" / "acl").read_text(encoding="utf-8")
    assert "user ann\n" not in (plant / "late" / "acl").read_text(encoding="utf-8")
    assert "these rights change by themselves at" in early.expected and "render again then" in late.expected
