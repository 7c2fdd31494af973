"""Builds a git repository of N stages that do nothing, as an adopted `dvc.yaml` and, if asked, for other build tools.

The shape is the one every figure in `docs/benchmarks.md` is measured on: layers as wide as the square root of N, each
stage with three outputs of the layer before it, one source file and one parameter, and one small output.

    python benchmarks/generate.py FOLDER --stages 1000 --remote --dvc-remote --recorded --peers
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from script import at_least_1, end_processes, not_below_0, parser_of, run_script

IDENTITY = {
    "GIT_AUTHOR_NAME": "Benchmark",
    "GIT_AUTHOR_EMAIL": "benchmark@example.org",
    "GIT_COMMITTER_NAME": "Benchmark",
    "GIT_COMMITTER_EMAIL": "benchmark@example.org",
    "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}
"""Environment of every git command here: same commits on every machine, whatever its user configured."""

ADOPTION = """\
apiVersion: runner/v1
kind: Project
metadata: {name: benchmark}
spec:
  specs: [dvc.yaml]
"""
"""The `runner.yaml` that adopts the generated `dvc.yaml`."""

FAN_IN = 3
BURN = "burn.py"
"""Uses up so many seconds of CPU time."""

PARAMS = 10
"""How many parameters `params.yaml` has; each stage reads one of them.

Not one for each stage: DVC reads the whole file again for every stage, and a file of a thousand keys would multiply
its time by fifteen. That is not what people have.
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """What to build."""

    stages: int
    sleep_seconds: float = 0.0
    """0: the command only writes its output, about 1 ms."""
    cpu_seconds: float = 0.0
    """CPU time that every command burns before it writes its output."""
    flat: bool = False
    """True: no stage depends on another one."""
    remote: bool = False
    """A bare git remote `FOLDER.git`, named origin, pushed to."""
    dvc_remote: bool = False
    """A local folder `FOLDER.store` as the DVC remote."""
    recorded: bool = False
    """Outputs, cache and `dvc.lock` as a `dvc repro` would have left them."""
    templated: bool = False
    """True: every command holds its parameter as `${}`."""
    shell: str = ""
    """The shell of all commands, where it is not the runner's own choice."""
    peers: bool = False
    """A Makefile, `build.ninja`, `Snakefile` and `dodo.py` of the same graph."""


@dataclass(frozen=True, slots=True)
class Node:
    """One stage of the generated graph."""

    name: str
    above: tuple[str, ...]
    """Names of the stages whose outputs it depends on."""
    sleep_seconds: float
    cpu_seconds: float
    param: str
    """The one parameter it reads."""
    templated: bool = False

    @property
    def source(self) -> str:
        """Path of its source file."""
        return f"src/{self.name}.txt"

    @property
    def out(self) -> str:
        """Path of its output."""
        return f"out/{self.name}"

    @property
    def deps(self) -> tuple[str, ...]:
        """Every path it depends on, sorted as DVC sorts them."""
        return tuple(sorted((self.source, *(f"out/{name}" for name in self.above))))

    @property
    def cmd(self) -> str:
        """The shell command; the output holds the stage's own name."""
        write = f"echo {self.name}{f' ${{{self.param}}}' if self.templated else ''} > {self.out}"
        if self.cpu_seconds:
            return f"python3 -I -S {BURN} {self.cpu_seconds:g} && {write}"
        return f"sleep {self.sleep_seconds:g} && {write}" if self.sleep_seconds else write


def nodes(shape: Shape) -> list[Node]:
    """The graph of `shape`: layers as wide as the square root of its stages, three edges up from each stage."""
    width = max(1, round(math.sqrt(shape.stages)))
    made: list[Node] = []
    for index in range(shape.stages):
        layer, position = divmod(index, width)
        above: tuple[str, ...] = ()
        if layer and not shape.flat:
            first = (layer - 1) * width
            above = tuple(sorted({made[first + (position + step) % width].name for step in range(FAN_IN)}))
        param = f"p{index % PARAMS}"
        made.append(Node(f"s{index:05d}", above, shape.sleep_seconds, shape.cpu_seconds, param, shape.templated))
    return made


