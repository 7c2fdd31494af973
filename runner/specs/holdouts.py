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
from runner.core.sealed import Sealed
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
    known = [*files, *tracked, *outputs.below(".")]
    findings: list[Finding] = []
    for holdout in holdouts:
        for path in holdout.paths:
            is_tracked = path in above or any(part in tracked for part in (path, *places.parents(path)))
            if not (is_tracked or path in named or exists(path) or outputs.makers(path)):
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
    by_address = {stage.address: stage for stage in stages}
    sealed = Sealed(path for holdout in holdouts for path in holdout.paths)
    training = trainers(stages, deployments)
    findings = []
    for stage, trainer in _upstream(stages, training).items():
        read = [path for path in inputs(by_address[stage]) if sealed.is_read_by(path)]
        for path in dict.fromkeys(read):
            reads = f"`{stage.stage}` reads {'' if path in sealed.paths else 'from '}the sealed hold-out (`{path}`)"
            what = training[trainer]
            why = f"and {what}" if stage == trainer else f"and `{trainer.stage}`, which {what}, builds on it"
            hint = "only stages that nothing trained builds on may read it; take it out of the inputs"
            findings.append(Finding(*place_of(by_address[stage], path), f"{reads}, {why}", hint))
    return findings


def _upstream(stages: Sequence[Stage], training: Iterable[Address]) -> dict[Address, Address]:
    """The stages that train and all that they build on, each with the nearest of those that train."""
    outputs = Outputs(stages)
    by_address = {stage.address: stage for stage in stages}
    nearest_of = {address: address for address in training}
    todo = deque(nearest_of)
    while todo:
        address = todo.popleft()
        for path in inputs(by_address[address]):
            for maker in outputs.makers(path):
                if maker.address not in nearest_of:
                    nearest_of[maker.address] = nearest_of[address]
                    todo.append(maker.address)
    return nearest_of
