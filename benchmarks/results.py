"""What was measured, as a file that is kept, and as the tables of `docs/benchmarks.md` between two markers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from contenders import AGAIN, DVC, GROUPS, OURS, SHELL
from measure import Cost

_LOAD = ", load "
_QUIET = 2.0
"""A load that leaves a process a core: one is the measuring itself."""
BEGIN = "<!-- benchmarks: begin (written by benchmarks/run.py) -->"
END = "<!-- benchmarks: end -->"


@dataclass(frozen=True, slots=True)
class Figure:
    """The cost of one tool on one row."""

    row: str
    title: str
    tool: str
    version: str
    cpu_seconds: float
    wall_seconds: float
    peak_mib: float
    runs: int
    machine: str = ""

    @staticmethod
    def of(row: str, title: str, tool: str, version: str, cost: Cost) -> Figure:
        """The figure of one measured cost."""
        return Figure(
            row,
            title,
            tool,
            version,
            round(cost.cpu_seconds, 4),
            round(cost.wall_seconds, 4),
            round(cost.peak_bytes / 2**20, 1),
            cost.runs,
        )


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that the runner is to reach."""

    text: str
    row: str
    limit: float
    value: str
    """`cpu_seconds`, `wall_seconds`, `peak_mib`; `ratio` for how many times more CPU DVC takes; `times` and
    `wall_times` for how many times more CPU and wall time than `other` we take, `times_of_row` for how many times more
    CPU than on the row `other`, `times_of_first` the same where that was asked for the first time, too, `added_ms` for
    how much more CPU, in ms for each of a thousand stages."""
    tool: str = OURS
    other: str = DVC

    @property
    def at_least(self) -> bool:
        """Whether more is better."""
        return self.value == "ratio"


GOALS = (
    Goal("nothing changed, 10 stages: whole process, CPU s", "plan-10", 0.09, "cpu_seconds"),
    Goal("nothing changed, 1,000 stages: whole process, CPU s", "plan-1000", 0.12, "cpu_seconds"),
    Goal("nothing changed, 1,000 stages: peak MiB", "plan-1000", 60.0, "peak_mib"),
    Goal("nothing changed, 1,000 stages: times less CPU than `dvc status`", "plan-1000", 40.0, "ratio"),
    Goal("nothing changed, 1,000 stages: times less CPU than doit", "plan-1000", 1.0, "ratio", OURS, "doit"),
    Goal("nothing changed, 10,000 stages: CPU s", "plan-10000", 0.7, "cpu_seconds"),
    Goal("nothing changed, 10,000 stages: peak MiB", "plan-10000", 250.0, "peak_mib"),
    Goal("the same with nothing remembered, 1,000 stages: CPU s", "cold-1000", 1.2, "cpu_seconds"),
    Goal("the same with nothing remembered, 10,000 stages: CPU s", "cold-10000", 12.0, "cpu_seconds"),
    Goal(
        "one parameter changed, 1,000 stages, asked for the first time: CPU s",
        "param-1000",
        0.144,
        "cpu_seconds",
        AGAIN,
    ),
    Goal("the same: times the plan of nothing changed", "param-1000", 1.2, "times_of_row", AGAIN, "plan-1000"),
    Goal(
        "the same, both asked for the first time: times the plan of nothing changed",
        "param-1000",
        1.2,
        "times_of_first",
        AGAIN,
        "plan-1000",
    ),
    Goal("the same where every command uses `${}`: CPU s", "param-templated-1000", 0.6, "cpu_seconds", AGAIN),
    Goal("`runner reconcile` with nothing to do, 1,000 stages: CPU s", "act-1000", 0.3, "cpu_seconds"),
    Goal("`runner --version`: CPU s", "version", 0.06, "cpu_seconds"),
    Goal("`runner --help`: CPU s", "help", 0.06, "cpu_seconds"),
    Goal("first run of 400 stages: times less CPU than `dvc repro`", "first-400", 30.0, "ratio"),
    Goal("first run of 1,000 stages, process groups: CPU s", "first-1000", 6.0, "cpu_seconds", GROUPS),
    Goal("first run of 1,000 stages, process groups: times ninja's CPU", "first-1000", 3.0, "times", GROUPS, "ninja"),
    Goal("the same with `shell: sh`, as ninja has it: times ninja's CPU", "first-1000", 3.0, "times", SHELL, "ninja"),
    Goal("what namespaces and overlays add: CPU ms a stage", "first-1000", 3.0, "added_ms", OURS, GROUPS),
    Goal("one leaf of 1,000 stages changed: CPU s", "leaf-1000", 0.6, "cpu_seconds"),
    Goal("16 stages that sleep 1 s: wall s", "sleep-16", 1.5, "wall_seconds"),
    Goal("16 stages of 0.5 s CPU: times ninja's wall time", "cpu-16", 1.1, "wall_times", OURS, "ninja"),
)


