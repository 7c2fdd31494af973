"""`runner runs list|show|compare|plot`: the recorded runs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cli.console import Console
from runner.errors import ExitCode, HostError, InputError
from runner.report.style import Style, plural
from runner.values import replace
from runner.wiring.clone import open_clone, working_folder

if TYPE_CHECKING:
    from runner.core.experiments import Columns, Ran
    from runner.report.charts import Chart, Parallel
    from runner.wiring.clone import Clone
    from runner.wiring.experiments import Asked


def list_runs(arguments: argparse.Namespace, console: Console) -> int:
    """Recorded runs of all branches as a table of parameters and metrics."""
    from runner.report.experiments_view import fitting_columns, list_csv, list_json, list_text, usual_columns
    from runner.wiring.experiments import selected, table_of

    _check_one_form(arguments, console)
    clone = open_clone(working_folder(arguments.folder), os.environ)
    found = table_of(clone, _asked(arguments, arguments.limit))
    rows, columns = found.rows, found.columns
    is_whole = arguments.csv or console.as_json
    hidden = 0
    if arguments.columns is not None and rows:
        chosen = selected(found, arguments.columns)
    elif is_whole:
        chosen = columns.all()
    else:
        usual, hidden = usual_columns(rows, columns)
        chosen = fitting_columns(rows, columns, usual, console.out)
        hidden += len(usual) - len(chosen)
    for doubt in found.doubts:
        console.say(console.err.yellow("notice: ") + Style.safe(doubt))
    if arguments.csv:
        console.result(list_csv(rows, chosen), None)
    elif console.as_json:
        console.result("", list_json(rows, chosen))
    else:
        console.result(list_text(rows, columns, chosen, console.out, hidden=hidden, more=found.more), None)
    return ExitCode.DONE


def _asked(arguments: argparse.Namespace, limit: int | None) -> Asked:
    from runner.wiring.experiments import Asked

    return Asked(
        stage=arguments.stage,
        failed=arguments.failed,
        branch=arguments.branch,
        ref=arguments.ref,
        where=arguments.where,
        same_as=arguments.same_as,
        sort=arguments.sort,
        reverse=arguments.reverse,
        limit=limit,
    )


def _check_one_form(arguments: argparse.Namespace, console: Console) -> None:
    if arguments.csv and console.as_json:
        raise InputError("--csv and --json are two forms of the result", "say one of them")


def show_run(arguments: argparse.Namespace, console: Console) -> int:
    """One recorded run with everything that is known of it."""
    from runner.report.runs_view import show_json, show_text
    from runner.wiring.experiments import run_named

    clone = open_clone(working_folder(arguments.folder), os.environ)
    _, record, _ = run_named(clone, arguments.record)
    console.result(show_text(record, console.out), show_json(record))
    return ExitCode.DONE


def compare_runs(arguments: argparse.Namespace, console: Console) -> int:
    """Parameters, inputs, outputs and metrics of runs or commits, side by side where they differ."""
    from runner.report.compare_view import compare_csv, compare_json, compare_text
    from runner.wiring.comparison import compared

    _check_one_form(arguments, console)
    clone = open_clone(working_folder(arguments.folder), os.environ)
    sides = compared(clone, arguments.sides, arguments.stage)
    if arguments.csv:
        console.result(compare_csv(sides), None)
    else:
        text = compare_text(sides, console.out, everything=arguments.all)
        console.result(text, compare_json(sides))
    return ExitCode.DONE


def plot_runs(arguments: argparse.Namespace, console: Console) -> int:
    """Pictures of metrics, or of curves that runs recorded."""
    from runner.report.experiments_view import usual_columns
    from runner.report.runs_page import page_html, pictures_svg

    clone = open_clone(working_folder(arguments.folder), os.environ)
    file = _picture_file(arguments)
    rows, columns = _rows_to_draw(arguments, clone)
    if arguments.plot is not None:
        pictures: list[Chart | Parallel] = [_curves(arguments, clone, rows)]
        notes: list[str] = []
    else:
        pictures, notes = _history(arguments, rows, columns)
    if arguments.title is not None:
        pictures = [replace(pictures[0], title=arguments.title), *pictures[1:]]
    is_page = file is not None and file.suffix.lower() in (".html", ".htm")
    if is_page:
        usual, _ = usual_columns(rows, columns)
        chosen = list(dict.fromkeys(["record", "branch", "stage", "status", "started", "duration", "subject", *usual]))
        text = page_html(pictures, rows, columns, chosen, arguments.title or "Recorded runs", notes)
    else:
        text = pictures_svg(pictures)
    value = {
        "schema": 1,
        "file": None if file is None else str(file),
        "pictures": [picture.title for picture in pictures],
        "runs": [row.name for row in rows],
        "notes": notes,
    }
    for note in notes:
        console.say(console.err.yellow("notice: ") + note)
    if file is None:
        console.result(text, value | {"svg": text})
        return ExitCode.DONE
    _write(file, text)
    told = f"{plural(len(pictures), 'picture')} of {plural(len(rows), 'run')} in {Style.safe(str(file))}"
    console.result(told, value)
    return ExitCode.DONE


def _rows_to_draw(arguments: argparse.Namespace, clone: Clone) -> tuple[tuple[Ran, ...], Columns]:
    from runner.core.experiments import Columns
    from runner.wiring.experiments import named_rows, table_of

    if arguments.records:
        rows = tuple(named_rows(clone, arguments.records))
        return rows, Columns(rows)
    if arguments.plot is not None:
        raise InputError(
            "--plot needs records", "`runner runs list` shows their numbers: `runner runs plot 12 17 --plot FILE`"
        )
    found = table_of(clone, _asked(arguments, arguments.limit))
    if not found.rows:
        raise InputError("there are no such recorded runs", "`runner runs list` shows the runs")
    return found.rows, found.columns


def _history(
    arguments: argparse.Namespace, rows: tuple[Ran, ...], columns: Columns
) -> tuple[list[Chart | Parallel], list[str]]:
    """The pictures, and what they leave out."""
    from runner.core.experiments import UnknownColumn
    from runner.report.pictures import MOST_PICTURES, PLACES, TIME, history_pictures, parallel_picture, usual_metrics

    try:
        named = columns.select(part.strip() for part in arguments.y.split(",")) if arguments.y is not None else None
        known = usual_metrics(rows, columns) if named is None else named
        x = arguments.x or TIME
        across = x if x in PLACES else columns.find(x)
    except UnknownColumn as error:
        raise InputError(error.message, error.hint) from error
    if not known:
        raise InputError(
            "these runs recorded no metrics that are numbers", "`runner runs list` shows what they recorded"
        )
    if arguments.parallel:
        picture, count = parallel_picture(rows, columns, known)
        pictures: list[Chart | Parallel] = [picture]
    else:
        count = min(len(known), MOST_PICTURES)
        pictures = list(history_pictures(rows, columns, known[:count], across))
    notes = [f"{count} of {len(known)} metrics; --y names others"] if count < len(known) else []
    return pictures, notes


def _curves(arguments: argparse.Namespace, clone: Clone, rows: tuple[Ran, ...]) -> Chart:
    from runner.report.pictures import curves_picture
    from runner.wiring.curves import curve_of, declared_axes

    curves = [curve_of(clone, row, arguments.plot) for row in rows]
    x, y = declared_axes(clone, rows[0], arguments.plot)
    return curves_picture(curves, arguments.plot, arguments.x or x, arguments.y or y)


def _picture_file(arguments: argparse.Namespace) -> Path | None:
    """The file of `--out`; raises InputError for a kind of file that is not written."""
    if arguments.out is None:
        return None
    file: Path = working_folder(arguments.folder) / arguments.out
    if file.suffix.lower() not in (".svg", ".html", ".htm"):
        raise InputError(f"{file.name} is neither a picture nor a page", "end its name with .svg or .html")
    return file


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError(f"{file}: {error.strerror}", "say a file in a folder that is there") from error
    except OSError as error:
        raise HostError(f"{file}: {error.strerror}", "choose another place for the picture") from error
