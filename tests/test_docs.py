"""What the pages in docs/ say is so: the site in the language page is valid, names of metrics and topics exist."""

from __future__ import annotations

import ast
import copy
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import orjson
import pytest
from ruamel.yaml import YAML

from nexus_cli.cli.main import COMMANDS, cli
from nexus_cli.diagnostics.codes import catalogue
from nexus_cli.discover.importers.mapping import load_mapping
from nexus_cli.model import access
from nexus_cli.model.expression_text import FUNCTIONS
from nexus_cli.model.site import Site
from nexus_cli.project.text import load

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
_METRIC = re.compile(r"\bnexus_(?:gateway|link|links|historian|control)(?:_[a-z_]+)?\b")
# The worst of a private dialect: each of these has a plain word that a practitioner would use.
_DIALECT = re.compile(
    r"\b(stands?(?! for\b)|stood|told|tells?|hears?|heard|bears?|of (?:yours|ours)|others'|go(?:es)? on|that is none|"
    r"speaks?|settles?|anew|whoever|what (?:came|comes|answers)|is no (?:tag|port|number|code|frame|map))\b",
    re.IGNORECASE,
)
_NOBODY = re.compile(r"\b(nobody|somebody)\b", re.IGNORECASE)
_ELSEWHERE = {"project.py"}  # a file that a decision gives as an example
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def examples(text: str) -> list[dict[str, object]]:
    """The JSON objects of the fenced blocks, in order."""
    found: list[dict[str, object]] = []
    for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
        block = block.replace("…", "0" * 56)  # a digest, cut short for people
        found += [orjson.loads(part) for part in re.split(r"\n(?=\{)", block.strip())]
    return found


