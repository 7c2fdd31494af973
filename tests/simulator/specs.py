"""What people ask for in a simulated world: a few stages, and new versions of them as time goes by."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from runner.core.digests import Member, md5_hex
from runner.core.graph import Graph, build_graph
from runner.core.nouns import Address, Desired, Out, Pipeline, Project, Stage

PIPELINE = "dvc.yaml"


@dataclass(frozen=True)
class Version:
    """One commit of people's: files of the repository, and stages."""

    files: Mapping[str, bytes]
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Ask:
    """What one commit asks for, read once."""

    version: Version
    desired: Desired
    graph: Graph
    inputs: SimulatedInputs


def ask_of(version: Version, commit: str) -> Ask:
    """What a version asks for as this commit."""
    pipeline = Pipeline(PIPELINE, PIPELINE, PIPELINE, None, version.stages)
    desired = Desired(commit, Project(), (pipeline,), {}, {}, has_dvc=True)
    inputs = SimulatedInputs({path: md5_hex(data) for path, data in version.files.items()})
    return Ask(version, desired, build_graph(version.stages), inputs)


@dataclass
class SimulatedInputs:
    """Files of one version; implements `runner.core.recorded.Inputs`."""

    digests: Mapping[str, str] = field(default_factory=dict)

    def file_digest(self, path: str) -> str | None:
        return self.digests.get(path)

    def folder(self, path: str) -> tuple[Member, ...] | None:
        return None

    def folder_digest(self, path: str) -> str | None:
        return None

    def params(self, file: str) -> Mapping[str, Any] | None:
        return None

    def meaning(self, path: str, kind: str) -> tuple[str, int] | None:
        return None

    def is_executable(self, path: str) -> bool:
        return False

    def is_ignored(self, path: str) -> bool:
        return False

    def ignored_in(self, out: str) -> Callable[[str, bool], bool] | None:
        return None


def first_version(rng: random.Random, count: int) -> Version:
    """So many stages; each reads files of its own or what stages before it made."""
    files = {PIPELINE: b"stages\n"}
    stages: list[Stage] = []
    outs: list[str] = []
    for number in range(count):
        deps: list[str] = []
        if not outs or rng.random() < 0.4:
            deps.append(f"in{number}")
            files[f"in{number}"] = b"0\n"
        if outs:
            deps += rng.sample(outs, 1 if len(outs) == 1 or rng.random() < 0.7 else 2)
        made = (Out(f"out{number}", cache=rng.random() > 0.2),)
        outs.append(made[0].path)
        cmd = rng.choice(("copy", "copy", "copy", "always the same"))
        stages.append(Stage(Address(PIPELINE, f"s{number}"), (cmd,), deps=tuple(deps), outs=made))
    return Version(files, tuple(stages))


def next_version(rng: random.Random, version: Version) -> Version:
    """An edit: an input gets a content it may have had before, a command changes, the last stage goes."""
    what = rng.random()
    if what < 0.15 and len(version.stages) > 1:
        return replace(version, stages=version.stages[:-1])
    if what < 0.3:
        number = rng.randrange(len(version.stages))
        changed = replace(version.stages[number], cmd=("copy again",))
        return replace(version, stages=(*version.stages[:number], changed, *version.stages[number + 1 :]))
    path = rng.choice([path for path in version.files if path != PIPELINE])
    return replace(version, files={**version.files, path: f"{rng.randrange(3)}\n".encode()})
