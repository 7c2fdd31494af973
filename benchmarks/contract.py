"""What the stage `validate` takes for a large table: a million rows of twenty columns and their contract.

Goal: under 10 seconds and under 2 GB, from the start of the process to its end. Run by hand:
`python benchmarks/contract.py [--rows N] [--runs N] [--quarantine]`. Makes its table in a folder that goes with it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pandas
from script import at_least_1, run_script, working_folder

GOAL_SECONDS, GOAL_BYTES = 10.0, 2_000_000_000
SAMPLE = 50_000


def table(rows: int) -> pandas.DataFrame:
    """Twenty columns: a key, a time, nine measures, four counts, four categories and a flag."""
    chance = numpy.random.default_rng(1)
    start = numpy.datetime64("2026-01-01T00:00:00")
    columns = {"id": [f"C-{number:07d}" for number in range(rows)]}
    columns["when"] = (start + numpy.arange(rows).astype("timedelta64[s]")).astype(str)
    columns |= {f"measure{number}": numpy.round(chance.normal(500, 10, rows), 3) for number in range(9)}
    columns |= {f"count{number}": chance.integers(0, 1000, rows) for number in range(4)}
    columns |= {f"category{number}": chance.choice(["red", "green", "blue", "grey"], rows) for number in range(4)}
    columns["flag"] = chance.choice(["true", "false"], rows)
    return pandas.DataFrame(columns)


def measured(folder: Path, words: list[str]) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds and peak bytes of a call of the stage in a process of its own."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "runner.stages.validate", *words], cwd=folder, start_new_session=True
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the stage ended with {process.returncode}")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def main() -> int:
    """Measure, print, and end with 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=at_least_1, default=1_000_000, help="rows of the table")
    parser.add_argument("--runs", type=at_least_1, default=3, help="calls of the stage; the median counts")
    parser.add_argument("--quarantine", action="store_true", help="one row in a thousand is bad and put aside")
    options = parser.parse_args()
    from runner.stages.contracts.infer import inferred

    with working_folder() as folder:
        whole = table(options.rows)
        whole.head(SAMPLE).to_csv(folder / "seen.csv", index=False)
        text = inferred(folder / "seen.csv").replace("rows: {", "rows: {min: 1}  # {")
        (folder / "contract.yaml").write_text(text, encoding="utf-8")
        if options.quarantine:
            whole.loc[::1000, "category0"] = "violet"
        whole.to_csv(folder / "data.csv", index=False)
        words = [
            "--data=data.csv",
            "--contract=contract.yaml",
            "--metrics=m.json",
            "--out=good.csv",
            "--out=report.html",
        ]
        words += ["--on_fail=quarantine", "--out=bad.csv"] if options.quarantine else []
        found = [measured(folder, words) for _ in range(options.runs)]
    wall, cpu, peak = (statistics.median(row[index] for row in found) for index in range(3))
    load = os.getloadavg()[0]
    print(
        f"{options.rows} rows x 20 columns: {wall:.1f} s, {cpu:.1f} s of CPU, {peak / 2**20:.0f} MiB; load {load:.1f}"
    )
    return int(wall > GOAL_SECONDS or peak > GOAL_BYTES)


if __name__ == "__main__":
    run_script(main)
