"""Measures the runner and its peers side by side on generated repositories and writes `docs/benchmarks.md`.

    python benchmarks/run.py                 every row; DVC's first run up to 100 stages
    python benchmarks/run.py plan-1000       that row alone; the other rows of the table stay as they are
    python benchmarks/run.py --full          DVC's first run of 200 and 400 stages too (minutes)
    python benchmarks/run.py --quick         small rows, one run each, nothing written

Nothing here passes or fails: figures belong to the machine they were taken on. What has to be compared is the CPU
time of two tools in one run.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from contenders import EVIDENCE, GROUPS, OURS, ROOT, Contender, contenders, environment
from generate import Shape, generate, git, nodes
from measure import Command, CommandFailed, Cost, machine, measure, median_cost
from results import Figure, load, merged, render, save, write_document

RESULTS = ROOT / "benchmarks" / "results.json"
DOCUMENT = ROOT / "docs" / "benchmarks.md"


@dataclass(frozen=True, slots=True)
class Row:
    """One question, put to every tool about the same generated repository."""

    name: str
    title: str
    shape: Shape
    first: bool
    """True: what does a first run cost; false: what does it cost to find that there is nothing to do."""
    jobs: int = 2
    leaf: bool = False
    """Instead of these: what does it cost when the source of the last stage has changed; of the runner alone."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure."""

    runs: int
    warm_up: bool
    budget_seconds: float
    full: bool


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder to work in, one fresh sub-folder for each thing that is tried."""

    folder: Path
    numbers: Iterator[int]

    def fresh(self) -> Path:
        """A path below the bench that does not exist yet."""
        return self.folder / str(next(self.numbers))


NOTHING_CHANGED = tuple(
    Row(f"plan-{count}", f"Nothing changed, {count:,} stages", Shape(count, peers=True), first=False)
    for count in (10, 100, 1000)
)
FIRST_RUN = tuple(
    Row(f"first-{count}", f"First run of {count:,} empty stages", Shape(count, peers=True), first=True)
    for count in (50, 100, 200, 400, 1000)
)
LEAF = Row(
    "leaf-1000",
    "One leaf of 1,000 stages changed: run, cached, pushed to a folder as DVC remote, committed",
    Shape(1000, dvc_remote=True),
    first=False,
    leaf=True,
)
SLEEPERS = Row(
    "sleep-16",
    "16 stages that sleep 1 s, 16 at a time",
    Shape(16, sleep_seconds=1.0, flat=True, peers=True),
    first=True,
    jobs=16,
)
BURNERS = Row(
    "cpu-16",
    "16 stages of 0.5 s CPU, as many at a time as there are cores",
    Shape(16, cpu_seconds=0.5, flat=True, peers=True),
    first=True,
    jobs=len(os.sched_getaffinity(0)),
)
ROWS = (*NOTHING_CHANGED, *FIRST_RUN, LEAF, SLEEPERS, BURNERS)
QUICK = ("plan-10", "plan-100", "first-50")

Question = Callable[[Row, Contender, Effort, Bench], Cost]


def figures(row: Row, tools: list[Contender], effort: Effort, bench: Bench) -> Iterator[Figure]:
    """What each tool costs on `row`; a tool that fails is told on stderr and left out."""
    for tool in tools:
        if row.leaf and tool.name != OURS:
            continue
        if row.first and row.shape.stages > tool.most_stages:
            print(f"  {tool.name}: takes too long", file=sys.stderr)
            continue
        if row.first and row.shape.stages > tool.first_stages and not effort.full:
            print(f"  {tool.name}: only with --full", file=sys.stderr)
            continue
        for name, question in _questions(row, tool):
            try:
                cost = question(row, tool, effort, bench)
            except CommandFailed as failure:
                print(f"  {name}: {failure}", file=sys.stderr)
                continue
            print(f"  {name}: {cost.cpu_seconds:.3f} CPU s, {cost.wall_seconds:.3f} s", file=sys.stderr)
            yield Figure.of(row.name, row.title, name, tool.version, cost)


def _questions(row: Row, tool: Contender) -> list[tuple[str, Question]]:
    if row.leaf:
        return [(tool.name, one_leaf_changed)]
    if row.first and tool.name == OURS:
        return [(OURS, first_run), (GROUPS, partial(first_run, more={"RUNNER_ISOLATION": "group"}))]
    if row.first:
        return [(tool.name, first_run)]
    own, lock = partial(nothing_to_do, recorded=False), partial(nothing_to_do, recorded=True)
    if tool.name == OURS:
        return [(OURS, own), (EVIDENCE, lock)]
    return [(tool.name, lock if tool.from_lock else own)]


def first_run(row: Row, tool: Contender, effort: Effort, bench: Bench, more: Mapping[str, str] | None = None) -> Cost:
    """The cost of running every stage, each time in a fresh copy of the repository and with an empty home.

    `more`: what is in the environment beside.
    """
    template = generate(bench.fresh(), row.shape)

    def command() -> Command:
        folder = bench.fresh()
        shutil.copytree(template, folder / "repository", symlinks=True)
        env = {**environment(folder / "home"), **(more or {})}
        return Command(tool.first_run(row.jobs), folder / "repository", env)

    return median_cost(command, runs=effort.runs, warm_up=effort.warm_up, budget_seconds=effort.budget_seconds)


def one_leaf_changed(row: Row, tool: Contender, effort: Effort, bench: Bench) -> Cost:
    """The cost of a commit in which one source file is another one that only the last stage reads."""
    folder = bench.fresh()
    repository = generate(folder / "repository", row.shape)
    env = environment(folder / "home")
    measure(Command(tool.first_run(row.jobs), repository, env))
    source = repository / nodes(row.shape)[-1].source
    contents = itertools.count()

    def command() -> Command:
        source.write_text(f"changed for the {next(contents)}th time\n")
        git(repository, "commit", "-q", "-a", "-m", "Change one source")
        return Command(tool.first_run(row.jobs), repository, env)

    return median_cost(command, runs=effort.runs, warm_up=effort.warm_up, budget_seconds=effort.budget_seconds)


def nothing_to_do(row: Row, tool: Contender, effort: Effort, bench: Bench, *, recorded: bool) -> Cost:
    """The cost of finding nothing to do: after a first run of the tool's own, or with what a `dvc repro` left."""
    folder = bench.fresh()
    shape = Shape(row.shape.stages, peers=not recorded, recorded=recorded)
    repository = generate(folder / "repository", shape)
    env = environment(folder / "home")
    if not recorded:
        measure(Command(tool.first_run(row.jobs), repository, env))
    command = Command(tool.nothing, repository, env)
    return median_cost(lambda: command, runs=effort.runs, warm_up=effort.warm_up, budget_seconds=effort.budget_seconds)


