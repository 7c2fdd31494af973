"""Measures what data costs: outputs of many files and of one big one, unchanged inputs, check-outs, beside DVC.

    python benchmarks/data.py                       every row, five runs each (some ten minutes, 10 GiB)
    python benchmarks/data.py out-small check-out   those rows
    python benchmarks/data.py --scale 0.01 --runs 1 a hundredth of the data, to see that it works

Ours is a whole `runner reconcile` less what its stage's command took, as the record says; the others stand beside it.
What counts is CPU time, and the ratio to the floor measured in the same run: `md5sum`, `cp -rl`, `find`.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from contenders import environment
from generate import IDENTITY, git
from measure import Command, CommandFailed, Cost, chosen_rows, machine, measure, median
from script import above_0, add_only, at_least_1, parser_of, run_script, working_folder

PROJECT = "apiVersion: runner/v1\nkind: Project\nmetadata: {name: data}\nspec:\n  specs: [dvc.yaml]\n"
MAKER = Path(__file__).with_name("make_files.py")
CHECK_OUT = MAKER.with_name("check_out.py")
RUNNER = (sys.executable, "-m", "runner")
DVC = str(Path(sys.executable).with_name("dvc"))
WHATS = ("runner", "runner's", "dvc", "md5sum", "cp", "git", "find", "rm")
"""The first words of what is measured."""


@dataclass(frozen=True, slots=True)
class Data:
    """Files of random bytes, a thousand in a folder."""

    files: int
    size_bytes: int

    def make(self, folder: Path) -> Path:
        """Write them below `folder`, which must not exist."""
        subprocess.run([*self.command, str(folder)], check=True)
        return folder

    @property
    def command(self) -> tuple[str, ...]:
        """What writes them, but for the name of the folder."""
        return (sys.executable, "-I", "-S", str(MAKER), str(self.files), str(self.size_bytes))


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder to work in, and how much to measure."""

    folder: Path
    numbers: Iterator[int]
    runs: int

    def fresh(self) -> Path:
        """A path below the bench whose parent is there and has nothing else in it."""
        folder = self.folder / str(next(self.numbers))
        folder.mkdir()
        return folder / "it"


@dataclass(frozen=True, slots=True)
class Row:
    """One question about some data."""

    name: str
    title: str
    data: Data
    ask: Callable[[Data, Bench], Iterator[tuple[str, Callable[[], Cost]]]]


def taken(data: Data, bench: Bench) -> Iterator[tuple[str, Callable[[], Cost]]]:
    """What it costs to take an output into the cache and to record it."""
    stage = f"cmd: {' '.join(data.command)} out\n    outs: [out]"

    def ours() -> Cost:
        return _less_its_stage(_repository(bench.fresh(), stage))

    def added(kind: str) -> Cost:
        folder = _dvc_project(bench.fresh(), kind)
        data.make(folder / "out")
        return _measured((DVC, "add", "-q", "out"), folder)

    yield "runner reconcile, less the command", ours
    yield "dvc add, hard links", lambda: added("hardlink")
    yield "dvc add, copies", lambda: added("copy")
    yield "md5sum", lambda: _measured(_md5sum(1), data.make(bench.fresh()).parent)
    if data.files > 1:
        yield "md5sum, two at a time", lambda: _measured(_md5sum(2), data.make(bench.fresh()).parent)
    yield "cp -rl", lambda: _measured(("cp", "-rl", "it", "links"), data.make(bench.fresh()).parent)


