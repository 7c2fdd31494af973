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
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from contenders import EVIDENCE, OURS, ROOT, Contender, contenders, environment
from generate import Shape, generate
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
    for count in (50, 100, 200, 400)
)
SLEEPERS = Row(
    "sleep-16",
    "16 stages that sleep 1 s, 16 at a time",
    Shape(16, sleep_seconds=1.0, flat=True, peers=True),
    first=True,
    jobs=16,
)
ROWS = (*NOTHING_CHANGED, *FIRST_RUN, SLEEPERS)
QUICK = ("plan-10", "plan-100", "first-50")

Question = Callable[[Row, Contender, Effort, Bench], Cost]


def figures(row: Row, tools: list[Contender], effort: Effort, bench: Bench) -> Iterator[Figure]:
    """What each tool costs on `row`; a tool that fails is told on stderr and left out."""
    for tool in tools:
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
    if row.first:
        return [(tool.name, first_run)]
    own, lock = partial(nothing_to_do, recorded=False), partial(nothing_to_do, recorded=True)
    if tool.name == OURS:
        return [(OURS, own), (EVIDENCE, lock)]
    return [(tool.name, lock if tool.from_lock else own)]


def first_run(row: Row, tool: Contender, effort: Effort, bench: Bench) -> Cost:
    """The cost of running every stage, each time in a fresh copy of the repository and with an empty home."""
    template = generate(bench.fresh(), row.shape)

    def command() -> Command:
        folder = bench.fresh()
        shutil.copytree(template, folder / "repository", symlinks=True)
        return Command(tool.first_run(row.jobs), folder / "repository", environment(folder / "home"))

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
