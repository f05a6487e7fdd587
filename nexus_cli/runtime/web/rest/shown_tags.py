"""What is declared about a tag, as far as a caller may know of the other tags that are named in it. Pure."""

from __future__ import annotations

import msgspec

from nexus_cli.model.config import DeviceConfig, TagConfig
from nexus_cli.runtime.web.caller_rights import CallerRights
from nexus_cli.runtime.web.site_view import SiteView

HIDDEN = "not shown: it uses tags that you may not read"
OTHER = "a tag that you may not read"
PROOFS = ("", "none")
"""Values of `read_back` that name no tag."""


def shown_device(view: SiteView, rights: CallerRights, device: DeviceConfig, name: str) -> DeviceConfig:
    """The device with one of its tags as `shown_tag`."""
    return msgspec.structs.replace(
        device, tags={**device.tags, name: shown_tag(view, rights, device.tags[name], device=device.path)}
    )


def shown_tag(view: SiteView, rights: CallerRights, tag: TagConfig, *, device: str) -> TagConfig:
    """The tag without inputs that the caller may not read, and without an expression that names one of them."""
    inputs = {name: path for name, path in tag.inputs.items() if _may_know(view, rights, path)}
    expr = tag.expr if len(inputs) == len(tag.inputs) else HIDDEN
    read_back = tag.read_back
    if read_back not in PROOFS:
        path = read_back if "/" in read_back else f"{device}/{read_back}"
        read_back = read_back if _may_know(view, rights, path) else OTHER
    return msgspec.structs.replace(tag, inputs=inputs, expr=expr, read_back=read_back)


def _may_know(view: SiteView, rights: CallerRights, path: str) -> bool:
    tag = view.by_path.get(path)
    return rights.may_hear(view.topics.tag(path)) if tag is None else rights.may_read(tag)
