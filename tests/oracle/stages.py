"""One stage of a generated repository: a small model that renders to an entry of `dvc.yaml` and can be edited.

Paths in the model are relative to the root of the repository; rendering makes them relative to where DVC expects them.
"""

from __future__ import annotations

import itertools
import posixpath
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Value = Any
"""A parameter's value: whatever YAML, JSON, TOML and Python can all say."""


@dataclass
class Out:
    """One output; the path may hold the placeholders of a group."""

    path: str
    kind: str = "outs"
    """`outs`, `metrics` or `plots`, as the field of `dvc.yaml` is called."""
    folder: bool = False
    """A folder with the files `part` and `deep/part`."""
    cache: bool = True
    persist: bool = False

    def parts(self) -> list[str]:
        """Paths of the files it consists of."""
        return [f"{self.path}/part", f"{self.path}/deep/part"] if self.folder else [self.path]


@dataclass
class ParamUse:
    """A parameter that a stage declares; no key means the whole file."""

    file: str
    key: str | None
    read: bool = True
    """Whether the command's output depends on it."""


@dataclass
class Group:
    """A `foreach` or a `matrix` and its values."""

    kind: str
    """`list`, `dict`, `dicts` (a list of mappings) or `matrix`."""
    values: Any
    variable: str | None = None
    """Name of the parameter of `params.yaml` that holds the values; None: they stand in the `dvc.yaml`."""

    @property
    def placeholder(self) -> str:
        """The expression that tells the members of the group apart."""
        return {"list": "${item}", "dict": "${key}", "dicts": "${item.id}", "matrix": "${item.m}-${item.k}"}[self.kind]

    def members(self) -> list[tuple[str, str]]:
        """For each member the part of its name after `@`, as DVC's rule has it, and what the placeholder becomes."""
        match self.kind:
            case "list":
                return [(str(value), str(value)) for value in self.values]
            case "dict":
                return [(key, key) for key in self.values]
            case "dicts":
                return [(str(index), value["id"]) for index, value in enumerate(self.values)]
            case _:
                pairs = itertools.product(self.values["m"], self.values["k"])
                return [(f"{m}-{k}", f"{m}-{k}") for m, k in pairs]


@dataclass(frozen=True)
class Address:
    """Where a stage stands: its `dvc.yaml` and its name there."""

    pipeline: str
    stage: str

    def __str__(self) -> str:
        return f"{self.pipeline}:{self.stage}"


