"""References in text: `${var:NAME}` and `${param:NAME}` are replaced, `${env:…}` and `${file:…}` pass through.

A reference that is the whole value keeps the type; inside a text it is joined as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any

from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.json_value import JsonObject
from nexus_cli.source.draft import Draft
from nexus_cli.source.nodes import Map, Seq
from nexus_cli.source.scalars import ScalarError, resolve

REFERENCE = re.compile(r"\$\{([^{}]*)(\}?)")
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_LONE = re.compile("[\ud800-\udfff]")
"""Python's characters for bytes of the command line that are not UTF-8; neither JSON nor a file can hold them."""
_SECRET = re.compile(r"\$\{(?:env|file):")
_KINDS = ("var", "param", "env", "file")
_FORMS = "write ${var:NAME}, ${env:NAME} or ${file:PATH}"

Problem = Callable[[str, str, str], None]
"""Called with a code, a message and a hint."""


def substitute(text: str, kind: str, values: Mapping[str, Any], problem: Problem) -> Any:
    """The text with the references of one kind replaced; references of other kinds stay, malformed ones are reported.

    Args:
        text: Holds at least one `${`.
        kind: `var` or `param`.
        values: By name.
        problem: Called with what is wrong; the reference then stays as it is.
    """
    whole = REFERENCE.fullmatch(text)
    if whole:
        name = _name(whole, kind, problem)
        if name is None:
            return text
        return values[name] if name in values else _unknown(text, kind, name, values, problem)

    def one(match: re.Match[str]) -> str:
        name = _name(match, kind, problem)
        if name is None:
            return match[0]
        if name not in values:
            return str(_unknown(match[0], kind, name, values, problem))
        value = values[name]
        if value is None or isinstance(value, (dict, list)):
            what = "nothing" if value is None else "a list or map"
            problem("NX0052", f"'{match[0]}' is {what} and can't be part of a text", "make it the whole value")
            return match[0]
        return as_text(value)

    return REFERENCE.sub(one, text)


