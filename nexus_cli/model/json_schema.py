"""The JSON Schema of the site language, for editors: completion, hover text, and red lines while one types.

It describes the text, not the expanded tree: scalars may be `${…}` references, `null` removes, a device may take
what it lacks from its template. Draft-07 keywords only, because editors' YAML servers know no others for sure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import AliasChoices, BaseModel, TypeAdapter

from nexus_cli.json_value import JsonObject
from nexus_cli.model.driver_kind import DriverKind
from nexus_cli.model.external import EXTERNAL, ExternalDevice, ExternalTag
from nexus_cli.model.site import Calculated, Connection, Device, Inherited, Site
from nexus_cli.wire.topic import SLUG

Schema = JsonObject

REFERENCE: Schema = {"type": "string", "pattern": r"\$\{(var|param|env|file):[^}]+\}"}
_PARAMETER: Schema = {
    "type": "object",
    "description": "One parameter of the template.",
    "properties": {
        "type": {"enum": ["string", "integer", "number", "boolean", "list"], "default": "string"},
        "default": {"description": "Value when the device gives none; without it the parameter must be given."},
        "values": {"type": "array", "description": "The values that are allowed."},
        "description": {"type": "string"},
    },
    "additionalProperties": False,
}
_SCALARS = ("number", "integer", "boolean")


def json_schema(kinds: Mapping[str, DriverKind]) -> Schema:
    """The schema of a site file, or of a file that it includes.

    Args:
        kinds: The protocols by name, `external` apart.
    """
    definitions: dict[str, Schema] = {}
    site = _take(Site, definitions)
    protocols = [*kinds, EXTERNAL]
    definitions["Inherited"] = _model(Inherited, definitions)
    definitions["AnyConnection"] = _any_of_models([kind.connection for kind in kinds.values()], definitions, Connection)
    definitions["AnyTag"] = _any_of_models(
        [*(kind.tag for kind in kinds.values()), ExternalTag], definitions, Inherited
    )
    definitions["Calculated"] = _model(Calculated, definitions)
    device = _device(kinds, definitions, protocols=protocols)
    definitions["Device"] = {
        **device,
        "properties": {
            **device["properties"],
            "template": {"type": "string", "description": "Name of the template that this device is one of."},
            "with": {"type": "object", "description": "Values of the template's parameters."},
        },
        "if": {"not": {"type": "object", "properties": {"template": True}, "required": ["template"]}},
        "then": {"type": ["object", "null"], "properties": {"protocol": True}, "required": ["protocol"]},
    }
    definitions["Template"] = {
        **device,
        "description": "A device type with parameters.",
        "properties": {
            **device["properties"],
            "parameters": {
                "type": "object",
                "description": "What devices may set under `with`, by name.",
                "additionalProperties": _PARAMETER,
            },
        },
    }
    definitions["Defaults"] = _defaults(definitions["Inherited"])
    _fill_hierarchy(definitions)
    site["properties"].update(
        {
            "defaults": {"$ref": "#/definitions/Defaults"},
            "templates": _named("Template", "Device types by name."),
            "areas": _named("Area", "Areas by name."),
            "enterprise": {**site["properties"]["enterprise"], "pattern": f"^{SLUG}$"},
            "site": {**site["properties"]["site"], "pattern": f"^{SLUG}$"},
        }
    )
    site.pop("required", None)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "NEXUS site",
        "description": "A site: hierarchy, devices, tags, gateways, retention, access and alerts.",
        **{key: value for key, value in site.items() if key not in ("title", "description", "properties")},
        "properties": {
            key: value if key in ("nexus", "enterprise", "site") else _or_null(_nullable(value))
            for key, value in site["properties"].items()
        },
        "if": {"type": "object", "properties": {"nexus": True}, "required": ["nexus"]},
        "then": {
            "type": "object",
            "properties": {"enterprise": True, "site": True},
            "required": ["enterprise", "site"],
        },
        "definitions": {name: _removable(_nullable(definitions[name])) for name in sorted(definitions)},
    }


def overlay_schema(kinds: Mapping[str, DriverKind]) -> Schema:
    """The schema of an overlay (`env/NAME.yaml`): parts of a site, so nothing is required; the rest comes from the site."""
    schema = _partial(json_schema(kinds))
    for key in ("if", "then"):
        schema.pop(key, None)
    schema["properties"].pop("include")
    title = {"title": "NEXUS overlay", "description": "What an environment replaces or removes in a site."}
    return {**schema, **title}


def _partial(schema: Any) -> Any:
    """The schema without `required`, except in conditions, where it selects the protocol whose keys apply."""
    if isinstance(schema, list):
        return [_partial(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    named = schema.get("required")
    return {
        key: value if key == "if" else _partial(value)
        for key, value in schema.items()
        if key != "required" or not isinstance(named, list)
    }


def _nullable(schema: Schema) -> Schema:
    """The schema with `null` for every key that may be left out: it removes what is inherited, or what the site says."""
    result = dict(schema)
    required = frozenset(schema.get("required", ()))
    if isinstance(properties := schema.get("properties"), dict):
        result["properties"] = {
            key: value if key in required else _or_null(_nullable(value)) for key, value in properties.items()
        }
    if isinstance(more := schema.get("additionalProperties"), dict):
        result["additionalProperties"] = _or_null(_nullable(more))
    return result


def _or_null(schema: Schema) -> Schema:
    kind, choices = schema.get("type"), schema.get("anyOf")
    if isinstance(choices, list):
        return schema if {"type": "null"} in choices else {**schema, "anyOf": [*choices, {"type": "null"}]}
    if "$ref" in schema or "not" in schema:
        return schema  # what is referred to may be null itself
    result = dict(schema)
    if kind is not None and "null" not in kind:
        result["type"] = [kind, "null"] if isinstance(kind, str) else [*kind, "null"]
    if "enum" in schema and None not in schema["enum"]:
        result["enum"] = [*schema["enum"], None]
    return result


def _removable(schema: Schema) -> Schema:
    """`null` instead of a named thing removes it (overlays and users of a template)."""
    return {**schema, "type": ["object", "null"]} if schema.get("type") == "object" else schema


def _fill_hierarchy(definitions: dict[str, Schema]) -> None:
    for name, key, below, text in (("Area", "lines", "Line", "Lines"), ("Line", "devices", "Device", "Devices")):
        schema = definitions[name]
        schema["properties"][key] = _named(below, f"{text} by name.")
        schema["properties"]["defaults"] = {"$ref": "#/definitions/Defaults"}
        schema.pop("required", None)


def _defaults(inherited: Schema) -> Schema:
    return {
        "type": "object",
        "description": "Keys for everything below, the nearest wins; `connection` is laid under every device's.",
        "properties": {**inherited["properties"], "connection": {"$ref": "#/definitions/AnyConnection"}},
        "additionalProperties": False,
    }


def _device(kinds: Mapping[str, DriverKind], definitions: dict[str, Schema], *, protocols: list[str]) -> Schema:
    device = _model(Device, definitions)
    external = _model(ExternalDevice, definitions)
    properties = device["properties"]
    properties["protocol"] = {"enum": protocols, "description": properties["protocol"]["description"]}
    properties["connection"] = {"type": "object", "description": "How to reach it."}
    properties["tags"] = {"type": "object", "description": "Its values by name.", "propertyNames": _names()}
    properties["calculated"] = _named("Calculated", "Values computed from other tags, by name.")
    for key in ("topics", "max_series"):
        properties[key] = external["properties"][key]
    branches = [_branch(name, kind.connection, kind.tag, definitions) for name, kind in kinds.items()]
    branches.append(_branch(EXTERNAL, None, ExternalTag, definitions))
    return {
        "type": "object",
        "description": "A field device with a protocol.",
        "properties": properties,
        "additionalProperties": False,
        "allOf": [
            *branches,
            {
                "if": {"not": {"type": "object", "properties": {"protocol": True}, "required": ["protocol"]}},
                "then": {
                    "type": ["object", "null"],
                    "properties": {
                        "connection": {"$ref": "#/definitions/AnyConnection"},
                        "tags": {
                            "type": ["object", "null"],
                            "additionalProperties": {"$ref": "#/definitions/AnyTag"},
                        },
                    },
                },
            },
        ],
    }


def _branch(
    name: str, connection: type[BaseModel] | None, tag: type[BaseModel], definitions: dict[str, Schema]
) -> Schema:
    """The keys of a protocol's devices. A tag only requires `type`: a template may have the rest."""
    definitions[f"{name}-tag"] = _model(tag, definitions)
    definitions[f"{name}-tag"].pop("required", None)
    tags = {"type": ["object", "null"], "additionalProperties": {"$ref": f"#/definitions/{name}-tag"}}
    properties: dict[str, Schema] = {"tags": tags}
    if connection is None:
        properties["connection"] = {"type": ["object", "null"], "maxProperties": 0}
    else:
        definitions[f"{name}-connection"] = _model(connection, definitions)
        definitions[f"{name}-connection"].pop("required", None)
        properties["connection"] = {"$ref": f"#/definitions/{name}-connection"}
        properties["topics"] = properties["max_series"] = {"not": {}}
    return {
        "if": {"type": "object", "properties": {"protocol": {"const": name}}, "required": ["protocol"]},
        "then": {"type": "object", "properties": properties},
    }