def main() -> None:
    """Measure the rows asked for, print the table, and write it unless told otherwise."""
    options = _options()
    chosen = options.rows or (QUICK if options.quick else [row.name for row in ROWS])
    effort = Effort(
        runs=1 if options.quick else options.runs,
        warm_up=True,
        budget_seconds=options.budget_seconds,
        full=options.full,
    )
    tools = [tool for tool in contenders(options.peers_bin) if not options.only or tool.name in options.only]
    measured: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder:
        where = machine(Path(folder))
        print(where, file=sys.stderr)
        bench = Bench(Path(folder), itertools.count())
        for row in ROWS:
            if row.name in chosen:
                print(row.title, file=sys.stderr)
                measured.extend(figures(row, tools, effort, bench))
    print(render(measured, [row.name for row in ROWS]))
    if not options.quick and not options.dry:
        kept = merged(load(RESULTS), measured, where)
        save(RESULTS, kept)
        write_document(DOCUMENT, kept, [row.name for row in ROWS])


def _options() -> argparse.Namespace:
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"all, or some of: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="small rows, one run each, nothing written")
    parser.add_argument("--full", action="store_true", help="DVC's long first runs too")
    parser.add_argument("--dry", action="store_true", help="print the table, write nothing")
    parser.add_argument("--runs", type=int, default=5, help="measured runs after the warm-up; the median counts")
    parser.add_argument("--budget-seconds", type=float, default=120.0, help="fewer runs of what takes longer")
    parser.add_argument("--only", action="append", default=[], metavar="TOOL", help="runner, DVC, make, ...")
    parser.add_argument("--peers-bin", type=Path, help="folder with snakemake, doit, ninja, make; else the PATH")
    parser.add_argument("--folder", type=Path, help="where to work; else the system's folder for temporary files")
    options = parser.parse_args()
    unknown = set(options.rows) - set(names)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return options


if __name__ == "__main__":
    main()
