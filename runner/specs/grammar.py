"""Templates and groups resolved by DVC's own resolver, over git objects instead of a workspace.

`dvc.parsing.DataResolver` asks its repository for two things only: a file system, here a view of a git tree that
notes which files were asked for, and the `parsing` section of the configuration. The list of files asked for, with
their blob ids, is what a cached result is checked against.
"""

from __future__ import annotations

import functools
import io
import json
import math
import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from runner.errors import Finding, SpecError
from runner.patterns import regex
from runner.specs import yaml12
from runner.specs.graph_checks import dotted_names, size_of
from runner.specs.guesses import GUESSES, nearest
from runner.specs.places import Locator
from runner.values import dataclass, field

MAX_STAGES = 100_000
"""Stages of one pipeline after groups are expanded."""
MAX_TEXT_BYTES = 256 << 20
"""Longest text that interpolation may make of one pipeline."""
_TEXT_TIMES = 32
"""So many times the size of the file may be made of it."""
_OF_A_STAGE = 4
"""Values that a stage costs beside those that are written in it."""
_MAX_SCAN = 20_000_000
_MOST_EXPRESSIONS = 4096
"""So many are remembered, each of at most `_MAX_EXPRESSION` letters."""
_MAX_EXPRESSION = 1000
_MAX_MESSAGE = 2000

TreeFiles = Callable[[str], tuple[str, str] | None]
"""(mode, blob id) of a path of the commit; None where there is no file."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A pipeline file with templates resolved: what DVC would load."""

    stages: dict[str, dict[str, Any]]
    groups: dict[str, str]
    """Name of the group of each generated stage."""
    metrics: list[str] = field(default_factory=list)
    artifacts: dict[str, Any] = field(default_factory=dict)
    plots: list[Any] = field(default_factory=list)
    params: list[str] = field(default_factory=list)
    notices: list[tuple[str, int, int]] = field(default_factory=list)
    """What people should know, with line and column."""
    consulted: list[str] = field(default_factory=list)
    """Files that were asked for, whether or not they exist, in the order they were first asked for."""
    templated: bool = True
    """Whether the definition asks for the value of any variable."""
    failed: list[str] = field(default_factory=list)
    """Stages and groups that DVC cannot resolve, or not all of."""


class GitFiles:
    """The seven members of a file system that DVC's resolver uses, over the blobs of a commit.

    Whatever format a parameter file has, it is parsed by `load` (bounded, remembered) and given to DVC as JSON.
    """

    sep = "/"

    def __init__(
        self,
        file_of: TreeFiles,
        is_folder: Callable[[str], bool],
        target_of: Callable[[str], str],
        load: Callable[[str, str], Mapping[Any, Any]],
        text_of: Callable[[str, str], bytes],
    ) -> None:
        self._file_of = file_of
        self._is_folder = is_folder
        self._target_of = target_of
        self._load = load
        self._text_of = text_of
        self._selects: Callable[[str], Collection[str] | None] = lambda path: None
        self.consulted: dict[str, None] = {}

    def select(self, selects: Callable[[str], Collection[str] | None]) -> None:
        """Give of each file only the keys that `selects` names of it; all where it says None."""
        self._selects = selects

    def join(self, *parts: str) -> str:
        """As posixpath.join."""
        return posixpath.join(*parts)

    def normpath(self, path: str) -> str:
        """As posixpath.normpath."""
        return posixpath.normpath(path)

    def relpath(self, path: str, start: str = ".") -> str:
        """As posixpath.relpath."""
        return posixpath.relpath(path, start)

    def suffix(self, path: str) -> str:
        """Always `.json`: that is what `open` gives."""
        return ".json"

    def exists(self, path: str) -> bool:
        """Whether the commit has a file or a folder there."""
        return self._entry(path) is not None or self.isdir(path)

    def isdir(self, path: str) -> bool:
        """Whether the commit has a folder there."""
        path = self._noted(path)
        return path == "." or (not path.startswith(("/", "..")) and self._is_folder(path))

    def open(self, path: str, mode: str = "r", encoding: str = "utf-8", **_: Any) -> io.StringIO:
        """The values of a parameter file as JSON text.

        Raises FileNotFoundError; SpecError as `load` does, and for a value that templates cannot hold.
        """
        entry = self._entry(path)
        if entry is None:
            raise FileNotFoundError(path)
        name = posixpath.normpath(path)
        values, keys = self._load(name, entry[1]), self._selects(name)
        if keys is not None:
            values = {key: value for key, value in values.items() if key in keys}
        locator = Locator(name, lambda: self._text_of(name, entry[1]))
        return io.StringIO(json.dumps(check_for_templates(values, locator)))

    def _noted(self, path: str) -> str:
        path = posixpath.normpath(path)
        self.consulted.setdefault(path)
        return path

    def _entry(self, path: str) -> tuple[str, str] | None:
        """The blob at a path, links inside the tree followed."""
        for _ in range(5):
            path = self._noted(path)
            if path.startswith(("/", "..")):
                return None
            entry = self._file_of(path)
            if entry is None or entry[0] == "160000":
                return None
            if entry[0] != "120000":
                return entry
            path = posixpath.join(posixpath.dirname(path), self._target_of(entry[1]))
        return None


