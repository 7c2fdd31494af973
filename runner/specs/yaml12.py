"""YAML as DVC reads it: version 1.2, one value for each key, bounded in size, depth and expansion.

libyaml's event parser does the scanning and this module builds the values, because composing recursively in C ends
the process on deep nesting, PyYAML resolves YAML 1.1 scalars (`1e-3` is a string there, `010` is eight, `no` is
false), and neither duplicate keys nor alias bombs are errors to it. The scalar rules are those of ruamel.yaml's safe
loader for YAML 1.2, which is what DVC uses.
"""

from __future__ import annotations

import binascii
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from runner.errors import Finding, SpecError
from runner.patterns import regex
from runner.values import dataclass, field

Path = tuple[str | int, ...]
"""Where a value stands in a document: keys and list indexes from the top."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one file may ask of the parser."""

    size_bytes: int
    depth: int
    nodes: int
    """Nodes after every alias is counted as a copy of what it stands for."""
    aliases: bool = True


MEBIBYTE = 1 << 20
SPEC_BOUNDS = Bounds(size_bytes=MEBIBYTE, depth=50, nodes=100_000)
DVC_YAML_BOUNDS = Bounds(size_bytes=16 * MEBIBYTE, depth=100, nodes=1_000_000)
DVC_LOCK_BOUNDS = Bounds(size_bytes=64 * MEBIBYTE, depth=100, nodes=16_000_000, aliases=False)
DVC_FILE_BOUNDS = Bounds(size_bytes=16 * MEBIBYTE, depth=50, nodes=4_000_000)
PARAMS_BOUNDS = Bounds(size_bytes=16 * MEBIBYTE, depth=100, nodes=2_000_000)
_LENIENT_BOUNDS = Bounds(size_bytes=DVC_LOCK_BOUNDS.size_bytes, depth=1000, nodes=DVC_LOCK_BOUNDS.nodes)
"""To find a place in whatever a reader with bounds of its own took."""


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document of a file: its value and where it starts."""

    value: Any
    line: int
    column: int
    marks: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    """Line and column of keys and items, as deep as they were asked for."""


def load(text: str | bytes, *, file: str, bounds: Bounds = SPEC_BOUNDS) -> Any:
    """The value of a file that holds one document; None for an empty file.

    Raises SpecError: not YAML, not UTF-8, several documents, duplicate keys, or out of bounds.
    """
    documents = load_all(text, file=file, bounds=bounds)
    if len(documents) > 1:
        second = documents[1]
        raise SpecError(
            [
                Finding(
                    file,
                    second.line,
                    second.column,
                    "a second YAML document starts here",
                    "keep one document in this file",
                )
            ]
        )
    return documents[0].value if documents else None


def load_all(text: str | bytes, *, file: str, bounds: Bounds = SPEC_BOUNDS, mark_depth: int = 0) -> list[YamlDocument]:
    """Every document of a file, with the positions of keys down to `mark_depth` levels.

    Raises SpecError as `load` does.
    """
    return list(_Builder(_decoded(text, file, bounds), file, bounds, mark_depth).documents())


def locate(text: str | bytes, path: Path, *, document: int = 0) -> tuple[int, int]:
    """Line and column, from 1, of the key or item at `path`; of the nearest parent that exists where it does not.

    (0, 0) for a text that is not YAML.
    """
    marks = marks_of(text, len(path), document=document)
    for length in range(len(path), -1, -1):
        if path[:length] in marks:
            return marks[path[:length]]
    return 0, 0


def marks_of(text: str | bytes, depth: int, *, document: int = 0) -> Mapping[Path, tuple[int, int]]:
    """Positions of every key and item of a document down to `depth` levels; empty for a text that is not YAML."""
    documents = _marked(text, depth)
    if document >= len(documents):
        return {}
    return {(): (documents[document].line, documents[document].column), **documents[document].marks}


@functools.lru_cache(maxsize=1)  # a file of many documents is asked about each of them, one after the other
def _marked(text: str | bytes, depth: int) -> Sequence[YamlDocument]:
    try:
        return load_all(text, file="", bounds=_LENIENT_BOUNDS, mark_depth=depth)
    except SpecError:
        return ()


def value_at(text: str | bytes, path: Path, *, document: int = 0) -> Any:
    """The value at a path of a document; None where there is none, or the text is not YAML."""
    try:
        value = load_all(text, file="", bounds=_LENIENT_BOUNDS)[document].value
        for part in path:
            value = value[part]
    except (SpecError, LookupError, TypeError):
        return None
    return value


def _decoded(text: str | bytes, file: str, bounds: Bounds) -> str:
    if len(text) > bounds.size_bytes:
        limit = f"{bounds.size_bytes // MEBIBYTE} MiB"
        raise SpecError([Finding(file, 0, 0, f"the file is larger than {limit}", "split it into several files")])
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        column = error.start - (text.rfind(b"\n", 0, error.start) + 1) + 1
        raise SpecError([Finding(file, line, column, "the text is not UTF-8", "save the file as UTF-8")]) from error


MAX_COSTLY_KEYS = 1_000
"""Keys that anybody can choose so that all of them hash to one value, and that take quadratic time therefore."""
_OWN_HASH = (1 << 61) - 1


def is_costly_key(key: object) -> bool:
    """Whether Python hashes a key to something that is easy to foresee and is not the key itself."""
    if isinstance(key, int):
        return not -_OWN_HASH < key < _OWN_HASH
    return isinstance(key, (tuple, complex, frozenset))


_MERGE = object()
"""The key `<<`, written plainly."""


# ---------------------------------------------------------------------------------------------------------------
# Collections


class _Frame:
    """A list or mapping that is being filled."""

    __slots__ = ("anchor", "event", "items", "key", "key_event", "keyed", "merges", "path", "size", "value")

    def __init__(self, value: Any, event: Any, path: Path | None) -> None:
        self.value = value
        self.event = event
        self.path = path
        self.anchor: str | None = event.anchor
        self.keyed = False
        self.key: Any = None
        self.key_event: Any = event
        self.merges: list[Mapping[Any, Any]] | None = None
        self.size = 1


class _Builder:
    """Values from events, one document after the other, without recursion."""

    def __init__(self, text: str, file: str, bounds: Bounds, mark_depth: int) -> None:
        # imported late: start-up
        import yaml

        from runner.specs import yaml_scalars

        self._yaml: Any = yaml
        self._scalars = yaml_scalars
        self._text = text
        self._file = file
        self._bounds = bounds
        self._mark_depth = mark_depth
        self._nodes = 0
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._marks: dict[Path, tuple[int, int]] = {}
        self._duplicates: list[Finding] = []
        self._costly_keys = 0

    def documents(self) -> Iterator[YamlDocument]:
        if self._text.lstrip().startswith("%YAML 1.1"):
            self._fail(
                None, "a %YAML 1.1 directive is not supported", "remove the directive: YAML is read as version 1.2"
            )
        loader = self._yaml.CSafeLoader(self._text)
        try:
            yield from self._documents(loader.get_event)
        except self._yaml.YAMLError as error:
            raise SpecError([self._syntax_finding(error)]) from error
        finally:
            loader.dispose()
        if self._duplicates:
            raise SpecError(self._duplicates)

    def _documents(self, next_event: Callable[[], Any]) -> Iterator[YamlDocument]:
        next_event()
        while isinstance(event := next_event(), self._yaml.DocumentStartEvent):
            self._anchors, self._marks = {}, {}
            value, first = self._document(next_event)
            next_event()
            mark = first.start_mark if first is not None else event.start_mark
            yield YamlDocument(value, mark.line + 1, mark.column + 1, self._marks)

    def _document(self, next_event: Callable[[], Any]) -> tuple[Any, Any]:
        stack: list[_Frame] = []
        first: Any = None
        max_depth, max_nodes = self._bounds.depth, self._bounds.nodes
        scalar_event, alias_event = self._yaml.ScalarEvent, self._yaml.AliasEvent
        start_events = (self._yaml.MappingStartEvent, self._yaml.SequenceStartEvent)
        while True:
            event = next_event()
            first = first or event
            kind = type(event)
            size = 1
            if kind is scalar_event:
                value = self._scalar(event, stack)
                if event.anchor is not None and value is not _MERGE:
                    self._anchors[event.anchor] = (value, 1)
            elif kind in start_events:
                if len(stack) >= max_depth:
                    self._fail(event, f"more than {max_depth} levels of nesting", "flatten the document")
                stack.append(self._frame(event, stack))
                continue
            elif kind is alias_event:
                value, size = self._alias(event)
            else:
                frame = stack.pop()
                value, size = self._closed(frame), frame.size
                event = frame.event
                if frame.anchor is not None:
                    self._anchors[frame.anchor] = (value, size)
            self._nodes += 1 if kind is not alias_event else size
            if self._nodes > max_nodes:
                self._fail(event, f"more than {max_nodes} values once aliases are expanded", "use fewer aliases")
            if not stack:
                return value, first
            self._put(stack[-1], value, event, size)

    def _frame(self, event: Any, stack: list[_Frame]) -> _Frame:
        path: Path | None = ()
        if stack:
            path = self._child_path(stack[-1], event)
        return _Frame({} if type(event) is self._yaml.MappingStartEvent else [], event, path)

    def _child_path(self, parent: _Frame, event: Any) -> Path | None:
        """Path of the value that starts here, marked; None when deeper than asked for, or part of a key."""
        if parent.path is None or len(parent.path) >= self._mark_depth:
            return None
        if isinstance(parent.value, dict):
            if not parent.keyed or parent.key is _MERGE or not isinstance(parent.key, (str, int)):
                return None
            return (*parent.path, parent.key)
        path = (*parent.path, len(parent.value))
        self._marks[path] = (event.start_mark.line + 1, event.start_mark.column + 1)
        return path

    def _scalar(self, event: Any, stack: list[_Frame]) -> Any:
        text: str = event.value
        tag = event.tag
        if stack and not isinstance(stack[-1].value, dict):
            self._child_path(stack[-1], event)
        if tag is not None and tag != "!":
            return self._tagged(event, tag, text)
        if event.style:
            return text
        first = text[:1]
        if first not in self._scalars.PLAIN_STARTS and first not in ("", "<", "="):
            return text
        if text in ("<<", "="):
            return self._indicator(event, text, stack)
        try:
            return self._scalars.plain_scalar(text)
        except ValueError as error:
            self._fail(event, f"`{text[:60]}` looks like a number or a date and is none ({error})", "put it in quotes")

    def _indicator(self, event: Any, text: str, stack: list[_Frame]) -> Any:
        """The merge key, and the plain `=` that YAML keeps for itself: text as a key, no value as a value."""
        if stack and isinstance(stack[-1].value, dict) and not stack[-1].keyed:
            return _MERGE if text == "<<" else text
        self._fail(event, f"a plain `{text}` is no value in YAML", "put it in quotes")

    def _tagged(self, event: Any, tag: str, text: str) -> Any:
        construct = self._scalars.TAGGED.get(tag)
        if construct is None:
            self._fail(event, f"the tag {_short_tag(tag)} is not allowed", "remove the tag: plain values only")
        try:
            return construct(text)
        except (ValueError, KeyError, IndexError, binascii.Error) as error:
            self._fail(event, f"`{text[:60]}` cannot be read as {_short_tag(tag)} ({error})", "mend or remove the tag")

    def _alias(self, event: Any) -> tuple[Any, int]:
        if not self._bounds.aliases:
            self._fail(event, f"the alias *{event.anchor} is not allowed in this file", "write the value out")
        if event.anchor not in self._anchors:
            self._fail(
                event,
                f"the alias *{event.anchor} stands for nothing complete before it",
                f"name an anchor &{event.anchor} above",
            )
        return self._anchors[event.anchor]

    def _put(self, frame: _Frame, value: Any, event: Any, size: int) -> None:
        frame.size += size
        container = frame.value
        if type(container) is list:
            container.append(value)
            return
        if not frame.keyed:
            self._key(frame, value, event)
            return
        frame.keyed = False
        if frame.key is _MERGE:
            self._merge(frame, value, event)
        else:
            container[frame.key] = value

    def _key(self, frame: _Frame, key: Any, event: Any) -> None:
        if key is not _MERGE:
            key = tuple(key) if type(key) is list else key
            if type(key) is not str and is_costly_key(key):
                self._costly_keys += 1
                if self._costly_keys > MAX_COSTLY_KEYS:
                    message = f"more than {MAX_COSTLY_KEYS:,} keys that are lists or very large numbers"
                    self._fail(event, message, "put the keys in quotes")
            try:
                duplicate = key in frame.value
            except TypeError:
                self._fail(event, "a mapping or a list cannot be a key", "use a plain word as the key")
            if duplicate:
                # Reading goes on, so that every duplicate is found at once.
                message, hint = f"the key `{key}` stands here twice", "remove or rename one of them"
                line, column = event.start_mark.line + 1, event.start_mark.column + 1
                self._duplicates.append(Finding(self._file, line, column, message, hint))
        elif frame.merges is not None:
            self._fail(event, "the merge key `<<` stands here twice", "merge a list: `<<: [*a, *b]`")
        frame.key, frame.key_event, frame.keyed = key, event, True
        if frame.path is not None and len(frame.path) < self._mark_depth and isinstance(key, (str, int)):
            self._marks[(*frame.path, key)] = (event.start_mark.line + 1, event.start_mark.column + 1)

    def _merge(self, frame: _Frame, value: Any, event: Any) -> None:
        sources: Sequence[Any] = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            self._fail(event, "`<<` merges mappings only", "point the alias at a mapping, or at a list of mappings")
        frame.merges = list(sources)

    def _closed(self, frame: _Frame) -> Any:
        if frame.merges is not None:
            own = frame.value
            frame.value = {}
            for source in reversed(frame.merges):
                frame.value.update(source)
            frame.value.update(own)
        tag = frame.event.tag
        if tag in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            return frame.value
        return self._tagged_collection(frame, tag)

    def _tagged_collection(self, frame: _Frame, tag: str) -> Any:
        if tag == "tag:yaml.org,2002:set" and isinstance(frame.value, dict):
            return set(frame.value)
        if tag == "tag:yaml.org,2002:omap" and isinstance(frame.value, list):
            return {key: value for pair in frame.value if isinstance(pair, dict) for key, value in pair.items()}
        self._fail(frame.event, f"the tag {_short_tag(tag)} is not allowed", "remove the tag: plain values only")

    def _fail(self, event: Any, message: str, hint: str) -> NoReturn:
        line, column = (event.start_mark.line + 1, event.start_mark.column + 1) if event is not None else (1, 1)
        raise SpecError([Finding(self._file, line, column, message, hint)])

    def _syntax_finding(self, error: Exception) -> Finding:
        conflict = _CONFLICT.search(self._text)
        if conflict:
            line = self._text.count("\n", 0, conflict.start()) + 1
            return Finding(
                self._file, line, 1, "the file holds merge-conflict markers", "resolve the conflict and commit again"
            )
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        if mark is None:
            line, column = self._unreadable_place(error)
        problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
        context = getattr(error, "context", None)
        message, hint = _plain_words(problem, str(context) if context else "")
        return Finding(self._file, line, column, message, hint)

    def _unreadable_place(self, error: Exception) -> tuple[int, int]:
        position = getattr(error, "position", None)
        if not isinstance(position, int):
            return 0, 0
        before = self._text[:position]
        return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


_CONFLICT = regex(r"^(?:<{7}|={7}|>{7})(?: .*)?$", re.MULTILINE)

_WORDS: tuple[tuple[str, str, str], ...] = (
    (
        "found character that cannot start any token",
        "a tab or a reserved character stands where a value starts",
        "indent with spaces; quote values that start with @, ` or %",
    ),
    (
        "did not find expected key",
        "the indentation or the punctuation breaks the mapping here",
        "align the key with its neighbours, or close the quote or bracket above",
    ),
    (
        "did not find expected '-' indicator",
        "the list ends here without a reason",
        "align the item with the others, each starting with `- `",
    ),
    (
        "mapping values are not allowed",
        "a `:` stands where no key can be",
        "put the text in quotes, or start a new line for the key",
    ),
    ("could not find expected ':'", "a key without a `:`", "write `key: value`"),
    ("found unexpected end of stream", "the file ends inside a quoted text", "close the quote"),
    ("did not find expected ',' or ']'", "a list in brackets is not closed", "add `]` or the missing comma"),
    ("did not find expected ',' or '}'", "a mapping in braces is not closed", "add `}` or the missing comma"),
    ("did not find expected alphabetic or numeric character", "a `*` or `&` without a name", "put the text in quotes"),
    (
        "found unknown escape character",
        "an unknown escape in double quotes",
        "use single quotes, or double the backslash",
    ),
    ("control characters are not allowed", "a control character", "remove it"),
    ("did not find expected node content", "a value is missing here", "write a value"),
)


def _plain_words(problem: str, context: str) -> tuple[str, str]:
    for known, message, hint in _WORDS:
        if known in problem:
            return f"not YAML: {message}", hint
    return f"not YAML: {problem}" + (f" {context}" if context else ""), "mend the syntax"


def _short_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")
