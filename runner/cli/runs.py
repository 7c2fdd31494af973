"""`runner runs list|show|compare`: the recorded runs."""

from __future__ import annotations

import argparse
import os

from runner.cli.console import Console
from runner.errors import ExitCode
from runner.report.runs_view import list_json, list_text, show_json, show_text
from runner.wiring.clone import open_clone, working_folder
from runner.wiring.history import find_record, recorded_runs


def list_runs(arguments: argparse.Namespace, console: Console) -> int:
    """Recorded runs, the newest first."""
    clone = open_clone(working_folder(arguments.folder), os.environ)
    rows = recorded_runs(clone, arguments.stage, arguments.failed, arguments.limit, arguments.ref)
    console.result(list_text(rows, console.out), list_json(rows))
    return ExitCode.DONE


def show_run(arguments: argparse.Namespace, console: Console) -> int:
    """One recorded run with everything that is known of it."""
    clone = open_clone(working_folder(arguments.folder), os.environ)
    record, _ = find_record(clone, arguments.record)
    console.result(show_text(record, console.out), show_json(record))
    return ExitCode.DONE


def compare_runs(arguments: argparse.Namespace, console: Console) -> int:
    """Parameters, inputs, outputs and metrics of two runs or two commits, side by side where they differ."""
    from runner.report.compare_view import compare_json, compare_text
    from runner.wiring.comparison import compared

    clone = open_clone(working_folder(arguments.folder), os.environ)
    one, other = compared(clone, arguments.sides, arguments.stage)
    console.result(compare_text(one, other, console.out), compare_json(one, other))
    return ExitCode.DONE
