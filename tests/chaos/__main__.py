"""Chaos from the command line: `python -m tests.chaos --seed 1 --minutes 5`. Exit code 0 when no law was broken."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.report import to_text
from tests.chaos.run import Plan, run
from tests.chaos.schedule import KINDS
from tests.chaos.site import SITES


def arguments(argv: list[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="draws the faults; equal seeds give equal schedules")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long faults happen (default 5)")
    parser.add_argument("--site", choices=sorted(SITES), default="demo")
    parser.add_argument("--faults", default=",".join(KINDS), help=f"kinds, of {','.join(KINDS)}")
    parser.add_argument("--every", type=float, default=9.0, help="mean seconds between two faults (default 9)")
    parser.add_argument("--timescale", default="", metavar="URL", help="a server that is there, instead of our own")
    parser.add_argument("--out", type=Path, help="folder for report.txt, report.json and the logs")
    parser.add_argument("--list", action="store_true", help="print the schedule and end")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Run it."""
    given = arguments(argv)
    kinds = tuple(kind for kind in given.faults.split(",") if kind)
    folder = (given.out or Path(tempfile.mkdtemp(prefix="nexus-chaos-"))).resolve()
    plan = Plan(
        seed=given.seed,
        minutes=given.minutes,
        site=given.site,
        kinds=kinds,
        folder=folder,
        every_s=given.every,
        server=given.timescale,
    )
    if given.list:
        for fault in plan.schedule():
            print(
                f"{fault.at_s:7.1f}  {fault.kind:8} {fault.target:20} {fault.lasts_s:5.1f} s  {dict(fault.detail) or ''}"
            )
        return 0
    began_s = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began_s:7.1f}  {text}", file=sys.stderr, flush=True)

    report = asyncio.run(run(plan, tell=tell))
    text = to_text(report)
    (folder / "report.json").write_text(json.dumps(report, indent=1))
    (folder / "report.txt").write_text(text)
    print(text)
    tell(f"logs and report: {folder}")
    return 0 if report["sound"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
