"""Random edits of a generated repository, the same for the same seed, of the kinds that people make between commits.

Each edit changes the model and returns what it did in words, or None where there is nothing it could be done to.
"""

from __future__ import annotations

import copy
import posixpath
import random
from collections.abc import Callable, Sequence

from tests.oracle.repositories import ADDED_FILE, ADDED_FOLDER, FOLDER, Model, new_stage
from tests.oracle.stages import ParamUse, Stage

Edit = Callable[[Model, random.Random], str | None]


def change_source(model: Model, rng: random.Random) -> str | None:
    """Other bytes in a file of `src/` or `sub/`, used or not."""
    path = rng.choice([path for path in model.files if path.startswith(("src/", "sub/"))])
    model.files[path] += f"changed {rng.randrange(10**6)}\n"
    return f"change {path}"


def change_used_param(model: Model, rng: random.Random) -> str | None:
    """Another value of a parameter that a stage declares."""
    uses = [use for stage in model.stages for use in stage.params]
    if not uses:
        return None
    use = rng.choice(uses)
    return _change_param(model, use.file, use.key or "alpha", rng)


def change_unused_param(model: Model, rng: random.Random) -> str | None:
    """Another value of a parameter that only stages with a whole file, or a whole section, could notice."""
    return _change_param(model, rng.choice(sorted(model.params)), rng.choice(("unused", "model.spare")), rng)


def add_param(model: Model, rng: random.Random) -> str | None:
    """A key that was not there, at the top or in a section."""
    file = rng.choice(sorted(model.params))
    section = model.params[file] if rng.random() < 0.5 else model.params[file]["model"]
    name = f"new{model.fresh()}"
    section[name] = rng.randrange(100)
    return f"add {name} to {file}"


def edit_cmd(model: Model, rng: random.Random) -> str | None:
    """A command that writes something else."""
    stage = _any(model, rng)
    stage.salt = f"s{rng.randrange(10**6)}"
    return f"edit the cmd of {stage.name}"


def remark_in_cmd(model: Model, rng: random.Random) -> str | None:
    """A command that reads differently and writes the same."""
    stage = _any(model, rng)
    stage.remark = f"remark{rng.randrange(10**6)}"
    return f"remark in the cmd of {stage.name}"


def change_variable(model: Model, rng: random.Random) -> str | None:
    """Another value of a variable of `vars`."""
    named = [variables for variables in model.variables.values() if "greeting" in variables]
    if not named:
        return None
    rng.choice(named)["greeting"] = {"word": f"w{rng.randrange(10**6)}"}
    return "change the variable greeting"


def add_stage(model: Model, rng: random.Random) -> str | None:
    """A new stage at the end."""
    made = [out for stage in model.stages for out in stage.concrete_outs()]
    stage = new_stage(model, rng, made)
    model.stages.append(stage)
    return f"add {stage.name}"


def remove_stage(model: Model, rng: random.Random) -> str | None:
    """Remove a stage whose outputs nobody reads."""
    leaves = [stage for stage in model.stages if not _consumed(model, stage)]
    if not leaves or len(model.stages) < 3:
        return None
    stage = rng.choice(leaves)
    model.stages.remove(stage)
    _settle_groups(model, stage)
    return f"remove {stage.name}"


def remove_upstream_stage(model: Model, rng: random.Random) -> str | None:
    """Remove a stage, and what its consumers say of it."""
    consumed = [stage for stage in model.stages if _consumed(model, stage)]
    if not consumed:
        return None
    stage = rng.choice(consumed)
    model.stages.remove(stage)
    _settle_groups(model, stage)
    for out in stage.concrete_outs():
        _drop_dep(model, out.path)
    return f"remove {stage.name} from under others"


def rename_stage(model: Model, rng: random.Random) -> str | None:
    """Another name for a stage, or for a group; the command stays."""
    candidates = [stage for stage in model.stages if not stage.frozen]
    if not candidates:
        return None
    stage = rng.choice(candidates)
    model.settled.discard(stage.token)
    old, stage.name = stage.name, f"renamed{model.fresh()}"
    return f"rename {old} to {stage.name}"


