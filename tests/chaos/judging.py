"""The record of a run held against the rules of `verdict`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos import verdict
from tests.chaos.commander import Sent
from tests.chaos.conduct import Command, contradictions
from tests.chaos.deploying import Deploying
from tests.chaos.faults import Done
from tests.chaos.observer import Database, FieldLogs, Record, Series, read_rows
from tests.chaos.report import Findings
from tests.chaos.site import RISE_PER_S, Device
from tests.chaos.verdict import FOREVER_US, Account, Gap, Handed, Row

RECOVERY_US = 60_000_000
"""How long the effects of a fault may last."""
SLACK_US = 1_500_000
SLOW_CYCLE_US, LEAST_SLOW_MS = 250_000, 500
"""On a loaded machine two reads of one cycle are further apart; half of the interval for devices that have such a one."""
COMMAND_TAG = "command"


@dataclass(kw_only=True)
class Judge:
    """Holds the record of one run against the laws.

    Attributes:
        slowest_ms: Longest interval that a device was ever polled with, by path.
        since_us: True time at which everything worked for the first time.
        again_us: When reads of a device were asked again, true time, by path.
    """

    database: Database
    record: Record
    logs: FieldLogs
    deploying: Deploying
    done: Sequence[Done]
    slowest_ms: dict[str, int]
    findings: Findings
    since_us: int
    again_us: dict[str, list[int]]

    async def tags(self) -> None:
        """Every tag's values, and every gap's rows."""
        by_device: dict[str, list[Series]] = defaultdict(list)
        for series in self.record.series:
            by_device[series.device].append(series)
        explained: Counter[str] = Counter()
        moments: list[tuple[int, str]] = []
        inside: Counter[Gap] = Counter()
        found = rows_total = 0
        for device in self.deploying.site.devices:
            known = by_device.get(device.path, [])
            rows = await read_rows(self.database, [series.id for series in known])
            rows_total += sum(len(each) for each in rows.values())
            gaps = [gap for gap in self.record.gaps if gap.covers(f"gw-{device.gateway}", device.path)]
            times = sorted({row.time_us for each in rows.values() for row in each})
            for gap in gaps:
                if number := verdict.rows_inside(gap, times):
                    inside[gap] += number
            for series in known:
                account = self._account(device, series, rows[series.id], gaps)
                if account is not None:
                    found += account.found
                    explained += account.explained
                    moments += account.moments
        for gap, number in inside.items():
            self.findings.breach("inside", f"{_text(gap)}: {number} times with rows")
        self._unprovoked(moments)
        self.findings.figures |= {"rows": rows_total, "values in a row": found, "values explained": dict(explained)}

    def gaps(self) -> None:
        """Gaps by themselves."""
        for gap in verdict.reversed_gaps(self.record.gaps):
            self.findings.breach("reversed", _text(gap))
        for gap in self.record.gaps:
            if gap.end_us is None:
                self.findings.breach("open", _text(gap))
        self.findings.figures["gaps"] = dict(Counter(gap.reason for gap in self.record.gaps))

    def commands(self, sent: dict[str, Sent]) -> None:
        """Every command against the device and the record."""
        known = [
            Command(
                id=one.id,
                answers=tuple(dict.fromkeys(one.answers)),
                row=self.record.commands.get(one.id),
                writes=self.logs.writes[one.device.host, one.device.unit, one.value],
            )
            for one in sent.values()
        ]
        for text in contradictions(known):
            self.findings.breach("commands", text)
        states = Counter("/".join(one.answers) or "no answer" for one in known)
        self.findings.figures["commands"] = dict(states)

    def _account(self, device: Device, series: Series, rows: list[Row], gaps: list[Gap]) -> Account | None:
        if series.tag == COMMAND_TAG:
            return None
        handed = self._handed(device, series, rows)
        if handed is None:
            return None
        longest_us = 3 * max(self.slowest_ms.get(device.path, 1000), 1000) * 1000 + SLACK_US
        account = verdict.account(
            handed,
            rows,
            gaps,
            longest_us=longest_us,
            until_us=FOREVER_US if series.active else self.deploying.removed_us.get(series.path, 0),
            counted=device.kind in ("modbus", "opcua"),
            same_cycle_us=SLOW_CYCLE_US if device.poll_ms >= LEAST_SLOW_MS else verdict.SAME_CYCLE_US,
            again_us=self.again_us.get(device.path, ()),
            noticed_us=verdict.REPORT_NOTICED_US if device.kind == "opcua" else verdict.POLL_NOTICED_US,
        )
        for law, items in (
            ("lost", account.lost),
            ("doubled", account.doubled),
            ("disordered", account.disordered),
            ("unknown", account.unknown),
            ("silent", account.silent),
        ):
            if items:
                first = ", ".join(self._item(one) for one in items[:3])
                self.findings.breach(law, f"{series.path}: {len(items)}: {first}", number=len(items))
        if series.active and not account.found:
            self.findings.breach("stuck", f"{series.path} has no value in {len(rows)} rows")
        return account

    def _item(self, item: object) -> str:
        """A breach, its times as seconds since the first fault."""
        began_us = self.done[0].begun_us if self.done else 0
        if isinstance(item, Handed):
            return f"{item.number} at {(item.time_us - began_us) / 1e6:+.1f} s"
        if isinstance(item, tuple):
            return f"{(item[0] - began_us) / 1e6:+.1f} to {(item[1] - began_us) / 1e6:+.1f} s"
        return str(item)

    def _handed(self, device: Device, series: Series, rows: list[Row]) -> list[Handed] | None:
        if device.kind == "modbus":
            places = dict(device.counted()) | self.deploying.site.gone.get(device.path, {})
            if series.tag not in places:
                return None
            return self.logs.handed(device.host, device.unit, places[series.tag])
        if device.kind == "opcua":
            return self.logs.ticks
        # Values that rise with time tell when they were read.
        numbers = sorted({row.number for row in rows if row.number is not None})
        return [Handed(time_us=int(number * 1e6 / RISE_PER_S), number=number) for number in numbers]

    def _unprovoked(self, moments: list[tuple[int, str]]) -> None:
        windows = [(one.begun_us, one.ended_us) for one in self.done]
        alone = verdict.unprovoked(moments, windows, recovery_us=RECOVERY_US, since_us=self.since_us)
        by_second = Counter((moment // 1_000_000, why) for moment, why in alone)
        began_us = self.done[0].begun_us if self.done else 0
        for (second, why), number in sorted(by_second.items()):
            self.findings.breach(
                "unprovoked", f"{why} at {second - began_us // 1_000_000:+d} s: {number}", number=number
            )


def _text(gap: Gap) -> str:
    length = "open" if gap.end_us is None else f"{(gap.end_us - gap.start_us) / 1e6:.1f} s"
    return f"{gap.reason} {gap.gateway} {gap.device or '(all)'} from {gap.start_us / 1e6:.3f}, {length}"
