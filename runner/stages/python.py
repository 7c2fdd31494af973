"""`python`: a function of the repository, called with paths and values by name.

It runs in this process, with the folders `roots` behind the libraries on Python's path. What it returns is written
where it has a place: a mapping of numbers as `metrics`, a table as the one of `outs`.
"""

from __future__ import annotations

import importlib
import inspect
import json
import math
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.errors import InputError
from runner.specs.calls import offered, split
from runner.specs.guesses import nearest
from runner.stages.program import Call, program
from runner.stages.tables import ENDINGS, no_such_file, write_table


def run(call: Call) -> None:
    """Call the function; raises InputError where that cannot be, where it fails, or where it does not write all."""
    name: str = call.given["call"]
    for path in call.get("inputs", {}).values():
        if not Path(path).exists():
            raise no_such_file(Path(path))
    for path in (*call.outs, *call.metrics, *call.plots):
        path.parent.mkdir(parents=True, exist_ok=True)
    random.seed(call.seed)
    function = _function(name, [Path(root) for root in call.get("roots", ["."])])
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(call.seed)
    arguments = _arguments(name, function, call)
    with _FailureOf(f"`{name}` failed"):
        returned = function(**arguments)
    _write(name, returned, call, arguments)
    for path in (*call.outs, *call.metrics, *call.plots):
        if not path.exists():
            hint = f"it is given as {_given_as(path, call)}, where the function has a parameter of such a name"
            raise InputError(f"`{name}` ended, and {path} is not there", hint)


def _function(name: str, roots: list[Path]) -> Callable[..., Any]:
    """The function by its name; raises InputError."""
    module_name, function_name = split(name)
    before = set(sys.modules)
    sys.path += [str(root.resolve()) for root in roots]
    with _FailureOf(f"`{name}`: the module {module_name} cannot be imported"):
        module = importlib.import_module(module_name)
    for imported in sorted({one.partition(".")[0] for one in {*sys.modules, module_name} - (before - {module_name})}):
        _check_is_ours(imported, roots)
    found = getattr(module, function_name, None)
    if found is None:
        close = nearest(function_name, [known for known in dir(module) if not known.startswith("_")])
        hint = f"did you mean `{module_name}:{close}`?" if close else f"look at what {module_name} holds"
        raise InputError(f"`{name}`: {module_name} holds no `{function_name}`", hint)
    if not callable(found) or inspect.iscoroutinefunction(found):
        raise InputError(f"`{name}` is no function that can be called", "name a function that is not `async`")
    return found  # type: ignore[no-any-return]  # what is callable is all that is asked


def _check_is_ours(name: str, roots: list[Path]) -> None:
    """Refuse to go on where a library was imported in place of a module of the repository."""
    files = [root / part for root in roots for part in (f"{name}/__init__.py", f"{name}.py") if (root / part).is_file()]
    origin = getattr(sys.modules.get(name), "__file__", None)
    if not files or origin is None or name in sys.stdlib_module_names:
        return
    if not any(Path(origin).resolve().is_relative_to(root.resolve()) for root in roots):
        text = f"{files[0].as_posix()} has the name of an installed module, `{name}`, which is imported in its place"
        raise InputError(text, "rename it")


def _arguments(name: str, function: Callable[..., Any], call: Call) -> dict[str, Any]:
    """What the function is called with; raises InputError where it does not take it."""
    stated = {**call.get("inputs", {}), **call.get("args", {})}
    both = sorted(call.get("inputs", {}).keys() & call.get("args", {}).keys())
    if both:
        raise InputError(f"`{both[0]}` stands in both `inputs` and `args`", "keep one of them")
    outputs = [[path.as_posix() for path in paths] for paths in (call.outs, call.metrics, call.plots)]
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return stated  # written in C: it says itself what it takes
    nameless = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = {one.name for one in signature.parameters.values() if one.kind not in nameless}
    offer = offered(outputs[0], outputs[1], outputs[2], call.seed)
    arguments = {**{key: value for key, value in offer.items() if key in named}, **stated}
    try:
        signature.bind(**arguments)
    except TypeError as error:
        text = f"`{name}` cannot be called so: {error}"
        raise InputError(text, f"it takes {signature}") from None
    return arguments


def _given_as(path: Path, call: Call) -> str:
    plural = next(kind for kind in ("outs", "metrics", "plots") if path in getattr(call, kind))
    is_alone = len(getattr(call, plural)) == 1
    return f"`{plural}`, and as `{plural.removesuffix('s')}`" if is_alone else f"`{plural}`"


def _write(name: str, returned: Any, call: Call, arguments: Mapping[str, Any]) -> None:
    """Write what the function returned, where it was not given the path to write it itself."""
    if isinstance(returned, Mapping) and len(call.metrics) == 1 and not {"metrics", "metric"} & arguments.keys():
        told = _numbers(returned, call.metrics[0], ())
        try:
            text = json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(f"`{name}` returned what no JSON holds: {error}", "return texts and numbers") from None
        call.metrics[0].write_text(f"{text}\n", encoding="utf-8")
    elif len(call.outs) == 1 and not {"outs", "out"} & arguments.keys() and _is_table(returned, call.outs[0]):
        write_table(returned, call.outs[0])


def _is_table(value: Any, path: Path) -> bool:
    is_frame = "pandas" in sys.modules and isinstance(value, sys.modules["pandas"].DataFrame)
    return is_frame and path.suffix.lower() in ENDINGS


def _numbers(value: Any, path: Path, where: tuple[str, ...]) -> Any:
    """A value as JSON has it; raises InputError for a number that is none."""
    if isinstance(value, Mapping):
        return {str(key): _numbers(inner, path, (*where, str(key))) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_numbers(inner, path, (*where, str(at))) for at, inner in enumerate(value)]
    if not isinstance(value, (str, int, float, bool, type(None))) and hasattr(value, "item"):
        value = value.item()  # NumPy's
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{path}: `{'.'.join(where)}` is {value}, which is no number", "return None in its place")
    return value


class _FailureOf:
    """Turns what the repository's code raises into a sentence, after its traceback."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> None:
        if isinstance(error, SystemExit) and error.code in (None, 0):
            raise InputError(f"{self._what}: it called sys.exit()", "return in place of it") from None
        if isinstance(error, (Exception, SystemExit)):
            told = traceback.TracebackException.from_exception(error)
            for one in _chained(told):
                one.stack = traceback.StackSummary.from_list(list(_own_frames(one.stack)))
            sys.stderr.write("".join(told.format()))
            text = " ".join(str(error).split())
            said = f"{type(error).__name__}: {text}" if text else type(error).__name__
            raise InputError(f"{self._what}: {said[:500]}", "the traceback is above") from None


def _chained(told: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    left: list[traceback.TracebackException | None] = [told]
    while left:
        one = left.pop()
        if one is not None:
            yield one
            left += [one.__cause__, one.__context__, *(one.exceptions or ())]


def _own_frames(stack: traceback.StackSummary) -> Iterator[traceback.FrameSummary]:
    """Frames in files of the working folder, by their paths in it, and the last one, where the error was raised."""
    here = Path.cwd()
    for place, frame in enumerate(stack, 1):
        is_own = Path(frame.filename).is_absolute() and Path(frame.filename).is_relative_to(here)
        if is_own or (place == len(stack) and Path(frame.filename) != Path(__file__)):
            file = Path(frame.filename).relative_to(here).as_posix() if is_own else frame.filename
            yield traceback.FrameSummary(file, frame.lineno, frame.name, lookup_line=False, line=frame.line)


main = program("python", run)

if __name__ == "__main__":
    sys.exit(main())