def _any_of_models(models: list[type[BaseModel]], definitions: dict[str, Schema], base: type[BaseModel]) -> Schema:
    """Every key that one of the models knows; used where the protocol is not written beside it."""
    properties: Schema = dict(_model(base, definitions)["properties"])
    for model in models:
        for key, schema in _model(model, definitions)["properties"].items():
            known = properties.get(key)
            if known is None or known == schema:
                properties[key] = schema
            else:
                text = known.get("description") or schema.get("description")
                properties[key] = {"description": text} if text else {}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _named(definition: str, text: str) -> Schema:
    return {
        "type": "object",
        "description": text,
        "propertyNames": _names(),
        "additionalProperties": {"$ref": f"#/definitions/{definition}"},
    }


def _names() -> Schema:
    return {"pattern": f"^{SLUG}$"}


def _take(model: type[BaseModel], definitions: dict[str, Schema]) -> Schema:
    """A model's schema with its definitions moved to ours."""
    schema = TypeAdapter(model).json_schema(ref_template="#/definitions/{model}")
    for name, body in schema.pop("$defs", {}).items():
        definitions[name] = _adapted(body)
    adapted: Schema = _adapted(schema)
    return adapted


def _model(model: type[BaseModel], definitions: dict[str, Schema]) -> Schema:
    schema = _take(model, definitions)
    for name, field in model.model_fields.items():
        choices = field.validation_alias
        if isinstance(choices, AliasChoices):
            spelt = [choice for choice in choices.choices if isinstance(choice, str)]
            first = next((choice for choice in spelt if choice in schema["properties"]), None)
            for choice in spelt if first else ():
                schema["properties"].setdefault(choice, schema["properties"][first])
            schema["required"] = [key for key in schema.get("required", []) if key not in (*spelt, name)]
    return schema


