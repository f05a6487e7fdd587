"""What `nexus audit verify` found, as text."""

from __future__ import annotations

from collections.abc import Callable

from nexus_cli.cli.views.clock import clock_text
from nexus_cli.diagnostics.printable import plain
from nexus_cli.project.audit_verify import Verified
from nexus_cli.wire.control_chain import ChainDamage

Style = Callable[[str, str], str]


def verified_text(found: Verified, *, style: Style) -> str:
    """A line for each damage, then what was checked, and the newest link to keep."""
    found = plain(found)
    lines = [f"{style(f'{each.kind:<10}', 'error')} {_text(each)}" for each in found.damages]
    if found.count > len(found.damages):
        lines.append(f"and {found.count - len(found.damages)} more")
    against = f", compared with {found.anchors} anchors" if found.anchors else "; no anchor was given to compare with"
    state = style("damaged", "error") if found.count else style("intact", "good")
    lines.append(f"{state}: {found.links} rows{against}")
    if found.head.adopted:
        lines.append(f"the first {found.head.adopted} rows were on record before the chain was")
    lines.append(f"newest link {found.head.number}:{found.head.digest}")
    return "\n".join(lines)


def _text(one: ChainDamage) -> str:
    facts = " ".join(
        each for each in (clock_text(one.at, zone=None) if one.at else "", one.who, one.what, one.subject) if each
    )
    return one.detail + (f"  ({facts})" if facts else "")