def rename_out(model: Model, rng: random.Random) -> str | None:
    """Another path for an output that nobody reads, or that is read by its whole name."""
    candidates = [stage for stage in model.stages if stage.outs and not stage.group and not stage.frozen]
    if not candidates:
        return None
    stage = rng.choice(candidates)
    out = rng.choice(stage.outs)
    readers = model.consumers(out.path)
    if any(out.path not in reader.deps for reader in readers):
        return None
    old = out.path
    folder, name = posixpath.split(old)
    out.path = posixpath.join(folder, f"moved{model.fresh()}-{name}")
    model.settled.discard(stage.token)
    _redirect(model, old, out.path)
    return f"move output {old} to {out.path}"


def rename_source(model: Model, rng: random.Random) -> str | None:
    """Rename a file that is a dep, in the tree and in the specs."""
    used = sorted({dep for stage in model.stages for dep in stage.deps if dep in model.files})
    if not used:
        return None
    old = rng.choice(used)
    new = posixpath.join(posixpath.dirname(old), f"moved{model.fresh()}.txt")
    model.files[new] = model.files.pop(old)
    model.executable = {new if path == old else path for path in model.executable}
    _redirect(model, old, new)
    return f"rename {old} to {new}"


def drop_source(model: Model, rng: random.Random) -> str | None:
    """Delete a file that is a dep, in the tree and in the specs."""
    used = sorted({dep for stage in model.stages for dep in stage.deps if dep in model.files})
    if not used:
        return None
    path = rng.choice(used)
    del model.files[path]
    _drop_dep(model, path)
    return f"drop {path}"


def delete_source(model: Model, rng: random.Random) -> str | None:
    """Delete a file that a stage still names."""
    used = sorted({dep for stage in model.stages for dep in stage.deps if dep in model.files and not stage.frozen})
    if not used:
        return None
    path = rng.choice(used)
    del model.files[path]
    return f"delete {path}, which is still needed"


def change_folder_file(model: Model, rng: random.Random) -> str | None:
    """Other bytes in a file of a folder."""
    path = rng.choice(_folder_files(model, ignored=False))
    model.files[path] += f"changed {rng.randrange(10**6)}\n"
    return f"change {path}"


def add_folder_file(model: Model, rng: random.Random) -> str | None:
    """A new file in a folder."""
    path = f"{FOLDER}/{rng.choice(('', 'deep/', 'new/'))}added{model.fresh()}.{rng.choice(('txt', 'log'))}"
    model.files[path] = f"added {rng.randrange(10**6)}\n"
    return f"add {path}"


def remove_folder_file(model: Model, rng: random.Random) -> str | None:
    """One file fewer in a folder that keeps others."""
    paths = _folder_files(model, ignored=False)
    if len(paths) < 2:
        return None
    path = rng.choice(paths)
    del model.files[path]
    return f"remove {path}"


def rename_folder_file(model: Model, rng: random.Random) -> str | None:
    """The same bytes under another name in a folder."""
    old = rng.choice(_folder_files(model, ignored=False))
    new = f"{FOLDER}/deep/renamed{model.fresh()}.txt"
    model.files[new] = model.files.pop(old)
    return f"rename {old} to {new}"


def change_ignored_file(model: Model, rng: random.Random) -> str | None:
    """Change, add or remove a file that `.dvcignore` leaves out."""
    path = rng.choice([*_folder_files(model, ignored=True), f"{FOLDER}/deep/more{model.fresh()}.skip"])
    if path in model.files and rng.random() < 0.3:
        del model.files[path]
        return f"remove the ignored {path}"
    model.files[path] = f"ignored {rng.randrange(10**6)}\n"
    return f"change the ignored {path}"


