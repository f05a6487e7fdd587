"""Who may do what, and which line of a role decides: the answers of `nexus access who-can` and `can`.

The lines say why; at the broker the compiled grants decide, and a property test holds both to the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from nexus_cli.access.compile import compile_grants
from nexus_cli.access.evaluate import covers, unshared
from nexus_cli.access.globs import forms_of, level_fits
from nexus_cli.access.grants import CLI, Action, Grant
from nexus_cli.access.holders import Has, Holder, holders
from nexus_cli.access.lines import Line, Right, TagFacts, lines_of, means, names_of, reaches, roles_of, tag_facts
from nexus_cli.access.people import Moment, next_change_us
from nexus_cli.access.subjects import Subject
from nexus_cli.access.tree import rank_of
from nexus_cli.model.access import DEFAULT_CLASS
from nexus_cli.model.procedure_config import MessageConfig, filter_of
from nexus_cli.model.resources import AlertConfig, decode, every
from nexus_cli.model.snapshot import Snapshot
from nexus_cli.wire.topic import Topics, matches, meet

Reason = Literal["given", "deny", "clearance", "not_now", "not_writable", "limits", "no_role"]
_ALSO: Mapping[Right, tuple[Right, ...]] = {"alerts": ("acknowledge",), "read": ("subscribe",), "write": ("publish",)}
_AT_API: tuple[Right, ...] = ("run", "acknowledge", "alerts", "apply", "admin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer about one principal.

    Attributes:
        holder: Who.
        reason: `given` is yes, every other one no.
        role: Through which role; "" of NEXUS's own, and when no role gives it.
        via: `role`, `group NAME` or `elevated`; "" without a role.
        line: The line that decides.
        why: What decides, in words.
        count, total: Of how many of the tags or names this is so.
        example: One of them.
    """

    holder: Holder
    reason: Reason
    role: str = ""
    via: str = ""
    line: Line | None = None
    why: str = ""
    count: int = 1
    total: int = 1
    example: str = ""

    @property
    def allowed(self) -> bool:
        """Yes or no."""
        return self.reason == "given"


class Book:
    """A snapshot's rights at one moment, to ask several questions of."""

    def __init__(self, snapshot: Snapshot, when: Moment) -> None:
        """Args as for `compile_grants`."""
        self.snapshot, self.when = snapshot, when
        self.holders = holders(snapshot, when)
        self.lines = {name: lines_of(name, role) for name, role in roles_of(snapshot).items()}
        self.topics = Topics(snapshot.enterprise, snapshot.site)
        self._grants: tuple[Grant, ...] | None = None
        self._facts: dict[str, TagFacts] | None = None
        self._of: dict[tuple[str, Action], list[Grant]] = {}

    @property
    def facts(self) -> dict[str, TagFacts]:
        """What rights ask of each tag, by path."""
        if self._facts is None:
            self._facts = tag_facts(self.snapshot)
        return self._facts

    def next_change(self, user: str = "") -> int | None:
        """When rights begin or end by themselves after the moment, of a user or of all, µs since 1970 UTC; None: never."""
        return next_change_us(self.snapshot, self.when, only=user)

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What the brokers are given, at that moment."""
        if self._grants is None:
            self._grants = compile_grants(self.snapshot, when=self.when)
        return self._grants

    def grants_of(self, principal: str, action: Action) -> Sequence[Grant]:
        """The grants of one principal and action."""
        if not self._of:
            for grant in self.grants:
                self._of.setdefault((grant.principal, grant.action), []).append(grant)
        return self._of.get((principal, action), ())

    def named(self, line: Line, kind: str) -> tuple[str, ...]:
        """Names of the messages, sequences or alerts that a line is about."""
        return names_of(line, [name for name, _ in self.snapshot.of_kind(kind)])

    def holder(self, name: str) -> Holder | None:
        """The principal of this name."""
        return next((each for each in self.holders if each.name == name), None)

    def lines_on(self, holder: Holder, right: Right) -> list[tuple[Has, Line]]:
        """The lines of all its roles that are about a right, those that take among them.

        Who may acknowledge an alert may see it; to publish or subscribe by path is to write or read external tags.
        """
        rights = (right, *_ALSO.get(right, ()))
        return [
            (has, line)
            for has in holder.has
            for line in self.lines.get(has.role, ())
            if line.right == right or (line.right in rights and not (line.deny and line.right == "acknowledge"))
        ]

    def alert_tags(self, name: str) -> list[TagFacts]:
        """The tags that an alert shows, as far as they are declared."""
        declared = self.snapshot.resources.get(f"alert.{name}")
        paths = decode(declared, AlertConfig).paths() if declared is not None else ()
        return [self.facts[path] for path in paths if path in self.facts]

    def alert_class(self, name: str) -> str:
        """Class of an alert: the highest of its tags."""
        return max((tag.classification for tag in self.alert_tags(name)), key=rank_of, default="")

    def denied_with(self, line: Line, name: str) -> bool:
        """True when a line that denies messages takes this one: its topics and a denied one's may be the same."""
        topics = {each: filter_of(one.topic) for each, one in every(self.snapshot, "message", MessageConfig)}
        return any(meet(topics[name], topics[each]) for each in names_of(line, topics)) if name in topics else False


