"""From (device, tags of a frame) to series ids and columns: looked up once per shape of frame, then cached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nexus_cli.database.connect import Connection
from nexus_cli.database.queries import Series, load_series
from nexus_cli.database.series import device_of
from nexus_cli.runtime.historian.rows import Column, column_of
from nexus_cli.wire.frame_batch import Shape

MOST_PLANS = 10_000
"""Cached shapes of frames; report-by-exception makes many, so the cache is cleared when full."""
MOST_PLANNED_TAGS = 1_000_000
"""Tags of all cached shapes together (50 bytes each): a shape may have 65,535."""
UNKNOWN = -1
"""In `ShapePlan.columns`: a tag without a series."""


@dataclass(frozen=True, slots=True)
class Target:
    """The series and column of one tag."""

    series_id: int
    retention: str
    column: Column


@dataclass(frozen=True, slots=True)
class NumberPart:
    """Those tags of a frame that are plain numbers of one retention class.

    Attributes:
        retention: Their class.
        positions: Their positions in the frame; None for all.
        series: Series ids, in that order.
    """

    retention: str
    positions: tuple[int, ...] | None
    series: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class FramePlan:
    """How a frame with these tags is stored.

    Attributes:
        tags: In the frame's order.
        targets: One per tag, same order; None for a tag without series.
        numbers: The plain numbers, by class.
        others: Positions of tags that are not plain numbers, without unknown ones.
        unknown: Tags without a series.
        plain: The part, if the whole frame is plain numbers of one class, else None.
        former: Devices to which its tags were moved; their series are found by the former path.
    """

    tags: tuple[str, ...]
    targets: tuple[Target | None, ...]
    numbers: tuple[NumberPart, ...]
    others: tuple[int, ...]
    unknown: tuple[str, ...]
    plain: NumberPart | None
    former: tuple[str, ...] = ()


NO_PLAN = FramePlan((), (), (), (), (), None)
"""The plan of a frame whose samples are refused."""


@dataclass(frozen=True, slots=True)
class ShapePlan:
    """How frames of a shape are stored, by position in the shape.

    Attributes:
        plan: Of a frame with all tags.
        series: Series ids; 0 for a tag without series.
        columns: `Column`, or `UNKNOWN`.
        classes: Index in `SeriesMap.retentions`.
    """

    plan: FramePlan
    series: npt.NDArray[np.int32]
    columns: npt.NDArray[np.int8]
    classes: npt.NDArray[np.int16]


class SeriesMap:
    """The series of one site in memory.

    Attributes:
        stale: Set by a configuration notice: load before the next lookup.
        generation: Rises with every load.
        external_paths: Paths of the series of external devices.
        retentions: Names of the retention classes in the order in which they were met; it only grows.
    """

    def __init__(self, *, site: str) -> None:
        """Start empty; `load` fills it."""
        self._site = site
        self._targets: dict[str, Target] = {}
        self._former: dict[str, tuple[Target, str]] = {}
        self._plans: dict[tuple[str, tuple[str, ...], bool], FramePlan] = {}
        self._shapes: dict[Shape, ShapePlan] = {}
        self._planned_tags = 0
        self.retentions: list[str] = []
        self.stale = True
        self.generation = 0
        self.external_paths: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self._targets)

    async def load(self, conn: Connection) -> None:
        """Load all series of the site; frames of a renamed tag that arrive late find it by its old path."""
        targets: dict[str, Target] = {}
        former: dict[str, tuple[Target, str]] = {}
        external: list[str] = []
        for series in await load_series(conn, site=self._site):
            target = Target(series.id, series.retention, column_of(series.type))
            targets[series.path] = target
            if series.external:
                external.append(series.path)
            for path in series.former_paths:
                former.setdefault(path, (target, device_of(series.path)))
        self._targets = targets
        self._former = {path: each for path, each in former.items() if path not in targets}
        self.external_paths = tuple(external)
        self.forget_plans()
        self.stale = False
        self.generation += 1

    def add(self, made: Iterable[Series]) -> None:
        """Add external series that were created since the load; plans of frames are unaffected."""
        external = dict.fromkeys(self.external_paths)
        for series in made:
            self._former.pop(series.path, None)
            self._targets.setdefault(series.path, Target(series.id, series.retention, column_of(series.type)))
            external[series.path] = None
        self.external_paths = tuple(external)

    def target(self, path: str) -> Target | None:
        """The target of `area/line/device/tag`; former paths of moved tags are not included."""
        return self._targets.get(path)

    def plan(self, device: str, samples: Iterable[str], *, former: bool = True) -> FramePlan:
        """The plan of a frame of this device with these tags; without `former`, moved tags are unknown."""
        key = (device, tuple(samples), former)
        found = self._plans.get(key)
        if found is None:
            self._make_room(len(key[1]))
            found = self._plans[key] = self._make(device, key[1], former=former)
        return found

    def shape_plan(self, shape: Shape) -> ShapePlan:
        """The plan of a shape, moved tags included; the same object until the next load."""
        found = self._shapes.get(shape)
        if found is None:
            self._make_room(len(shape.tags))
            plan = self._make(shape.device, shape.tags, former=True)
            found = self._shapes[shape] = ShapePlan(
                plan,
                np.array([0 if each is None else each.series_id for each in plan.targets], dtype=np.int32),
                np.array([UNKNOWN if each is None else each.column for each in plan.targets], dtype=np.int8),
                np.array([0 if each is None else self._class(each.retention) for each in plan.targets], dtype=np.int16),
            )
        return found

    def forget_plans(self) -> None:
        """Make every plan again."""
        self._plans.clear()
        self._shapes.clear()
        self._planned_tags = 0

    def _make_room(self, tags: int) -> None:
        if len(self._plans) + len(self._shapes) >= MOST_PLANS or self._planned_tags + tags > MOST_PLANNED_TAGS:
            self.forget_plans()
        self._planned_tags += tags

    def _class(self, retention: str) -> int:
        if retention not in self.retentions:
            self.retentions.append(retention)
        return self.retentions.index(retention)

    def _make(self, device: str, tags: tuple[str, ...], *, former: bool) -> FramePlan:
        moved = {f"{device}/{tag}": self._former.get(f"{device}/{tag}") for tag in tags} if former else {}
        places = {path: each for path, each in moved.items() if each is not None}
        targets = tuple(
            places[path][0] if (path := f"{device}/{tag}") in places else self._targets.get(path) for tag in tags
        )
        by_class: dict[str, list[int]] = {}
        others: list[int] = []
        for position, target in enumerate(targets):
            if target is None:
                continue
            if target.column is Column.NUMBER:
                by_class.setdefault(target.retention, []).append(position)
            else:
                others.append(position)
        numbers = tuple(
            NumberPart(
                retention,
                None if len(positions) == len(tags) else tuple(positions),
                np.array([known.series_id for at in positions if (known := targets[at])], dtype=np.int32),
            )
            for retention, positions in by_class.items()
        )
        unknown = tuple(tag for tag, target in zip(tags, targets, strict=True) if target is None)
        plain = numbers[0] if len(numbers) == 1 and numbers[0].positions is None else None
        homes = tuple(sorted({home for _, home in places.values()}))
        return FramePlan(tags, targets, numbers, tuple(others), unknown, plain, homes)