def generate(folder: Path, shape: Shape) -> Path:
    """Build the repository of `shape` in `folder`, which must not exist yet; returns `folder`."""
    graph = nodes(shape)
    folder.mkdir(parents=True)
    for path, text in _files(folder, shape, graph):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    git(folder, "init", "-q", "-b", "main")
    if shape.recorded:
        _record(folder, graph)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Generate the benchmark repository")
    if shape.remote:
        _add_git_remote(folder)
    return folder


def change_parameter(folder: Path) -> None:
    """Give one parameter, which a tenth of the stages read, another value; committed, and pushed to a remote."""
    file = folder / "params.yaml"
    file.write_text(file.read_text().replace("p3: 3\n", "p3: 33\n"))
    git(folder, "commit", "-q", "-a", "-m", "Change a parameter")
    if git(folder, "remote"):
        git(folder, "push", "-q")


def git(folder: Path, *arguments: str) -> str:
    """Run one git command in `folder` and return what it printed; raises CalledProcessError."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=os.environ | IDENTITY, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.strip()


def _files(folder: Path, shape: Shape, graph: Sequence[Node]) -> Iterator[tuple[str, str]]:
    yield "runner.yaml", ADOPTION + (f"  shell: {shape.shell}\n" if shape.shell else "")
    yield "dvc.yaml", dvc_yaml(graph)
    yield "params.yaml", "".join(f"p{number}: {number}\n" for number in range(PARAMS))
    yield ".dvc/config", _dvc_config(folder, shape)
    yield ".dvc/.gitignore", "/config.local\n/tmp\n/cache\n"
    yield ".dvcignore", ""
    if shape.cpu_seconds:
        yield BURN, "import sys, time\nwhile time.process_time() < float(sys.argv[1]):\n    pass\n"
    yield "out/.gitignore", "".join(f"/{node.name}\n" for node in graph)
    for node in graph:
        yield node.source, f"source of {node.name}\n"
    if shape.peers:
        yield ".gitignore", "/.snakemake\n/.ninja_log\n/.doit.db*\n"
        yield "Makefile", makefile(graph)
        yield "build.ninja", build_ninja(graph)
        yield "Snakefile", snakefile(graph)
        yield "dodo.py", dodo(graph)


def _dvc_config(folder: Path, shape: Shape) -> str:
    quiet = "[core]\n    analytics = false\n    check_update = false\n"
    if not shape.dvc_remote:
        return quiet
    store = folder.absolute().with_name(folder.name + ".store")
    store.mkdir(exist_ok=True)
    return f"{quiet}    remote = store\n['remote \"store\"']\n    url = {store}\n"


def _add_git_remote(folder: Path) -> None:
    bare = folder.absolute().with_name(folder.name + ".git")
    git(folder, "init", "-q", "--bare", "-b", "main", str(bare))
    git(folder, "remote", "add", "origin", str(bare))
    git(folder, "push", "-q", "-u", "origin", "main")


def dvc_yaml(graph: Sequence[Node]) -> str:
    """The graph in DVC's grammar."""
    blocks = ["stages:\n"]
    for node in graph:
        deps = "".join(f"    - {path}\n" for path in node.deps)
        blocks.append(
            f"  {node.name}:\n    cmd: {node.cmd}\n    deps:\n{deps}"
            f"    params:\n    - {node.param}\n    outs:\n    - {node.out}\n"
        )
    return "".join(blocks)


def makefile(graph: Sequence[Node]) -> str:
    """The graph for make."""
    rules = "".join(f"{node.out}: {' '.join(node.deps)}\n\t{node.cmd}\n" for node in graph)
    return f"all: {' '.join(node.out for node in graph)}\n.PHONY: all\n{rules}"