def check_for_templates(value: Any, locator: Locator, path: yaml12.Path = ()) -> Any:
    """What DVC's context keeps of a value of a parameter file: keys that are text, and plain values.

    Raises SpecError for a value that templates cannot hold, such as a date; DVC fails on it too.
    """
    if isinstance(value, Mapping):
        return {
            name: check_for_templates(item, locator, (*path, name))
            for name, item in value.items()
            if isinstance(name, str)
        }
    if isinstance(value, list):
        return [check_for_templates(item, locator, (*path, index)) for index, item in enumerate(value)]
    if value is None or isinstance(value, (str, int, float)):
        return value
    key = ".".join(part for part in path if isinstance(part, str))
    message = f"`{key}` is a {type(value).__name__}, which templates cannot hold"
    has_marks = not locator.file.lower().endswith((".toml", ".py"))
    place = locator.position(path) if has_marks else (0, 0)
    raise SpecError([Finding(locator.file, *place, message, "put it in quotes")])


def resolve(
    definition: Mapping[str, Any],
    base: str,
    files: GitFiles,
    parsing: Mapping[str, Any],
    locator: Locator,
    bounds: yaml12.Bounds = yaml12.DVC_YAML_BOUNDS,
) -> tuple[Resolved, list[Finding]]:
    """Every stage of a pipeline definition as DVC would load it, and what DVC cannot resolve, at its place.

    `definition` is the mapping of a `dvc.yaml`; `base` the folder it stands in, from the root of the repository;
    `parsing` the `parsing` section of DVC's configuration; `bounds` those of the file, which hold for what groups make
    of it, too.
    """
    written = _as_written(definition, base, files)
    if written is not None:
        return written, []
    from runner.specs.selection import selection_of  # imported late: few definitions hold anything to resolve

    files.select(selection_of(definition, "" if base == "." else base, _DEFAULT_PARAMS))
    return _Resolution(definition, base, files, parsing, locator, bounds).run()


def _as_written(definition: Mapping[str, Any], base: str, files: GitFiles) -> Resolved | None:
    """A definition with nothing to resolve, as DVC's resolver gives it back; None where that has to be asked.

    It takes a third of a millisecond for each stage, and as long as two hundred of them to be imported.
    """
    stages, sections = definition.get("stages") or {}, {}
    if "vars" in definition or not all(map(_is_plain, stages.items())) or uses_templates(definition):
        return None
    for name, kind in _SECTIONS.items():
        if not isinstance(definition.get(name, kind()), kind):
            return None
        sections[name] = definition.get(name) or kind()
    default = posixpath.join("" if base == "." else base, _DEFAULT_PARAMS)
    try:
        if files.exists(default):  # DVC reads it for every pipeline, and says what is wrong with it
            files.open(default)
    except (FileNotFoundError, SpecError):
        return None
    made = {name: dict(stage) for name, stage in stages.items()}
    del sections["datasets"]
    return Resolved(made, {}, consulted=list(files.consulted), templated=False, **sections)


def _is_plain(named: tuple[str, Any]) -> bool:
    """Whether this is one stage, and not a group of them."""
    name, stage = named
    return "@" not in name and isinstance(stage, dict) and not {"foreach", "matrix", "do"} & stage.keys()


_SECTIONS: dict[str, type] = {"metrics": list, "artifacts": dict, "plots": list, "params": list, "datasets": list}
"""What stands beside stages."""
_DEFAULT_PARAMS = "params.yaml"


