"""Templates: device types with typed parameters, compiled once and instantiated once per set of arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nexus_cli.diagnostics import Place
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.json_value import JsonObject
from nexus_cli.source.draft import Draft, has_reference
from nexus_cli.source.nodes import Map, Seq
from nexus_cli.source.variables import REFERENCE, as_text, substitute

PARAMETER_TYPES = ("integer", "number", "string", "boolean", "list")
_PARAMETER_KEYS = ("type", "default", "description", "values")


@dataclass(slots=True)
class Parameter:
    """A declared parameter."""

    type: str
    default: Any
    required: bool
    place: Place | None


@dataclass(slots=True)
class Template:
    """A compiled template.

    Attributes:
        body: Keys of the device it makes; `parameters` apart.
        parameters: By name.
        place: Of its name, in the text.
        dynamic: Ids of the containers below `body` that hold a parameter reference, themselves or deeper.
        users: How many devices use it.
    """

    name: str
    body: Map
    parameters: dict[str, Parameter]
    place: Place | None
    dynamic: set[int]
    users: int = 0
    instances: dict[tuple[Any, ...], Map] = field(default_factory=dict)


def compile_templates(draft: Draft, root: Map) -> dict[str, Template]:
    """Every template that is a map, by name; what is wrong with their declarations is noted."""
    declared = root.get("templates")
    if not isinstance(declared, Map):
        return {}
    compiled: dict[str, Template] = {}
    for name, node in declared.items():
        place = draft.place(declared.marks.get(name), on_key=True)
        if not isinstance(node, Map):
            draft.add("NX0064", f"the template '{name}' is not a map of keys", place=place)
            continue
        for key in ("template", "with"):
            if key in node:
                inner = draft.place(node.marks.get(key), on_key=True)
                draft.add("NX0064", f"the template '{name}' can't use '{key}'", place=inner, hint="copy its tags")
        compiled[str(name)] = _compile(draft, str(name), node, place)
    return compiled


def _compile(draft: Draft, name: str, node: Map, place: Place | None) -> Template:
    body = Map((key, value) for key, value in node.items() if key not in ("parameters", "template", "with"))
    body.marks = node.marks
    parameters = _parameters(draft, name, node)
    used: set[str] = set()
    dynamic: set[int] = set()
    _find(body, used, dynamic)
    values = dict.fromkeys(parameters)
    for container, key, text in _references(body):
        mark = container.marks.get(key) if isinstance(container, Map) else container.marks[key]

        def problem(code: str, message: str, hint: str, mark: int | None = mark, text: str = text) -> None:
            if code == "NX0067":
                draft.add(code, message, place=draft.place(mark, value=text), hint=hint)

        substitute(text, "param", values, problem)
    for parameter in parameters:
        if parameter not in used:
            message = f"the template '{name}' never uses its parameter '{parameter}'"
            hint = f'write "${{param:{parameter}}}" where its value belongs'
            draft.add("NX0066", message, place=parameters[parameter].place, hint=hint)
    return Template(name, body, parameters, place, dynamic)


def _references(node: Any) -> list[tuple[Any, Any, str]]:
    found: list[tuple[Any, Any, str]] = []
    stack = [node]
    while stack:
        item = stack.pop()
        for key, value in item.items() if isinstance(item, Map) else enumerate(item):
            if isinstance(value, (Map, Seq)):
                stack.append(value)
            elif has_reference(value) and "${param:" in value:
                found.append((item, key, value))
    return found


def _find(node: Any, used: set[str], dynamic: set[int]) -> bool:
    """Collect the names that are used and the containers that hold a reference. True when this one does."""
    holds = False
    for value in node.values() if isinstance(node, Map) else node:
        if isinstance(value, (Map, Seq)):
            holds = _find(value, used, dynamic) or holds
        elif has_reference(value):
            names = [match[1][6:] for match in REFERENCE.finditer(value) if match[1].startswith("param:")]
            used.update(names)
            holds = holds or bool(names)
    if holds:
        dynamic.add(id(node))
    return holds


def _parameters(draft: Draft, name: str, node: Map) -> dict[str, Parameter]:
    declared = node.get("parameters")
    if declared is None:
        return {}
    if not isinstance(declared, Map):
        place = draft.place(node.marks.get("parameters"), on_key=True)
        hint = "parameters: {unit_id: {type: integer, default: 1}}"
        draft.add("NX0064", f"the parameters of '{name}' are not a map", place=place, hint=hint)
        return {}
    result: dict[str, Parameter] = {}
    for key, spec in declared.items():
        place = draft.place(declared.marks.get(key), on_key=True)
        if not isinstance(spec, Map):
            hint = f"{key}: {{type: integer, default: 1}}"
            draft.add("NX0064", f"the parameter '{key}' is not declared by a map", place=place, hint=hint)
            result[str(key)] = Parameter("any", spec, spec is None, place)
            continue
        for unknown in [item for item in spec if item not in _PARAMETER_KEYS]:
            inner = draft.place(spec.marks.get(unknown), on_key=True)
            hint = did_you_mean(unknown, _PARAMETER_KEYS)
            draft.add("NX0064", f"a parameter has no key '{unknown}'", place=inner, hint=hint)
        kind = spec.get("type", "string")
        if kind not in PARAMETER_TYPES:
            inner = draft.place(spec.marks.get("type"), value=kind)
            hint = did_you_mean(kind, PARAMETER_TYPES)
            draft.add("NX0064", f"'{kind}' is not a type of parameters", place=inner, hint=hint)
            kind = "any"
        default = spec.get("default")
        if default is not None and not fits(default, kind):
            inner = draft.place(spec.marks.get("default"), value=default)
            message = f"the default '{as_text(default)}' of '{key}' is not of its type {kind}"
            draft.add("NX0063", message, place=inner)
        result[str(key)] = Parameter(kind, default, "default" not in spec, place)
    return result


def fits(value: object, kind: str) -> bool:
    """True when the value is of the parameter's type."""
    if kind == "any" or (has_reference(value) and kind != "list"):
        return True  # a secret reference is typed where it is resolved
    if kind == "list":
        return isinstance(value, list)
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer":
        return isinstance(value, int)
    if kind == "number":
        return isinstance(value, (int, float))
    return kind == "string" and isinstance(value, str)


