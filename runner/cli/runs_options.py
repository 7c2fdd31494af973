"""The arguments of `runner runs list|show|compare|plot`."""

from __future__ import annotations

from typing import Any

from runner.cli.options import _command, _group, _positive, add_common
from runner.cli.parser import Parser


def add_runs(commands: Any) -> None:
    """The command with those below it."""
    help_ = "list, show, compare and plot recorded runs"
    parser, actions = _group(commands, "runs", help_, "runs list", "runs show 17", "runs compare 12 17")
    for inner in (parser, _list(actions), _show(actions), _compare(actions), _plot(actions)):
        add_common(inner)


def _list(actions: Any) -> Parser:
    help_ = "list recorded runs of all branches, the newest first, with parameters and metrics"
    calls = (
        "runs list",
        "runs list --stage evaluate --sort metrics.auc --reverse",
        "runs list --where 'metrics.auc > 0.8 and branch != main'",
        "runs list --same-as train",
    )
    parser = _command(actions, "list", help_, "runs", "list_runs", *calls)
    _asked(parser)
    parser.add_argument("--limit", "-n", type=_positive, default=20, metavar="N", help="how many (default: 20)")
    parser.add_argument(
        "--columns", metavar="NAMES", help="these columns, separated by commas, such as 'record,metrics.*,params.rate'"
    )
    _csv(parser)
    return parser


def _show(actions: Any) -> Parser:
    parser = _command(actions, "show", "show one record", "runs", "show_run", "runs show 17", "runs show 3f8a11")
    parser.add_argument("record", metavar="RECORD", help="its number, BRANCH@NUMBER, or the first digits of a run key")
    return parser


def _compare(actions: Any) -> Parser:
    help_ = "compare parameters, inputs, outputs and metrics of runs, or of commits"
    calls = ("runs compare", "runs compare 12 17 21", "runs compare main my-branch", "runs compare --stage train")
    parser = _command(actions, "compare", help_, "runs", "compare_runs", *calls)
    parser.add_argument(
        "sides",
        metavar="A B",
        nargs="*",
        help="records, or revisions, two or more (default: HEAD~1 and HEAD)",
    )
    parser.add_argument("--stage", metavar="STAGE", help="the last two runs of this stage, or only it of revisions")
    parser.add_argument("--all", action="store_true", help="also what is the same, and every metric")
    _csv(parser)
    return parser


def _plot(actions: Any) -> Parser:
    help_ = "draw metrics of recorded runs, or curves that they recorded, as SVG or HTML"
    calls = (
        "runs plot --stage evaluate --out runs.html",
        "runs plot --y metrics.auc --x params.depth --out auc.svg",
        "runs plot 12 17 --plot plots/roc.csv --out roc.svg",
    )
    parser = _command(actions, "plot", help_, "runs", "plot_runs", *calls)
    parser.add_argument("records", metavar="RECORD", nargs="*", help="only these runs")
    _asked(parser)
    parser.add_argument("--limit", "-n", type=_positive, default=200, metavar="N", help="how many runs (default: 200)")
    parser.add_argument("--plot", metavar="PATH", help="draw this file that the runs recorded: CSV, TSV or JSON")
    parser.add_argument(
        "--x", metavar="NAME", help="time (default), record, commit, or a parameter or metric; of a file its column"
    )
    parser.add_argument("--y", metavar="NAMES", help="metrics, separated by commas (default: all); of a file a column")
    parser.add_argument("--parallel", action="store_true", help="parallel axes: what differs in the runs, side by side")
    parser.add_argument("--title", metavar="TEXT", help="the title of the picture")
    parser.add_argument("--out", metavar="FILE", help="the file to write, .svg or .html (default: print an SVG)")
    return parser


def _csv(parser: Parser) -> None:
    parser.add_argument("--csv", action="store_true", help="print the table as CSV")


def _asked(parser: Parser) -> None:
    parser.add_argument("--stage", metavar="STAGE", help="only runs of this stage")
    parser.add_argument("--failed", action="store_true", help="only failed runs")
    parser.add_argument(
        "--where", metavar="EXPR", help="only runs for which this is so, such as 'metrics.auc > 0.8 and not stage ~ us'"
    )
    parser.add_argument(
        "--same-as", metavar="RECORD|STAGE", help="only runs with the run key of a record, or of a stage as it is now"
    )
    parser.add_argument("--sort", metavar="NAMES", help="sort by these columns; `-` before a name turns it around")
    parser.add_argument("--reverse", action="store_true", help="turn the order around")
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--branch", metavar="BRANCH", help="only runs for this branch (default: all branches)")
    one.add_argument("--ref", metavar="REF", help="only runs on this state branch, such as runner/proposed/BRANCH")
