"""The tree of a site: areas, lines, devices and tags as spans of the sorted tags. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from nexus_cli.runtime.web.caller_rights import Mask
from nexus_cli.runtime.web.qualities import QualityOfTags, counted
from nexus_cli.runtime.web.site_view import SiteView, TagView
from nexus_cli.search.places import Span, spans_of
from nexus_cli.wire.sample import Quality
from nexus_cli.wire.web_find import Branch, QualityCounts


class Places:
    """Every place above the tags of one view, by path; "" is the site."""

    def __init__(self, view: SiteView) -> None:
        """Devices are in path order, so each place is one span."""
        self.view = view
        self.spans = spans_of(view.devices.values(), tags=len(view.tags))

    def children(self, path: str, readable: Mask, qualities: QualityOfTags) -> list[Branch] | None:
        """The children of a place that the caller may read something of; None when it may read nothing of the place."""
        span = self.spans.get(path)
        if span is None or (path and not readable[span.first : span.last].any()):
            return None
        if span.kind == "device":
            return list(self._tags(span, readable, qualities))
        found = (self._place(self.spans[child], readable, qualities) for child in span.children)
        return [branch for branch in found if branch is not None]

    def _place(self, span: Span, readable: Mask, qualities: QualityOfTags) -> Branch | None:
        seen = qualities[span.first : span.last][readable[span.first : span.last]]
        if not len(seen):
            return None
        device = self.view.devices.get(span.path) if span.kind == "device" else None
        return Branch(
            name=span.path.rpartition("/")[2],
            path=span.path,
            kind=span.kind,
            tags=len(seen),
            counts=counts_of(seen),
            description=device.description if device is not None else "",
            protocol=device.protocol if device is not None else "",
            enabled=device is None or device.enabled,
        )

    def _tags(self, span: Span, readable: Mask, qualities: QualityOfTags) -> Iterator[Branch]:
        for tag in self.view.tags[span.first : span.last]:
            if readable[tag.index]:
                yield _leaf(tag, int(qualities[tag.index]))


def counts_of(qualities: QualityOfTags) -> QualityCounts:
    """How many there are of each."""
    good, uncertain, bad = counted(qualities)
    return QualityCounts(GOOD=good, UNCERTAIN=uncertain, BAD=bad)


def _leaf(tag: TagView, quality: int) -> Branch:
    return Branch(
        name=tag.name,
        path=tag.path,
        kind="tag",
        tags=1,
        counts=QualityCounts(**{Quality(quality).name: 1}),
        type=tag.type,
        unit=tag.unit,
        description=tag.description,
        writable=tag.writable,
        classification=tag.classification,
        enabled=tag.enabled,
    )