class _Resolution:
    """One resolution: DVC's resolver, and the findings gathered on the way."""

    def __init__(
        self,
        definition: Mapping[str, Any],
        base: str,
        files: GitFiles,
        parsing: Mapping[str, Any],
        locator: Locator,
        bounds: yaml12.Bounds,
    ) -> None:
        self._definition = definition
        self._wdir = "" if base == "." else base
        self._files = files
        self._parsing = parsing
        self._locator = locator
        self._findings: list[Finding] = []
        self._notices: list[tuple[str, int, int]] = []
        self._resolver: Any = None
        self._values_left = bounds.nodes
        self._values_bound = bounds.nodes
        self._text_bytes = min(MAX_TEXT_BYTES, bounds.size_bytes * _TEXT_TIMES)

    def run(self) -> tuple[Resolved, list[Finding]]:
        stages: dict[str, dict[str, Any]] = {}
        groups: dict[str, str] = {}
        self._guarded(("stages",), self._check_templates)
        self._resolver = None if self._findings else self._guarded(("vars",), self._make_resolver)
        if self._resolver is not None:
            self._guarded(("stages",), lambda: self._check_length(self._definition, 1, ("stages",)))
        if self._resolver is None or self._findings:
            failed = list(self._definition.get("stages") or {})
            return Resolved({}, {}, consulted=list(self._files.consulted), failed=failed), self._findings
        failed = []
        for group in self._definition.get("stages") or {}:
            before = len(self._findings)
            if len(stages) <= MAX_STAGES:
                self._resolve_group(group, stages, groups)
                if len(stages) > MAX_STAGES:
                    self._add(("stages", group), f"more than {MAX_STAGES:,} stages", "split the pipeline")
            if len(stages) > MAX_STAGES or len(self._findings) > before:
                failed.append(group)
        sections = self._top_level()
        resolved = Resolved(
            stages,
            groups,
            consulted=list(self._files.consulted),
            templated=uses_templates(self._definition),
            notices=self._notices,
            failed=failed,
            **sections,
        )
        return resolved, list(dict.fromkeys(self._findings))

    def _make_resolver(self) -> Any:
        # imported late: start-up
        from dvc.parsing import DataResolver, interpolate

        if not hasattr(interpolate.parse_expr, "cache_info"):
            # The same few expressions stand in thousands of texts; reading one is the most of what a template costs.
            interpolate.parse_expr = functools.lru_cache(_MOST_EXPRESSIONS)(interpolate.parse_expr)
        repository = SimpleNamespace(fs=self._files, config={"parsing": dict(self._parsing)})
        stages = {name: _renamed(stage) for name, stage in (self._definition.get("stages") or {}).items()}
        resolver = DataResolver(repository, self._wdir, {**self._definition, "stages": stages})
        return resolver

    def _check_length(self, definition: Any, times: int, path: yaml12.Path) -> None:
        """Refuse texts that interpolation would blow up, before it does; `times`: how often the definition is used."""
        longest = _longest_text(self._resolver.context)
        length = sum(len(text) + text.count("${") * longest for text in _texts(definition))
        if length * times > self._text_bytes:
            message = f"the templates make more than {self._text_bytes >> 20} MiB of text"
            raise SpecError([self._locator.finding(path, message, "keep long values out of templates")])

    def _check_templates(self) -> None:
        """Refuse what DVC's pattern and parser for templates take quadratic time for."""
        for text in _texts(self._definition):
            if "${" not in text:
                continue
            tail = text[text.rfind("}") + 1 :]
            longest = max((len(part.partition("}")[0]) for part in text.split("${")[1:] if "}" in part), default=0)
            if tail.count("${") * len(tail) > _MAX_SCAN or longest > _MAX_EXPRESSION:
                message = f"a text holds templates that are too long or never closed: `{text[:40]}...`"
                raise SpecError([self._locator.finding(("stages",), message, "close each ${ with }")])

    def _resolve_group(self, group: str, stages: dict[str, dict[str, Any]], groups: dict[str, str]) -> None:
        names = self._guarded(("stages", group), lambda: self._names(group))
        for name in names or ():
            if "@" in name[len(group) + 1 :]:
                hint = "use items without `@`"
                self._add(
                    ("stages", group), f"the generated name `{name}` holds a second `@`, which DVC cannot address", hint
                )
                return
            before = len(self._findings)
            resolved = self._guarded(("stages", group), functools.partial(self._resolve_one, name))
            if isinstance(resolved, dict):
                stages[name] = resolved
                if name != group:
                    groups[name] = group
            elif len(self._findings) > before:
                return

    def _resolve_one(self, name: str) -> Any:
        stage: dict[str, Any] = self._resolver.resolve_one(name)[name]
        return {"with" if key == _WITH else key: value for key, value in stage.items()}

    def _names(self, group: str) -> list[str]:
        definition = self._resolver.definitions[group]
        if not hasattr(definition, "get_generated_names"):
            return [group]
        iterable = definition.resolved_iterable
        if hasattr(definition, "matrix_data"):
            self._check_axes(group, iterable)
        sizes = [len(axis) for axis in iterable.values()] if hasattr(definition, "matrix_data") else [len(iterable)]
        if math.prod(sizes) > MAX_STAGES:
            text = f"the group `{group}` makes {math.prod(sizes):,} stages, more than {MAX_STAGES:,}"
            raise SpecError([self._locator.finding(("stages", group), text, "iterate over less")])
        self._check_length(self._definition["stages"][group], math.prod(sizes), ("stages", group))
        self._values_left -= math.prod(sizes) * (_OF_A_STAGE + size_of(self._repeated(group)))
        if self._values_left < 0:
            text = f"the groups make more than {self._values_bound:,} values"
            raise SpecError(
                [self._locator.finding(("stages", group), text, "iterate over less, or split the pipeline")]
            )
        names = list(definition.get_generated_names())
        if not names:
            position = self._locator.position(("stages", group))
            self._notices.append((f"the group `{group}` makes no stage: it has nothing to iterate over", *position))
        return names

    def _repeated(self, group: str) -> Any:
        """The part of a group that each of its stages has."""
        value = self._definition["stages"][group]
        return value.get("do", {key: item for key, item in value.items() if key != "matrix"})

    def _check_axes(self, group: str, axes: Mapping[str, Any]) -> None:
        for name, axis in axes.items():
            value = getattr(axis, "value", axis)
            if not isinstance(value, (list, dict)):
                path = ("stages", group, "matrix", name)
                message = f"the axis `{name}` stands for {_type_word(value)}, not for a list"
                raise SpecError([self._locator.finding(path, message, "an axis of a matrix takes a list of values")])

    def _top_level(self) -> dict[str, Any]:
        sections: dict[str, Any] = {}
        for name in ("metrics", "artifacts", "plots", "params"):
            value = self._guarded((name,), getattr(self._resolver, f"resolve_{name}"))
            if value:
                sections[name] = value
        return sections

    def _guarded(self, path: yaml12.Path, act: Callable[[], Any]) -> Any:
        """What `act` returns, or None and a finding; DVC's parser meets hostile input here, so everything is caught."""
        # imported late: start-up
        from dvc.exceptions import DvcException

        try:
            return act()
        except SpecError as error:
            self._findings.extend(error.findings)
        except DvcException as error:
            self._add_dvc_error(path, str(error))
        except (RecursionError, MemoryError) as error:
            self._add(path, f"too deep or too large to resolve ({type(error).__name__})", "simplify the templates")
        except (ValueError, TypeError, KeyError, AttributeError, AssertionError, LookupError, OSError) as error:
            self._add(
                path,
                f"DVC cannot resolve this: {error or type(error).__name__}",
                "compare with DVC's documentation of dvc.yaml",
            )
        return None

    def _add(self, path: yaml12.Path, message: str, hint: str) -> None:
        self._findings.append(self._locator.finding(path, message, hint))

    def _add_dvc_error(self, path: yaml12.Path, text: str) -> None:
        text = _ANSI.sub("", text).replace(_WITH, "with")[:_MAX_MESSAGE]
        where = _failed_path(text, path, self._definition)
        reason = _PREAMBLE.sub("", text).strip()
        unknown = _UNKNOWN.search(reason)
        if unknown is None:
            if where[-1:] == (group_of(path),) and "vars[" in reason:
                where = (*where, "vars")
            message = _one_line(reason)
            self._add(where, message, _hint(message))
            return
        key = unknown[1]
        hint = self._known_variables(key)
        if _OF_A_SHELL.search(key) or (key.isupper() and not hint.startswith("did you mean")):
            hint = f"`\\${{{key}}}` leaves it to the shell"
        self._add(where, f"unknown variable ${{{key}}}", hint)

    def _known_variables(self, key: str) -> str:
        context = self._resolver.context if self._resolver is not None else {}
        names = dotted_names(context, 500) if len(self._findings) < GUESSES else []
        close = nearest(key, names)
        if close:
            return f"did you mean ${{{close}}}?"
        sources = [path for path in self._files.consulted if self._files.exists(path)]
        return (
            f"it is in none of: {', '.join(sources)}"
            if sources
            else "there is no params.yaml beside the file and no `vars`"
        )