def edit_dvcignore(model: Model, rng: random.Random) -> str | None:
    """Leave out what was not left out before, or the other way round."""
    lines = {"*.skip\n", *rng.sample(["*.log\n", "!never.skip\n", "/README.md\n", "# a remark\n"], 2)}
    model.files[".dvcignore"] = "".join(sorted(lines, reverse=True))
    return "edit .dvcignore"


def change_mode(model: Model, rng: random.Random) -> str | None:
    """Set or clear the executable bit of a source."""
    path = rng.choice([path for path in model.files if path.startswith(("src/", FOLDER))])
    model.executable ^= {path}
    return f"chmod {path}"


def touch_unrelated(model: Model, rng: random.Random) -> str | None:
    """Change a file that no stage reads."""
    path = rng.choice(("README.md", "docs/notes.txt", "work/here.txt"))
    model.files[path] = model.files.get(path, "") + f"more {rng.randrange(10**6)}\n"
    return f"change {path}, which nobody reads"


def describe_stage(model: Model, rng: random.Random) -> str | None:
    """Words about a stage, or the same deps in another order."""
    stage = _any(model, rng)
    if len(stage.deps) > 1 and not stage.dep_variable and rng.random() < 0.5:
        before = stage.insensitive
        stage.insensitive = True  # the order of what is read must not enter the command
        changes_cmd = not before
        stage.deps.reverse()
        return f"another order of deps in {stage.name}" + (", another cmd" if changes_cmd else "")
    stage.desc = f"what it does {rng.randrange(10**6)}"
    return f"describe {stage.name}"


def change_added_file(model: Model, rng: random.Random) -> str | None:
    """Other bytes in a file under `dvc add`."""
    if ADDED_FILE not in model.data:
        return None
    model.data[ADDED_FILE] = f"raw {rng.randrange(10**6)}\n"
    return f"change {ADDED_FILE}"


def change_added_folder(model: Model, rng: random.Random) -> str | None:
    """A file changed, added or removed in a folder under `dvc add`."""
    content = model.data.get(ADDED_FOLDER)
    if not isinstance(content, dict):
        return None
    name = rng.choice(("p.txt", "q.txt", "inner/r.txt", f"inner/new{model.fresh()}.txt"))
    if name == "p.txt" and rng.random() < 0.3:
        model.data[ADDED_FOLDER] = {key: text for key, text in content.items() if key != name}
        return f"remove {name} from {ADDED_FOLDER}"
    model.data[ADDED_FOLDER] = content | {name: f"{name} {rng.randrange(10**6)}\n"}
    return f"change {name} in {ADDED_FOLDER}"


def toggle_frozen(model: Model, rng: random.Random) -> str | None:
    """Freeze a stage that has run, or let a frozen one go."""
    stage = _any(model, rng)
    if not stage.outs or stage.token not in model.settled:
        return None
    stage.frozen = not stage.frozen
    return f"{'freeze' if stage.frozen else 'unfreeze'} {stage.name}"


def change_group(model: Model, rng: random.Random) -> str | None:
    """One member more in a group, or another value for all of one."""
    groups = [stage for stage in model.stages if stage.group and not stage.frozen]
    if not groups:
        return None
    stage = rng.choice(groups)
    group = stage.group
    assert group is not None
    group.values = copy.deepcopy(group.values)
    model.settled.discard(stage.token)
    name = f"n{model.fresh()}"
    match group.kind:
        case "list":
            group.values.append(name)
        case "dict" if rng.random() < 0.5:
            group.values["left"]["n"] += 10
        case "dict":
            group.values[name] = {"n": 5}
        case "dicts" if rng.random() < 0.5:
            group.values[0]["n"] += 10
        case "dicts":
            group.values.append({"id": name, "n": 5})
        case _:
            group.values["m"].append(name)
    return f"change the values of {stage.name}"


