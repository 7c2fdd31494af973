"""Small random DVC repositories, the same for the same seed, as a model that can be edited and written out again.

Every command appends the name of its stage to a trace file outside of the repository, so that tests see what ran
without asking anybody, and takes a few milliseconds.
"""

from __future__ import annotations

import json
import posixpath
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.oracle.stages import Address, Group, Out, ParamUse, Stage, Value

AXES = (
    "foreach",
    "matrix",
    "templates",
    "wdir",
    "nested",
    "folder_dep",
    "folder_out",
    "inside_folder_out",
    "params_json",
    "params_toml",
    "params_py",
    "whole_params_file",
    "persist",
    "uncached",
    "added_file",
    "added_folder",
    "inside_added_folder",
    "cmd_list",
    "always_changed",
)
"""What a generated repository may be about; each seed is sure to have four of these, and others by chance."""

PARAMS_FILES = {"params_json": "conf/extra.json", "params_toml": "conf/extra.toml", "params_py": "conf/extra.py"}
ADDED_FILE = "data/raw.txt"
ADDED_FOLDER = "data/pictures"
FOLDER = "data/set"


@dataclass
class Model:
    """A repository as it is to be: everything that is in its commit but what DVC writes."""

    seed: int
    trace: Path
    """Where commands write; outside of the repository."""
    remote: Path
    """The DVC remote."""
    axes: frozenset[str] = frozenset()
    files: dict[str, str] = field(default_factory=dict)
    executable: set[str] = field(default_factory=set)
    params: dict[str, dict[str, Value]] = field(default_factory=dict)
    """Parameters by file."""
    variables: dict[str, dict[str, Value]] = field(default_factory=dict)
    """`vars` by `dvc.yaml`."""
    data: dict[str, str | dict[str, str]] = field(default_factory=dict)
    """What is given to `dvc add`: a file's text, or the files of a folder."""
    stages: list[Stage] = field(default_factory=list)
    settled: set[str] = field(default_factory=set)
    """Tokens of stages that have a result under their present name and outputs; only these can be frozen."""
    counter: int = 0

    def settle(self) -> None:
        """Everything has run."""
        self.settled = {stage.token for stage in self.stages}

    def fresh(self) -> int:
        """A number that was not given out before."""
        self.counter += 1
        return self.counter

    def tokens(self) -> dict[str, Address]:
        """Which stage each word of the trace stands for."""
        return {token: address for stage in self.stages for token, address in stage.tokens().items()}

    def addresses(self) -> set[Address]:
        """Every stage there is."""
        return {address for stage in self.stages for address in stage.addresses()}

    def consumers(self, path: str) -> list[Stage]:
        """Stages that depend on `path`, on something in it, or on a folder around it."""
        return [stage for stage in self.stages if any(_overlap(path, dep) for dep in stage.deps)]

    def texts(self) -> dict[str, str]:
        """Every file to write, by path."""
        texts = dict(self.files) | self._fixed()
        for pipeline in sorted({stage.pipeline for stage in self.stages}):
            texts[pipeline] = to_yaml(self._document(pipeline))
        for path, values in self._all_params().items():
            texts[path] = params_text(path, values)
        return texts

    def _fixed(self) -> dict[str, str]:
        config = ["[core]", "    remote = store", "['remote \"store\"']", f"    url = {self.remote}"]
        pipelines = sorted({stage.pipeline for stage in self.stages})
        project = {"apiVersion": "runner/v1", "kind": "Project", "metadata": {"name": "generated"}}
        return {
            ".dvc/config": "".join(f"{line}\n" for line in config),
            ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
            "runner.yaml": to_yaml(project | {"spec": {"specs": pipelines}}),
        }

    def _document(self, pipeline: str) -> dict[str, Any]:
        stages = [stage for stage in self.stages if stage.pipeline == pipeline]
        variables = dict(self.variables.get(pipeline, {}))
        for stage in stages:
            variables |= stage.variables()
        head = {"vars": [{name: value} for name, value in variables.items()]} if variables else {}
        return head | {"stages": {stage.name: stage.entry(str(self.trace)) for stage in stages}}

    def _all_params(self) -> dict[str, dict[str, Value]]:
        params = {path: dict(values) for path, values in self.params.items()}
        for stage in self.stages:
            if stage.group and stage.group.variable:
                params[posixpath.join(stage.folder, "params.yaml")][stage.group.variable] = stage.group.values
        return params


