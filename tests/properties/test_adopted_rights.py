"""Laws of adopted rights, for any rule file: as many come out as went in, and nobody may do more than before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nexus_cli.access.compile import compile_grants
from nexus_cli.access.evaluate import GrantRules
from nexus_cli.access.request import Request
from nexus_cli.diagnostics.errors import NexusError
from nexus_cli.discover.adopt.access import adopt_access
from nexus_cli.discover.adopt.broker_files import read_foreign
from nexus_cli.discover.adopt.entries import counts
from nexus_cli.discover.adopt.rights import topics_of
from nexus_cli.model.access import Access
from nexus_cli.model.access_config import access_resources
from nexus_cli.model.config import DeviceOutline
from nexus_cli.model.resources import every
from nexus_cli.model.snapshot import Snapshot

LEVELS = st.sampled_from(["acme", "chicago", "a", "l", "one", "two", "t", "u", "+", "$SYS", "_nexus", "x y"])
FILTERS = st.builds(
    lambda levels, end: "/".join([*levels, *end]),
    st.lists(LEVELS, min_size=1, max_size=6),
    st.sampled_from([[], ["#"]]),
) | st.builds(lambda levels: "/".join(["acme", "chicago", *levels]), st.lists(LEVELS, min_size=1, max_size=4))
WORDS = st.sampled_from(["read", "write", "readwrite", "deny"])
RULES = st.builds(
    lambda kind, word, filter_: f"{kind} {word} {filter_}", st.sampled_from(["topic", "pattern"]), WORDS, FILTERS
)
USERS = st.sampled_from(["ann", "ben", "admin", "no one"]).map(lambda name: f"user {name}")
FILES = st.lists(RULES | USERS, max_size=14).map(lambda lines: "\n".join(lines) + "\n")
TOPICS = st.lists(LEVELS.filter(lambda level: level != "+"), min_size=1, max_size=5).map("/".join)


def device(path: str, protocol: str, **keys: object) -> dict[str, object]:
    return {"path": path, "protocol": protocol, "tags": {"t": {"type": "float64"}, "u": {"type": "float64"}}, **keys}


DEVICES = {
    "site": {"enterprise": "acme", "site": "chicago"},
    "gateway.gw-1": {},
    "device.a/l/one": device("a/l/one", "modbus", gateway="gw-1", link="tcp:h:502"),
    "device.a/l/two": device("a/l/two", "external", connection={"globs": ["a/l/two/x/**"], "max_series": 5}),
}
SITE = Snapshot.of("acme", "chicago", DEVICES)
DECLARED = topics_of(every(SITE, "device", DeviceOutline))


@given(FILES, st.lists(TOPICS, max_size=8))
def test_count_in_is_count_out_and_nobody_may_do_more(text: str, topics: list[str]) -> None:
    foreign = read_foreign(text)
    plan = adopt_access(foreign, Access(), prefix=("acme", "chicago"), topics=DECLARED, reserved=("admin",))
    number = counts(plan.entries)
    assert number["found"] == foreign.entries == number["adopted"] + number["present"] + number["left"]
    assert all(entry.reason for entry in plan.entries if entry.state == "left")
    access = Access.model_validate({"roles": plan.roles, "users": plan.users})
    again = adopt_access(foreign, access, prefix=("acme", "chicago"), topics=DECLARED, reserved=("admin",))
    assert not again.roles and not again.users
    site = Snapshot.of("acme", "chicago", {**DEVICES, **access_resources(access)})
    rules = GrantRules(compile_grants(site))
    asked = [*topics, *(f"acme/chicago/{topic.filter.replace('#', 'q')}" for topic in DECLARED)]
    for user in plan.users:
        for topic in asked:
            for wish in ("publish", "receive"):
                request = Request(user=user, wish=wish, topic=topic)
                assert not rules.decide(request).allowed or foreign.decide.decide(request).allowed, (user, wish, topic)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        foreign = read_foreign(text)
    except NexusError as error:
        assert error.code in ("NX4310", "NX7035", "NX7036")
    else:
        assert foreign.entries >= 0