def test_the_site_of_the_language_page_is_valid(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", page("site-language.md"), re.DOTALL)
    assert block is not None
    (tmp_path / "site.yaml").write_text(block[1], encoding="utf-8")
    found = load(tmp_path)
    assert [item.code for item in found.findings] == []
    assert found.value is not None and len(found.value.model.devices) == 4


def test_the_access_of_the_language_page_is_valid_and_names_every_key(tmp_path: Path) -> None:
    text = page("site-language.md").split("## Access", 1)[1].split("\n## ", 1)[0]
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block is not None
    head = "nexus: 1\nenterprise: acme\nsite: chicago\n"
    alert = "alerts: {hot: {tag: packaging/line-2/press/force, above: 5}}\n"
    (tmp_path / "site.yaml").write_text(head + block[1] + alert, encoding="utf-8")
    assert [item.code for item in load(tmp_path).findings] == []
    models = (
        access.Role,
        access.Deny,
        access.Scope,
        access.User,
        access.Group,
        access.Valid,
        access.Login,
        access.Oidc,
    )
    keys = {field.alias or name for model in models for name, field in model.model_fields.items()}
    assert sorted(key for key in keys if f"`{key}`" not in text) == []


def test_every_function_of_expressions_is_named() -> None:
    assert all(name in page("site-language.md") for name in FUNCTIONS)


def test_every_key_of_a_connection_and_a_tag_is_named() -> None:
    from nexus_cli.drivers.registry import kinds
    from nexus_cli.model.site import Tag

    text = page("site-language.md")
    assert [key for key in Tag.model_fields if f"`{key}`" not in text] == []
    keys = {key for kind in kinds().values() for key in kind.connection.model_fields}
    assert sorted(key for key in keys if f"`{key}" not in text) == []


@pytest.mark.parametrize("path", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda path: path.stem)
def test_codes_and_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    known = catalogue()
    assert [code for code in re.findall(r"\bNX\d{4}\b", text) if code not in known] == []
    assert [link for link in _LINK.findall(text) if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda path: path.stem)
def test_pages_are_in_plain_english(path: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert [found[0] for found in _DIALECT.finditer(text)] == []


def test_findings_are_sentences_in_plain_english() -> None:
    codes = catalogue().values()
    assert [code.id for code in codes if not re.fullmatch(r"[A-Z`].*\.", code.summary)] == []
    texts = [(code.id, text) for code in codes for text in (code.summary, code.why)]
    assert [(code, found[0]) for code, text in texts if (found := _DIALECT.search(text))] == []


def _helps(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    yield (
        name,
        " ".join(
            filter(None, [command.help, command.short_help, *(getattr(item, "help", "") for item in command.params)])
        ),
    )
    for child in getattr(command, "commands", {}).values():
        yield from _helps(child, f"{name} {child.name}")


def test_helps_are_in_plain_english() -> None:
    context = click.Context(cli)
    commands = [(name, cli.get_command(context, name)) for name in COMMANDS]
    texts = [item for name, command in commands if command is not None for item in _helps(command, name)]
    texts += [(name, text) for name, (_, text) in COMMANDS.items()]
    assert len(texts) > 60
    assert [(name, found[0]) for name, text in texts if (found := _DIALECT.search(text))] == []


def _prose(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every docstring (of attributes too) and comment of a module."""
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def test_docstrings_and_comments_are_in_plain_english() -> None:
    package = ROOT / "nexus_cli"
    files = sorted(package.rglob("*.py"))
    assert len(files) > 600
    texts = [
        (f"{path.relative_to(ROOT)}:{line}", re.sub(r"`[^`]*`", "", text))
        for path in files
        for line, text in _prose(path)
    ]
    assert [(at, found[0]) for at, text in texts if (found := _DIALECT.search(text) or _NOBODY.search(text))] == []


def test_the_messages_of_the_architecture_page_fit_their_schemas() -> None:
    names = ["live", "frame", "committed", "config", "observed", "health"]
    for name, message in zip(names, examples(page("architecture.md")), strict=True):
        schema = orjson.loads((ROOT / "schemas" / f"{name}.schema.json").read_bytes())
        jsonschema.validate(message, schema)


def test_every_variable_of_a_page_is_read() -> None:
    """A misspelt one in an example would leave a job without its token. Names of secrets in a forge are the reader's."""
    read_by = [*(ROOT / "nexus_cli").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / ".github").rglob("*.sh")]
    variable = re.compile(r"(?<![\w.])NEXUS_[A-Z0-9_]+\b")
    known = {name for path in read_by for name in variable.findall(path.read_text(encoding="utf-8"))}
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES, *(ROOT / "docs" / "codes").glob("*.md")]
    named = {(path.name, name) for path in pages for name in variable.findall(path.read_text(encoding="utf-8"))}
    assert len({name for _, name in named}) > 40
    assert sorted((page, name) for page, name in named if name not in known) == []


def test_every_reason_is_named() -> None:
    from nexus_cli.wire.sample import REASONS

    assert [reason for reason in REASONS if f"`{reason}`" not in page("architecture.md")] == []


def test_every_gap_reason_has_one_name() -> None:
    """In the docs, in the message, and as the label of the counter of who writes it."""
    from nexus_cli.runtime.gateway.outbox.declaring import LOSSES
    from nexus_cli.runtime.historian.time_bounds import Verdict
    from nexus_cli.wire.frame import GapReason

    reasons = {reason.value for reason in GapReason}
    _, _, after = page("architecture.md").partition("(`GapReason` in `wire/frame.py`):")
    rows = [line.split("|")[1] for line in after.split("\n\n")[1].splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(reasons), "each once, and no other"
    schema = orjson.loads((ROOT / "schemas" / "gap.schema.json").read_bytes())
    assert set(schema["properties"]["reason"]["enum"]) == reasons
    lost = {str(reason) for reason in LOSSES}  # nexus_gateway_lost_frames_total{loss}
    not_read = {
        str(reason) for reason in GapReason if reason.value.startswith("gateway_") or reason is GapReason.OUT_OF_SERVICE
    }  # …_device_gaps_total{reason}; `gateway_lost` is control's
    refused = {verdict.value for verdict in (Verdict.AHEAD, Verdict.OUTSIDE)}  # also the reason of the dead letter
    assert lost | not_read | refused == reasons
    assert len(lost) + len(not_read) + len(refused) == len(reasons)
    assert {f"{name}{{{label}}}" for name, label in _LABELS} <= set(
        re.findall(r"`(\S+_total\{\w+\})`", page("operations.md"))
    )


def test_the_metrics_of_the_operations_page_exist() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "nexus_cli/runtime").rglob("*.py"))
    named = {name.removesuffix("_total") for name in _METRIC.findall(page("operations.md"))}
    made = {name for name in named if name.startswith("nexus_historian_")}
    assert len(named) > 20
    assert [name for name in sorted(named - made) if f'"{name}"' not in sources] == []
    from nexus_cli.runtime.historian.counters import Counters

    kept = [f"nexus_historian_{field}" for field in Counters.__dataclass_fields__]
    assert [name for name in sorted(made) if name not in kept and f'"{name}"' not in sources] == []


def test_the_readme_names_every_driver() -> None:
    from nexus_cli.drivers.registry import BUILT_IN

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [one.kind.title for one in BUILT_IN if one.kind.title.removesuffix(" TCP") not in text] == []


_LABELS = (("nexus_gateway_lost_frames_total", "loss"), ("nexus_gateway_device_gaps_total", "reason"))
BLOCKS = [
    pytest.param(path, block, id=f"{path.stem}-{number}")
    for path in [*PAGES, ROOT / "README.md", *sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL), 1)
]
HOME: dict[str, Any] = {
    "nexus": 1,
    "enterprise": "acme",
    "site": "chicago",
    "areas": {"packaging": {"lines": {"line-1": {"devices": {}}}}},
}
FILLER = """
protocol: modbus
connection: {host: 10.0.0.5}
tags:
  temperature: {address: "holding:0", type: float32, unit: degC, range: [0, 120]}
  setpoint: {address: "holding:2", type: float32, unit: degC, range: [0, 90], writable: true}
  state: {address: "holding:4", type: uint16, values: {0: stopped, 1: running}}
  mode: {address: "holding:5", type: uint16, values: {0: auto, 1: hand}}
  voltage-l1: {address: "input:0", type: float32, unit: V}
  current-l1: {address: "input:2", type: float32, unit: A}
  energy: {address: "input:4", type: float32, unit: kWh}
"""
METER = (
    "{protocol: modbus, connection: {host: 10.0.0.5}, tags: {energy: {address: 'input:6', type: float32, unit: kWh}}}"
)
MESSAGE = "{topic: 'erp/orders/{line}', schema: {type: object, properties: {order: {type: string}}}}"


