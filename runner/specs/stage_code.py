"""The code of the repository that stages of the library use: it becomes their dependencies, and counts by what it says.

What the schema of a stage marks as a function, as code or as a notebook is where imports are followed from. What a spec
names in `deps`, or as an input that is data, counts by its bytes, also where it is code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.core.lock import relative
from runner.core.nouns import is_external
from runner.specs import builtin_stages, calls
from runner.specs.calls import Problem
from runner.specs.guesses import nearest
from runner.specs.layout import Layout
from runner.specs.modules import ALL_BYTES, MODULE, MOST_FILES, MOST_MODULES, Finder, roots_of
from runner.specs.places import joined, resolved
from runner.values import dataclass, replace

Request = Mapping[str, Any]
"""All that the answer depends on beside the commit, as plain JSON."""
_FUNCTION = "function"
_TOO_MUCH: Problem = (
    ("with",),
    (
        f"the code that it imports is more than {MOST_MODULES:,} modules, or that of all stages more than "
        f"{ALL_BYTES >> 20} MiB or {MOST_FILES:,} dependencies"
    ),
    "write it with `cmd`, and name folders of code in `deps`",
)


@dataclass(frozen=True, slots=True)
class StageCode:
    """What a stage uses of the repository's code."""

    files: tuple[tuple[str, str], ...] = ()
    """Path and what it counts by, sorted; empty for bytes."""
    notices: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def as_json(self) -> list[Any]:
        """Plain JSON: equal where the stage would be read to the same."""
        return [list(self.files), list(self.notices), [[list(path), *texts] for path, *texts in self.problems]]


def request_of(stage: Mapping[str, Any], base: str) -> dict[str, Any] | None:
    """What is asked for a resolved stage; None where it uses no code, or is wrong in a way that is told elsewhere."""
    given = stage.get("with")
    if not isinstance(given, Mapping):
        return None
    stated = stage.get("wdir") or "."
    wdir = joined(base, stated) if isinstance(stated, str) and not is_external(stated) else None
    if wdir is None:
        return None
    roots = roots_of(given, wdir)
    marked = [(path, kind) for path, kind in builtin_stages.marked(stage["uses"], given) if kind]
    return {
        "start": [[kind, text] for text, kind in marked],
        "roots": list(dict.fromkeys(root for root in roots.values() if root is not None)),
        "outside": [root for root, path in roots.items() if path is None],
        "wdir": wdir,
        **{section: _names(given.get(section)) for section in ("inputs", "args")},
        "counts": [len(builtin_stages.paths_of(stage, section)) for section in ("outs", "metrics", "plots")],
    }


def _names(section: Any) -> list[str]:
    return sorted(name for name in section if isinstance(name, str)) if isinstance(section, Mapping) else []


def code_of(request: Request, layout: Layout) -> StageCode:
    """The code that a request leads to in a commit."""
    finder, roots = layout.modules, request["roots"]
    start: dict[str, str] = {}
    problems: list[Problem] = []
    for root in request["outside"]:
        problems.append((("with", "roots"), f"the folder `{root}` leaves the repository", "name a folder inside it"))
    for kind, text in request["start"]:
        if kind == _FUNCTION:
            of_function, found = _function(text, finder, request)
            problems += found if not request["outside"] else []
            start |= dict.fromkeys(of_function, MODULE)
        else:
            path = resolved(request["wdir"], text)
            start |= _below(finder, path, kind) if path is not None else {}
    used = finder.used(tuple(start.items()), tuple(roots))
    if used.is_too_much:
        problems.append(_TOO_MUCH)
    made_elsewhere = {path: "" for path in start if finder.meaning(path, start[path]) is None}
    files = {**dict(used.files), **made_elsewhere}
    notices = [_notice(*one) for one in used.unread]
    return StageCode(tuple(sorted(files.items())), tuple(notices), tuple(problems))


def codes_of(requests: Mapping[str, Request], groups: Mapping[str, str], layout: Layout) -> dict[str, StageCode]:
    """The code of the stages of a pipeline, by their names; of the first ones alone where it is too much."""
    found: dict[str, StageCode] = {}
    room = MOST_FILES
    for name, request in requests.items():
        found[name] = code_of(request, layout)
        room -= len(found[name].files)
        if room < 0:
            return {name: StageCode(problems=(_TOO_MUCH,))}
    whole = levelled(found, groups)
    if sum(len(code.files) for code in whole.values()) > MOST_FILES:
        return {next(iter(whole)): StageCode(problems=(_TOO_MUCH,))}
    return whole


def levelled(codes: Mapping[str, StageCode], groups: Mapping[str, str]) -> dict[str, StageCode]:
    """The same where the stages of a group have as many files each, else with the files of all of them for each.

    For DVC they come from one template, and a list in it has one length.
    """
    members: dict[str, list[StageCode]] = {}
    for name, code in codes.items():
        members.setdefault(groups.get(name, name), []).append(code)
    files = {
        group: tuple(sorted({path: kind for code in inside for path, kind in code.files}.items()))
        for group, inside in members.items()
        if len({len(code.files) for code in inside}) > 1
    }
    return {name: replace(code, files=files.get(groups.get(name, name), code.files)) for name, code in codes.items()}


def with_code(stage: Mapping[str, Any], code: StageCode, wdir: str) -> tuple[dict[str, Any], StageCode]:
    """A resolved stage with its code among its `deps`, and the code that it does not name itself."""
    deps = list(stage.get("deps") or ())
    named = {resolved(wdir, dep) for dep in deps if isinstance(dep, str)}
    more = tuple((path, kind) for path, kind in code.files if path not in named)
    return {**stage, "deps": [*deps, *(relative(path, wdir) for path, _ in more)]}, replace(code, files=more)


def _function(call: str, finder: Finder, request: Request) -> tuple[tuple[str, ...], list[Problem]]:
    """The files of a function, those of the packages above it too, and what is wrong with the call of it."""
    name, _ = calls.split(call)
    files = finder.module(name, request["roots"])
    if not files:
        return (), [_no_module(call, name, finder, request)]
    meaning = finder.meaning(files[-1], MODULE)
    if meaning is None or meaning.module is None:
        return files, []
    return files, list(calls.problems_of(call, files[-1], meaning.module, request))


def _no_module(call: str, name: str, finder: Finder, request: Request) -> Problem:
    path = name.replace(".", "/")
    known = [file for file in finder.tree.paths if file.endswith(f"/{path.rpartition('/')[2]}.py")][:1000]
    near = nearest(f"{path}.py", [file for file in finder.tree.paths if file.endswith(".py")][:1000])
    found = known[0] if known else near
    where = " or ".join(f"`{root}`" for root in request["roots"]) if request["roots"] != ["."] else "the repository"
    hint = f"there is {found}; `roots` names the folders that are looked in" if found else "commit its file first"
    return ("with", "call"), f"`{call}`: there is no module `{name}` in {where}", hint


def _below(finder: Finder, path: str, kind: str) -> dict[str, str]:
    """A file, or all modules in a folder."""
    if kind == MODULE and finder.tree.is_folder(path):
        found = {file: kind for file in finder.tree.below(path) if file.endswith(".py")}
        return found or {path: kind}
    return {path: kind}


def _notice(path: str, why: str, line: int, column: int) -> str:
    place = f"{path}:{line}:{column}" if line else path
    return f"{place}: {why}; it counts by its bytes, and its imports are not known"