def build_ninja(graph: Sequence[Node]) -> str:
    """The graph for ninja."""
    builds = "".join(f"build {node.out}: run {' '.join(node.deps)}\n  cmd = {node.cmd}\n" for node in graph)
    return f"rule run\n  command = $cmd\n{builds}"


def snakefile(graph: Sequence[Node]) -> str:
    """The graph for Snakemake."""
    rules = [f"rule all:\n    input: {json.dumps([node.out for node in graph])}\n"]
    for node in graph:
        rules.append(
            f"rule {node.name}:\n    input: {json.dumps(node.deps)}\n    output: {json.dumps(node.out)}\n"
            f"    shell: {json.dumps(node.cmd)}\n"
        )
    return "".join(rules)


def dodo(graph: Sequence[Node]) -> str:
    """The graph for doit."""
    tasks = [
        {"name": node.name, "actions": [node.cmd], "file_dep": list(node.deps), "targets": [node.out]} for node in graph
    ]
    return f"TASKS = {json.dumps(tasks)}\n\n\ndef task_stage():\n    yield from TASKS\n"


def _record(folder: Path, graph: Sequence[Node]) -> None:
    """Leave what a `dvc repro` leaves, without its cost: outputs, cache objects and the lock file."""
    lock = ["schema: '2.0'\nstages:\n"]
    for node in graph:
        content = (f"{node.name} {node.param[1:]}\n" if node.templated else f"{node.name}\n").encode()
        (folder / node.out).write_bytes(content)
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        cached = folder / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_bytes(content)
        cached.chmod(0o444)
        cmd = node.cmd.replace(f"${{{node.param}}}", node.param[1:])
        lock.append(f"  {node.name}:\n    cmd: {cmd}\n    deps:\n")
        lock.extend(_lock_entry(folder, path) for path in node.deps)
        lock.append(f"    params:\n      params.yaml:\n        {node.param}: {node.param[1:]}\n    outs:\n")
        lock.append(_lock_entry(folder, node.out))
    (folder / "dvc.lock").write_text("".join(lock))


def _lock_entry(folder: Path, path: str) -> str:
    content = (folder / path).read_bytes()
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    # quoted: some digests read as numbers otherwise
    return f"    - path: {path}\n      hash: md5\n      md5: '{digest}'\n      size: {len(content)}\n"


def main() -> None:
    """Build one repository as the options say."""
    parser = parser_of(__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to build it; must not be there yet")
    parser.add_argument("--stages", type=at_least_1, default=100, help="how many there are")
    parser.add_argument("--sleep-seconds", type=not_below_0, default=0.0, help="what every command sleeps")
    parser.add_argument("--cpu-seconds", type=not_below_0, default=0.0, help="what every command burns")
    parser.add_argument("--flat", action="store_true", help="no stage depends on another one")
    parser.add_argument("--remote", action="store_true", help="make FOLDER.git, a bare git remote, and push")
    parser.add_argument("--dvc-remote", action="store_true", help="make FOLDER.store the DVC remote")
    parser.add_argument("--recorded", action="store_true", help="as after a dvc repro: outputs, cache and dvc.lock")
    parser.add_argument("--templated", action="store_true", help="every command holds its parameter as ${}")
    parser.add_argument("--shell", default="", help="what runs the commands, such as sh")
    parser.add_argument("--peers", action="store_true", help="the same graph for make, ninja, Snakemake and doit")
    options = vars(parser.parse_args())
    folder = options.pop("folder").absolute()
    made = [folder]
    made += [folder.with_name(f"{folder.name}.git")] if options["remote"] else []
    made += [folder.with_name(f"{folder.name}.store")] if options["dvc_remote"] else []
    there = [str(path) for path in made if os.path.lexists(path)]
    if there:
        parser.error(f"{', '.join(there)} is there already: name a folder that is not")
    try:
        print(generate(folder, Shape(**options)))
    except OSError as error:
        parser.error(f"cannot build there: {error}")
    except KeyboardInterrupt:
        end_processes()
        for path in made:
            shutil.rmtree(path, ignore_errors=True)
        raise


if __name__ == "__main__":
    run_script(main)