def generate(seed: int, trace: Path, remote: Path) -> Model:
    """The repository of `seed`: 3 to 10 stages, along axes chosen by the seed."""
    rng = random.Random(seed)
    sure = {AXES[(seed * 4 + offset) % len(AXES)] for offset in range(4)}
    axes = sure | {axis for axis in AXES if rng.random() < 0.25}
    for axis, needed in (("inside_folder_out", "folder_out"), ("inside_added_folder", "added_folder")):
        axes |= {needed} if axis in axes else set()
    model = Model(seed, trace, remote, frozenset(axes))
    _add_sources(model, rng)
    _add_params(model, rng)
    _Builder(model, rng).build()
    return model


def _add_sources(model: Model, rng: random.Random) -> None:
    for name in "abcd":
        model.files[f"src/{name}.txt"] = f"source {name} {rng.randrange(10**6)}\n"
    for name in ("one.txt", "two.txt", "deep/three.txt", "left-out.skip"):
        model.files[f"{FOLDER}/{name}"] = f"{name} {rng.randrange(10**6)}\n"
    model.files["work/here.txt"] = "a folder to run in\n"
    model.files["README.md"] = "nothing depends on this\n"
    model.files[".dvcignore"] = "*.skip\n"
    model.executable |= {"src/d.txt"}
    if "nested" in model.axes:
        model.files["sub/own.txt"] = f"own {rng.randrange(10**6)}\n"
    if "added_file" in model.axes:
        model.data[ADDED_FILE] = f"raw {rng.randrange(10**6)}\n"
    if "added_folder" in model.axes:
        names = ("p.txt", "q.txt", "inner/r.txt")
        model.data[ADDED_FOLDER] = {name: f"{name} {rng.randrange(10**6)}\n" for name in names}


def _add_params(model: Model, rng: random.Random) -> None:
    files = ["params.yaml", *(file for axis, file in PARAMS_FILES.items() if axis in model.axes)]
    files += ["sub/params.yaml"] if "nested" in model.axes else []
    for file in files:
        model.params[file] = {
            "alpha": rng.randrange(100),
            "rate": rng.randrange(1, 1000) / 1000,
            "unused": rng.randrange(100),
            "names": [f"n{rng.randrange(100)}", "m"],
            "model": {"depth": rng.randrange(10), "flag": rng.random() < 0.5, "spare": 1},
        }


