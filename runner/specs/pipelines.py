"""From a resolved stage, as DVC would load it, to a stage of the core: paths from the root, options typed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from runner.core import units
from runner.core.lock import relative
from runner.core.nouns import Address, EnvironmentSpec, Out, OutKind, Param, Resources, Stage, is_external
from runner.errors import Finding, Place
from runner.git.tree import LONGEST_PATH
from runner.specs import builtin_stages, places, schemas, yaml12
from runner.specs.guesses import nearest
from runner.specs.places import Locator
from runner.specs.stage_rules import faults_of
from runner.values import dataclass, field, replace

if TYPE_CHECKING:
    from runner.specs.stage_code import StageCode

RUNNER_FIELDS = (
    "resources",
    "timeout",
    "retries",
    "mutex",
    "env",
    "secrets",
    "environment",
    "seed",
    "deterministic",
    "training",
    "image",
    "executor",
)
"""Fields of a stage that only the runner knows; beside the stage in a Pipeline, under `meta.runner` in a dvc.yaml."""
PIPELINE_ONLY_FIELDS = ("uses", "with")
DEFAULTED_FIELDS = ("resources", "timeout", "retries", "env", "secrets", "environment", "seed", "image", "executor")
"""Fields that a Pipeline may state for all of its stages."""
NOT_HANDLED_FIELDS = ("image", "executor")
DEFAULT_PARAMS_FILE = "params.yaml"

_HANDWRITTEN = re.compile(r"^[^\x00\n!-,./:-@\[-^`{-~]+$")
"""DVC's rule (dvc.stage.INVALID_STAGENAME_CHARS): no ASCII punctuation but hyphen and underscore."""
_ENV_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


