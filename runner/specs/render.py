"""A Pipeline document as the `dvc.yaml` that DVC reads on the state branch.

The file goes to `.runner/pipelines/NAME/` below the DVC root, so every path in it is prefixed with the way back up;
templates and groups stay as they are written, because DVC resolves them to the same stages from there.
"""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from runner.specs.builtin_stages import command_of
from runner.specs.grammar import Resolved
from runner.specs.pipelines import DEFAULT_PARAMS_FILE, PIPELINE_ONLY_FIELDS, RUNNER_FIELDS
from runner.specs.yaml_scalars import plain_scalar

UP = "../../.."
"""From `.runner/pipelines/NAME` to the DVC root."""


def render(spec: Mapping[str, Any], origin: str, *, has_default_params: bool) -> str:
    """Text of the `dvc.yaml` of a Pipeline's spec; `origin` is where that comes from, such as `the Pipeline churn`.

    `has_default_params`: whether `params.yaml` stands at the DVC root; DVC reads it into every template from there,
    and would not from the rendered file's folder.
    """
    return f"# Rendered by the runner from {origin}; edit that instead.\n" + _dumped(
        definition(spec, has_default_params=has_default_params)
    )


def settled(stages: Mapping[str, Any], resolved: Resolved) -> dict[str, Any]:
    """Stages as they were written, but for those of the library: DVC gets the commands that these resolved to.

    A group of them becomes a `foreach` over what its stages differ in, so that DVC makes the same names of it.
    """
    result: dict[str, Any] = {}
    for name, stage in stages.items():
        if "uses" not in stage.get("do", stage):
            result[name] = stage
        elif name in resolved.stages:
            result[name] = _escaped(_plain(resolved.stages[name]))
        else:
            items = {made.removeprefix(f"{name}@"): made for made, group in resolved.groups.items() if group == name}
            if items:
                result[name] = _repeated({key: _plain(resolved.stages[made]) for key, made in items.items()})
    return result


def _plain(stage: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved stage of the library as one with a command, and nothing that only the runner knows."""
    plain = {"cmd": command_of(stage), **_without_own_fields(stage)}
    if "deps" in plain:  # one that is named by `deps` and by `with`, spelled otherwise, is one
        plain["deps"] = list({posixpath.normpath(str(dep)): dep for dep in reversed(plain["deps"])}.values())[::-1]
    return plain


def _without_own_fields(stage: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in stage.items() if key not in (*RUNNER_FIELDS, *PIPELINE_ONLY_FIELDS)}


def _repeated(stages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Stages of one shape as a `foreach` by their keys."""
    items: dict[str, dict[str, Any]] = {key: {} for key in stages}

    def merged(values: Sequence[Any]) -> Any:
        first = values[0]
        if all(repr(value) == repr(first) for value in values):  # 1, 1.0 and true are equal, and not the same
            return _escaped(first)
        if all(isinstance(value, list) and len(value) == len(first) for value in values):
            return [merged(several) for several in zip(*values, strict=True)]
        if all(isinstance(value, dict) and len(value) == len(first) for value in values):
            pairs = zip(*(value.items() for value in values), strict=True)
            return {merged([key for key, _ in several]): merged([value for _, value in several]) for several in pairs}
        variable = f"v{len(next(iter(items.values())))}"
        for item, value in zip(items.values(), values, strict=True):
            item[variable] = _escaped(value)
        return f"${{item.{variable}}}"

    template = merged(list(stages.values()))
    return {"foreach": items, "do": template}


def _escaped(value: Any) -> Any:
    """A value that DVC resolves to itself."""
    if isinstance(value, str):
        return value.replace("${", "\\${")
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    return value


def definition(spec: Mapping[str, Any], *, has_default_params: bool) -> dict[str, Any]:
    """The mapping of the rendered `dvc.yaml`."""
    result: dict[str, Any] = {}
    variables = [_up_variables(item) for item in spec.get("vars") or ()]
    if has_default_params:
        variables.insert(0, f"{UP}/{DEFAULT_PARAMS_FILE}")
    if variables:
        result["vars"] = variables
    result["stages"] = {stage: _stage(data) for stage, data in (spec.get("stages") or {}).items()}
    for section in ("params", "metrics"):
        if spec.get(section):
            result[section] = [_up(path) for path in spec[section]]
    if spec.get("plots"):
        result["plots"] = [_up_plot(plot) for plot in spec["plots"]]
    if spec.get("artifacts"):
        result["artifacts"] = {key: {**value, "path": _up(value["path"])} for key, value in spec["artifacts"].items()}
    return result


def _stage(data: Mapping[str, Any]) -> dict[str, Any]:
    if "foreach" in data:
        return {"foreach": data["foreach"], "do": _stage(data.get("do") or {})}
    stripped = _without_own_fields(data)
    wdir = stripped.pop("wdir", None)
    return {"cmd": stripped.pop("cmd"), "wdir": UP if wdir in (None, ".", "") else f"{UP}/{wdir}", **stripped}


def _up(path: str) -> str:
    return path if posixpath.isabs(path) or "://" in path else f"{UP}/{path}"


def _up_variables(item: Any) -> Any:
    return _up(item) if isinstance(item, str) else item


def _up_plot(plot: Any) -> Any:
    if isinstance(plot, str):
        return _up(plot)
    return {(_up(key) if _is_path(props) else key): _up_axes(props) for key, props in plot.items()}


def _is_path(props: Any) -> bool:
    """DVC's rule: the id of a plot is a file unless `y` names files."""
    return not (isinstance(props, Mapping) and isinstance(props.get("y"), Mapping))


def _up_axes(props: Any) -> Any:
    if not isinstance(props, Mapping):
        return props
    return {
        key: {_up(file): columns for file, columns in value.items()}
        if key in ("x", "y") and isinstance(value, Mapping)
        else value
        for key, value in props.items()
    }


def _dumped(value: Any) -> str:
    # imported late: start-up
    import yaml

    class Dumper(yaml.CSafeDumper):
        """Quotes text that YAML 1.2 would read as something else, and never writes aliases."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(str, _represent_text)
    return str(
        yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10**9, default_flow_style=False)
    )


def _represent_text(dumper: Any, text: str) -> Any:
    """Text in a style that YAML 1.1 (PyYAML sees to that by itself) and YAML 1.2 both read as text."""
    style = "'" if _needs_quotes(text) else '"' if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


@functools.lru_cache(maxsize=1 << 12)
def _needs_quotes(text: str) -> bool:
    """Whether YAML 1.2 would read the bare text as something else; the same few words stand in every stage."""
    try:
        return not isinstance(plain_scalar(text), str)
    except ValueError:
        return True