_WITH = "with (as in foreach)"
"""What DVC's resolver is told that `with` is called: of the fields that `foreach` is in the name of, it takes `${}`
that stand for lists and mappings."""


def _renamed(stage: Any) -> Any:
    """A stage with its `with` under the name that DVC's resolver gets."""
    if not isinstance(stage, Mapping):
        return stage
    if isinstance(stage.get("do"), Mapping) and "with" in stage["do"]:
        return {**stage, "do": _renamed(stage["do"])}
    return {_WITH if key == "with" else key: value for key, value in stage.items()} if "with" in stage else stage


def group_of(path: yaml12.Path) -> str | int:
    """Name of the stage or group that a path of the document leads into; empty for other sections."""
    return path[1] if path[:1] == ("stages",) and len(path) > 1 else ""


_ANSI = regex(r"\x1b\[[0-9;]*m")
_PREAMBLE = regex(r"^failed to (?:parse|resolve) .*? in '[^']*':\s*", re.DOTALL)
_OF_A_SHELL = regex(r"[:#%/^,!*?+=]")
"""What stands in expansions of a shell, and in the name of no parameter."""
_UNKNOWN = regex(r"^Could not find '(.+)'$")
_WHERE = regex(r"^failed to (?:parse|resolve) (?:stage )?'(.+?)' in '")


