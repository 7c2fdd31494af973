"""Calls of a function of the repository: what it is offered by name, and whether its parameters take it.

Told from the module's syntax tree before anything runs, as far as that tells it: of a function with a decorator, a
class or a name that comes from elsewhere nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.core.syntax import Module, Parameter
from runner.specs.guesses import nearest
from runner.specs.yaml12 import Path

Problem = tuple[Path, str, str]
"""Path in the stage, what is wrong, what to do."""
_LISTS = ("outs", "metrics", "plots")


def split(call: str) -> tuple[str, str]:
    """Module and function of `src.features:build`."""
    module, _, function = call.partition(":")
    return module, function


def offered(outs: Sequence[str], metrics: Sequence[str], plots: Sequence[str], seed: int) -> dict[str, Any]:
    """What a function is given where it has a parameter of the name: lists of paths, and the path that is alone.

    An `out` is there where one of `outs` is named, and so are `metric` and `plot`.
    """
    found: dict[str, Any] = {"seed": seed}
    for name, paths in zip(_LISTS, (outs, metrics, plots), strict=True):
        found[name] = list(paths)
        if len(paths) == 1:
            found[name.removesuffix("s")] = paths[0]
    return found


def problems_of(call: str, file: str, module: Module, request: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with a call of a function of this module.

    `request` has the names that `inputs` and `args` give, and how many `outs`, `metrics` and `plots` there are.
    """
    _, function = split(call)
    definition = module.names.get(function)
    if definition is None:
        if not module.is_open:
            close = nearest(function, [name for name in module.names if not name.startswith("_")])
            hint = f"did you mean `{close}`?" if close else "name a function that it defines"
            yield ("with", "call"), f"{file} defines no `{function}`", hint
        return
    inputs, args = request["inputs"], request["args"]
    for name in sorted(set(inputs) & set(args)):
        yield ("with", "args", name), f"`{name}` stands in both `inputs` and `args`", "keep one of them"
    if definition.parameters is None:
        return
    where = f"see {file}, line {definition.line}"
    named = {parameter.name: parameter for parameter in definition.parameters}
    meant: set[str | None] = set()
    takes_all = any(parameter.kind == "rest" for parameter in definition.parameters)
    for section, names in (("inputs", inputs), ("args", args)):
        for name in names:
            parameter = named.get(name)
            if parameter is not None and parameter.kind == "positional":
                text = f"the parameter `{name}` of `{call}` cannot be given by its name"
                yield ("with", section, name), text, f"take the `/` out of its parameters: {where}"
            elif (parameter is None or parameter.kind == "rest") and not takes_all:
                close = nearest(name, named)
                meant.add(close)
                hint = f"did you mean `{close}`? {where}" if close else _has(definition.parameters, where)
                yield ("with", section, name), f"`{call}` has no parameter `{name}`", hint
    outs, metrics, plots = (["?"] * count for count in request["counts"])
    given = {*inputs, *args, *offered(outs, metrics, plots, 0)}
    for parameter in definition.parameters:
        if not parameter.optional and parameter.name not in given and parameter.name not in meant:
            yield ("with", "call"), *_missing(call, parameter, request["counts"], where)


def _missing(call: str, parameter: Parameter, counts: Sequence[int], where: str) -> tuple[str, str]:
    name = parameter.name
    if f"{name}s" in _LISTS:
        count = counts[_LISTS.index(f"{name}s")]
        text = f"the parameter `{name}` of `{call}` is for one of `{name}s`, and {count or 'none'} are named"
        return text, f"name one, or let the function take `{name}s`: {where}"
    if parameter.kind == "positional":
        return f"the parameter `{name}` of `{call}` cannot be given by its name", f"take the `/` out: {where}"
    return f"`{call}` needs `{name}`, and nothing gives it", f"name a path in `inputs` or a value in `args`: {where}"


def _has(parameters: Sequence[Parameter], where: str) -> str:
    names = [parameter.name for parameter in parameters if parameter.kind not in ("rest", "positional")]
    return f"it has: {', '.join(names)}; {where}" if names else f"it takes none; {where}"