def as_text(value: object) -> str:
    """A scalar as it is written in YAML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _name(match: re.Match[str], wanted: str, problem: Problem) -> str | None:
    """The name when the reference is of the wanted kind and well formed, else None."""
    kind, colon, name = match[1].partition(":")
    shown = match[0][:60]
    if not match[2]:
        if wanted == "var":
            problem("NX0050", f"the reference '{shown}' is not closed", _FORMS)
        return None
    if kind not in _KINDS or not colon:
        if wanted == "var":
            near = did_you_mean(kind, _KINDS) if colon else ""
            problem("NX0050", f"'{shown}' is not a reference", near if near.startswith("did") else _FORMS)
        return None
    bad = (kind in ("var", "param") and not _NAME.match(name)) or (kind == "env" and not _ENV.match(name))
    if bad or (kind == "file" and (not name.strip() or "\0" in name)):
        if wanted == "var":
            problem("NX0050", f"'{name}' in '{shown}' is not a name that ${{{kind}:…}} takes", _FORMS)
        return None
    return name if kind == wanted else None


def _unknown(text: str, kind: str, name: str, values: Mapping[str, Any], problem: Problem) -> str:
    if kind == "var":
        hint = did_you_mean(name, [str(item) for item in values]) or "declare it under `vars:`"
        problem("NX0051", f"the variable '{name}' is not declared", hint)
    else:
        problem("NX0067", f"the template has no parameter '{name}'", did_you_mean(name, values))
    return text


def effective_variables(draft: Draft, root: Map, given: Mapping[str, str]) -> JsonObject:
    """The site's variables, with the command line's values in place of the declared ones."""
    declared = root.get("vars")
    result: JsonObject = dict(declared) if isinstance(declared, Map) else {}
    for name, text in given.items():
        if _LONE.search(name + text):
            shown = _LONE.sub("\ufffd", name)
            draft.add("NX0053", f"--var {shown}=… is not UTF-8 text", hint="check the terminal's or script's encoding")
            continue
        if name not in result:
            hint = did_you_mean(name, [str(item) for item in result]) or "declare it under `vars:`"
            draft.add("NX0053", f"--var {name}=… names no variable of the site", hint=hint)
            continue
        result[name] = _typed(draft, name, text, declared=result[name])
    return result


def _typed(draft: Draft, name: str, text: str, *, declared: object) -> Any:
    if isinstance(declared, str):
        return text
    try:
        value = resolve(text)
    except ScalarError as error:
        draft.add("NX0053", f"--var {name}: {error}")
        return declared
    both_numbers = isinstance(declared, (int, float)) and isinstance(value, (int, float))
    if declared is not None and not both_numbers and type(value) is not type(declared):
        draft.add("NX0053", f"--var {name}='{text}' does not fit the declared value '{as_text(declared)}'")
        return declared
    return value


def apply_variables(draft: Draft, root: Map, values: Mapping[str, Any]) -> None:
    """Replace `${var:…}` in place, everywhere but in `vars` itself and `include`."""
    own = _containers(root.get("vars"))
    replace_references(draft, draft.references, values, own=own)


def replace_references(
    draft: Draft, references: list[tuple[Any, Any]], values: Mapping[str, Any], *, own: Container[int] = ()
) -> None:
    """As `apply_variables`, for these references.

    Args:
        draft: Takes the findings.
        references: `(container, key)` of each.
        values: By name.
        own: Ids of the containers of `vars`.
    """
    for container, key in references:
        if not isinstance(container, (Map, Seq)):
            continue
        text = _current(container, key)
        if not isinstance(text, str) or "${" not in text:
            continue
        mark = container.marks.get(key) if isinstance(container, Map) else container.marks[key]
        place = draft.place(mark, value=text)

        def problem(code: str, message: str, hint: str, place: Any = place) -> None:
            draft.add(code, message, place=place, hint=hint)

        if id(container) in own:
            if "${var:" in text or "${param:" in text:
                problem("NX0052", f"the variable's value '{text}' refers to another one", "write the value itself")
            else:
                substitute(text, "var", {}, problem)  # only to report malformed references
            continue
        container[key] = substitute(text, "var", values, problem)


def _channels(root: Map) -> object:
    """`notifications: channels:`, whose secrets the worker reads."""
    notifications = root.get("notifications")
    return notifications.get("channels") if isinstance(notifications, Map) else None


def stray_references(draft: Draft, root: Map) -> None:
    """Note every `${env:…}` and `${file:…}` outside of connections, channels, passwords and signing keys: nothing would replace it."""
    suspects = [
        (container, key)
        for container, key in draft.references
        if isinstance(container, (Map, Seq)) and _SECRET.search(str(_current(container, key)))
    ]
    if not suspects:
        return
    allowed = _containers(root.get("vars"))
    for name in ("connection", "with", "parameters"):
        for part in _named(root, name):
            allowed |= _containers(part)
    allowed |= _containers(_channels(root))
    accounts = _accounts(root)
    signing = _containers(root.get("signatures"))
    archive = root.get("archive")
    for container, key in suspects:
        if id(container) in allowed or (key == "password" and id(container) in accounts):
            continue
        if key == "secret" and id(container) in signing:
            continue
        if key in ("user", "password") and container is archive:
            continue
        text = _current(container, key)
        mark = container.marks.get(key) if isinstance(container, Map) else container.marks[key]
        message = f"'{text}' is used as it is written: secrets are read in `connection`, in channels, in `signatures`, in `archive`, and as a user's password"
        draft.add("NX0054", message, place=draft.place(mark, value=text), hint="use ${var:NAME} here")


def _accounts(root: Map) -> set[int]:
    """Ids of the maps of users and applications."""
    access = root.get("access")
    named = [access.get(key) for key in ("users", "applications")] if isinstance(access, Map) else []
    return {id(one) for names in named if isinstance(names, Map) for one in names.values()}


def _named(root: Any, name: str) -> Iterator[Any]:
    """Every value of a key of this name, at any depth."""
    stack = [root]
    while stack:
        item = stack.pop()
        if isinstance(item, Map):
            if name in item:
                yield item[name]
            stack.extend(item.values())
        elif isinstance(item, Seq):
            stack.extend(item)


def _containers(node: Any) -> set[int]:
    """Ids of a container and of all containers below it."""
    found: set[int] = set()
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, (Map, Seq)) and id(item) not in found:
            found.add(id(item))
            stack.extend(item.values() if isinstance(item, Map) else item)
    return found


def _current(container: Any, key: Any) -> Any:
    if isinstance(container, Map):
        return container.get(key)
    return container[key] if key < len(container) else None


def stray_parameters(draft: Draft, root: Map) -> None:
    """Note every `${param:…}` outside a template; sequences have parameters of their own, which the model checks."""
    suspects = [
        (container, key)
        for container, key in draft.references
        if isinstance(container, (Map, Seq)) and "${param:" in str(_current(container, key))
    ]
    if not suspects:
        return
    inside = _containers(root.get("templates")) | _containers(root.get("vars")) | _containers(root.get("sequences"))
    for container, key in suspects:
        if id(container) not in inside:
            text = _current(container, key)
            mark = container.marks.get(key) if isinstance(container, Map) else container.marks[key]
            place = draft.place(mark, value=text)
            draft.add("NX0067", f"'{text}' is used outside a template", place=place, hint="use ${var:NAME} here")
