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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from contenders import AGAIN, EVIDENCE, GROUPS, NAMES, OURS, ROOT, SHELL, Contender, contenders, environment
from generate import Shape, change_parameter, generate, git, nodes
from measure import Command, CommandFailed, Cost, chosen_rows, machine, measure, median_cost
from results import Figure, load, merged, render, save, write_document
from script import above_0, add_only, at_least_1, existing_folder, parser_of, run_script, working_folder

RESULTS = ROOT / "benchmarks" / "results.json"
DOCUMENT = ROOT / "docs" / "benchmarks.md"


@dataclass(frozen=True, slots=True)
class Row:
    """One question, put to every tool about the same generated repository."""

    name: str
    title: str
    shape: Shape
    first: bool = False
    """True: what does a first run cost; false: what does it cost to find that there is nothing to do."""
    jobs: int = 2
    leaf: bool = False
    """Instead of these: what does it cost when the source of the last stage has changed; of the runner alone."""
    cold: bool = False
    """Whether the tool remembers nothing: what it keeps beside the repository is removed before each run."""
    changed: bool = False
    """Whether one parameter was changed, and committed, since everything ran; of tools that know parameters."""
    again: bool = False
    """Whether ours is measured once more where it does not remember its last answer; so it is where one changed."""
    acts: bool = False
    """Whether the command is the one that runs stages, and not the one that only says what there is to do."""
    words: tuple[str, ...] = ()
    """Not about a repository: what does the program cost with these words."""


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
    failed: list[str] = field(default_factory=list)
    """What was tried and failed, told on stderr then."""

    def fresh(self) -> Path:
        """A path below the bench that does not exist yet."""
        return self.folder / str(next(self.numbers))


