"""From findings to edits of the site's text: what a device has, where that is certain. Pure.

Only a tag's own keys are written, at the device that has it: one that comes from a template gets its own entry there, which
goes before the template's. See docs/decisions/0106.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nexus_cli.diagnostics import Diagnostic
from nexus_cli.diagnostics.codes import finding
from nexus_cli.model.bound import BoundDevice
from nexus_cli.source.document import Document, DocumentError
from nexus_cli.wire.control_drift import DriftFinding


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What becomes of the findings.

    Attributes:
        texts: New text of each file that changes, by its name.
        taken: What is written, a sentence each.
        identities: What devices say of themselves now and control is to record, by path.
        left: What is not adopted, NX4202 each with the reason.
        edited: The findings whose value is written.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    taken: Sequence[str] = ()
    edited: Sequence[DriftFinding] = ()
    identities: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    left: Sequence[Diagnostic] = ()


def adopt(
    findings: Sequence[DriftFinding],
    *,
    devices: Mapping[str, BoundDevice],
    texts: Mapping[str, str],
    file_of: Callable[[tuple[str, ...]], str],
    identities: Mapping[str, Mapping[str, str]],
    refused: Mapping[tuple[str, str], str] | None = None,
) -> Adopted:
    """Make the edits, without writing anything.

    Args:
        findings: Of a report.
        devices: The site's devices by path.
        texts: Text of the site's files by name.
        file_of: Name of the file that declares a model path; "" when none does.
        identities: What the devices say of themselves now, by path.
        refused: Why a finding is not adopted although it could be written, by path and kind.
    """
    documents: dict[str, Document] = {}
    taken: list[str] = []
    left: list[Diagnostic] = []
    edited: list[DriftFinding] = []
    accepted: dict[str, Mapping[str, str]] = {}
    for one in findings:
        if one.plane != "device":
            continue
        if one.kind == "identity-changed":
            if one.path in identities:
                accepted[one.path] = identities[one.path]
                taken.append(f"{one.path}: control records what the device says of itself")
            continue
        problem = (refused or {}).get((one.path, one.kind), "") or (
            _edit(one, devices, texts, file_of, documents) if one.adoptable else one.hint or "it is not certain"
        )
        if problem:
            left.append(finding("NX4202", f"{one.text}; not adopted", hint=problem))
        else:
            taken.append(one.text)
            edited.append(one)
    changed: dict[str, str] = {}
    for name, document in documents.items():
        try:
            changed[name] = document.text()
        except DocumentError as error:
            return Adopted(left=[*left, finding("NX4202", f"'{name}' can't be edited: {error}")])
    return Adopted(
        texts={name: text for name, text in changed.items() if text != texts[name]},
        taken=taken,
        edited=edited,
        identities=accepted,
        left=left,
    )


def _edit(
    one: DriftFinding,
    devices: Mapping[str, BoundDevice],
    texts: Mapping[str, str],
    file_of: Callable[[tuple[str, ...]], str],
    documents: dict[str, Document],
) -> str:
    """Note one edit; why it can't be made, "" when it can."""
    path, _, name = one.path.rpartition("/")
    device = devices.get(path)
    if device is None or device.kind is None or name not in device.tags:
        return "the tag is not declared like this any more: nexus plan"
    key, value = _key(one, device)
    where = tuple(str(each) for each in device.where)
    place = (*where, "tags", name)
    declared = device.tags[name].address
    if one.kind == "address-moved" and (declared is None or declared.text != one.recorded):
        return "the site file has another address already: nexus plan"
    file = file_of((*place, key))
    try:
        # An overlay that has the tag's key at this very place decides it; a template has its keys elsewhere.
        if file not in texts or not _document(file, texts, documents).has((*place, key)):
            file = file_of(where)
        if file not in texts:
            return f"'{path}' is in no file that can be edited"
        document = _document(file, texts, documents)
        written = document.value((*place, key))
        if isinstance(written, str) and "${" in written:
            return f"'{key}' is written as {written}: correct what it stands for"
        if not document.has(where):
            return f"'{path}' is not written out in '{file}'"
        if document.has(place):
            document.set((*place, key), value)
        else:
            document.add((*where, "tags"), {name: {key: value}})
        document.apply_edits()
    except DocumentError as error:
        return f"'{file}' can't be edited: {error}"
    return ""


def _document(file: str, texts: Mapping[str, str], documents: dict[str, Document]) -> Document:
    """A file with the edits so far. Raises DocumentError."""
    if file not in documents:
        documents[file] = Document(texts[file])
    documents[file].apply_edits()
    return documents[file]


def took_effect(one: DriftFinding, device: BoundDevice | None) -> bool:
    """Whether the site that was edited has what the device has."""
    name = one.path.rpartition("/")[2]
    if device is None or name not in device.tags:
        return False
    tag = device.tags[name]
    if one.kind == "read-only":
        return not getattr(tag.tag, "writable", False)
    if one.kind == "address-moved":
        return tag.address is not None and tag.address.text != one.recorded
    return str(tag.tag.type) == str(one.found)


def _key(one: DriftFinding, device: BoundDevice) -> tuple[str, object]:
    """The tag's key and its new value."""
    if one.kind == "address-moved":
        return (device.kind.address_key if device.kind is not None else "address"), one.found
    if one.kind == "read-only":
        return "writable", False
    return "type", one.found