@dataclass
class _Builder:
    """Adds stages to a model, one after the other, each from what is there by then."""

    model: Model
    rng: random.Random
    made: list[Out] = field(default_factory=list)

    def build(self) -> None:
        axes = self.model.axes
        for axis in ("foreach", "matrix", "nested", "wdir", "folder_out", "persist", "uncached", "cmd_list"):
            if axis in axes:
                self.add(axis)
        if not self.model.stages:
            self.add("")
        for axis in ("inside_folder_out", "templates", "whole_params_file", "always_changed", *PARAMS_FILES):
            if axis in axes:
                self.adapt(axis)
        wanted = self.rng.randint(3, 7)
        while len(self.model.addresses()) < wanted:
            self.add("")
        if "always_changed" in axes and self.rng.random() < 0.3:
            token = f"t{self.model.fresh()}"
            self.model.stages.append(Stage("dvc.yaml", f"callback_{token}", token, ""))

    def add(self, axis: str) -> Stage:
        """A new stage that is about `axis`."""
        stage = new_stage(self.model, self.rng, self.made, nested=axis == "nested")
        if axis in ("foreach", "matrix"):
            kind = "matrix" if axis == "matrix" else self.rng.choice(("list", "dict", "dicts"))
            _make_group(stage, kind, self.rng)
        if axis == "folder_out":
            _first_out(stage).folder = True
        if axis == "persist":
            _first_out(stage).persist = True
        if axis == "uncached":
            stage.outs.append(Out(posixpath.join(stage.folder, f"m{stage.token}.json"), "metrics", cache=False))
            _first_out(stage).cache = self.rng.random() < 0.5
        if axis == "wdir" or (axis != "nested" and self.rng.random() < 0.1):
            _move(stage, "work")
        stage.cmd_is_list = axis == "cmd_list" or self.rng.random() < 0.2
        self.model.stages.append(stage)
        self.made.extend(stage.concrete_outs())
        return stage

    def adapt(self, axis: str) -> None:
        """Make a stage that is there already, or a new one, about `axis`."""
        if axis == "inside_folder_out":
            folder = next(out for out in self.made if out.folder)
            stage = self.add("")
            part = self.rng.choice((f"{folder.path}/part", f"{folder.path}/deep"))
            _depend(stage, part, is_folder=part.endswith("deep"))
        elif axis == "templates":
            self._template()
        elif axis == "always_changed":
            self.rng.choice(self.model.stages).always_changed = True
        else:
            stage = self.rng.choice(self.model.stages)
            file = PARAMS_FILES.get(axis) or self.rng.choice(sorted(self.model.params))
            whole = axis == "whole_params_file"
            _use_param(stage, ParamUse(file, None if whole else self._key(), read=self.rng.random() < 0.6))

    def _template(self) -> None:
        stage = self.rng.choice(self.model.stages)
        params = posixpath.join(stage.folder, "params.yaml")
        if params in self.model.params:
            stage.expressions.append(self.rng.choice(("${alpha}", "${model.depth}", "${model.flag}", "${names[0]}")))
        self.model.variables.setdefault(stage.pipeline, {})["greeting"] = {"word": f"w{self.rng.randrange(100)}"}
        stage.expressions.append("${greeting.word}")
        stage.local_vars = {"local": f"l{self.rng.randrange(100)}"} if self.rng.random() < 0.5 else {}
        stage.expressions += ["${local}"] if stage.local_vars else []
        stage.dep_variable = bool(stage.deps)

    def _key(self) -> str:
        return self.rng.choice(("alpha", "rate", "names", "model.depth", "model.flag", "model"))


def new_stage(model: Model, rng: random.Random, made: list[Out], *, nested: bool = False) -> Stage:
    """A stage that is not in `model` yet, with deps from what is there and from the outputs `made`."""
    token = f"t{model.fresh()}"
    folder = "sub" if nested else ""
    stage = Stage(
        posixpath.join(folder, "dvc.yaml"), rng.choice(("prepare", "train-it", "eval_")) + token, token, folder
    )
    pool = [path for path in model.files if path.startswith(("src/", "sub/"))]
    for path in rng.sample(pool, rng.randint(0 if made else 1, 2)):
        _depend(stage, path)
    for out in rng.sample(made, min(len(made), rng.randint(0, 2))):
        _depend(stage, out.path, is_folder=out.folder)
    if "folder_dep" in model.axes and rng.random() < 0.6:
        _depend(stage, FOLDER, is_folder=True)
    for path, is_folder in _added(model):
        if rng.random() < 0.5:
            _depend(stage, path, is_folder=is_folder)
    if rng.random() < 0.5:
        params = posixpath.join(folder, "params.yaml")
        _use_param(stage, ParamUse(params, rng.choice(("alpha", "rate", "model.depth", "names"))))
    if not stage.deps:
        _depend(stage, rng.choice(pool))
    stage.salt = f"s{rng.randrange(1000)}"
    stage.insensitive = rng.random() < 0.15
    stage.outs.append(Out(posixpath.join(folder, rng.choice(("out", "results/here", "")), f"{token}.out")))
    if rng.random() < 0.2:
        kind = rng.choice(("metrics", "plots"))
        suffix = {"metrics": "json", "plots": "csv"}[kind]
        stage.outs.append(Out(posixpath.join(folder, f"{kind}-{token}.{suffix}"), kind, cache=rng.random() < 0.5))
    return stage


