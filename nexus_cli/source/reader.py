"""From libyaml's events straight to nodes with places. Recursion is bounded by `MAX_DEPTH`.

See docs/decisions/0006.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from yaml import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    YAMLError,
)
from yaml._yaml import CParser

from nexus_cli.diagnostics import Diagnostic
from nexus_cli.diagnostics.codes import finding
from nexus_cli.diagnostics.diagnostic import Related
from nexus_cli.source.encoding import for_libyaml
from nexus_cli.source.nodes import Map, Seq, SourceFile, pack, span_end, unpack
from nexus_cli.source.pool import Pool
from nexus_cli.source.scalars import CORE_PREFIX, CORE_TAGS, ScalarError, resolve, resolve_tagged
from nexus_cli.source.syntax import MAX_DEPTH, deceptive_findings, syntax_findings

MAX_ALIASED = 2_000_000
"""Characters of text that all aliases together may repeat; a real site needs a few thousand."""


class _Stop(Exception):
    """The rest of this file can't be read."""


class Reader:
    """Reads one file, or a piece of it.

    Attributes:
        findings: What was wrong, in the order of the text.
        references: `(container, key)` of every string that holds `${`, to be substituted in place.
        shared: True when aliases share nodes: these must not be changed in place.
        documents: How many there were.
    """

    def __init__(
        self, file: SourceFile, *, text: str | None = None, offset: int = 0, depth: int = 0, pool: Pool | None = None
    ) -> None:
        """Read a file, or a piece of it with `read_piece`.

        Args:
            file: The file.
            text: Of the piece, None for the whole file.
            offset: Where in the file the piece begins.
            depth: Levels around the piece.
            pool: Strings and numbers of the pieces before.
        """
        self.file = file
        self.findings: list[Diagnostic] = []
        self.references: list[tuple[Any, Any]] = []
        self.shared = False
        self.documents = 0
        if text is None:
            text = file.text
        pool = pool or Pool()
        self._depth = depth
        self._tags = "!" in text
        self._anchors = "&" in text or "*" in text
        self._decorated = self._tags or self._anchors
        self._base = pack(file.number, offset, offset)
        readable, self._back = for_libyaml(text)
        self._stands_in = readable is not text
        self._get: Callable[[], Any] = CParser(readable).get_event
        self._strings = pool.strings
        self._numbers = pool.numbers
        self._anchored: dict[str, tuple[Any, int, int]] = {}  # value, weight in characters, height in levels
        self._reached = 0  # the deepest level so far, to measure the height of an anchored value
        self._open: set[str] = set()
        self._aliased = 0
        self._end = 0

    def read(self) -> Any:
        """The root node of the first document; None when there is none or the text can't be parsed."""
        was_enabled = gc.isenabled()
        gc.disable()  # nothing here becomes garbage, and a collection of a million nodes costs more than reading them
        self.findings.extend(deceptive_findings(self.file))
        try:
            root = self._document()
            return _restored(root, self._back) if self._stands_in else root
        except YAMLError:
            self.findings.extend(syntax_findings(self.file))
            return None
        except _Stop:
            return None
        finally:
            if was_enabled:
                gc.enable()

    def read_piece(self) -> Any:
        """As `read`, for who reads the whole file where anything is wrong: None where the piece can't be parsed.

        Places of findings are those of the piece. Garbage collection is the caller's.
        """
        if self._stands_in:
            return None
        try:
            return self._document()
        except (YAMLError, _Stop):
            return None

    def _document(self) -> Any:
        get = self._get
        root: Any = None
        while (event := get()) is not None:
            kind = type(event)
            if kind is DocumentStartEvent:
                self.documents += 1
                if self.documents == 2:
                    hint = "remove the '---', or put what follows into a file of its own and `include` it"
                    self._add("NX0013", "a second document begins here; a site file holds one", event, hint=hint)
                if self.documents >= 2:
                    self._skip()
                else:
                    holder = Seq()
                    holder.marks = []
                    first: Any = get()
                    holder.append(self._value(first, holder, 0, self._depth))
                    root = holder[0]
        return root

    def _skip(self) -> None:
        while (event := self._get()) is not None and type(event).__name__ != "DocumentEndEvent":
            pass

    def _map(self, depth: int) -> Map:
        result = Map()
        marks: dict[Any, int] = {}
        result.marks = marks
        get, strings, base = self._get, self._strings, self._base
        decorated = self._decorated
        while True:
            event = get()
            kind = type(event)
            if kind is ScalarEvent:
                text = event.value
                if decorated and (event.tag or event.anchor):
                    key = self._key(event, depth)
                else:
                    key = strings.get(text)
                    if key is None:
                        key = self._key(event, depth)
            elif kind is MappingEndEvent:
                if decorated:
                    self._end = event.end_mark.index
                return result
            else:
                key = self._key(event, depth)
            value_event = get()
            if type(value_event) is ScalarEvent and not (decorated and (value_event.tag or value_event.anchor)):
                text = value_event.value
                value = strings.get(text)
                if value is None:
                    value = self._scalar(value_event, text, result, key)
            else:
                value = self._value(value_event, result, key, depth)
            if key in marks:
                self._duplicate(key, event, marks[key])
            elif key is not _NO_KEY:
                result[key] = value
                marks[key] = base + (event.start_mark.index << 32) + value_event.start_mark.index

    def _seq(self, depth: int) -> Seq:
        result = Seq()
        marks: list[int] = []
        result.marks = marks
        get, base = self._get, self._base
        while True:
            event = get()
            kind = type(event)
            if kind is SequenceEndEvent:
                self._end = event.end_mark.index
                return result
            result.append(self._value(event, result, len(result), depth))
            start = event.start_mark.index
            marks.append(base + (start << 32) + start)

    def _value(self, event: Any, holder: Any, key: Any, depth: int) -> Any:
        kind = type(event)
        if kind is ScalarEvent:
            value = self._tagged(event) if event.tag else self._scalar(event, event.value, holder, key)
            if event.anchor:
                self._anchored[event.anchor] = (value, 1, 0)
            return value
        if kind is AliasEvent:
            value = self._alias(event, depth)
            if isinstance(value, str) and "${" in value:
                self.references.append((holder, key))
            return value
        if depth >= MAX_DEPTH:
            self._add("NX0018", f"nested deeper than {MAX_DEPTH} levels", event, hint="no site needs more than 12")
            raise _Stop
        if self._decorated and event.tag and not _fits(event.tag, kind):
            self._unknown_tag(event)
        if self._anchors:
            self._reached = max(self._reached, depth + 1)
        if not event.anchor:
            return self._map(depth + 1) if kind is MappingStartEvent else self._seq(depth + 1)
        return self._anchored_container(event, depth)

    def _anchored_container(self, event: Any, depth: int) -> Any:
        name, before, reached = event.anchor, self._aliased, self._reached
        self._reached = depth + 1
        self._anchored.pop(name, None)
        self._open.add(name)
        value = self._map(depth + 1) if type(event) is MappingStartEvent else self._seq(depth + 1)
        self._open.discard(name)
        weight = self._end - event.start_mark.index + self._aliased - before
        self._anchored[name] = (value, weight, self._reached - depth)
        self._reached = max(self._reached, reached)
        return value

    def _alias(self, event: Any, depth: int) -> Any:
        name = event.anchor
        if name not in self._anchored:
            what = "it contains itself" if name in self._open else "no anchor with that name is defined before it"
            hint = f"write '&{name}' before the value it refers to, above; or put '*{name}' in quotes if it is text"
            self._add("NX0019", f"the alias '*{name}' can't be used: {what}", event, hint=hint)
            return None
        self.shared = True
        value, weight, height = self._anchored[name]
        if depth + height > MAX_DEPTH:
            self._add("NX0018", f"nested deeper than {MAX_DEPTH} levels by this alias", event)
            raise _Stop
        self._reached = max(self._reached, depth + height)
        if self._aliased + weight > MAX_ALIASED:
            self._add("NX0017", f"the aliases of this file expand to more than {MAX_ALIASED:,} characters", event)
            raise _Stop
        self._aliased += weight
        return value

    def _scalar(self, event: Any, text: str, holder: Any, key: Any) -> Any:
        """A scalar without a tag that is not yet known to be a plain string."""
        if event.style:
            if "${" in text:
                self.references.append((holder, key))
            return text
        numbers = self._numbers
        if text in numbers:
            return numbers[text]
        try:
            value = resolve(text)
        except ScalarError as error:
            self._add("NX0020", f"{error}", event, hint="write it in quotes if it is text")
            return None
        if type(value) is not str:
            numbers[text] = value
        elif "${" in text:
            self.references.append((holder, key))
        else:
            self._strings[text] = text
        return value

    def _tagged(self, event: Any) -> Any:
        tag = event.tag
        if tag == "!":
            return event.value
        name = tag.removeprefix(CORE_PREFIX)
        if name == tag or name not in CORE_TAGS:
            self._unknown_tag(event)
            return event.value
        try:
            return resolve_tagged(event.value, name)
        except ScalarError as error:
            self._add("NX0015", str(error), event)
            return None

    def _key(self, event: Any, depth: int) -> Any:
        """A key: text, or an integer (of `values:`)."""
        if type(event) is AliasEvent:
            value = self._alias(event, depth)
        elif type(event) is ScalarEvent:
            if event.value == "<<" and not event.style and not event.tag:
                hint = "YAML 1.2 has no merge key; share settings by `templates:` or `defaults:`"
                self._add("NX0014", "the merge key '<<' is not part of the language", event, hint=hint)
                return _NO_KEY
            value = self._value(event, None, None, depth)
            if self.references and self.references[-1] == (None, None):
                self.references.pop()  # references have no meaning in keys; the name check refuses the `$`
        else:
            value = self._value(event, None, None, depth)
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        what = "a list or map" if isinstance(value, (dict, list)) else f"'{getattr(event, 'value', '')}'"
        hint = "put the key in quotes" if not isinstance(value, (dict, list)) else "a key is a name"
        self._add("NX0016", f"{what} can't be a key", event, hint=hint)
        return _NO_KEY

    def _duplicate(self, key: Any, event: Any, first_mark: int) -> None:
        _, first, _ = unpack(first_mark)
        place = self.file.place(first, span_end(self.file.text, first, str(key)))
        related = (Related(message="first defined here", place=place),)
        hint = "remove one of them; the first is kept until then"
        self._add("NX0012", f"the key '{key}' is defined twice", event, hint=hint, related=related)

    def _unknown_tag(self, event: Any) -> None:
        tag = event.tag.removeprefix(CORE_PREFIX)
        shown = event.tag if tag == event.tag else f"!!{tag}"
        hint = "remove it; secrets are written ${env:NAME} or ${file:PATH}"
        self._add("NX0015", f"the tag '{shown}' has no meaning here", event, hint=hint)

    def _add(self, code: str, message: str, event: Any, *, hint: str = "", related: tuple[Related, ...] = ()) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        number = self.file.line_column(start)[0]
        if number < len(self.file.starts):
            end = min(end, self.file.starts[number] - 1)
        place = self.file.place(start, end)
        self.findings.append(finding(code, self._back(message), place=place, hint=hint, related=related))


_NO_KEY = object()


def _restored(node: Any, back: Callable[[str], str]) -> Any:
    """The node, changed in place, with the characters of the text where `for_libyaml` put placeholders."""
    if isinstance(node, Map):
        for key, value in list(node.items()):
            node[key] = _restored(value, back)
            if isinstance(key, str) and (name := back(key)) != key:
                node[name], node.marks[name] = node.pop(key), node.marks.pop(key)
    elif isinstance(node, Seq):
        node[:] = [_restored(item, back) for item in node]
    return back(node) if isinstance(node, str) else node


def _fits(tag: str, kind: type) -> bool:
    wanted = "map" if kind is MappingStartEvent else "seq"
    return tag in ("!", CORE_PREFIX + wanted)
