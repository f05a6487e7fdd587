"""Which fault hits what, when and for how long: a pure function of the seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

ROLES = ("control", "historian", "gw-a", "gw-b")
SERVERS = ("broker", "database")
FIELD = ("devices", "opcua")
LINKS = (
    "gw-a>broker",
    "gw-b>broker",
    "historian>broker",
    "control>broker",
    "historian>database",
    "control>database",
    "gw-a>control",
    "gw-b>control",
    "gw-a>device",
    "gw-b>device",
    "gw-a>opcua",
    "gw-b>opcua",
)
"""Every connection that has a proxy: who opens it, and to what."""

CALM_S = 5.0
"""Nothing happens so long at the beginning."""
SHARES = {"kill": 5, "stop": 5, "cut": 6, "slow": 4, "clock": 2, "disk": 2, "broken": 2, "hostile": 3, "deploy": 4}
"""How often each kind is drawn. `command` has no events: commands flow all the time."""
KINDS = (*SHARES, "command")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        at_s: When it begins, seconds after the start.
        kind: One of `KINDS`.
        target: A role, a server, a link or an attack.
        lasts_s: How long it lasts; for a kill, how long the process stays away.
        detail: What the kind needs to know: `mode` of a cut, `offset_s` of a clock, `seed` of damage.
    """

    at_s: float
    kind: str
    target: str
    lasts_s: float
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ends_s(self) -> float:
        """When it is over, seconds after the start."""
        return self.at_s + self.lasts_s

    def to_json(self) -> dict[str, Any]:
        """For the report."""
        return asdict(self)


def schedule(
    *,
    seed: int,
    seconds: float,
    kinds: Sequence[str] = KINDS,
    every_s: float = 9.0,
    settle_s: float = 20.0,
    without: Sequence[str] = (),
) -> tuple[Fault, ...]:
    """The faults of a run, by time. Equal arguments give equal faults.

    A process is hit by one fault at a time; different ones may be hit together.

    Args:
        seed: Draws everything.
        seconds: How long faults may last; the last one is over by then.
        kinds: Which kinds, of `KINDS`.
        every_s: Mean time between two beginnings.
        settle_s: Calm that a gateway's outbox needs after damage before the next fault of its disk.

        without: Targets that can't be hit; what was drawn for them is left out, the rest stays as it is.

    Raises:
        ValueError: A kind that does not exist.
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise ValueError(f"no such fault: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    rng = random.Random(seed)
    drawn = [kind for kind in SHARES if kind in kinds]
    faults: list[Fault] = []
    busy: dict[str, float] = {}
    bag: list[str] = []
    now_s = CALM_S
    while drawn and now_s < seconds:
        if not bag:
            bag = [kind for kind in drawn for _ in range(SHARES[kind])]
            rng.shuffle(bag)
        fault = _DRAW[bag.pop()](rng, round(now_s, 2))
        now_s += rng.uniform(0.4, 1.6) * every_s
        if fault.ends_s > seconds or any(fault.at_s < busy.get(name, 0.0) for name in touched(fault)):
            continue
        if fault.target not in without:
            faults.append(fault)
        rest_s = settle_s if fault.kind in ("broken", "disk") else 3.0
        busy |= dict.fromkeys(touched(fault), fault.ends_s + rest_s)
    return tuple(faults)


def touched(fault: Fault) -> Iterator[str]:
    """What a fault must have for itself."""
    yield f"hostile {fault.target}" if fault.kind == "hostile" else fault.target


def _kill(rng: random.Random, at_s: float) -> Fault:
    target = rng.choice((*ROLES, *SERVERS, *FIELD))
    return Fault(at_s=at_s, kind="kill", target=target, lasts_s=round(rng.choice((0.0, 0.5, 3.0, 8.0)), 1))


def _stop(rng: random.Random, at_s: float) -> Fault:
    target = rng.choice((*ROLES, *SERVERS, *FIELD))
    return Fault(at_s=at_s, kind="stop", target=target, lasts_s=round(rng.uniform(2, 40), 1))


def _cut(rng: random.Random, at_s: float) -> Fault:
    mode = rng.choice(("reset", "reset", "silence", "half-open"))
    lasts_s = rng.choice((0.2, 3.0)) if mode == "reset" else rng.uniform(3, 30)
    return Fault(at_s=at_s, kind="cut", target=rng.choice(LINKS), lasts_s=round(lasts_s, 1), detail={"mode": mode})


def _slow(rng: random.Random, at_s: float) -> Fault:
    detail = {"mode": "slow", "delay_s": rng.choice((0.02, 0.2, 1.0))}
    return Fault(at_s=at_s, kind="slow", target=rng.choice(LINKS), lasts_s=round(rng.uniform(3, 20), 1), detail=detail)


def _clock(rng: random.Random, at_s: float) -> Fault:
    year_2106_s = 4_300_000_000 - 1_800_000_000
    offset_s = rng.choice((3600, -3600, 12, -12, 86_400, year_2106_s))
    target = rng.choice(("gw-a", "gw-b", "historian", "control"))
    return Fault(
        at_s=at_s, kind="clock", target=target, lasts_s=round(rng.uniform(2, 20), 1), detail={"offset_s": offset_s}
    )


def _disk(rng: random.Random, at_s: float) -> Fault:
    target = rng.choice(("gw-a", "gw-b", "database"))
    return Fault(at_s=at_s, kind="disk", target=target, lasts_s=round(rng.uniform(4, 20), 1))


def _broken(rng: random.Random, at_s: float) -> Fault:
    mode = rng.choice(("flip", "truncate", "older"))
    detail = {"mode": mode, "seed": rng.randrange(1 << 30)}
    return Fault(at_s=at_s, kind="broken", target=rng.choice(("gw-a", "gw-b")), lasts_s=1.0, detail=detail)


def _hostile(rng: random.Random, at_s: float) -> Fault:
    target = rng.choice(("takeover", "share", "flood", "large", "reader", "half-open", "body"))
    return Fault(at_s=at_s, kind="hostile", target=target, lasts_s=round(rng.uniform(4, 15), 1))


def _deploy(rng: random.Random, at_s: float) -> Fault:
    detail = {"change": rng.choice(("add", "remove", "rename", "poll", "alert")), "seed": rng.randrange(1 << 30)}
    return Fault(at_s=at_s, kind="deploy", target="site", lasts_s=1.0, detail=detail)


_DRAW: Mapping[str, Callable[[random.Random, float], Fault]] = {
    "kill": _kill,
    "stop": _stop,
    "cut": _cut,
    "slow": _slow,
    "clock": _clock,
    "disk": _disk,
    "broken": _broken,
    "hostile": _hostile,
    "deploy": _deploy,
}