def arguments(draft: Draft, template: Template, device: Map, *, name: str, place: Place | None) -> JsonObject:
    """The value of every parameter for one device; what is missing, unknown or wrongly typed is noted."""
    given = device.get("with")
    if given is not None and not isinstance(given, Map):
        inner = draft.place(device.marks.get("with"), on_key=True)
        draft.add("NX0063", f"'with' of '{name}' is not a map of parameters", place=inner, hint="with: {unit_id: 3}")
        given = None
    given = given if given is not None else Map()
    values: JsonObject = {}
    for key in given:
        if key not in template.parameters:
            inner = draft.place(given.marks.get(key), on_key=True)
            message = f"the template '{template.name}' has no parameter '{key}'"
            draft.add("NX0062", message, place=inner, hint=did_you_mean(key, template.parameters))
    for key, parameter in template.parameters.items():
        value = given.get(key)
        if value is None:
            if parameter.required:
                message = f"'{name}' does not give the parameter '{key}' of its template '{template.name}'"
                draft.add("NX0061", message, place=place, hint=f"with: {{{key}: …}} ({parameter.type})")
            values[key] = parameter.default
            continue
        if not fits(value, parameter.type):
            inner = draft.place(given.marks.get(key), value=value)
            shown = as_text(value) if not isinstance(value, (dict, list)) else "a list or map"
            draft.add("NX0063", f"the parameter '{key}' is '{shown}', not of type {parameter.type}", place=inner)
            value = parameter.default
        values[key] = value
    return values


def instantiate(template: Template, values: JsonObject) -> Map:
    """The template's body with its parameters replaced. Parts without parameters are shared by all devices."""
    if not template.dynamic:
        return template.body
    key = tuple((type(value), str(value)) for value in values.values())
    made = template.instances.get(key)
    if made is None:
        made = template.instances[key] = _fill(template.body, template.dynamic, values)
    return made


def _fill(node: Any, dynamic: set[int], values: JsonObject) -> Any:
    if id(node) not in dynamic:
        return node
    if isinstance(node, Map):
        filled = Map((key, _value(value, dynamic, values)) for key, value in node.items())
        filled.marks = node.marks
        return filled
    items = Seq(_value(value, dynamic, values) for value in node)
    items.marks = node.marks
    return items


def _value(value: Any, dynamic: set[int], values: JsonObject) -> Any:
    if isinstance(value, (Map, Seq)):
        return _fill(value, dynamic, values)
    if has_reference(value) and "${param:" in value:
        return substitute(value, "param", values, _silent)
    return value


def _silent(code: str, message: str, hint: str) -> None:
    """The declaration was checked when the template was compiled."""