def _adapted(node: Any) -> Any:
    """Draft-07 spelling, no generated titles, and references in the place of scalars."""
    if isinstance(node, list):
        return [_adapted(item) for item in node]
    if not isinstance(node, dict):
        return node
    adapted: Schema = {}
    for key, value in node.items():
        if key == "properties":
            adapted[key] = {name: _adapted(schema) for name, schema in value.items()}
        elif key == "prefixItems":
            adapted["items"] = _adapted(value)
        elif key == "title" and isinstance(value, str):
            continue
        elif key in ("enum", "const", "default", "examples", "required", "pattern"):
            if key != "default" or value is not None:
                adapted[key] = value
        else:
            adapted[key] = _adapted(value)
    return _with_reference(_flat(adapted))


def _flat(schema: Schema) -> Schema:
    """`anyOf` of one schema and null as one schema that may be null: editors then say what is wrong inside."""
    members = schema.get("anyOf")
    if not isinstance(members, list) or {"type": "null"} not in members:
        return schema
    others = [member for member in members if member != {"type": "null"}]
    outer = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(others) == 1 and isinstance(others[0].get("type"), str) and "enum" not in others[0]:
        return {**others[0], **outer, "type": [others[0]["type"], "null"]}
    if len(others) == 1 and isinstance(others[0].get("anyOf"), list):
        inner = {key: value for key, value in others[0].items() if key != "anyOf"}
        return {**inner, **outer, "anyOf": [*others[0]["anyOf"], {"type": "null"}]}
    return schema


def _with_reference(schema: Schema) -> Schema:
    """A scalar may also be a `${…}` reference; text without a pattern already may."""
    kinds = schema.get("type")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    bounded = kind == "string" and ("pattern" in schema or "enum" in schema or "anyOf" in schema)
    if schema == REFERENCE or (kind not in _SCALARS and not bounded):
        return schema
    outer: Schema = {key: schema.pop(key) for key in ("description", "default", "examples") if key in schema}
    return {**outer, "anyOf": [schema, dict(REFERENCE)]}