@dataclass(slots=True)
class StageReading:
    """What is known of the document while its stages are read, and the findings so far."""

    pipeline: str
    base: str
    """Folder that paths are relative to, from the root of the repository."""
    dvc_root: str
    adopted: bool
    """Whether this is a `dvc.yaml` (and not a Pipeline document)."""
    locator: Locator
    defaults: Mapping[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    codes: Mapping[str, StageCode] = field(default_factory=dict)
    """By stage the code of the repository that it uses, beside what it names in `deps`."""

    def add(self, path: yaml12.Path, message: str, hint: str = "") -> None:
        """Note a finding at a path of the document."""
        self.findings.append(self.locator.finding(path, message, hint))


_PATH_BOUND = f"with its working folder it may have {LONGEST_PATH:,} characters"
_RESERVED = frozenset([".git", ".hg", ".dvc", ".runner", ".github"])
"""Folders of git and Mercurial, of DVC, of the runner and of the host of the repository."""


def check_handwritten_name(reading: StageReading, name: str) -> None:
    """Note a finding for a stage or group name that DVC could not address.

    A Pipeline follows DVC's rule for names; an adopted file may hold whatever DVC loads, which is all but `@`.
    """
    allowed = bool(name) and "@" not in name if reading.adopted else _HANDWRITTEN.match(name)
    if not allowed or "\0" in name or "\n" in name:
        hint = "use letters, digits, hyphens and underscores"
        reading.add(("stages", name), f"`{name}` is not a name for a stage", hint)


def read_stage(
    reading: StageReading, name: str, group: str | None, data: Mapping[str, Any], mark: tuple[int, int]
) -> Stage | None:
    """The stage of the core; None if it has findings, which are noted in `reading`.

    `mark` is the line and column of the stage, or of its group.
    """
    return _StageReader(reading, name, group, data).read(mark)


class _StageReader:
    """One stage being read."""

    def __init__(self, reading: StageReading, name: str, group: str | None, data: Mapping[str, Any]) -> None:
        self._reading = reading
        self._name = name
        self._data = data
        self._path: yaml12.Path = ("stages", group or name)
        self._group = group
        self._wdir = "."
        self._runner_path: yaml12.Path = ()
        self._spelled: dict[str, dict[str, None]] = {}
        self._code = reading.codes.get(name)
        self._runner = self._runner_fields()

    def read(self, mark: tuple[int, int]) -> Stage | None:
        count = len(self._reading.findings)
        self._wdir = self._folder()
        builtin = self._builtin()
        cmd, is_list = ((builtin_stages.command_of(self._data),), False) if builtin else self._commands()
        deps, params, outs = self._deps(once=builtin is not None), self._params(), self._outs()
        environment = self._environment()
        not_handled = tuple(name for name in NOT_HANDLED_FIELDS if self._stated(name) is not None)
        spelled = tuple(sorted(self._unusual_spellings()))
        self._check_no_own_input((*deps, *dict.fromkeys(param.file for param in params)), outs)
        stage = Stage(
            address=Address(self._reading.pipeline, self._name),
            cmd=cmd,
            cmd_is_list=is_list,
            wdir=self._wdir,
            deps=deps,
            params=params,
            outs=outs,
            frozen=self._data.get("frozen") is True,
            always_changed=self._data.get("always_changed") is True or not (deps or params or outs),
            desc=str(self._data.get("desc") or "").strip(),
            env=self._env(),
            secrets=self._secrets(),
            resources=self._resources(),
            timeout_seconds=self._quantity("timeout", units.some_seconds_of, "a duration above zero, such as `2h`"),
            retries=self._quantity("retries", units.whole_of, "a whole number") or 0,
            mutex=self._names("mutex"),
            environment=environment,
            seed=self._quantity("seed", units.whole_of, "a whole number"),
            deterministic=self._truth("deterministic", default=True),
            training=self._truth("training", default=False),
            meanings=tuple((path, kind) for path, kind in self._code.files if kind) if self._code else (),
            uses=builtin.label if builtin else "",
            given=builtin_stages.given_of(self._data) if builtin else (),
            not_handled=not_handled,
            spelled=spelled,
            place=Place(self._reading.locator.file, *mark),
        )
        return stage if len(self._reading.findings) == count else None

    # ----- where things stand in the document

    def _at(self, *path: str | int) -> yaml12.Path:
        inner = ("do",) if self._group is not None and self._is_foreach() else ()
        return (*self._path, *inner, *path)

    def _is_foreach(self) -> bool:
        return self._reading.locator.position((*self._path, "do")) != self._reading.locator.position(self._path)

    def _add(self, path: yaml12.Path, message: str, hint: str = "") -> None:
        # Only asked for when something is wrong: positions cost a second reading of the text.
        self._reading.add(self._at(*path), message, hint)

    # ----- DVC's own fields

    def _folder(self) -> str:
        wdir = self._data.get("wdir")
        if wdir is None:
            return self._reading.base
        folder = places.joined(self._reading.base, wdir) if isinstance(wdir, str) and not is_external(wdir) else None
        if folder is None:
            self._add(("wdir",), f"the working folder `{wdir}` leaves the repository", "name a folder inside it")
            return self._reading.base
        return folder

    def _commands(self) -> tuple[tuple[str, ...], bool]:
        cmd = self._data.get("cmd")
        if cmd is None and "uses" in self._data:
            return (), False  # that the library has no such stage is noted
        commands = cmd if isinstance(cmd, list) else [cmd]
        if not commands or not all(isinstance(command, str) and command.strip() for command in commands):
            self._add(("cmd",), "a command is empty or is not text", "write a command for the shell")
            return (), False
        return tuple(commands), isinstance(cmd, list)

    def _builtin(self) -> builtin_stages.Builtin | None:
        """The stage of the library that is used, if its `with` is right."""
        name = self._data.get("uses")
        if name is None or self._reading.adopted:
            if self._data.get("with") is not None and not self._reading.adopted:
                self._add(("with",), "`with` means nothing without `uses`", "name a stage of the library in `uses`")
            return None
        if self._data.get("cmd") is not None:
            self._add(("uses",), "a stage has either `cmd` or `uses`", "remove one of them")
            return None
        builtin = builtin_stages.BUILTINS.get(name) if isinstance(name, str) else None
        if builtin is None:
            close = nearest(str(name), builtin_stages.BUILTINS)
            hint = f"did you mean `{close}`?" if close else f"there are: {', '.join(builtin_stages.BUILTINS)}"
            self._add(("uses",), f"`{name}` is no stage of the library", hint)
            return None
        count = len(self._reading.findings)
        locator = replace(self._reading.locator, prefix=(*self._reading.locator.prefix, *self._at("with")))
        unsayable = builtin_stages.unsayable(self._data.get("with"))
        if unsayable is not None:
            self._add(
                ("with", *unsayable[0]), unsayable[1], "write text, numbers, lists, and mappings with text as keys"
            )
            return None
        stated = builtin_stages.plain(self._data.get("with") or {})
        problems = schemas.check(builtin.kind, stated, locator, "in `with`")
        self._reading.findings.extend(problem.finding for problem in problems)
        if not isinstance(stated, Mapping):
            return None
        outs = builtin_stages.paths_of(self._data, "outs")
        for path, message, hint in () if problems else faults_of(builtin.name, stated, outs):
            self._add(path, message, hint)
        given = [*_listed(self._runner.get("secrets")), *_listed(self._reading.defaults.get("secrets"))]
        of_code = self._code.problems if self._code and len(self._reading.findings) == count else ()
        for path, message, hint in (*builtin_stages.problems_of(builtin.name, self._data, given), *of_code):
            self._add(path, message, hint)
        return builtin if len(self._reading.findings) == count else None

    def _deps(self, *, once: bool) -> tuple[str, ...]:
        """`once`: for DVC the stage is rendered with the first spelling of each path alone."""
        found: dict[str, None] = {}
        for index, dep in enumerate(self._data.get("deps") or ()):
            path = self._path_of(dep, ("deps", index), "dependency")
            if path is not None:
                if path not in found or not once:
                    self._note_spelling(path, dep)
                found.setdefault(path)
        return tuple(found)

    def _note_spelling(self, path: str, written: str) -> None:
        if not is_external(path):
            self._spelled.setdefault(path, {}).setdefault(written)

    def _unusual_spellings(self) -> Iterator[tuple[str, str]]:
        for path, ways in self._spelled.items():
            if len(ways) > 1 or relative(path, self._wdir) not in ways:
                yield from ((path, written) for written in ways)

    def _path_of(self, value: Any, where: yaml12.Path, what: str) -> str | None:
        if not isinstance(value, str) or not value or "\0" in value or "\n" in value:
            self._add(where, f"the {what} `{value}` is not a path", "write a path relative to the working folder")
            return None
        if len(value) + len(self._wdir) > LONGEST_PATH:
            self._add(where, f"the {what} `{value[:40]}...` is longer than any path may be", _PATH_BOUND)
            return None
        path = places.resolved(self._wdir, value)
        if path is None:
            self._add(
                where,
                f"the {what} `{value}` leaves the repository",
                "use a path inside it, or an absolute one for data of the host",
            )
        return path

    def _params(self) -> tuple[Param, ...]:
        """As dvc.dependency.loads_params merges them: a file tracked whole beats keys of it."""
        items = self._data.get("params") or ()
        files = [(file, keys) for item in items if isinstance(item, dict) for file, keys in item.items()]
        whole = {file for file, keys in files if not keys}
        found: dict[Param, None] = {}
        for index, item in enumerate(items):
            pairs = item.items() if isinstance(item, dict) else [(DEFAULT_PARAMS_FILE, [item])]
            for file, keys in pairs:
                path = self._path_of(file, ("params", index), "parameter file")
                if path is not None:
                    for param in self._keys(path, None if file in whole else keys, ("params", index)):
                        found.setdefault(param)
        return tuple(found)

    def _keys(self, file: str, keys: Any, where: yaml12.Path) -> list[Param]:
        if keys is None:
            return [Param(file, None)]
        if not isinstance(keys, list) or not all(isinstance(key, (str, int, float)) for key in keys):
            self._add(where, f"the parameters of `{file}` are no list of names", "write `[name, group.name]`")
            return []
        return [Param(file, str(key)) for key in keys]

    def _outs(self) -> tuple[Out, ...]:
        found: list[Out] = []
        for section, kind in (("outs", OutKind.OUT), ("metrics", OutKind.METRIC), ("plots", OutKind.PLOT)):
            merged: dict[Any, tuple[int, dict[str, Any]]] = {}
            for index, item in enumerate(self._data.get(section) or ()):
                for path, flags in item.items() if isinstance(item, dict) else [(item, {})]:
                    known = merged.setdefault(path, (index, {}))
                    known[1].update(_merged_flags(flags))
            for path, (index, flags) in merged.items():
                out = self._out(path, flags, kind, (section, index))
                if out is not None:
                    found.append(out)
        return tuple(found)

    def _out(self, written: Any, flags: Mapping[str, Any], kind: OutKind, where: yaml12.Path) -> Out | None:
        path = self._path_of(written, where, "output")
        if path is None:
            return None
        if is_external(path):
            self._add(where, f"the output `{written}` is outside the repository", "write it inside the repository")
            return None
        if path == "." or not places.is_inside(path, self._reading.dvc_root) or path == self._reading.dvc_root:
            self._add(where, f"the output `{written}` is not inside the DVC project", "write it to a path of its own")
            return None
        reserved = next((part for part in path.split("/") if part.lower() in _RESERVED), None)
        if reserved is not None:
            hint = "write it to another folder"
            self._add(where, f"the output `{written}` lies in `{reserved}`, which is not for outputs", hint)
            return None
        name = path.rpartition("/")[2]
        if name in ("dvc.yaml", "dvc.lock", ".dvcignore", ".gitignore") or name.endswith(".dvc"):
            self._add(where, f"`{written}` belongs to DVC and cannot be an output", "choose another name")
            return None
        remote = flags.get("remote")
        self._note_spelling(path, written)
        return Out(
            path=path,
            kind=kind,
            cache=flags.get("cache", True) is not False,
            persist=flags.get("persist", False) is True,
            push=flags.get("push", True) is not False,
            remote=remote if isinstance(remote, str) else None,
        )

    def _check_no_own_input(self, deps: tuple[str, ...], outs: tuple[Out, ...]) -> None:
        made = {out.path for out in outs}
        inside: dict[str, list[str]] = {".": list(made)}
        for path in made:
            for folder in places.parents(path):
                inside.setdefault(folder, []).append(path)
        for dep in deps:
            above = [path for path in (dep, *places.parents(dep)) if path in made]
            for path in dict.fromkeys([*above, *inside.get(dep, ())]):
                hint = "remove the dependency; an output that is kept between runs says `persist: true`"
                self._add(("deps",), f"the stage reads `{dep}`, which it writes itself (`{path}`)", hint)

    # ----- what only the runner knows

    def _runner_fields(self) -> Mapping[str, Any]:
        if not self._reading.adopted:
            return self._data
        self._runner_path = ("meta", "runner")
        meta = self._data.get("meta")
        fields = meta.get("runner") if isinstance(meta, dict) else None
        if fields is None:
            return {}
        if not isinstance(fields, dict):
            self._add(("meta", "runner"), "`meta.runner` is no mapping", f"it takes: {', '.join(RUNNER_FIELDS)}")
            return {}
        for key in fields:
            if key not in RUNNER_FIELDS:
                close = nearest(str(key), RUNNER_FIELDS)
                hint = f"did you mean `{close}`?" if close else f"it takes: {', '.join(RUNNER_FIELDS)}"
                self._add(("meta", "runner", str(key)), f"unknown key `{key}` in `meta.runner`", hint)
        return fields

    def _stated(self, name: str) -> Any:
        """The stage's own value of a runner field, else the pipeline's default."""
        if name in PIPELINE_ONLY_FIELDS and self._reading.adopted:
            return None
        value = self._runner.get(name)
        return value if value is not None else self._reading.defaults.get(name)

    def _wrong(self, name: str, value: Any, expected: str) -> None:
        self._add((*self._runner_path, name.split(".")[0]), f"`{name}: {str(value)[:60]}` is not {expected}", "")

    def _quantity(self, name: str, convert: Any, expected: str) -> Any:
        value = self._stated(name)
        if value is None:
            return None
        quantity = convert(value)
        if quantity is None:
            self._wrong(name, value, expected)
        return quantity

    def _resources(self) -> Resources:
        stated = {**_mapping(self._reading.defaults.get("resources")), **_mapping(self._runner.get("resources"))}
        cpu = units.cores_of(stated["cpu"]) if "cpu" in stated else 0.0
        memory = units.bytes_of(stated.get("memory", 0))
        if cpu is None:
            self._wrong("resources.cpu", stated.get("cpu"), "a number of cores")
        if memory is None:
            self._wrong("resources.memory", stated.get("memory"), "an amount of memory such as `4Gi`")
        return Resources(cpu=cpu or 0.0, memory_bytes=memory or 0)

    def _names(self, name: str) -> tuple[str, ...]:
        value = self._stated(name)
        names = [value] if isinstance(value, str) else value or []
        if not isinstance(names, list) or not all(isinstance(item, str) and item for item in names):
            self._wrong(name, value, "a name or a list of names")
            return ()
        return tuple(sorted(set(names)))

    def _env(self) -> tuple[tuple[str, str], ...]:
        stated = {**_mapping(self._reading.defaults.get("env")), **_mapping(self._runner.get("env"))}
        for key, value in stated.items():
            if not isinstance(key, str) or not _ENV_NAME.match(key):
                self._wrong("env", key, "a name for a variable of the environment")
            elif not isinstance(value, (str, int, float)):
                self._wrong(f"env.{key}", value, "text or a number")
        return tuple(sorted((str(key), _env_text(value)) for key, value in stated.items()))

    def _secrets(self) -> tuple[str, ...]:
        own, general = self._runner.get("secrets") or [], self._reading.defaults.get("secrets") or []
        names = [*own, *general] if isinstance(own, list) and isinstance(general, list) else None
        if names is None or not all(isinstance(name, str) and _ENV_NAME.match(name) for name in names):
            self._wrong("secrets", own, "a list of names of variables")
            return ()
        both = sorted(set(names) & set(_mapping(self._runner.get("env"))))
        if both:
            self._add(
                (*self._runner_path, "secrets"), f"`{both[0]}` stands in both `env` and `secrets`", "keep one of them"
            )
        return tuple(sorted(set(names)))

    def _truth(self, name: str, *, default: bool) -> bool:
        value = self._runner.get(name, default)
        if not isinstance(value, bool):
            self._wrong(name, value, "`true` or `false`")
            return default
        return value

    def _environment(self) -> EnvironmentSpec | None:
        stated = self._stated("environment")
        if stated is None:
            return None
        lock = stated.get("lock") if isinstance(stated, dict) else None
        path = places.joined(self._reading.base, lock) if isinstance(lock, str) and not is_external(lock) else None
        if path is None:
            self._wrong("environment.lock", lock, "the path of a requirements file inside the repository")
            return None
        python = stated.get("python")
        return EnvironmentSpec(lock=path, python=None if python is None else str(python))


def _merged_flags(flags: Any) -> dict[str, Any]:
    """Options of an output; a list of plot definitions gives those of all."""
    if isinstance(flags, list):
        return {key: value for item in flags if isinstance(item, dict) for key, value in item.items()}
    return flags if isinstance(flags, dict) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _env_text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