def add_dep(model: Model, rng: random.Random) -> str | None:
    """One dep more."""
    stage = _any(model, rng)
    pool = [path for path in model.files if path.startswith("src/") and path not in stage.deps]
    if not pool or not stage.outs:
        return None
    stage.deps.append(rng.choice(pool))
    return f"let {stage.name} depend on {stage.deps[-1]}"


def add_param_use(model: Model, rng: random.Random) -> str | None:
    """A stage declares one parameter more, and its command stays."""
    stage = _any(model, rng)
    file = rng.choice(sorted(model.params))
    if any(use.file == file for use in stage.params) or not stage.outs:
        return None
    stage.params.append(ParamUse(file, rng.choice(("alpha", "model.depth")), read=False))
    return f"let {stage.name} declare {stage.params[-1].key} of {file}"


EDITS: tuple[Edit, ...] = (
    change_source,
    change_source,
    change_used_param,
    change_used_param,
    change_unused_param,
    add_param,
    edit_cmd,
    remark_in_cmd,
    change_variable,
    add_stage,
    remove_stage,
    remove_upstream_stage,
    rename_stage,
    rename_out,
    rename_source,
    drop_source,
    change_folder_file,
    add_folder_file,
    remove_folder_file,
    rename_folder_file,
    change_ignored_file,
    edit_dvcignore,
    change_mode,
    touch_unrelated,
    describe_stage,
    change_added_file,
    change_added_folder,
    toggle_frozen,
    toggle_frozen,
    change_group,
    add_dep,
    add_param_use,
)
"""Edits that leave a repository whose every dep is there."""

BREAKING: tuple[Edit, ...] = (delete_source,)
"""Edits after which a stage asks for something that is nowhere."""


def apply_edits(model: Model, rng: random.Random, count: int, edits: Sequence[Edit] = EDITS) -> list[str]:
    """Make `count` edits; returns what they did, one sentence each."""
    done: list[str] = []
    while len(done) < count:
        said = rng.choice(edits)(model, rng)
        if said:
            done.append(said)
    return done


def _any(model: Model, rng: random.Random) -> Stage:
    return rng.choice(model.stages)


def _change_param(model: Model, file: str, key: str, rng: random.Random) -> str:
    holder = model.params[file]
    *sections, last = key.split(".")
    for section in sections:
        holder = holder[section]
    holder[last] = _other_value(holder[last], rng)
    return f"change {key} in {file}"


def _other_value(value: object, rng: random.Random) -> object:
    match value:
        case bool():
            return not value
        case int():
            return value + rng.randint(1, 9)
        case float():
            return round(value + rng.randint(1, 9), 3)
        case list():
            return [f"n{rng.randrange(10**6)}", *value[1:]]
        case dict():
            name = rng.choice(sorted(value))
            return {**value, name: _other_value(value[name], rng)}
        case _:
            return f"{value}x"


def _consumed(model: Model, stage: Stage) -> bool:
    return any(model.consumers(out.path) for out in stage.concrete_outs())


def _redirect(model: Model, old: str, new: str) -> None:
    for stage in model.stages:
        stage.deps = [new if dep == old else dep for dep in stage.deps]
        stage.folder_deps = {new if dep == old else dep for dep in stage.folder_deps}


def _drop_dep(model: Model, path: str) -> None:
    """Remove every dep on `path` or on something in it; a stage without any left gets a source, to have one."""
    for stage in model.stages:
        kept = [dep for dep in stage.deps if dep != path and not dep.startswith(f"{path}/")]
        if kept != stage.deps:
            stage.deps = kept or [next(iter(model.files))]
            stage.dep_variable = stage.dep_variable and bool(kept)


def _settle_groups(model: Model, stage: Stage) -> None:
    """Forget the parameter that held the values of a removed group."""
    if stage.group and stage.group.variable:
        model.params[posixpath.join(stage.folder, "params.yaml")].pop(stage.group.variable, None)


def _folder_files(model: Model, *, ignored: bool) -> list[str]:
    return [path for path in model.files if path.startswith(f"{FOLDER}/") and path.endswith(".skip") == ignored]