def read(text: str) -> Any:
    return YAML(typ="safe").load(text)


def grafted(fragment: dict[str, Any]) -> dict[str, Any]:
    """A site around a fragment: at its top, or as devices, tags, calculated tags or sequences of it."""
    site = copy.deepcopy(HOME)
    devices = site["areas"]["packaging"]["lines"]["line-1"]["devices"]
    devices |= {"filler": read(FILLER), "meter-1": read(METER)}
    first = next(iter(fragment.values()))
    if "calculated" in fragment:
        devices["filler"] |= fragment
    elif set(fragment) <= set(Site.model_fields):
        site |= fragment
        site.setdefault("messages", {"start-order": read(MESSAGE)})
    elif "protocol" in first:
        devices |= fragment
    elif "steps" in first:
        site["sequences"] = fragment
    else:
        devices["filler"]["tags"] |= fragment
    return site


@pytest.mark.parametrize(("path", "block"), BLOCKS)
def test_every_example_of_the_pages_is_valid(path: Path, block: str, tmp_path: Path) -> None:
    found = read(block)
    if "mapping" in found:
        (tmp_path / "mapping.yaml").write_text(block, encoding="utf-8")
        load_mapping(str(tmp_path / "mapping.yaml"))
        return
    site = found if "nexus" in found else grafted(found)
    for pattern in site.get("include", ()):
        folder = tmp_path / Path(pattern).parent
        folder.mkdir()
        (folder / "empty.yaml").write_text("vars: {}\n")
    with (tmp_path / "site.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(site, file)
    loaded = load(tmp_path)
    assert [f"{item.code}: {item.message}" for item in loaded.findings if item.severity == "error"] == []


EXAMPLES = [
    (code.id, example) for code in catalogue().values() for example in (code.bad, code.good) if example.kind != "text"
]


def test_every_yaml_example_of_a_code_is_yaml() -> None:
    examples = [(code, example.text) for code, example in EXAMPLES if example.kind == "yaml"]
    assert len(examples) > 250
    assert [(code, text) for code, text in examples if not isinstance(read(text), (dict, list))] == []


def test_every_console_example_of_a_code_is_a_command() -> None:
    lines = [(code, line) for code, one in EXAMPLES if one.kind == "console" for line in one.text.splitlines()]
    assert len(lines) > 50
    command = re.compile(r"(?:NEXUS_\w+=\S+(?: |$))*(?:nexus (?:--home \S+ )?(?P<name>[a-z]+)|pip install |$)")
    odd = [(code, line) for code, line in lines if (found := command.match(line)) is None]
    assert odd == []
    named = {(code, found["name"]) for code, line in lines if (found := command.match(line)) and found["name"]}
    assert [(code, name) for code, name in sorted(named) if name not in COMMANDS] == []


def test_every_decision_is_cited_and_every_cited_one_exists() -> None:
    """A decision that no module cites is not found by the reader of that module."""
    decisions = {path.name[:4] for path in (ROOT / "docs" / "decisions").glob("0*.md")}
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "nexus_cli").rglob("*.py"))
    cited = set(re.findall(r"\bdecisions?[ /](0\d{3})\b", sources))
    assert sorted(decisions - cited) == []
    assert sorted(cited - decisions) == []


