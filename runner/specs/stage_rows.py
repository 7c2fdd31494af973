"""Stages as compact JSON arrays for the parse cache, and back; a thousand of them in a few milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runner.core.nouns import Address, EnvironmentSpec, Out, OutKind, Param, Resources, Stage
from runner.errors import Place

_KINDS = {kind.value: kind for kind in OutKind}
_NO_RESOURCES = Resources()


def row_of(stage: Stage) -> list[Any]:
    """A stage as a JSON array: what most stages have, then (if anything) what few have."""
    row: list[Any] = [
        stage.address.stage,
        stage.place.line,
        stage.place.column,
        list(stage.cmd) if stage.cmd_is_list or len(stage.cmd) != 1 else stage.cmd[0],
        stage.wdir,
        list(stage.deps),
        [[param.file, param.key] for param in stage.params],
        [_out_row(out) for out in stage.outs],
        stage.always_changed,
    ]
    rest = _rest_of(stage)
    return [*row, rest] if rest else row


def _out_row(out: Out) -> Any:
    if out == Out(out.path):
        return out.path
    return [out.path, out.kind.value, out.cache, out.persist, out.push, out.remote]


def _rest_of(stage: Stage) -> dict[str, Any]:
    """Fields that most stages leave at their default."""
    rest: dict[str, Any] = {
        "frozen": stage.frozen,
        "cmd_is_list": stage.cmd_is_list,
        "desc": stage.desc,
        "env": [list(pair) for pair in stage.env],
        "secrets": list(stage.secrets),
        "resources": None if stage.resources == _NO_RESOURCES else [stage.resources.cpu, stage.resources.memory_bytes],
        "timeout_seconds": stage.timeout_seconds,
        "retries": stage.retries,
        "mutex": list(stage.mutex),
        "environment": None if stage.environment is None else [stage.environment.lock, stage.environment.python],
        "not_handled": list(stage.not_handled),
        "spelled": [list(pair) for pair in stage.spelled],
        "uses": stage.uses,
        "given": [list(pair) for pair in stage.given],
        "meanings": [list(pair) for pair in stage.meanings],
    }
    stated = {key: value for key, value in rest.items() if value or (key == "timeout_seconds" and value is not None)}
    if not stage.deterministic:
        stated["deterministic"] = False
    if stage.training:
        stated["training"] = True
    if stage.seed is not None:
        stated["seed"] = stage.seed
    return stated


def stages_of(rows: Iterable[list[Any]], pipeline: str, file: str) -> tuple[Stage, ...]:
    """The stages of a pipeline from their rows."""
    params: dict[tuple[str, str | None], Param] = {}
    return tuple([_stage(row, pipeline, file, params) for row in rows])


def _stage(row: list[Any], pipeline: str, file: str, known: dict[tuple[str, str | None], Param]) -> Stage:
    """One stage; `known` are the parameters of the others, since many read the same."""
    name, line, column, cmd, wdir, deps, params, outs, always_changed, *rest = row
    address, place = Address(pipeline, name), Place(file, line, column)
    commands = (cmd,) if type(cmd) is str else tuple(cmd)
    outs = tuple([Out(out) if type(out) is str else _out(out) for out in outs])
    pairs = tuple([known.get((at, key)) or known.setdefault((at, key), Param(at, key)) for at, key in params])
    if not rest:
        return Stage(address, commands, False, wdir, tuple(deps), pairs, outs, False, always_changed, place=place)
    more = rest[0]
    resources, environment = more.get("resources"), more.get("environment")
    return Stage(
        address,
        commands,
        more.get("cmd_is_list", False),
        wdir,
        tuple(deps),
        pairs,
        outs,
        more.get("frozen", False),
        always_changed,
        more.get("desc", ""),
        tuple([(key, value) for key, value in more.get("env", ())]),
        tuple(more.get("secrets", ())),
        _NO_RESOURCES if resources is None else Resources(*resources),
        more.get("timeout_seconds"),
        more.get("retries", 0),
        tuple(more.get("mutex", ())),
        None if environment is None else EnvironmentSpec(*environment),
        more.get("seed"),
        tuple(more.get("not_handled", ())),
        place,
        tuple([(path, written) for path, written in more.get("spelled", ())]),
        more.get("deterministic", True),
        more.get("uses", ""),
        tuple([(name, text) for name, text in more.get("given", ())]),
        more.get("training", False),
        tuple([(path, kind) for path, kind in more.get("meanings", ())]),
    )


def _out(row: list[Any]) -> Out:
    path, kind, cache, persist, push, remote = row
    return Out(path, _KINDS[kind], cache, persist, push, remote)