def _added(model: Model) -> Iterator[tuple[str, bool]]:
    if "added_file" in model.axes:
        yield ADDED_FILE, False
    if "inside_added_folder" in model.axes:
        yield f"{ADDED_FOLDER}/q.txt", False
        yield f"{ADDED_FOLDER}/inner", True
    elif "added_folder" in model.axes:
        yield ADDED_FOLDER, True


def _make_group(stage: Stage, kind: str, rng: random.Random) -> None:
    values: Any = {
        "list": ["x", "y", 3],
        "dict": {"left": {"n": 1}, "right": {"n": 2}},
        "dicts": [{"id": "first", "n": 1}, {"id": "second", "n": 2}],
        "matrix": {"m": ["u", "v"], "k": [1, 2]},
    }[kind]
    in_params = posixpath.join(stage.folder, "params.yaml")
    variable = f"grid_{stage.token}" if rng.random() < 0.5 and not stage.folder else None
    stage.group = Group(kind, values, variable)
    stage.expressions += [] if kind in ("list", "matrix") else ["${item.n}"]
    for out in stage.outs:
        folder, name = posixpath.split(out.path)
        out.path = posixpath.join(folder, f"{stage.group.placeholder}-{name}")
    stage.params = [use for use in stage.params if use.file != in_params or use.key != variable]


def _move(stage: Stage, folder: str) -> None:
    """Let the command run in `folder`, its outputs inside."""
    stage.wdir = posixpath.join(stage.folder, folder)
    for out in stage.outs:
        out.path = posixpath.join(stage.wdir, out.path)


def _first_out(stage: Stage) -> Out:
    return stage.outs[0]


def _depend(stage: Stage, path: str, *, is_folder: bool = False) -> None:
    # DVC refuses a dep that lies in another dep of the same stage only if both are outputs; one of a kind is enough
    if not any(_overlap(path, dep) for dep in stage.deps):
        stage.deps.append(path)
        stage.folder_deps |= {path} if is_folder else set()


def _use_param(stage: Stage, use: ParamUse) -> None:
    same_file = [other.key for other in stage.params if other.file == use.file]
    if use.key is None:
        stage.params = [other for other in stage.params if other.file != use.file]
    elif None in same_file or use.key in same_file:
        return
    stage.params.append(use)


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


class _Plain(yaml.SafeDumper):
    """Without anchors: what is written twice is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(document: Any) -> str:
    """`document` in block style, in its own order."""
    text: str = yaml.dump(document, Dumper=_Plain, sort_keys=False, width=10_000)
    return text


def params_text(path: str, values: Mapping[str, Value]) -> str:
    """`values` in the format that the suffix of `path` says, each key on a line of its own."""
    match posixpath.splitext(path)[1]:
        case ".json":
            return json.dumps(values, indent=2) + "\n"
        case ".toml":
            return _toml(values)
        case ".py":
            return _python(values)
        case _:
            return to_yaml(dict(values))


def _toml(values: Mapping[str, Value]) -> str:
    plain = {key: value for key, value in values.items() if not isinstance(value, dict)}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in plain.items())
    for key, value in values.items():
        if isinstance(value, dict):
            text += f"[{key}]\n" + _toml(value)
    return text


def _python(values: Mapping[str, Value], indent: str = "") -> str:
    text = ""
    for key, value in values.items():
        if isinstance(value, dict):
            text += f"{indent}class {key}:\n{_python(value, indent + '    ')}"
        else:
            text += f"{indent}{key} = {value!r}\n"
    return text