def unchanged(data: Data, bench: Bench) -> Iterator[tuple[str, Callable[[], Cost]]]:
    """What it costs to see that a folder outside of the repository is what it was."""
    source = data.make(bench.fresh())
    repository = _repository(bench.fresh(), f"cmd: touch out\n    deps: [{source}]\n    outs: [out]")
    _less_its_stage(repository)
    project = _dvc_project(bench.fresh(), "hardlink")
    shutil.copytree(source, project / "out")
    _measured((DVC, "add", "-q", "out"), project)
    tracked = bench.fresh()
    shutil.copytree(source, tracked)
    git(tracked, "init", "-q")
    git(tracked, "config", "gc.auto", "0")  # no repacking behind our back
    git(tracked, "add", "-A")
    git(tracked, "commit", "-qm", "data")
    yield "runner reconcile", lambda: _measured((*RUNNER, "reconcile"), repository)
    yield "dvc status", lambda: _measured((DVC, "status", "-q"), project)
    yield "git status", lambda: _measured(("git", "status", "--porcelain"), tracked)
    yield "find with stat", lambda: _measured(("find", ".", "-printf", "%s %T@ %i\\n"), source)


def checked_out(data: Data, bench: Bench) -> Iterator[tuple[str, Callable[[], Cost]]]:
    """What it costs to place cached data where a stage reads it, and to take it away."""
    repository = _repository(bench.fresh(), "cmd: cp turn out\n    deps: [data, turn]\n    outs: [out]", tracks=data)
    _next_turn(repository)
    _less_its_stage(repository)
    project = _dvc_project(bench.fresh(), "hardlink")
    data.make(project / "out")
    _measured((DVC, "add", "-q", "out"), project)
    source = data.make(bench.fresh())

    def placed() -> Cost:
        _next_turn(repository)
        return _less_its_stage(repository)

    def only_placed() -> Cost:
        shutil.rmtree(source.parent / "placed", ignore_errors=True)
        index = repository.parent / "home/.cache/gitops-runner/hashes.sqlite"
        places = (index, repository / ".dvc/cache", repository / "data.dvc", source.parent / "placed")
        return _measured((sys.executable, str(CHECK_OUT), *map(str, places)), repository)

    def checkout() -> Cost:
        shutil.rmtree(project / "out")
        return _measured((DVC, "checkout", "-q"), project)

    def linked() -> Cost:
        shutil.rmtree(source.parent / "links", ignore_errors=True)
        return _measured(("cp", "-rl", "it", "links"), source.parent)

    def removed() -> Cost:
        linked()
        return _measured(("rm", "-rf", "links"), source.parent)

    yield "runner's check-out alone", only_placed
    yield "runner reconcile, less the command", placed
    yield "dvc checkout, hard links", checkout
    yield "cp -rl", linked
    yield "rm -rf of the links", removed


ROWS = (
    Row("out-small", "An output of 100,000 files of 1 KiB", Data(100_000, 1 << 10), taken),
    Row("out-middle", "An output of 10,000 files of 4 KiB", Data(10_000, 4 << 10), taken),
    Row("out-big", "An output of 2 GiB", Data(1, 2 << 30), taken),
    Row("unchanged", "An unchanged folder outside of the repository, 100,000 files", Data(100_000, 1 << 10), unchanged),
    Row("check-out", "A check-out of 100,000 files by link", Data(100_000, 1 << 10), checked_out),
)


def _repository(folder: Path, stage: str, *, tracks: Data | None = None) -> Path:
    folder.mkdir()
    (folder / "runner.yaml").write_text(PROJECT)
    (folder / "dvc.yaml").write_text(f"stages:\n  s:\n    {stage}\n")
    _dvc_project(folder, "hardlink")
    git(folder, "init", "-q", "-b", "main")
    if tracks is not None:
        tracks.make(folder / "data")
        (folder / ".gitignore").write_text("/data\n")
        _measured((DVC, "add", "-q", "data"), folder)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Generate")
    return folder


