"""Rights as JSON and as text: text is made from the JSON form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nexus_cli.access.gain_words import NO_LONGER, NOW, gain_sentence, some
from nexus_cli.access.gains import Gain
from nexus_cli.access.grants import Grant, to_json
from nexus_cli.access.holders import Holder
from nexus_cli.access.lines import Line
from nexus_cli.access.questions import Answer
from nexus_cli.diagnostics.wording import counted
from nexus_cli.project.access import Chain, Decides, Rights

Style = Callable[[str, str], str]
FORMAT = "1.0"
WORDS: Mapping[str, str] = {
    "deny": "denied",
    "clearance": "refused by its clearance",
    "not_now": "not now",
    "not_writable": "not writable",
    "limits": "refused by a limit",
    "no_role": "no role gives it",
}


def answer_document(answer: Answer, where: Decides) -> dict[str, Any]:
    """One answer."""
    return {
        "principal": answer.holder.name,
        "kind": answer.holder.kind,
        "allowed": answer.allowed,
        "reason": answer.reason,
        "role": answer.role,
        "via": answer.via if answer.via != "role" else "",
        "line": answer.line.text if answer.line is not None else "",
        "file": where.file,
        "excerpt": where.excerpt,
        "shipped": where.shipped,
        "why": answer.why,
        "count": answer.count,
        "of": answer.total,
        "example": answer.example,
    }


def answers_document(rights: Rights, answers: Iterable[Answer], *, action: str, about: str) -> dict[str, Any]:
    """The answer of `who-can` and `can`."""
    listed = [answer_document(answer, rights.decides(answer.line)) for answer in answers]
    return {"format_version": FORMAT, "site": rights.site, "action": action, "about": about, "answers": listed}


def who_text(document: Mapping[str, Any], *, style: Style) -> str:
    """Who may, and behind it who may not although a role would give it."""
    yes = [each for each in document["answers"] if each["allowed"]]
    no = [each for each in document["answers"] if not each["allowed"]]
    what = f"{document['action']} {document['about']}".strip()
    lines = [style(what, "bold")]
    if not any(each["kind"] != "nexus" for each in yes):
        lines.append("  no user and no application may")
    for each in yes:
        lines += _entry(each, style=style, colour="good")
    if no:
        lines += ["", "although a role would give it:"]
        for each in no:
            lines += _entry(each, style=style, colour="warning")
    return "\n".join(lines)


def can_text(document: Mapping[str, Any], *, style: Style) -> str:
    """Yes or no, and the line that decides; no comes first, since one no decides."""
    lines = []
    for each in sorted(document["answers"], key=lambda one: bool(one["allowed"])):
        word = style("yes", "good") if each["allowed"] else style("no", "error")
        what = f"{document['action']} {document['about']}".strip()
        lines.append(f"{word}: {each['principal']} {'may' if each['allowed'] else 'may not'} {what}{_share(each)}")
        lines += [f"  {text}" for text in _because(each, style)]
    return "\n".join(lines)


def _entry(each: Mapping[str, Any], *, style: Style, colour: str) -> list[str]:
    kind = f" ({each['kind']})" if each["kind"] == "application" else ""
    return [
        f"  {style(each['principal'], colour)}{kind}{_share(each)}",
        *(f"    {text}" for text in _because(each, style)),
    ]


def _share(each: Mapping[str, Any]) -> str:
    if each["count"] == each["of"]:
        return f" (all {each['of']:,})" if each["of"] > 1 else ""
    return f" ({each['count']:,} of {each['of']:,}, e.g. {each['example']})"


def _because(each: Mapping[str, Any], style: Style) -> list[str]:
    """The reason, then the line of the file."""
    lines = []
    if not each["allowed"]:
        reason = WORDS[each["reason"]]
        told = each["why"] if each["reason"] == "no_role" else f"{reason}: {each['why']}"
        lines.append(reason if each["why"] in ("", each["line"]) else told)
    elif not each["line"]:
        lines.append(each["why"])
    if each["line"]:
        through = f", {each['via']}" if each["via"] else ""
        lines.append(f"role {each['role']}{through}: {each['line']}")
        lines += _written(each, style)
    return lines


def _written(each: Mapping[str, Any], style: Style) -> list[str]:
    if each["shipped"]:
        return [style("shipped with nexus; a role of this name in the site file replaces it", "dim")]
    return [style(each["file"], "dim") + f"  {each['excerpt']}"] if each["file"] else []


def list_document(rights: Rights) -> dict[str, Any]:
    """Every principal in a line."""
    book = rights.book
    rules: dict[str, int] = {}
    for grant in book.grants:
        rules[grant.principal] = rules.get(grant.principal, 0) + 1
    people = [_person(rights, holder, rules.get(holder.name, 0)) for holder in book.holders]
    groups = [
        {"name": name, "roles": list(group.get("roles", [])), "users": [each.name for each in book.holders if name in each.config.groups]}
        for name, group in book.snapshot.of_kind("group")
    ]  # fmt: skip
    return {"format_version": FORMAT, "site": rights.site, "principals": people, "groups": groups}


def _person(rights: Rights, holder: Holder, rules: int) -> dict[str, Any]:
    lines = [line for has in holder.has if not has.not_now for line in rights.book.lines.get(has.role, ())]
    return {
        "name": holder.name,
        "kind": holder.kind,
        "roles": [
            {"role": has.role, "via": has.via if has.via != "role" else "", "not_now": has.not_now}
            for has in holder.has
        ],
        "valid": holder.valid,
        "hours": list(holder.config.hours),
        "may": holder.description if holder.kind == "nexus" else summary(lines),
        "rules": rules,
        "description": holder.description,
    }


def summary(lines: Sequence[Line]) -> str:
    """What lines give and take, right by right: `read packaging/**; write 2 globs; admin; not write …`."""
    found: dict[str, list[str]] = {}
    for line in lines:
        paths = found.setdefault(("not " if line.deny else "") + line.right, [])
        if line.right != "admin" and line.text.partition(f"{line.right} ")[2] not in paths:
            paths.append(line.text.partition(f"{line.right} ")[2])
    return "; ".join(f"{word} {some(paths)}".strip() for word, paths in found.items()) or "nothing"


def list_text(document: Mapping[str, Any], *, style: Style) -> str:
    """A block a principal: name, roles and what they give."""
    lines = [style(document["site"], "bold")]
    people = document["principals"]
    width = max((len(each["name"]) for each in people), default=0)
    for each in people:
        roles = ", ".join(_role_word(role) for role in each["roles"])
        times = "; ".join(filter(None, (each["valid"], ", ".join(each["hours"]))))
        kind = " (application)" if each["kind"] == "application" else ""
        facts = " · ".join(
            filter(None, (roles + kind if roles else kind.strip(), times, counted(each["rules"], "rule")))
        )
        lines.append(f"{each['name']:<{width}}  {facts}")
        lines.append(style(f"{'':<{width}}  {each['may']}", "dim"))
    lines += [
        f"group {group['name']}: {', '.join(group['roles']) or 'no roles'} → {some(group['users']) or 'no users'}"
        for group in document["groups"]
    ]
    return "\n".join(lines)


def _role_word(role: Mapping[str, str]) -> str:
    text = role["role"] + (f" ({role['via']})" if role["via"] else "")
    return f"{text} [{role['not_now']}]" if role["not_now"] else text


def roles_document(rights: Rights) -> dict[str, Any]:
    """Every role with its lines, and who has it."""
    listed = []
    for name, lines in rights.book.lines.items():
        role = rights.loaded.model.site.access.roles.get(name)
        users = [holder.name for holder in rights.book.holders if name in {has.role for has in holder.has}]
        listed.append(
            {
                "name": name,
                "shipped": role is None,
                "clearance": lines[0].clearance if lines else "",
                "lines": [_line(rights, line) for line in lines],
                "users": users,
                "description": str(rights.book.snapshot.resources[f"role.{name}"].get("description") or ""),
            }
        )
    return {"format_version": FORMAT, "site": rights.site, "roles": listed}


def _line(rights: Rights, line: Line) -> dict[str, Any]:
    where = rights.decides(line)
    return {"right": line.right, "deny": line.deny, "text": line.text, "file": where.file, "excerpt": where.excerpt}


def roles_text(document: Mapping[str, Any], *, style: Style) -> str:
    """A block a role."""
    lines = []
    for role in document["roles"]:
        written = "shipped" if role["shipped"] else "declared"
        clearance = f", up to {role['clearance']} data" if role["clearance"] else ""
        lines.append(style(role["name"], "bold") + f" ({written}{clearance}): {some(role['users']) or 'no users'}")
        lines += [f"  {role['description']}"] * bool(role["description"])
        for each in role["lines"]:
            lines.append(f"  {each['text']}" + (style(f"  {each['file']}", "dim") if each["file"] else ""))
    return "\n".join(lines)


def chain_document(rights: Rights, chain: Chain) -> dict[str, Any]:
    """From a principal to its rules at the broker."""
    person = _person(rights, chain.holder, len(chain.grants))
    means = [
        {
            **_line(rights, each.line),
            "role": each.line.role,
            "via": each.via if each.via != "role" else "",
            "not_now": each.not_now,
            "shipped": rights.decides(each.line).shipped,
            "what": each.what,
            "count": each.count,
            "above": each.above,
            "samples": list(each.samples),
        }
        for each in chain.means
    ]
    return {"format_version": FORMAT, "site": rights.site, **person, "groups": list(chain.holder.config.groups), "means": means, "grants": to_json(chain.grants)}  # fmt: skip


def chain_text(document: Mapping[str, Any], *, style: Style) -> str:
    """User → groups and roles → lines → tags → rules."""
    kind = {"nexus": "one of NEXUS's own"}.get(document["kind"], document["kind"])
    lines = [
        style(document["name"], "bold")
        + f" ({kind})"
        + (f": {document['description']}" if document["description"] else "")
    ]
    lines += [f"valid   {document['valid']}"] * bool(document["valid"])
    lines += [f"hours   {', '.join(document['hours'])}"] * bool(document["hours"])
    lines += [f"groups  {', '.join(document['groups'])}"] * bool(document["groups"])
    for role in document["roles"]:
        lines += ["", style(f"role {_role_word(role)}", "bold")]
        for each in (each for each in document["means"] if each["role"] == role["role"]):
            above = f" ({each['above']:,} more above the role's clearance)" if each["above"] else ""
            names = (
                f": {some(each['samples'])}{', …' * (each['count'] > len(each['samples']))}" if each["samples"] else ""
            )
            count = "" if each["what"] == "site" else f" → {counted(each['count'], each['what'])}{names}{above}"
            lines.append(f"  {each['text']}{count}")
            lines += [f"    {text}" for text in _written(each, style)]
    lines += ["", style(f"at the broker: {counted(document['rules'], 'rule')}", "bold")]
    lines += [f"  {text}" for text in _rules(document["grants"])]
    return "\n".join(lines)


MOST_RULES = 40


def _rules(grants: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for grant in grants[:MOST_RULES]:
        bound = [f"QoS {', '.join(map(str, grant['qos']))}"] if "qos" in grant else []
        bound += ["retained" if grant["retain"] else "not retained"] if "retain" in grant else []
        lines.append(f"{grant['action']:<9} {grant['filter']}" + (f" ({', '.join(bound)})" if bound else ""))
    more = len(grants) - MOST_RULES
    return lines + ([f"… and {more:,} more (--format json lists all)"] if more > 0 else [])


def rules_of(grants: Iterable[Grant]) -> list[str]:
    """Rules as `explain` prints them."""
    return _rules(to_json(grants))


def gains_document(site: str, found: Sequence[Gain]) -> dict[str, Any]:
    """Gains and losses."""
    listed = [
        {"principal": each.principal, "action": each.action, "kind": each.kind, "gained": list(each.gained), "lost": list(each.lost)}
        for each in found
    ]  # fmt: skip
    return {"format_version": FORMAT, "site": site, "widens": any(each.widens for each in found), "changes": listed}


def gains_text(document: Mapping[str, Any], *, style: Style) -> str:
    """In plain words, a sentence a change."""
    if not document["changes"]:
        return f"{document['site']}: no principal gains or loses a right"
    lines = [style(document["site"], "bold")]
    for each in document["changes"]:
        for names, word, colour in ((each["gained"], NOW, "warning"), (each["lost"], NO_LONGER, "good")):
            if names:
                sentence = gain_sentence(each["principal"], each["action"], each["kind"], names, word)
                lines.append(f"  {style(sentence, colour)}")
    return "\n".join(lines)