def test_the_pictures_of_the_packages_are_the_import_contract() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    rows = [" | ".join(part.strip().removeprefix("nexus_cli.") for part in one.split("|")) for one in layers]
    assert "\n  ↓\n".join(rows) in page("architecture.md")
    assert " → ".join(rows) in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_directions_within_a_role_are_the_import_contracts() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for role, contract in (("a gateway", "One way down in the gateway"), ("control", "One way down in control")):
        layers = next(one["layers"] for one in settings["tool"]["importlinter"]["contracts"] if one["name"] == contract)
        rank = {name.strip(): at for at, layer in enumerate(layers) for name in layer.split("|")}
        found = re.search(rf"In {role}: (.+)\.", page("architecture.md"))
        assert found is not None
        ranks = [rank[name] for name in re.findall(r"`(\w+)`", found[1])]
        assert len(ranks) > 4 and ranks == sorted(set(ranks))


@pytest.mark.parametrize(
    "path",
    [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))],
    ids=lambda path: path.stem,
)
def test_files_and_names_of_the_code_exist(path: Path) -> None:
    """Every module that a page names, and every name that it places in one (`FakeClock` of `tests/clock.py`)."""
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:[a-z_0-9-]+/)*[a-z_0-9]+\.py)`", text):
        assert _modules(name) or name in _ELSEWHERE, name
    for name, module in re.findall(r"`(\w+)`,? (?:in|of) `((?:[a-z_]+/)*[a-z_0-9]+\.py)`", text):
        sources = [source.read_text(encoding="utf-8") for source in _modules(module)]
        assert any(re.search(rf"\b{name}\b", source) for source in sources), f"{name} in {module}"


def test_the_architecture_page_names_its_modules() -> None:
    assert len(set(re.findall(r"`(?:[a-z_]+/)*[a-z_0-9]+\.py`", page("architecture.md")))) > 20


def _modules(name: str) -> list[Path]:
    files = [path for folder in ("nexus_cli", "tests", "migrations") for path in (ROOT / folder).rglob("*.py")]
    return [path for path in files if path.as_posix().endswith(f"/{name}")]