def _dvc_project(folder: Path, kind: str) -> Path:
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc/config").write_text(
        f"[core]\n    no_scm = true\n    analytics = false\n[cache]\n    type = {kind}\n"
    )
    (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    return folder


def _measured(arguments: tuple[str, ...], folder: Path) -> Cost:
    return measure(Command(arguments, folder, {**environment(folder.parent / "home"), **IDENTITY}))


def _next_turn(repository: Path) -> None:
    """Commit what makes the stage run again, and its command with it: not even DVC's run-cache knows this one."""
    (repository / "turn").write_text(f"{time.time_ns()}\n")
    git(repository, "add", "turn")
    git(repository, "commit", "-qm", "Turn")


def _less_its_stage(repository: Path) -> Cost:
    """A whole reconcile less the processor and wall time of the command, as the record of the run says."""
    whole = _measured((*RUNNER, "reconcile"), repository)
    names = git(repository, "ls-tree", "-r", "--name-only", "runner/state", ".runner/ledger/records/").splitlines()
    for name in sorted(names, reverse=True):
        run = json.loads(base64.b64decode(json.loads(git(repository, "show", f"runner/state:{name}"))["payload"]))
        if _found(run, "cpuSeconds"):
            return replace(
                whole,
                cpu_seconds=whole.cpu_seconds - _found(run, "cpuSeconds"),
                wall_seconds=whole.wall_seconds - _found(run, "seconds"),
            )
    raise CommandFailed(f"{repository}: no run was recorded")


def _found(value: object, name: str) -> float:
    """The first number of this name anywhere in a document."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict) and isinstance(value.get(name), int | float):
        return float(value[name])
    return next((found for part in inner if (found := _found(part, name))), 0.0)


def _md5sum(processes: int) -> tuple[str, ...]:
    return ("sh", "-c", f"find it -type f -print0 | xargs -0 -P{processes} -n2000 md5sum > /dev/null")


def main() -> int:
    """Measure the rows asked for and print a table for each; 1 where a tool failed."""
    options = _options()
    failed = False
    with working_folder(options.folder) as folder:
        print(machine(folder))
        for row in ROWS:
            if options.rows and row.name not in options.rows:
                continue
            data = row.data
            if options.scale != 1:
                scaled = max(1, int((data.files if data.files > 1 else data.size_bytes) * options.scale))
                data = replace(data, files=scaled) if data.files > 1 else replace(data, size_bytes=scaled)
            place = folder / row.name
            place.mkdir()
            try:
                _tell(row, data, Bench(place, itertools.count(), options.runs), options.only)
            except (CommandFailed, subprocess.CalledProcessError) as failure:
                print(f"  {row.name}: {failure}", file=sys.stderr)
                failed = True
            shutil.rmtree(place)
    return int(failed)


def _tell(row: Row, data: Data, bench: Bench, only: list[str]) -> None:
    print(f"\n{row.title} ({data.files:,} x {data.size_bytes:,} bytes)\n")
    print("| what | CPU s | times | wall s | peak MiB | load |\n|---|---:|---:|---:|---:|---:|")
    first: float | None = None
    for name, once in row.ask(data, bench):
        if only and name.split()[0] not in only:
            continue
        cost = median([alone(once, bench.folder) for _ in range(bench.runs)])
        first = first or cost.cpu_seconds
        print(
            f"| {name} | {cost.cpu_seconds:.3f} | {cost.cpu_seconds / first:.2f} | {cost.wall_seconds:.2f} "
            f"| {cost.peak_bytes / 2**20:.0f} | {os.getloadavg()[0]:.1f} |",
            flush=True,
        )


def alone(once: Callable[[], Cost], folder: Path) -> Cost:
    """Measure, and remove what was made for it; where that is interrupted or fails, the whole folder goes."""
    before = set(folder.iterdir())
    cost = once()
    for made in set(folder.iterdir()) - before:
        shutil.rmtree(made)
    return cost


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--runs", type=at_least_1, default=5, help="measured runs; the median counts")
    parser.add_argument("--scale", type=above_0, default=1.0, help="this share of the data")
    add_only(parser, "WHAT", WHATS)
    return chosen_rows(parser, [row.name for row in ROWS])


if __name__ == "__main__":
    run_script(main)
