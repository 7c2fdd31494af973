"""A pipeline made from its document, when nothing remembers what it came to.

A room of its own beside `loading.py`, since most commands find what was made before, and need none of this.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner.core.nouns import Stage, is_external
from runner.errors import SpecError
from runner.specs import builtin_stages, left_out, places, render, yaml12
from runner.specs.grammar import GitFiles, Resolved, resolve
from runner.specs.layout import Layout
from runner.specs.pipelines import DEFAULTED_FIELDS, StageReading, check_handwritten_name, read_stage
from runner.specs.stage_rows import row_of
from runner.values import replace

if TYPE_CHECKING:
    from runner.specs.loading import Source
    from runner.specs.stage_code import StageCode

_NOT_HANDLED_SECTIONS = ("on", "data")


def make(
    source: Source, layout: Layout, files: GitFiles, parsing: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Any]] | None:
    """The value for the cache and the files asked for; None where nothing can be read. What is wrong is noted."""
    faults = source.faults
    try:
        definition, marks = source.definition()
    except SpecError as error:
        faults.findings.extend(error.findings)
        return None
    definition = _without_odd_names(source, definition)
    if not source.adopted:
        definition = builtin_stages.with_inputs(definition)
    bounds = yaml12.DVC_YAML_BOUNDS if source.adopted else yaml12.SPEC_BOUNDS
    resolved, problems = resolve(definition, source.base, files, parsing, source.locator, bounds)
    codes, requests = ({}, []) if source.adopted else _with_code(source, layout, resolved, marks)
    faults.findings.extend(problems)
    if source.project:
        told = {name: builtin_stages.with_project(stage, source.project) for name, stage in resolved.stages.items()}
        resolved = replace(resolved, stages=told)
    groups = definition.get("stages") or {}
    faults.left_out.extend(left_out.by_stages(source.file, [groups[name]]) for name in resolved.failed)
    stages = _read_stages(source, layout, definition, resolved, marks, codes)
    metrics = _top_metrics(source, resolved)
    text = None
    if not source.adopted and not faults.findings:
        has_params = layout.tree.get(posixpath.normpath(posixpath.join(source.base, "params.yaml"))) is not None
        settled = {**definition, "stages": render.settled(definition.get("stages") or {}, resolved)}
        text = render.render(settled, source.origin, has_default_params=has_params)
    value = {
        "stages": [row_of(stage) for stage in stages],
        "metrics": metrics,
        "notices": resolved.notices,
        "rendered": text,
        "not_handled": [] if source.adopted else [name for name in _NOT_HANDLED_SECTIONS if name in definition],
    }
    # Without a template the values of parameters do not matter: the commonest edit then costs no resolution.
    return value, [*(path if resolved.templated else [path] for path in resolved.consulted), *requests]


def _with_code(
    source: Source, layout: Layout, resolved: Resolved, marks: Mapping[str, Any]
) -> tuple[dict[str, StageCode], list[dict[str, Any]]]:
    """Give stages the code that they use as dependencies; returns it by stage, and what was asked for it."""
    codes: dict[str, StageCode] = {}
    requests: list[dict[str, Any]] = []
    named = [(name, stage) for name, stage in resolved.stages.items() if builtin_stages.uses_code(stage.get("uses"))]
    if not named:
        return codes, requests
    from runner.specs import stage_code  # imported late: few specs name code

    stated = {name: stage_code.request_of(stage, source.base) for name, stage in named}
    asked = {name: request for name, request in stated.items() if request is not None}
    for name, code in stage_code.codes_of(asked, resolved.groups, layout).items():
        request = asked[name]
        requests.append(request)
        resolved.stages[name], codes[name] = stage_code.with_code(resolved.stages[name], code, request["wdir"])
        mark = marks.get(resolved.groups.get(name, name), (0, 0))
        notices = [(notice, *mark) for notice in code.notices]
        resolved.notices.extend(notice for notice in notices if notice not in resolved.notices)
    return codes, requests


def _without_odd_names(source: Source, definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """The definition without stages whose names are not text, which are noted."""
    stages = definition.get("stages") or {}
    odd = {name: None for name in stages if not isinstance(name, str)}
    for name in odd:
        place = ("stages", name) if isinstance(name, int) else ("stages",)
        finding = source.locator.finding(place, f"the stage name `{name}` is not text", "put it in quotes")
        source.faults.leave_out(left_out.by_stages(source.file, [stages[name]]), [finding])
    if not odd:
        return definition
    return {**definition, "stages": {name: stage for name, stage in stages.items() if name not in odd}}


def _read_stages(
    source: Source,
    layout: Layout,
    definition: Mapping[str, Any],
    resolved: Resolved,
    marks: Mapping[str, Any],
    codes: Mapping[str, StageCode],
) -> list[Stage]:
    reading = StageReading(
        pipeline=source.name,
        base=source.base,
        dvc_root=layout.dvc_root,
        adopted=source.adopted,
        locator=source.locator,
        defaults={} if source.adopted else {name: definition[name] for name in DEFAULTED_FIELDS if name in definition},
        findings=source.faults.findings,
        codes=codes,
    )
    for name in definition.get("stages") or {}:
        check_handwritten_name(reading, str(name))
    stages = []
    for name, data in resolved.stages.items():
        group = resolved.groups.get(name)
        line, column = marks.get(group or name, (0, 0))
        if "\0" in name or "\n" in name:
            reading.add(
                ("stages", group or name),
                f"the generated name {name!r} holds a line break",
                "use short values as items",
            )
            source.faults.leave_out(left_out.by_stages(source.file, [data]))
            continue
        stage = read_stage(reading, name, group, data, (line, column))
        if stage is not None:
            stages.append(stage)
        else:
            source.faults.leave_out(left_out.by_stages(source.file, [data]))
    return stages


def _top_metrics(source: Source, resolved: Resolved) -> list[str]:
    found = []
    for index, path in enumerate(resolved.metrics):
        whole = places.joined(source.base, path) if isinstance(path, str) and not is_external(path) else None
        if whole is None:
            source.faults.add(
                source.locator.finding(
                    ("metrics", index), f"the metrics file `{path}` leaves the repository", "name a file inside it"
                )
            )
        else:
            found.append(whole)
    return found
