"""The sealed hold-out: which test sets there are, and which stages may not read them.

A stage trains if it says so, if it is `train` or `tune` of the library, or if it makes the model of a Deployment. Such
a stage may not read a hold-out, and nothing that it builds on may: what it would learn from it would come in through
another file. All other stages may, and every run that reads it is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from runner.core.gates import Deployment
from runner.core.nouns import Address, Holdout, Stage
from runner.errors import Finding
from runner.specs import places
from runner.specs.graph_checks import Outputs, PlaceOf, inputs
from runner.specs.guesses import GUESSES, nearest
from runner.specs.left_out import Faults
from runner.specs.places import Locator

TRAINING = frozenset(["train", "tune"])
"""Stages of the library that train."""


def read_holdout(name: str, spec: Mapping[str, Any], locator: Locator, dvc_root: str, faults: Faults) -> Holdout:
    """The hold-out of the Pipeline of this name and spec; paths that are none are noted."""
    paths = []
    stated = spec["holdout"]["data"]
    for text in [stated] if isinstance(stated, str) else stated:
        path = places.joined(dvc_root, text)
        if path is None or "${" in text:
            message = f"the hold-out `{text}` is no path of the repository"
            faults.add(locator.finding(("holdout", "data"), message, "name a file or a folder inside it"))
        else:
            paths.append(path)
    return Holdout(name, tuple(paths), spec["holdout"].get("maxUses"), locator.place(("holdout",)))


def missing_findings(
    holdouts: Iterable[Holdout],
    stages: Sequence[Stage],
    tracked: Collection[str],
    exists: Callable[[str], bool],
    files: Sequence[str],
) -> list[Finding]:
    """Hold-outs that nobody has: a seal on a misspelled path seals nothing.

    One that a stage names as an input is left out: that nobody has it is a finding there.
    """
    outputs = Outputs(stages)
    named = {path for stage in stages for path in inputs(stage)}
    above = {folder for path in tracked for folder in places.parents(path)}
    findings: list[Finding] = []
    for holdout in holdouts:
        for path in holdout.paths:
            is_tracked = path in above or any(part in tracked for part in (path, *places.parents(path)))
            if not (is_tracked or path in named or exists(path) or outputs.makers(path)):
                known = [*files, *tracked, *outputs.below(".")]
                close = nearest(path, known) if len(findings) < GUESSES else None
                hint = f"did you mean `{close}`?" if close else "commit it, `dvc add` it, or make it in a stage"
                place = holdout.place
                message = f"the hold-out `{path}` is neither in git nor in DVC, and no stage makes it"
                findings.append(Finding(place.file, place.line, place.column, message, hint))
    return findings


def trainers(stages: Iterable[Stage], deployments: Iterable[Deployment]) -> dict[Address, str]:
    """The stages that train, and what makes them that, for people."""
    models = {deployment.out: deployment.name for deployment in deployments}
    found = {}
    for stage in stages:
        served = next((models[path] for path in stage.out_paths if path in models), None)
        if stage.training or stage.uses.partition("@")[0] in TRAINING:
            found[stage.address] = "trains"
        elif served is not None:
            found[stage.address] = f"makes the model of the Deployment {served}"
    return found


def seal_findings(
    stages: Sequence[Stage],
    holdouts: Sequence[Holdout],
    deployments: Iterable[Deployment],
    place_of: PlaceOf,
) -> list[Finding]:
    """Stages that train, or that such a stage builds on, and read a hold-out."""
    if not holdouts:
        return []
    outputs = Outputs(stages)
    by_address = {stage.address: stage for stage in stages}
    findings: dict[tuple[Address, str], Finding] = {}
    for address, what in trainers(stages, deployments).items():
        for stage in _upstream(by_address[address], outputs):
            for path in inputs(stage):
                if (stage.address, path) in findings or not any(holdout.is_read_by(path) for holdout in holdouts):
                    continue
                whole = any(path == own for holdout in holdouts for own in holdout.paths)
                reads = f"`{stage.address.stage}` reads {'' if whole else 'from '}the sealed hold-out (`{path}`)"
                name = address.stage
                why = f"and {what}" if stage.address == address else f"and `{name}`, which {what}, builds on it"
                hint = "only stages that nothing trained builds on may read it; take it out of the inputs"
                findings[stage.address, path] = Finding(*place_of(stage, path), f"{reads}, {why}", hint)
    return list(findings.values())


def _upstream(stage: Stage, outputs: Outputs) -> Iterable[Stage]:
    """A stage and all that it builds on."""
    seen = {stage.address}
    todo = deque([stage])
    while todo:
        current = todo.popleft()
        yield current
        for path in inputs(current):
            for maker in outputs.makers(path):
                if maker.address not in seen:
                    seen.add(maker.address)
                    todo.append(maker)