def ask(
    book: Book, holder: Holder, right: Right, subject: Subject, *, qos: int = 0, retain: bool = False
) -> list[Answer]:
    """What holds for one principal: one answer for each line or reason that decides, the most frequent first.

    Args:
        book: The site's rights.
        holder: Who.
        right: What.
        subject: On what.
        qos, retain: Of the message, where it is about a topic.
    """
    if subject.kind == "topic":
        action: Action = "subscribe" if right in ("read", "subscribe") else "publish"
        return [_at_broker(book, holder, action, subject.topic, qos=qos, retain=retain)]
    if holder.kind == "nexus":
        if subject.kind != "tags":
            return _joined([_of_nexus(book, holder, right, each) for each in list(subject.names) or [""]])
        # What NEXUS's own may do is the same for all tags of a device.
        one = cache(lambda device: _of_nexus(book, holder, right, f"{device}/{first[device]}"))
        first = {device: tag for device, _, tag in (each.path.rpartition("/") for each in reversed(subject.tags))}
        return _joined([one(tag.path.rpartition("/")[0]) for tag in subject.tags])
    lines = book.lines_on(holder, right)
    if subject.kind == "tags":
        return _joined(_of_tags(holder, right, lines, subject.tags))
    if subject.kind == "site":
        return [_decided(holder, lines, lines, "")]
    return _joined([_of_name(book, holder, right, lines, name) for name in subject.names])


def _of_name(book: Book, holder: Holder, right: Right, lines: Sequence[tuple[Has, Line]], name: str) -> Answer:
    about = [(has, line) for has, line in lines if _is_about(book, right, line, name)]
    if right not in ("alerts", "acknowledge"):
        return _decided(holder, about, about, name)
    shown = book.alert_class(name)
    for tag in book.alert_tags(name):
        # An alert shows its tags: who may not read the one may not see the other.
        about += [(has, line) for has, line in book.lines_on(holder, "read") if line.deny and means(line, tag)]
    return _explained(_decided(holder, about, [each for each in about if reaches(each[1], shown)], name), shown)


def _is_about(book: Book, right: Right, line: Line, name: str) -> bool:
    if line.deny and right in ("publish", "subscribe"):
        return book.denied_with(line, name)
    return bool(names_of(line, (name,)))


def _explained(answer: Answer, classification: str) -> Answer:
    """Of a refusal for its class, which classes."""
    if answer.reason != "clearance" or answer.line is None:
        return answer
    why = f"its data is {classification or DEFAULT_CLASS}, the role's clearance is {answer.line.clearance}"
    return replace(answer, why=why)


def _of_tags(holder: Holder, right: Right, lines: Sequence[tuple[Has, Line]], tags: Sequence[TagFacts]) -> list[Answer]:
    """One answer for each tag; where no line names single tags of a device, those that are alike are asked about once."""
    alike: dict[object, Answer] = {}
    whole: dict[str, bool] = {}
    found = []
    for tag in tags:
        device = tag.path.rpartition("/")[0]
        if device not in whole:
            whole[device] = not any(_names_tags(line, device) for _, line in lines)
        key = (device, tag.classification, tag.writable, tag.external) if whole[device] else tag.path
        if key not in alike:
            alike[key] = _of_tag(holder, right, lines, tag)
        found.append(alike[key])
    return found


def _names_tags(line: Line, device: str) -> bool:
    """True when a line means some tags of a device by their names."""
    levels = device.split("/")
    return any(form[3] != "*" and all(map(level_fits, form, levels)) for form in forms_of(line.scope.path))


def _of_tag(holder: Holder, right: Right, lines: Sequence[tuple[Has, Line]], tag: TagFacts) -> Answer:
    about = [(has, line) for has, line in lines if means(line, tag)]
    within = [each for each in about if reaches(each[1], tag.classification)]
    answer = _explained(_decided(holder, about, within, tag.path), tag.classification)
    if answer.reason == "given" and right == "write" and not tag.writable:
        return replace(answer, reason="not_writable", why="its gateway refuses")
    return answer


