"""Calculated tags: their expressions compile, refer to tags of the same gateway, and don't run in circles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nexus_cli.checks.view import TagView, View
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Diagnostic
from nexus_cli.diagnostics.suggest import did_you_mean
from nexus_cli.model.datatype import DataType
from nexus_cli.model.expression import compile_expression
from nexus_cli.model.resolve import inputs_of
from nexus_cli.model.site import Calculated


def _calculated(view: View) -> Iterator[tuple[TagView, Calculated]]:
    for tag in view.tags:
        if isinstance(tag.tag, Calculated):
            yield tag, tag.tag


def expression_compiles(view: View) -> Iterator[Diagnostic]:
    """NX2401 to NX2404, NX2407 to NX2409: one pass, because each needs the others."""
    for tag, calculated in _calculated(view):
        types: dict[str, DataType] = {}
        labels = {}
        broken = False
        for name, path in inputs_of(calculated.expr, tag.device.path).items():
            found = view.by_path.get(path)
            if found is not None:
                types[name] = found.published
                if found.tag.values:
                    labels[name] = found.tag.values
            broken = broken or (found is None and path in view.model.declared)
        if broken:
            continue  # an input has an error of its own; what follows from it would only repeat that
        outcome = compile_expression(calculated.expr, types=types, labels=labels, result=tag.type)
        reported: set[str] = set()
        for item in outcome.findings:
            hint = item.hint
            if item.code == "NX2403" and "'" in item.message:
                hint = _hint(item.message.split("'")[1], calculated.expr, _near(tag))
            if item.code == "NX2403" and "{" in hint and hint in reported:
                continue  # both halves of a name that was read as a subtraction
            reported.add(hint)
            key = "type" if item.code == "NX2407" and "type" in item.hint else "expr"
            yield replace(item, where=(*tag.where, key), hint=hint)


def _near(tag: TagView) -> list[str]:
    """The other tags of the device."""
    return [name for name in (*tag.device.tags, *tag.device.device.calculated) if name != tag.name]


def _hint(name: str, expr: str, near: list[str]) -> str:
    """A tag whose name is written without braces, or the nearest name."""
    bare = next((one for one in near if not one.isidentifier() and one in expr and name in one), None)
    return f"a name with a hyphen or a dot needs braces: {{{bare}}}" if bare else did_you_mean(name, near)


def expression_cycle(view: View) -> Iterator[Diagnostic]:
    """NX2405."""
    needs = {
        tag.path: list(inputs_of(calculated.expr, tag.device.path).values()) for tag, calculated in _calculated(view)
    }
    checked: set[str] = set()
    for start in needs:
        if start not in checked:
            yield from _walk(view, start, needs, checked)


def _walk(view: View, start: str, needs: dict[str, list[str]], checked: set[str]) -> Iterator[Diagnostic]:
    """Depth first, without recursion: chains of calculated tags may be long."""
    stack = [(start, iter(needs[start]))]
    trail = {start: 0}
    while stack:
        path, rest = stack[-1]
        following = next((one for one in rest if one in needs and one not in checked), None)
        if following is None:
            checked.add(path)
            stack.pop()
            trail.pop(path)
        elif following in trail:
            circle = [*list(trail)[trail[following] :], following]
            names = [one.rsplit("/", 1)[1] for one in circle]
            shown = names if len(names) <= 8 else [*names[:6], "…", names[-1]]
            yield finding(
                "NX2405",
                f"calculated in a circle: {' → '.join(shown)}",
                where=(*view.by_path[following].where, "expr"),
                hint="one of them must not use the other",
            )
        else:
            trail[following] = len(stack)
            stack.append((following, iter(needs[following])))


def expression_other_gateway(view: View) -> Iterator[Diagnostic]:
    """NX2406."""
    for tag, calculated in _calculated(view):
        for name, path in inputs_of(calculated.expr, tag.device.path).items():
            other = view.by_path.get(path)
            if other is None or other.device.path == tag.device.path:
                continue
            if other.device.external:
                message = f"'{name}' is published by others; a gateway does not have it"
            elif other.device.gateway and tag.device.gateway and other.device.gateway != tag.device.gateway:
                message = f"'{name}' is read by gateway '{other.device.gateway}', not by '{tag.device.gateway}'"
            else:
                continue
            yield finding("NX2406", message, where=(*tag.where, "expr"), hint="give both devices to one gateway")


CHECKS = (expression_compiles, expression_cycle, expression_other_gateway)
