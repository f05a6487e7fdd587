"""What grants say is what the model says: labels, classes, denials, groups and periods, in both directions."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nexus_cli.access.compile import compile_grants
from nexus_cli.access.evaluate import GrantRules
from nexus_cli.access.globs import overlap, widens
from nexus_cli.access.request import Request
from nexus_cli.model.snapshot import Snapshot

CLASSES = ("public", "internal", "confidential", "restricted")
_area = st.sampled_from(["a", "b"])
_line = st.sampled_from(["l1", "l2"])
_device = st.sampled_from(["d1", "d2", "e1"])
_tag = st.sampled_from(["t1", "t2", "x"])
_class = st.sampled_from(["", *CLASSES])
_labels = st.dictionaries(st.sampled_from(["team"]), st.sampled_from(["red", "blue"]), max_size=1)
_below = st.sampled_from(["state", "*/v", "ax/*", "ax/*/*", "**", "*/*"])


@st.composite
def _devices(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    found = {}
    for area, line, device in draw(st.sets(st.tuples(_area, _line, _device), min_size=1, max_size=6)):
        path = f"{area}/{line}/{device}"
        external = device.startswith("e")
        made: dict[str, Any] = {
            "path": path,
            "protocol": "external" if external else draw(st.sampled_from(["modbus", "s7"])),
            "gateway": "" if external else draw(st.sampled_from(["gw-1", "gw-2"])),
            "labels": draw(_labels),
            "tags": {tag: {"type": "bool", "classification": draw(_class)} for tag in draw(st.sets(_tag, max_size=3))},
        }
        if external:
            made["classification"] = draw(_class)
            made["connection"] = {"globs": [f"{path}/{glob}" for glob in sorted(draw(st.sets(_below, max_size=2)))]}
        found[path] = made
    return found


_level = st.sampled_from(["a", "b", "l1", "l*", "*1", "d1", "e1", "t1", "*", "ax"])
_glob = st.one_of(
    st.tuples(st.lists(_level, max_size=3), st.just(["**"])).map(lambda parts: "/".join(parts[0] + parts[1])),
    st.lists(_level, min_size=4, max_size=6).map("/".join),
    st.just("**"),
    st.just("*/*/*/*"),
)
_scope = st.fixed_dictionaries(
    {"path": _glob},
    optional={
        "protocol": st.sampled_from(["modbus", "s7", "external"]),
        "gateway": st.sampled_from(["gw-1", "gw-*"]),
        "labels": _labels,
        "classification": st.sampled_from(CLASSES),
    },
)
_right = st.one_of(_glob, _glob, _scope)
_path_entry = _glob.filter(lambda glob: "/" in glob)
_denied = st.fixed_dictionaries(
    {},
    optional={
        "read": st.lists(_right, max_size=2),
        "write": st.lists(_right, max_size=2),
        "publish": st.lists(_path_entry, max_size=1),
        "subscribe": st.lists(_path_entry, max_size=1),
    },
)
_role = st.fixed_dictionaries(
    {"read": st.lists(_right, max_size=2), "write": st.lists(_right, max_size=2)},
    optional={
        "clearance": st.sampled_from(CLASSES),
        "deny": _denied,
        "publish": st.lists(_path_entry, max_size=1),
        "subscribe": st.lists(_path_entry, max_size=1),
    },
)
_sites = st.fixed_dictionaries(
    {
        "devices": _devices(),
        "labels": st.dictionaries(st.sampled_from(["a", "b", "a/l1"]), _labels, max_size=2),
        "roles": st.fixed_dictionaries({"r1": _role, "r2": _role}),
        "own": st.lists(st.sampled_from(["r1", "r2"]), max_size=2, unique=True),
        "group": st.lists(st.sampled_from(["r1", "r2"]), max_size=2, unique=True),
        "joined": st.booleans(),
    }
)


def _snapshot(site: dict[str, Any]) -> Snapshot:
    return Snapshot.of(
        "e",
        "s",
        {
            "site": {"enterprise": "e", "site": "s", "labels": site["labels"]},
            **{f"device.{path}": device for path, device in site["devices"].items()},
            **{f"role.{name}": role for name, role in site["roles"].items()},
            "group.g": {"roles": site["group"]},
            "user.u": {"roles": site["own"], "groups": ["g"] if site["joined"] else []},
        },
    )


class _Naive:
    """The meaning of the site language, one tag and one topic at a time."""

    def __init__(self, site: dict[str, Any]) -> None:
        names = {*site["own"], *(site["group"] if site["joined"] else [])}
        self.site = site
        self.roles = [site["roles"][name] for name in sorted(names)]

    def _level(self, want: str, have: str) -> bool:
        return re.fullmatch(".*".join(map(re.escape, want.split("*"))), have) is not None

    def matches(self, glob: str, path: str) -> bool:
        want, have = glob.split("/"), path.split("/")
        if want[-1] == "**":
            return len(have) >= len(want) - 1 and all(map(self._level, want[:-1], have))
        return len(want) == len(have) and all(map(self._level, want, have))

    def fits(self, right: Any, device: dict[str, Any]) -> bool:
        scope = {"path": right} if isinstance(right, str) else right
        area, line, _ = device["path"].split("/")
        above = self.site["labels"]
        labels = {**above.get(area, {}), **above.get(f"{area}/{line}", {}), **device["labels"]}
        return (
            scope.get("protocol", device["protocol"]) == device["protocol"]
            and ("gateway" not in scope or (device["gateway"] and self._level(scope["gateway"], device["gateway"])))
            and all(labels.get(key) == value for key, value in scope.get("labels", {}).items())
        )

    def denied(self, words: tuple[str, ...], device: dict[str, Any], path: str, rank: int) -> bool:
        for role in self.roles:
            for word in words:
                for right in role.get("deny", {}).get(word, []):
                    scope = {"path": right} if isinstance(right, str) else right
                    least = CLASSES.index(scope["classification"]) if "classification" in scope else 0
                    if self.fits(right, device) and self.matches(scope["path"], path) and rank >= least:
                        return True
        return False

    def may(self, word: str, device: dict[str, Any], path: str, rank: int, *, topic: bool) -> bool:
        """`read` or `write` of a tag; `topic` counts what lets it publish or receive on the topic itself."""
        beside = {"read": "subscribe", "write": "publish"}[word]
        if word == "write" and device["protocol"] == "external" and not topic:
            return False
        counts = (word, beside) if word == "read" or topic else (word,)
        if self.denied(counts, device, path, rank):
            return False
        for role in self.roles:
            rights = list(role[word])
            if topic and device["protocol"] == "external":
                rights += role.get(beside, [])
            highest = CLASSES.index(role.get("clearance", "internal"))
            for right in rights:
                scope = {"path": right} if isinstance(right, str) else right
                most = min(highest, CLASSES.index(scope.get("classification", "restricted")))
                if self.fits(right, device) and self.matches(scope["path"], path) and rank <= most:
                    return True
        return False


def _rank(classification: str) -> int:
    return CLASSES.index(classification or "internal")


@settings(max_examples=300)
@given(site=_sites)
def test_every_tag_is_read_and_written_as_the_model_says(site: dict[str, Any]) -> None:
    rules, naive = GrantRules(compile_grants(_snapshot(site))), _Naive(site)
    for path, device in site["devices"].items():
        for tag, config in device["tags"].items():
            full, rank = f"{path}/{tag}", _rank(config["classification"])
            seen = rules.decide(Request(user="u", wish="receive", topic=f"e/s/{full}"))
            assert seen.allowed is naive.may("read", device, full, rank, topic=True), (full, seen)
            if device["protocol"] == "external":
                sent = Request(user="u", wish="publish", topic=f"e/s/{full}")
                assert rules.decide(sent).allowed is naive.may("write", device, full, rank, topic=True), full
            else:
                command = Request(user="u", wish="publish", topic=f"_nexus/e/s/cmd/{full}/u")
                assert rules.decide(command).allowed is naive.may("write", device, full, rank, topic=False), full
                kept = Request(user="u", wish="publish", topic=command.topic, retain=True)
                assert not rules.decide(kept).allowed
                assert not rules.decide(Request(user="u", wish="publish", topic=f"e/s/{full}")).allowed


@settings(max_examples=300)
@given(site=_sites, below=st.lists(st.sampled_from(["state", "ax", "v", "t1", "q"]), min_size=1, max_size=3))
def test_no_topic_of_others_is_open_that_the_model_closes(site: dict[str, Any], below: list[str]) -> None:
    rules, naive = GrantRules(compile_grants(_snapshot(site))), _Naive(site)
    for path, device in site["devices"].items():
        full = "/".join([path, *below])
        globs = device.get("connection", {}).get("globs", [])
        stored = any(naive.matches(glob, full) for glob in globs)
        if not stored or (len(below) == 1 and below[0] in device["tags"]):
            continue
        rank = _rank(device["classification"])
        for word, wish in (("read", "receive"), ("write", "publish")):
            given_ = rules.decide(Request(user="u", wish=wish, topic=f"e/s/{full}"))  # type: ignore[arg-type]
            wanted = naive.may(word, device, full, rank, topic=True)
            assert wanted or not given_.allowed, (word, full, given_)


@settings(max_examples=300)
@given(site=_sites)
def test_no_filter_is_one_that_a_broker_widens(site: dict[str, Any]) -> None:
    grants = compile_grants(_snapshot(site))
    assert [grant for grant in grants if grant.action == "subscribe" and widens(grant.filter)] == []
    assert all(grant.retain is False for grant in grants if "/cmd/" in grant.filter and grant.principal == "u")
    assert overlap("a/**", "a/b") == "a/b"