def load(path: Path) -> list[Figure]:
    """The figures kept in `path`; none if there is no such file."""
    if not path.exists():
        return []
    return [Figure(**row) for row in json.loads(path.read_text())]


def save(path: Path, figures: Iterable[Figure]) -> None:
    """Keep `figures` in `path`, one to a line."""
    lines = ",\n".join(json.dumps(asdict(figure)) for figure in figures)
    path.write_text(f"[\n{lines}\n]\n")


def merged(old: Iterable[Figure], new: Iterable[Figure], machine: str) -> list[Figure]:
    """`new` figures, measured on `machine`, in place of the old ones of the same row and tool."""
    by_name = {(figure.row, figure.tool): figure for figure in old}
    by_name |= {(figure.row, figure.tool): replace(figure, machine=machine) for figure in new}
    return list(by_name.values())


def render(figures: Sequence[Figure], order: Sequence[str]) -> str:
    """The figures as a Markdown table, rows in `order`, with ratios of CPU time to ours."""
    lines = [
        "| what | tool | CPU s | times ours | wall s | peak MiB | runs |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in order:
        here = [figure for figure in figures if figure.row == row]
        ours = next((figure for figure in here if figure.tool == OURS), None)
        for figure in here:
            ratio = _ratio(figure, ours)
            lines.append(
                f"| {figure.title} | {figure.tool} {figure.version} | {_seconds(figure.cpu_seconds)} | {ratio} "
                f"| {_seconds(figure.wall_seconds)} | {figure.peak_mib:.0f} | {figure.runs} |"
            )
    return "\n".join(lines)


def goals(figures: Sequence[Figure]) -> str:
    """One line for each goal: what it is, what was measured, and whether that reaches it."""
    lines = ["| goal | limit | measured | |", "|---|---:|---:|---|"]
    for goal in GOALS:
        value = _value(goal, figures)
        limit = f"{'≥' if goal.at_least else '≤'} {goal.limit:g}"
        if value is None:
            lines.append(f"| {goal.text} | {limit} | | not measured |")
            continue
        reached = value >= goal.limit if goal.at_least else value <= goal.limit
        lines.append(f"| {goal.text} | {limit} | {value:.3g} | {'reached' if reached else 'missed'} |")
    return "\n".join(lines)


def write_document(path: Path, figures: Sequence[Figure], order: Sequence[str]) -> None:
    """Write the tables between the markers of `path`, which must hold them; the rest of the file stays."""
    text = path.read_text()
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{path} lacks the markers {BEGIN} and {END}")
    tables = f"Measured on\n\n{_machines(figures)}\n\n{goals(figures)}\n\n{render(figures, order)}"
    path.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}")


def _machines(figures: Sequence[Figure]) -> str:
    """The machines, a line each: how much else they had to do, and which rows were measured where it was much."""
    lines = []
    for machine in sorted({figure.machine.partition(_LOAD)[0] for figure in figures}):
        here = [(figure.machine.partition(_LOAD)[2].partition(" ")[0], figure) for figure in figures]
        loads = {figure.row: float(load) for load, figure in here if load and figure.machine.startswith(machine)}
        quiet = [load for load in loads.values() if load <= _QUIET]
        busy = sorted(f"`{row}` {load:g}" for row, load in loads.items() if load > _QUIET)
        parts = [f"{min(quiet):g} to {max(quiet):g}"] if quiet else []
        parts += [f"but of {', '.join(busy)}"] if busy else []
        lines.append(f"- {machine}; load at the start {', '.join(parts)}")
    return "\n".join(lines)


def _value(goal: Goal, figures: Sequence[Figure]) -> float | None:
    here = {figure.tool: figure for figure in figures if figure.row == goal.row}
    ours, other = here.get(goal.tool), here.get(goal.other)
    if ours is None:
        return None
    if goal.value in ("times_of_row", "times_of_first"):
        tool = OURS if goal.value == "times_of_row" else AGAIN
        row = next((found for found in figures if (found.row, found.tool) == (goal.other, tool)), None)
        return ours.cpu_seconds / row.cpu_seconds if row is not None else None
    if goal.value in ("cpu_seconds", "wall_seconds", "peak_mib"):
        return float(getattr(ours, goal.value))
    if other is None:
        return None
    if goal.value == "ratio":
        return other.cpu_seconds / ours.cpu_seconds
    if goal.value == "times":
        return ours.cpu_seconds / other.cpu_seconds
    return (
        ours.wall_seconds / other.wall_seconds if goal.value == "wall_times" else ours.cpu_seconds - other.cpu_seconds
    )


def _ratio(figure: Figure, ours: Figure | None) -> str:
    if ours is None or not ours.cpu_seconds:
        return ""
    return f"{figure.cpu_seconds / ours.cpu_seconds:.3g}"


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"