def _failed_path(text: str, path: yaml12.Path, definition: Mapping[str, Any]) -> yaml12.Path:
    """Where in the document DVC's message points: `stages.NAME.FIELD`, a stage's name, or a section."""
    match = _WHERE.match(text)
    if match is None or path[:1] != ("stages",):
        return path
    group = str(path[1])
    rest = match[1].removeprefix("stages.")
    stage = (definition.get("stages") or {}).get(group)
    inner: yaml12.Path = ("stages", group)
    if isinstance(stage, dict) and "do" in stage:
        inner = (*inner, "do")
    name, _, last = rest.rpartition(".")
    if not name or not last or not (name == group or name.startswith(group + "@")):
        return inner if rest.startswith(group + "@") else ("stages", group)
    return ("stages", group, last) if last in ("foreach", "matrix", "do") else (*inner, last)


def _one_line(reason: str) -> str:
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    if lines and lines[0].startswith("${"):
        return f"the template {lines[0]} is malformed"
    text = " ".join(lines) or "DVC cannot resolve this"
    for pattern, words in _DVC_TYPES:
        match = pattern.match(text)
        if match is not None:
            return words.format(_WORDS.get(match[1], match[1]))
    return text


_DVC_TYPES = (
    (regex(r"^expected list/dictionary, got (\w+)$"), "`foreach` stands for {}"),
    (regex(r"^Cannot interpolate data of type '(\w+)'$"), "{} cannot stand inside text"),
)
_WORDS = {
    "int": "a number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "NoneType": "nothing",
    "list": "a list",
    "dict": "a mapping",
    "CtxList": "a list",
    "CtxDict": "a mapping",
}


def _type_word(value: Any) -> str:
    return _WORDS.get(type(value).__name__, type(value).__name__)


def _hint(reason: str) -> str:
    if "cannot redefine" in reason or "cannot merge" in reason:
        return "give the two values different names"
    if "does not exist" in reason:
        return "commit the file, or remove it from `vars`"
    if "interpolating is not allowed" in reason:
        return "write the values of `vars` without ${}"
    if reason.startswith("the template "):
        return "write ${name}, ${group.name} or ${list[0]}"
    if reason.startswith("`foreach` stands for"):
        return "`foreach` takes a list or a mapping"
    if reason.endswith("cannot stand inside text"):
        return "name a single value inside it, as in ${list[0]} or ${mapping.key}"
    if "partially" in reason or "already loaded" in reason:
        return "load each file once"
    return ""


def _longest_text(context: Any) -> int:
    """Longest single text of the context, in characters."""
    longest = 0
    todo = [context.value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            longest = max(longest, len(item))
        elif isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)
    return longest


def uses_templates(definition: Mapping[str, Any]) -> bool:
    """Whether a definition asks for the value of any variable."""
    stages = (definition.get("stages") or {}).values()
    inner = [stage.get("do", stage) for stage in stages if isinstance(stage, Mapping)]
    has_variables = bool(definition.get("vars")) or any(
        "vars" in stage for stage in inner if isinstance(stage, Mapping)
    )
    return has_variables or any("${" in text for text in _texts(definition))


def _texts(definition: Any) -> Iterator[str]:
    """Every text in a value, keys included."""
    todo = [definition]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            todo.extend(item)
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)
