"""Measures how costs grow with the size of a repository, of its data and of its history, and draws them.

    python benchmarks/growth.py               every question: half an hour on a quiet machine
    python benchmarks/growth.py plan leaf     these questions; the others stay as they are,
                                              and so do tools that are not measured this time
    python benchmarks/growth.py --draw        measures nothing, draws again what was measured

The figures are kept in `benchmarks/growth.json`; the pictures are `docs/images/growth-QUESTION.svg`, which
`docs/benchmarks.md` shows. Both axes are logarithmic: what grows in proportion is a line of slope one.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import data
from contenders import OURS, ROOT, Contender, contenders
from generate import Shape
from measure import CommandFailed, chosen_rows, machine, median
from run import Bench, Effort, Row, figures
from script import existing_folder, parser_of, run_script, working_folder

RESULTS = ROOT / "benchmarks" / "growth.json"
PICTURES = ROOT / "docs" / "images"
QUICK_TOOLS = (OURS, "doit", "ninja")
SLOW_TOOLS = ("DVC", "Snakemake")
"""Asked about the smaller sizes alone."""
SMALL = 100
RUNS = 3
NAMES = {"runner reconcile, less the command": OURS, "runner reconcile": OURS, "dvc add, hard links": "DVC"}


@dataclass(frozen=True, slots=True)
class Spot:
    """What one tool needed at one size."""

    question: str
    tool: str
    size: float
    value: float
    """CPU seconds; of the question `tip`, files."""
    peak_mib: float
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked at several sizes."""

    name: str
    title: str
    sizes: tuple[int, ...]
    x: str
    """What the size counts."""
    ask: Callable[[Question, int, list[Contender], Bench], Iterator[Spot]]
    row: Callable[[int], Row] | None = None
    """For repositories of a number of stages."""
    data: str = ""
    """For data: the row of `data.py`."""
    only: tuple[str, ...] = (*QUICK_TOOLS, *SLOW_TOOLS)


def of_stages(question: Question, size: int, tools: list[Contender], bench: Bench) -> Iterator[Spot]:
    """What it costs on a generated repository of `size` stages."""
    assert question.row is not None
    asked = [tool for tool in tools if tool.name in question.only and (size <= SMALL or tool.name in QUICK_TOOLS)]
    for found in figures(question.row(size), asked, Effort(RUNS, True, 20.0, False), bench):
        yield Spot(question.name, found.tool, size, found.cpu_seconds, found.peak_mib)


def of_data(question: Question, size: int, tools: list[Contender], bench: Bench) -> Iterator[Spot]:
    """What it costs with `size` files of data, or one of so many bytes."""
    row = next(row for row in data.ROWS if row.name == question.data)
    sized = replace(row.data, files=size) if row.data.files > 1 else replace(row.data, size_bytes=size)
    place = bench.fresh()
    place.mkdir()
    for name, once in row.ask(sized, data.Bench(place, itertools.count(), RUNS)):
        if name.startswith("dvc") and (size > 10_000 or name not in NAMES):
            continue
        cost = median([data.alone(once, place) for _ in range(RUNS)])
        print(f"  {name}: {cost.cpu_seconds:.3f} CPU s", file=sys.stderr)
        yield Spot(question.name, NAMES.get(name, name), size, cost.cpu_seconds, cost.peak_bytes / 2**20)
    shutil.rmtree(place)


def of_history(question: Question, size: int, tools: list[Contender], bench: Bench) -> Iterator[Spot]:
    """What a commit costs after up to `size` reconciles; one call measures all ages."""
    command = [sys.executable, str(ROOT / "benchmarks/history.py"), f"--reconciles={size}", f"--every={size // 10}"]
    place = {**os.environ, "TMPDIR": str(bench.folder)}
    said = subprocess.run(
        command, env=place, stdout=subprocess.PIPE, text=True, check=True, start_new_session=True
    ).stdout
    for line in said.splitlines():
        numbers = [float(cell) for cell in re.findall(r"[\d.]+", line)] if re.match(r"\| \d", line) else []
        if numbers:
            age, own, git, _, files, size_mib = numbers
            yield Spot(question.name, "runner's own CPU", age, own / 1000, size_mib)
            yield Spot(question.name, "git's CPU", age, git / 1000, size_mib)
            yield Spot("tip", "files at the tip", age, files, 0.0)