@dataclass
class Stage:
    """An entry of a `dvc.yaml`: a stage, or a group of them."""

    pipeline: str
    name: str
    token: str
    """What its command writes to the trace; it stays when the stage is renamed."""
    wdir: str
    """Folder the command runs in, `` for the root."""
    deps: list[str] = field(default_factory=list)
    folder_deps: set[str] = field(default_factory=set)
    """Which of `deps` are folders."""
    params: list[ParamUse] = field(default_factory=list)
    outs: list[Out] = field(default_factory=list)
    group: Group | None = None
    salt: str = "salt"
    """Text that enters the output."""
    remark: str = ""
    """Text that enters the command and not the output."""
    insensitive: bool = False
    """Whether the output stays the same whatever the inputs are."""
    expressions: list[str] = field(default_factory=list)
    """`${...}` expressions that enter the output."""
    local_vars: dict[str, Value] = field(default_factory=dict)
    dep_variable: bool = False
    """Whether the first dep is written as a `${...}` expression."""
    cmd_is_list: bool = False
    frozen: bool = False
    always_changed: bool = False
    desc: str = ""

    @property
    def folder(self) -> str:
        """Folder of its `dvc.yaml`."""
        return posixpath.dirname(self.pipeline)

    def addresses(self) -> list[Address]:
        """What DVC calls this stage, or each stage of this group."""
        if not self.group:
            return [Address(self.pipeline, self.name)]
        return [Address(self.pipeline, f"{self.name}@{suffix}") for suffix, _ in self.group.members()]

    def tokens(self) -> dict[str, Address]:
        """What the trace says for each of the stages."""
        if not self.group:
            return {self.token: self.addresses()[0]}
        values = [value for _, value in self.group.members()]
        return {f"{self.token}-{value}": address for value, address in zip(values, self.addresses(), strict=True)}

    def concrete_outs(self) -> Iterator[Out]:
        """Every output with the placeholders filled in."""
        for out in self.outs:
            if not self.group:
                yield out
                continue
            for _, value in self.group.members():
                path = out.path.replace(self.group.placeholder, value)
                yield Out(path, out.kind, out.folder, out.cache, out.persist)

    def entry(self, trace: str) -> dict[str, Any]:
        """The entry of `dvc.yaml`; the command appends to the file `trace` when it runs."""
        body: dict[str, Any] = {"cmd": self._command(trace)}
        if self.wdir != self.folder:
            body["wdir"] = posixpath.relpath(self.wdir or ".", self.folder or ".")
        if self.deps:
            body["deps"] = [self._dep(index, path) for index, path in enumerate(self.deps)]
        if self.params:
            body["params"] = self._params()
        for kind in ("outs", "metrics", "plots"):
            rows = [self._out(out) for out in self.outs if out.kind == kind]
            body |= {kind: rows} if rows else {}
        body |= {"vars": [dict(self.local_vars)]} if self.local_vars else {}
        body |= {name: True for name in ("frozen", "always_changed") if getattr(self, name)}
        body |= {"desc": self.desc} if self.desc else {}
        return self._grouped(body)

    def variables(self) -> Mapping[str, Value]:
        """What its expressions need of the `vars` of the `dvc.yaml`."""
        if not (self.dep_variable and self.deps):
            return {}
        return {f"in_{self.token}": self.relative(self.deps[0])}

    def relative(self, path: str) -> str:
        """`path` as seen from where the command runs."""
        return posixpath.relpath(path, self.wdir or ".")

    def _grouped(self, body: dict[str, Any]) -> dict[str, Any]:
        if not self.group:
            return body
        name = self.group.variable
        if self.group.kind == "matrix":
            axes = {axis: f"${{{name}.{axis}}}" for axis in "mk"} if name else self.group.values
            return {"matrix": axes, **body}
        return {"foreach": f"${{{name}}}" if name else self.group.values, "do": body}

    def _dep(self, index: int, path: str) -> str:
        return f"${{in_{self.token}}}" if index == 0 and self.dep_variable else self.relative(path)

    def _params(self) -> list[Any]:
        rows: list[Any] = []
        for file in dict.fromkeys(use.file for use in self.params):
            path = self.relative(file)
            keys = [use.key for use in self.params if use.file == file]
            if None in keys:
                rows.append({path: None})
            elif path == "params.yaml":
                rows.extend(keys)
            else:
                rows.append({path: keys})
        return rows

    def _out(self, out: Out) -> Any:
        options = ({} if out.cache else {"cache": False}) | ({"persist": True} if out.persist else {})
        path = self.relative(out.path)
        return {path: options} if options else path

    def _command(self, trace: str) -> str | list[str]:
        ident = f"-{self.group.placeholder}" if self.group else ""
        lines = [f"echo '{self.token}{ident}' >> {shlex.quote(trace)}"]
        lines += [f": {self.remark}"] if self.remark else []
        for out in self.outs:
            lines += self._writing(out)
        return lines if self.cmd_is_list else " && ".join(lines)

    def _writing(self, out: Out) -> Iterator[str]:
        folders = sorted({posixpath.dirname(self.relative(part)) for part in out.parts()} - {""})
        if folders:
            yield f"mkdir -p {' '.join(folders)}"
        for index, part in enumerate(out.parts()):
            source = f"{{ echo {self.salt} {index}; {self._reading()}}} | cksum"
            target = self.relative(part)
            if out.kind == "metrics":
                yield f"printf '{{\"sum\": %s}}' $({source} | cut -d ' ' -f 1) > {target}"
            elif out.kind == "plots":
                yield f"printf 'x,y\\n1,%s\\n' $({source} | cut -d ' ' -f 1) > {target}"
            else:
                yield f"{source} {'>>' if out.persist else '>'} {target}"

    def _reading(self) -> str:
        if self.insensitive:
            return ""
        parts = [self._reading_of(path) for path in self.deps]
        for use in self.params:
            if use.read and use.key:
                word = use.key.split(".")[0 if use.key.startswith("names") else -1]
                parts.append(f"grep {word} {self.relative(use.file)} || true")
        parts += [f"echo '{expression}'" for expression in self.expressions]
        return "".join(f"{part}; " for part in parts)

    def _reading_of(self, path: str) -> str:
        name = self.relative(path)
        if path not in self.folder_deps:
            return f"cat {name}"
        # what .dvcignore leaves out must not reach the output
        return f"find {name} -type f ! -name '*.skip' ! -name '*.log' | LC_ALL=C sort | xargs -r cat"