def _decided(
    holder: Holder, about: Sequence[tuple[Has, Line]], within: Sequence[tuple[Has, Line]], example: str
) -> Answer:
    """The answer of the lines that are about something.

    Args:
        holder: Who.
        about: All of them.
        within: Those whose clearance reaches it.
        example: What it is.
    """
    now = [(held, line) for held, line in within if not held.not_now]
    given = [each for each in now if not each[1].deny]
    taken = [each for each in now if each[1].deny]
    late = [each for each in within if each[0].not_now and not each[1].deny]
    short = [each for each in about if not each[0].not_now and not any(each is one for one in within)]
    reason: Reason = "no_role"
    chosen: tuple[Has, Line] | None = None
    if given:
        reason, chosen = ("deny", taken[0]) if taken else ("given", given[0])
    elif short:
        reason, chosen = "clearance", short[0]
    elif late:
        reason, chosen = "not_now", late[0]
    if chosen is None:
        return Answer(holder=holder, reason=reason, why=_none(holder), example=example)
    held, line = chosen
    why = held.not_now if reason == "not_now" else line.text
    return Answer(holder=holder, reason=reason, role=held.role, via=held.via, line=line, why=why, example=example)


def _none(holder: Holder) -> str:
    if not holder.has:
        return "has no role"
    return f"no line of {_listed('role', sorted({each.role for each in holder.has}))} gives it"


def _listed(word: str, names: Sequence[str]) -> str:
    return f"the {word}{'s' * (len(names) > 1)} {', '.join(names)}"


def _of_nexus(book: Book, holder: Holder, right: Right, what: str) -> Answer:
    """NEXUS's own have grants instead of roles; the command line of this machine has all of control's API."""
    if holder.name == CLI and right in _AT_API:
        return Answer(holder=holder, reason="given", why=holder.description, example=what)
    topics = {"read": book.topics.tag(what), "write": book.topics.command(what, holder.name)}
    if right in ("publish", "subscribe"):
        message = book.snapshot.resources.get(f"message.{what}", {})
        topics[right] = filter_of(str(message.get("topic", what)))
    topic = topics.get(right)
    if topic is None:
        return Answer(holder=holder, reason="no_role", why="has no rights at the API", example=what)
    action: Action = "subscribe" if right in ("read", "subscribe") else "publish"
    return _at_broker(book, holder, action, topic, example=what)


def _at_broker(
    book: Book, holder: Holder, action: Action, topic: str, *, qos: int = 0, retain: bool = False, example: str = ""
) -> Answer:
    wanted, near = unshared(topic) if action == "subscribe" else topic, ""
    for grant in book.grants_of(holder.name, action):
        if not covers(grant.filter, wanted):
            continue
        near = _limits(grant, qos=qos, retain=retain)
        if not near:
            line = _line_of(book, holder, action, wanted)
            return Answer(
                holder=holder, reason="given", role=line[0].role if line else "", via=line[0].via if line else "",
                line=line[1] if line else None, why=f"{grant.action} {grant.filter} ({grant.why})", example=example or topic,
            )  # fmt: skip
    why = (
        near
        or f"no rule covers the {'filter' if '+' in wanted or '#' in wanted else 'topic'}; the default is to refuse"
    )
    if action == "publish" and ("+" in wanted or "#" in wanted):
        why = "a topic to publish on has no wildcards"
    return Answer(holder=holder, reason="limits" if near else "no_role", why=why, example=example or topic)


def _limits(grant: Grant, *, qos: int, retain: bool) -> str:
    if grant.qos is not None and qos not in grant.qos:
        return f"only at QoS {', '.join(map(str, grant.qos))} ({grant.why})"
    if grant.retain is not None and retain != grant.retain:
        return f"only {'retained' if grant.retain else 'not retained'} ({grant.why})"
    return ""


def _line_of(book: Book, holder: Holder, action: Action, topic: str) -> tuple[Has, Line] | None:
    """The line of a role that a rule on a topic comes from."""
    for right, what in _meanings(book, action, topic):
        tag = book.facts.get(what) if right in ("read", "write") else None
        for held, line in book.lines_on(holder, right):
            if held.not_now or line.deny:
                continue
            if (tag is not None and means(line, tag)) or (tag is None and names_of(line, (what,))):
                return held, line
    return None


def _meanings(book: Book, action: Action, topic: str) -> Iterable[tuple[Right, str]]:
    if command := book.topics.split_command(topic):
        yield "write", command[0]
    if path := book.topics.path(topic):
        yield ("read" if action == "subscribe" else "write"), path
    if topic.startswith(book.topics.alert("")):
        yield "alerts", topic.rpartition("/")[2]
    for name, message in every(book.snapshot, "message", MessageConfig):
        if matches(filter_of(message.topic), topic):
            yield action, name


def _joined(answers: Sequence[Answer]) -> list[Answer]:
    """Equal answers as one, with their number; the most frequent first."""
    counted: dict[tuple[object, ...], list[Answer]] = {}
    for answer in answers:
        where = answer.line.where if answer.line is not None else ()
        counted.setdefault((answer.reason, answer.role, answer.via, where, answer.why), []).append(answer)
    same = sorted(counted.values(), key=lambda group: -len(group))
    return [replace(group[0], count=len(group), total=len(answers)) for group in same]