STAGES, FILES = "stages", "files"
QUESTIONS = (
    Question(
        "plan", "A plan, nothing changed", (10, 100, 1000, 10_000), STAGES, of_stages,
        lambda n: Row("plan", "A plan, nothing changed", Shape(n, peers=True)),
    ),
    Question(
        "cold", "A plan, nothing remembered", (10, 100, 1000, 10_000), STAGES, of_stages,
        lambda n: Row("cold", "A plan, nothing remembered", Shape(n), cold=True),
    ),
    Question(
        "param", "A plan, one parameter changed", (10, 100, 1000, 10_000), STAGES, of_stages,
        lambda n: Row("param", "A plan, one parameter changed", Shape(n), changed=True),
    ),
    Question(
        "act", "A reconcile, nothing to do", (10, 100, 1000, 10_000), STAGES, of_stages,
        lambda n: Row("act", "A reconcile, nothing to do", Shape(n, peers=True), acts=True),
        only=(*QUICK_TOOLS, "Snakemake"),
    ),
    Question(
        "leaf", "A reconcile, one leaf changed", (10, 100, 1000), STAGES, of_stages,
        lambda n: Row("leaf", "A reconcile, one leaf changed", Shape(n, dvc_remote=True), leaf=True), only=(OURS,),
    ),
    Question(
        "first", "A first reconcile of empty stages", (50, 100, 200, 400, 1000), STAGES, of_stages,
        lambda n: Row("first", "A first reconcile of empty stages", Shape(n, peers=True), first=True),
    ),
    Question(
        "sleep", "Stages that sleep 1 s, all at a time", (2, 4, 8, 16), STAGES, of_stages,
        lambda n: Row("sleep", "", Shape(n, sleep_seconds=1.0, flat=True, peers=True), first=True, jobs=n),
        only=QUICK_TOOLS,
    ),
    Question("out", "An output of files of 1 KiB", (100, 1000, 10_000, 100_000), FILES, of_data, data="out-small"),
    Question("big", "An output of one file", (2**20, 2**24, 2**28, 2**31), "bytes", of_data, data="out-big"),
    Question("same", "Unchanged files outside the repository", (100, 1000, 10_000, 100_000), FILES, of_data,
             data="unchanged"),
    Question("links", "A check-out by link", (100, 1000, 10_000, 100_000), FILES, of_data, data="check-out"),
    Question("history", "A state commit", (10_000,), "reconciles before", of_history),
)  # fmt: skip


def measured(question: Question, tools: list[Contender], bench: Bench) -> list[Spot]:
    """What is asked, size by size."""
    found: list[Spot] = []
    for size in question.sizes:
        print(f"{question.title}: {size:,} {question.x}", file=sys.stderr)
        try:
            found.extend(question.ask(question, size, tools, bench))
        except (CommandFailed, subprocess.CalledProcessError) as failure:
            print(f"  {failure}", file=sys.stderr)
            bench.failed.append(question.name)
    return found


def merged(before: Sequence[Spot], fresh: Sequence[Spot]) -> list[Spot]:
    """All spots in the order of before; what was measured now takes the place of the same question and tool."""
    again = {(spot.question, spot.tool) for spot in fresh}
    kept = [spot for spot in before if (spot.question, spot.tool) not in again]
    order = list(dict.fromkeys((spot.question, spot.tool) for spot in (*before, *fresh)))
    return sorted((*kept, *fresh), key=lambda spot: order.index((spot.question, spot.tool)))


def draw(spots: list[Spot]) -> None:
    """A picture of CPU seconds for each question, and one of memory for those about stages."""
    from runner.report.charts import Chart, Point, Series, svg

    def picture(name: str, title: str, x: str, y: str, rows: list[Spot], value: Callable[[Spot], float]) -> None:
        tools = list(dict.fromkeys(spot.tool for spot in rows))
        series = tuple(
            Series(tool, tuple(
                Point(math.log10(spot.size), math.log10(max(value(spot), 1e-4)),
                      f"{tool}: {value(spot):.3g} {y} at {spot.size:,.0f} {x}")
                for spot in rows if spot.tool == tool
            ))
            for tool in tools
        )  # fmt: skip
        chart = Chart(title=title, x_label=x, y_label=y, series=series, powers=True)
        (PICTURES / f"growth-{name}.svg").write_text(svg(chart))

    for question in QUESTIONS:
        rows = [spot for spot in spots if spot.question == question.name]
        if rows:
            picture(question.name, question.title, question.x, "CPU s", rows, lambda spot: spot.value)
    plans = [spot for spot in spots if spot.question == "plan"]
    if plans:
        picture("memory", "Memory of a plan, nothing changed", STAGES, "MiB", plans, lambda spot: spot.peak_mib)
    tip = [spot for spot in spots if spot.question == "tip"]
    if tip:
        picture("tip", "The tip of the state branch", "reconciles before", "files", tip, lambda spot: spot.value)


def main() -> int:
    """Measure what is asked for, keep it, draw everything; 1 where a tool failed."""
    parser = parser_of(__doc__)
    parser.add_argument(
        "--peers-bin", type=existing_folder, help="folder with snakemake, doit, ninja, make; else the PATH"
    )
    parser.add_argument("--draw", action="store_true", help="measure nothing, draw what was measured before")
    options = chosen_rows(parser, [question.name for question in QUESTIONS], "question")
    spots = [Spot(**row) for row in json.loads(RESULTS.read_text())] if RESULTS.exists() else []
    chosen = options.rows or [question.name for question in QUESTIONS]
    asked = [question for question in QUESTIONS if question.name in chosen and not options.draw]
    tools = contenders(options.peers_bin, (*QUICK_TOOLS, *SLOW_TOOLS)) if asked else []
    failed: list[str] = []
    for question in asked:
        with working_folder(options.folder) as folder:
            where = machine(folder)
            found = measured(question, tools, Bench(folder, itertools.count(), failed))
        spots = merged(spots, [replace(spot, machine=where) for spot in found])
        RESULTS.write_text("[\n" + ",\n".join(json.dumps(asdict(spot)) for spot in spots) + "\n]\n")
    draw(spots)
    return int(bool(failed))


if __name__ == "__main__":
    run_script(main)
