"""What is wrong between stages: outputs claimed twice or nested, cycles, inputs that nothing provides.

Pure functions over nouns; what git holds comes in as two questions.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from runner.core.nouns import Address, Notice, Stage, TrackedData, is_external
from runner.errors import Finding, InputError, Place
from runner.specs.guesses import GUESSES, nearest
from runner.specs.params import MISSING, is_pattern, lookup
from runner.specs.places import parents

PlaceOf = Callable[[Stage, str], tuple[str, int, int]]
"""(file, line, column) where a stage names a path."""


class Outputs:
    """Who makes which path: the outputs of stages, looked up exactly, from inside and from above."""

    def __init__(self, stages: Iterable[Stage]) -> None:
        self._owners: dict[str, Stage] = {}
        for stage in stages:
            for path in stage.out_paths:
                self._owners.setdefault(path, stage)
        self._sorted = sorted(self._owners)
        self._makers: dict[str, list[Stage]] = {}

    def makers(self, path: str) -> list[Stage]:
        """The stages that make a path, a folder above it, or something below it."""
        known = self._makers.get(path)
        if known is None:
            found = [self._owners[part] for part in (path, *parents(path)) if part in self._owners]
            known = self._makers[path] = found or [self._owners[out] for out in self.below(path)]
        return known

    def owner(self, path: str) -> Stage | None:
        """The stage with exactly this output."""
        return self._owners.get(path)

    def below(self, path: str) -> list[str]:
        """The outputs below a folder."""
        if path == ".":
            return self._sorted
        return self._sorted[bisect_left(self._sorted, path + "/") : bisect_left(self._sorted, path + "0")]


def inputs(stage: Stage) -> tuple[str, ...]:
    """Paths that a stage reads: its dependencies and its parameter files."""
    return (*stage.deps, *dict.fromkeys(param.file for param in stage.params))


def output_findings(stages: Sequence[Stage], tracked: Mapping[str, TrackedData], place_of: PlaceOf) -> list[Finding]:
    """Outputs claimed twice, outputs inside other outputs, outputs that a `.dvc` file holds already."""
    findings: list[Finding] = []
    owners: dict[str, Stage] = {}
    for stage in stages:
        times = Counter(stage.out_paths)
        for path in times:
            first = owners.setdefault(path, stage)
            if first is not stage:
                hint = "give each stage outputs of its own"
                findings.append(
                    Finding(*place_of(stage, path), f"the output `{path}` is also made by {first.address}", hint)
                )
            elif times[path] > 1:
                findings.append(Finding(*place_of(stage, path), f"the output `{path}` is named twice", "name it once"))
    for path, stage in owners.items():
        for folder in parents(path):
            if folder in owners:
                hint = "keep outputs apart, or name the folder alone"
                message = f"the output `{path}` lies inside `{folder}`, an output of {owners[folder].address}"
                findings.append(Finding(*place_of(stage, path), message, hint))
                break  # the nearest says enough: with many within each other they would be too many to be held
    return [*dict.fromkeys(findings), *_tracked_findings(owners, tracked, place_of)]


def _tracked_findings(
    owners: Mapping[str, Stage], tracked: Mapping[str, TrackedData], place_of: PlaceOf
) -> list[Finding]:
    findings = []
    above = {folder: path for path in tracked for folder in parents(path)}
    for path, stage in owners.items():
        other = next((part for part in (path, *parents(path)) if part in tracked), above.get(path))
        if other is not None:
            file = tracked[other].dvc_file
            hint = f"remove `{file}` (dvc remove), or choose another output"
            findings.append(Finding(*place_of(stage, path), f"the output `{path}` is data that `{file}` tracks", hint))
    return findings


def git_findings(
    stages: Iterable[Stage], is_file: Callable[[str], bool], is_folder: Callable[[str], bool], place_of: PlaceOf
) -> list[Finding]:
    """Cached outputs that git holds too; DVC refuses these when the stage has run."""
    return [
        Finding(
            *place_of(stage, out.path),
            f"the output `{out.path}` is tracked by git",
            f"git rm -r --cached '{out.path}', or say `cache: false`",
        )
        for stage in stages
        for out in stage.outs
        if out.cache and (is_file(out.path) or is_folder(out.path))
    ]


def hidden_findings(
    stages: Iterable[Stage], hidden: Callable[[Iterable[str]], Collection[str]], place_of: PlaceOf
) -> list[Finding]:
    """Outputs that DVC does not see: it reads no `dvc.yaml` with one. `hidden` says which of some paths are such."""
    named = [(stage, path) for stage in stages for path in stage.out_paths]
    found = hidden(path for _, path in named)
    hint = "choose another name, or change the pattern in `.dvcignore`"
    message = "is hidden from DVC by `.dvcignore`"
    return [
        Finding(*place_of(stage, path), f"the output `{path}` {message}", hint)
        for stage, path in named
        if path in found
    ]


def ignore_file_findings(
    stages: Iterable[Stage],
    is_folder: Callable[[str], bool],
    files_in: Callable[[Collection[str]], Mapping[str, str]],
    place_of: PlaceOf,
) -> list[Finding]:
    """Folders that stages read and that hold a `.dvcignore`, which DVC refuses. Frozen stages read nothing.

    `files_in` gives folders that hold one, and the file.
    """
    named = [(stage, dep) for stage in stages if not stage.frozen for dep in stage.deps if is_folder(dep)]
    found = files_in({dep for _, dep in named})
    hint = "move its patterns to a `.dvcignore` above the folder"
    return [
        Finding(*place_of(stage, dep), f"the folder `{dep}` holds `{found[dep]}`, with which DVC cannot read it", hint)
        for stage, dep in named
        if dep in found
    ]


def missing_findings(
    stages: Iterable[Stage],
    outputs: Outputs,
    tracked: Collection[str],
    has: Callable[[str], bool],
    paths: Sequence[str],
    place_of: PlaceOf,
) -> list[Finding]:
    """Inputs that are neither in git, nor tracked by DVC, nor made by a stage. Frozen stages read nothing."""
    findings: list[Finding] = []
    above = {folder for path in tracked for folder in parents(path)}
    known: set[str] = set()
    for stage in stages:
        if stage.frozen:
            continue
        for path in inputs(stage):
            if path in known or has(path) or is_external(path):
                continue
            if path in above or any(part in tracked for part in (path, *parents(path))) or outputs.makers(path):
                known.add(path)
                continue
            hint = _missing_hint(path, outputs, paths) if len(findings) < GUESSES else _GENERAL_HINT
            findings.append(Finding(*place_of(stage, path), _missing_message(path), hint))
    return findings


def import_findings(stages: Iterable[Stage], partial: Mapping[str, str], place_of: PlaceOf) -> list[Finding]:
    """Inputs that are, hold or lie in an import without its bytes, of which only `dvc update` learns what they are.

    `partial` says for each such import its `.dvc` file. Frozen stages read nothing.
    """
    if not partial:
        return []
    above: dict[str, str] = {}
    for path in sorted(partial):
        for folder in (*parents(path), "."):
            above.setdefault(folder, path)
    findings: list[Finding] = []
    for stage in stages:
        for path in () if stage.frozen else inputs(stage):
            part = next((part for part in (path, *parents(path)) if part in partial), above.get(path))
            if part is not None and not is_external(path):
                message = f"`{part}` was imported without its bytes, so no stage can read it"
                findings.append(Finding(*place_of(stage, path), message, f"`dvc update {partial[part]}` fetches them"))
    return findings


def link_findings(
    stages: Iterable[Stage],
    outputs: Outputs,
    tracked: Collection[str],
    link_at: Callable[[str], str | None],
    place_of: PlaceOf,
) -> list[Finding]:
    """Inputs that git holds as a link or a submodule, or behind one; what is behind these is never read.

    `link_at` says what a path is if it is one of these. Frozen stages read nothing.
    """
    findings: list[Finding] = []
    for stage in stages:
        for path in () if stage.frozen else inputs(stage):
            for part in (path, *parents(path)):
                what = None if is_external(path) else link_at(part)
                if what is not None and not outputs.makers(path) and part not in tracked:
                    message = f"`{path}` is {what}" if part == path else f"`{path}` lies behind `{part}`, {what}"
                    hint = "name a file or a folder that git holds itself"
                    findings.append(Finding(*place_of(stage, path), f"{message}, which no stage can read", hint))
                    break
    return findings


def way_findings(
    stages: Iterable[Stage],
    link_at: Callable[[str], str | None],
    is_file: Callable[[str], bool],
    place_of: PlaceOf,
) -> list[Finding]:
    """Outputs and working directories to which no folder leads: behind a link or a submodule, or below a file of git.

    `link_at` says what a path is if it is a link or a submodule. Frozen stages run nowhere.
    """
    findings: list[Finding] = []
    for stage in stages:
        file, line, column = stage.place.file, stage.place.line, stage.place.column
        told = None
        for part in () if stage.frozen else (stage.wdir, *parents(stage.wdir)):
            what = link_at(part)
            if what is not None:
                where = f"is {what}" if part == stage.wdir else f"lies behind `{part}`, {what}"
                message = f"the working directory `{stage.wdir}` {where}, in which no stage can run"
                findings.append(Finding(file, line, column, message, _WAY_HINT))
                told = part
                break
        for path in stage.out_paths:
            for part in parents(path):
                what = link_at(part)
                if what is not None and part != told:
                    message = f"the output `{path}` lies behind `{part}`, {what}, where no stage can write"
                    findings.append(Finding(*place_of(stage, path), message, _WAY_HINT))
                elif what is None and is_file(part):
                    message = f"the output `{path}` lies below `{part}`, which git holds as a file"
                    hint = f"git rm '{part}', or choose another output"
                    findings.append(Finding(*place_of(stage, path), message, hint))
                else:
                    continue
                break
    return findings


def ignore_notices(stages: Iterable[Stage], link_at: Callable[[str], str | None]) -> list[Notice]:
    """A `.gitignore` beside outputs that is a link or a submodule: git reads no lines there, and none are written."""
    notices = []
    for folder in sorted({out.path.rpartition("/")[0] for stage in stages for out in stage.outs if out.cache}):
        file = f"{folder}/.gitignore" if folder else ".gitignore"
        link = link_at(file)
        if link is not None:
            message = f"`{file}` is {link}, which git does not follow, so it gets no lines for the outputs beside it"
            notices.append(Notice(f"{message}; make it a file", Place(file)))
    return notices


def pointer_findings(
    stages: Iterable[Stage],
    outputs: Outputs,
    tracked: Collection[str],
    pointers: Callable[[Iterable[str]], Collection[str]],
    place_of: PlaceOf,
) -> list[Finding]:
    """Inputs that git holds as an LFS pointer only; their content is fetched by a program, so never by the runner.

    `pointers` says which of some paths are one. Frozen stages read nothing.
    """
    named = [
        (stage, path)
        for stage in stages
        for path in (() if stage.frozen else inputs(stage))
        if not (is_external(path) or path in tracked or outputs.makers(path))
    ]
    found = pointers(path for _, path in named)
    hint = "fetch it with `git lfs pull`, and track it with DVC in its place"
    message = "is an LFS pointer, which no stage can read"
    return [Finding(*place_of(stage, path), f"`{path}` {message}", hint) for stage, path in named if path in found]


def environment_findings(stages: Iterable[Stage], is_file: Callable[[str], bool], place_of: PlaceOf) -> list[Finding]:
    """Lock files of environments that git does not hold."""
    return [
        Finding(
            *place_of(stage, stage.environment.lock),
            f"the lock file `{stage.environment.lock}` is not in git",
            "commit it",
        )
        for stage in stages
        if stage.environment is not None and not is_file(stage.environment.lock)
    ]


def param_findings(
    stages: Iterable[Stage], values_of: Callable[[str], Mapping[Any, Any] | None], place_of: PlaceOf
) -> list[Finding]:
    """Parameters that their file does not hold, with which DVC fails when the stage has run.

    `values_of` gives the values of a file that git holds, None for any other. Frozen stages read nothing.
    """
    findings: list[Finding] = []
    looked_at = 0
    for stage in stages:
        for param in () if stage.frozen else stage.params:
            values = values_of(param.file) if param.key is not None else None
            if values is not None and param.key is not None and is_pattern(param.key):
                looked_at += len(param.key) + size_of(values)
                if looked_at > _MOST_LOOKED_AT:
                    message = "the patterns among the parameters are too many, or their files too large"
                    place = place_of(stage, f"{param.file}:{param.key}")
                    return [*findings, Finding(*place, message, "name the parameters without `*`, `?` and `[`")]
            if values is None or param.key is None:
                continue
            try:
                if lookup(values, param.key) is not MISSING:
                    continue
            except InputError as error:
                place = place_of(stage, f"{param.file}:{param.key}")
                findings.append(Finding(*place, error.message, error.hint))
                continue
            names = dotted_names(values, 2000) if len(findings) < GUESSES else []
            close = nearest(param.key, names)
            hint = f"did you mean `{close}`?" if close else f"add it to `{param.file}`"
            message = f"the parameter `{param.key}` is not in `{param.file}`"
            findings.append(Finding(*place_of(stage, f"{param.file}:{param.key}"), message, hint))
    return findings


def size_of(values: Any) -> int:
    """How many values there are in a value."""
    count, todo = 0, [values]
    while todo:
        item = todo.pop()
        count += 1
        todo.extend(item.values() if isinstance(item, Mapping) else item if isinstance(item, list) else ())
    return count


def dotted_names(values: Any, limit: int) -> list[str]:
    """Names of values and of values inside them, as `a.b`, those near the top first; at most `limit`."""
    names: list[str] = []
    todo: deque[tuple[str, Any]] = deque([("", values)])
    while todo and len(names) < limit:
        prefix, node = todo.popleft()
        for key, child in node.items() if isinstance(node, Mapping) else ():
            names.append(f"{prefix}{key}")
            todo.append((f"{prefix}{key}.", child))
    return names


_MOST_LOOKED_AT = 1_000_000
"""Values that patterns of parameters are held against, over all stages."""
_WAY_HINT = "name a folder that git holds itself"
_GENERAL_HINT = "commit it, run `dvc add`, or declare it as an output"


def _missing_message(path: str) -> str:
    return f"`{path}` is neither in git, nor tracked by DVC, nor made by a stage"


def _missing_hint(path: str, outputs: Outputs, paths: Sequence[str]) -> str:
    name = path.rpartition("/")[2]
    same_folder = [other for other in paths if other.rpartition("/")[0] == path.rpartition("/")[0]]
    same_name = [other for other in (*paths, *outputs.below(".")) if other.rpartition("/")[2] == name]
    near = [*same_folder[:1000], *outputs.below(".")[:1000]]
    close = same_name[0] if same_name else nearest(path, near)
    return f"did you mean `{close}`?" if close else _GENERAL_HINT


def cycle_findings(stages: Sequence[Stage], outputs: Outputs) -> list[Finding]:
    """One finding for each group of stages that wait for each other, named by a path through it."""
    edges = {stage.address: _upstream(stage, outputs) for stage in stages}
    places = {stage.address: stage.place for stage in stages}
    findings = []
    for cycle in _cycles(edges):
        place = places[cycle[0]]
        names = " → ".join(str(address) for address in (*cycle, cycle[0]))
        findings.append(
            Finding(
                place.file,
                place.line,
                place.column,
                f"the stages wait for each other: {names}",
                "remove one of these dependencies",
            )
        )
    return findings


def _upstream(stage: Stage, outputs: Outputs) -> list[Address]:
    found: dict[Address, None] = {}
    for path in inputs(stage):
        for maker in outputs.makers(path):
            if maker is not stage:
                found.setdefault(maker.address)
    return list(found)


_MAX_CYCLES = 50


def _cycles(edges: Mapping[Address, Sequence[Address]]) -> list[list[Address]]:
    """One cycle of each strongly connected group (of the first 50), each starting at its first address."""
    cycles: list[list[Address]] = []
    while len(cycles) < _MAX_CYCLES and (left := _in_cycles(edges)):
        cycle = _walk(min(left), edges, left)
        smallest = cycle.index(min(cycle))
        cycles.append([*cycle[smallest:], *cycle[:smallest]])
        group = _reachable(cycle[0], edges, left) & _reachable(cycle[0], _reversed(edges), left)
        rest = left - group
        edges = {node: [other for other in edges[node] if other in rest] for node in rest}
    return cycles


def _in_cycles(edges: Mapping[Address, Sequence[Address]]) -> set[Address]:
    """Nodes left when those without anything upstream, and then those without anything downstream, are taken away."""
    left = set(edges)
    for links in (edges, _reversed(edges)):
        counts = {node: sum(other in left for other in links[node]) for node in left}
        back = _reversed({node: links[node] for node in left})
        free = [node for node, count in counts.items() if not count]
        while free:
            node = free.pop()
            left.discard(node)
            for other in back.get(node, ()):
                if other in left:
                    counts[other] -= 1
                    if not counts[other]:
                        free.append(other)
    return left


def _reversed(edges: Mapping[Address, Sequence[Address]]) -> dict[Address, list[Address]]:
    back: dict[Address, list[Address]] = {node: [] for node in edges}
    for node, others in edges.items():
        for other in others:
            back.setdefault(other, []).append(node)
    return back


def _walk(start: Address, edges: Mapping[Address, Sequence[Address]], left: set[Address]) -> list[Address]:
    """Follow edges inside `left` until a node comes again; every node of `left` has one."""
    trail: dict[Address, int] = {}
    node = start
    while node not in trail:
        trail[node] = len(trail)
        node = min(other for other in edges[node] if other in left)
    return [other for other, at in trail.items() if at >= trail[node]]


def _reachable(start: Address, edges: Mapping[Address, Sequence[Address]], left: set[Address]) -> set[Address]:
    """Nodes of `left` that edges lead to from `start`, itself included."""
    found, todo = {start}, [start]
    while todo:
        for other in edges[todo.pop()]:
            if other in left and other not in found:
                found.add(other)
                todo.append(other)
    return found