NOTHING_CHANGED = tuple(
    Row(f"plan-{count}", f"Nothing changed, {count:,} stages", Shape(count, peers=True), again=count == 1000)
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
MORE = (
    Row("plan-10000", "Nothing changed, 10,000 stages", Shape(10_000, peers=True)),
    Row("cold-1000", "Nothing changed, nothing remembered, 1,000 stages", Shape(1000), cold=True),
    Row("cold-10000", "Nothing changed, nothing remembered, 10,000 stages", Shape(10_000), cold=True),
    Row("param-1000", "One parameter changed, 1,000 stages", Shape(1000), changed=True),
    Row("param-templated-1000", "The same where every command uses `${}`", Shape(1000, templated=True), changed=True),
    Row("act-1000", "The command that runs stages, nothing to do, 1,000 stages", Shape(1000, peers=True), acts=True),
    Row("version", "`--version`", Shape(1), words=("--version",)),
    Row("help", "`--help`", Shape(1), words=("--help",)),
)
ROWS = (*NOTHING_CHANGED, *FIRST_RUN, LEAF, SLEEPERS, BURNERS, *MORE)
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
                bench.failed.append(name)
                continue
            print(f"  {name}: {cost.cpu_seconds:.3f} CPU s, {cost.wall_seconds:.3f} s", file=sys.stderr)
            yield Figure.of(row.name, row.title, name, tool.version, cost)


def _questions(row: Row, tool: Contender) -> list[tuple[str, Question]]:
    if row.words:
        return [(tool.name, started)]
    if row.leaf:
        return [(tool.name, one_leaf_changed)]
    if row.first and tool.name == OURS:
        grouped = partial(first_run, more={"RUNNER_ISOLATION": "group"})
        return [(OURS, first_run), (GROUPS, grouped), (SHELL, partial(grouped, shell="sh"))]
    if row.first:
        return [(tool.name, first_run)]
    if row.shape.stages > tool.most_asked or (not row.shape.peers and not tool.from_lock):
        return []
    own, lock = partial(nothing_to_do, recorded=False), partial(nothing_to_do, recorded=True)
    if tool.name == OURS:
        again = [(AGAIN, partial(nothing_to_do, recorded=False, again=True))] if row.changed or row.again else []
        return [(OURS, own), *again, *([] if row.cold or row.changed or row.acts else [(EVIDENCE, lock)])]
    return [(tool.name, lock if tool.from_lock else own)]


def first_run(
    row: Row, tool: Contender, effort: Effort, bench: Bench, more: Mapping[str, str] | None = None, shell: str = ""
) -> Cost:
    """The cost of running every stage, each time in a fresh copy of the repository and with an empty home.

    `more`: what is in the environment beside. `shell`: what runs the commands, where it is not our own choice.
    """
    template = generate(bench.fresh(), replace(row.shape, shell=shell))

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


def nothing_to_do(
    row: Row, tool: Contender, effort: Effort, bench: Bench, *, recorded: bool, again: bool = False
) -> Cost:
    """The cost of finding nothing to do: after a first run of the tool's own, or with what a `dvc repro` left.

    With `again` the tool has forgotten its last answer, and nothing else, before each run.
    """
    folder = bench.fresh()
    shape = replace(row.shape, peers=row.shape.peers and not recorded, recorded=recorded, remote=row.acts)
    repository = generate(folder / "repository", shape)
    env = environment(folder / "home")
    if not recorded:
        measure(Command(tool.first_run(row.jobs), repository, env))
    if row.changed:
        change_parameter(repository)
    words = tool.first_run(row.jobs) if row.acts else tool.nothing
    command = Command(words, repository, env, accepted=(0, 2) if row.changed else (0,))

    def prepared() -> Command:
        for place in tool.remembers if row.cold else tool.answers if again else ():
            for found in (folder / "home").glob(place):
                shutil.rmtree(found) if found.is_dir() else found.unlink()
        return command

    return median_cost(prepared, runs=effort.runs, warm_up=effort.warm_up, budget_seconds=effort.budget_seconds)


def started(row: Row, tool: Contender, effort: Effort, bench: Bench) -> Cost:
    """The cost of a start: a version, or a help."""
    folder = bench.fresh()
    folder.mkdir()
    command = Command((*tool.program, *row.words), folder, environment(folder / "home"))
    return median_cost(lambda: command, runs=effort.runs, warm_up=effort.warm_up, budget_seconds=effort.budget_seconds)


def main() -> int:
    """Measure the rows asked for, print the table, and write it unless told otherwise; 1 where a tool failed."""
    options = _options()
    chosen = options.rows or (QUICK if options.quick else [row.name for row in ROWS])
    effort = Effort(
        runs=1 if options.quick else options.runs,
        warm_up=True,
        budget_seconds=options.budget_seconds,
        full=options.full,
    )
    tools = contenders(options.peers_bin, options.only or NAMES)
    if not tools:
        return 1
    measured: list[Figure] = []
    with working_folder(options.folder) as folder:
        where = machine(folder)
        print(where, file=sys.stderr)
        bench = Bench(folder, itertools.count())
        for row in ROWS:
            if row.name in chosen:
                print(row.title, file=sys.stderr)
                measured.extend(figures(row, tools, effort, bench))
    print(render(measured, [row.name for row in ROWS]))
    if not options.quick and not options.dry:
        kept = merged(load(RESULTS), measured, where)
        save(RESULTS, kept)
        write_document(DOCUMENT, kept, [row.name for row in ROWS])
    return int(bool(bench.failed))


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--quick", action="store_true", help="small rows, one run each, nothing written")
    parser.add_argument("--full", action="store_true", help="DVC's long first runs too")
    parser.add_argument("--dry", action="store_true", help="print the table, write nothing")
    parser.add_argument("--runs", type=at_least_1, default=5, help="measured runs after the warm-up; the median counts")
    parser.add_argument("--budget-seconds", type=above_0, default=120.0, help="fewer runs of what takes longer")
    add_only(parser, "TOOL", NAMES)
    parser.add_argument(
        "--peers-bin", type=existing_folder, help="folder with snakemake, doit, ninja, make; else the PATH"
    )
    return chosen_rows(parser, [row.name for row in ROWS])


if __name__ == "__main__":
    run_script(main)
