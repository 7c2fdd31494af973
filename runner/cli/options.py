"""The arguments of every command, in one table of contents."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn


class UsageMistake(Exception):
    """The arguments are wrong: what, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Parser(argparse.ArgumentParser):
    """Raises UsageMistake where argparse would print and exit with 2, which means something else here."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong in our own words."""
        raise UsageMistake(*_in_words(message, self.prog))


def add_commands(parser: argparse.ArgumentParser) -> None:
    """All commands, in the order a newcomer meets them."""
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for add in (_init, _validate, _schema, _plan, _apply, _reconcile, _status, _explain, _runs, _log, _pull, _replay):
        add(commands)
    _daemon(commands)


def add_common(parser: argparse.ArgumentParser) -> None:
    """What every command takes; accepted before the command and after it."""
    # No defaults here: those of a command would hide what was said before it.
    nothing = argparse.SUPPRESS
    parser.add_argument(
        "-C", dest="folder", metavar="DIR", default=nothing, help="work in this folder instead of the current one"
    )
    parser.add_argument("--json", action="store_true", default=nothing, help="print the result as JSON")
    colours = ("auto", "always", "never")
    parser.add_argument("--color", choices=colours, default=nothing, help="colour the output (default: auto)")


def _command(commands: Any, name: str, help_: str, module: str, function: str) -> Parser:
    parser: Parser = commands.add_parser(
        name, help=help_, description=help_[0].upper() + help_[1:] + ".", allow_abbrev=False
    )
    parser.set_defaults(module=module, function=function)
    add_common(parser)
    return parser


def _in_words(message: str, prog: str) -> tuple[str, str]:
    """What argparse says, as a sentence and what to do."""
    help_ = f"`{prog} --help` shows what there is"
    choice = re.match(r"argument (.+?): invalid choice: '?(.*?)'? \(choose from (.*)\)$", message)
    if choice is None:
        return message.removeprefix("argument "), help_
    what, said, known = choice[1], choice[2], re.findall(r"[\w-]+", choice[3])
    import difflib  # imported late: start-up

    close = difflib.get_close_matches(said, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
    if what == "COMMAND":
        return f"there is no command {said!r}", hint
    return (f"`{prog}` has no action {said!r}" if what == "ACTION" else f"{what} cannot be {said!r}"), hint


def _rev(parser: Parser, help_: str = "commit, branch or tag (default: HEAD)") -> None:
    parser.add_argument("rev", nargs="?", metavar="REV", help=help_)


def _init(commands: Any) -> None:
    parser = _command(commands, "init", "write a first runner.yaml", "specs", "init")
    parser.add_argument("--force", action="store_true", help="replace an existing runner.yaml")


def _validate(commands: Any) -> None:
    parser = _command(commands, "validate", "check the specs and say everything that is wrong", "specs", "validate")
    _rev(parser, "commit, branch or tag (default: the files as they are in the working tree)")
    parser.add_argument("--format", choices=("text", "github"), default="text", help="text, or annotations for GitHub")


def _schema(commands: Any) -> None:
    parser = _command(commands, "schema", "print the JSON Schema of a kind of spec", "specs", "schema")
    parser.add_argument("kind", metavar="KIND", help="Project, Pipeline, Deployment or Monitor")


def _plan(commands: Any) -> None:
    parser = _command(commands, "plan", "show what a reconcile would do, and why; runs nothing", "plan", "plan")
    _rev(parser)
    parser.add_argument("--all", action="store_true", help="also list the stages that are kept")
    parser.add_argument("--out", metavar="FILE", help="write the plan to a file for `runner apply`")
    parser.add_argument("--fetch", action="store_true", help="ask the remote for the newest state first")
    parser.add_argument(
        "--format",
        choices=("text", "markdown", "github"),
        default="text",
        help="text, a Markdown summary, or annotations for GitHub",
    )


def _running(parser: Parser) -> None:
    parser.add_argument("--jobs", "-j", type=_positive, metavar="N", help="stages at once (default: the cores)")
    parser.add_argument("--repo", metavar="URL", help="the repository, where it is not the one of this folder")
    parser.add_argument("--branch", metavar="NAME", help="the watched branch (default: the remote's default branch)")
    parser.add_argument("--no-isolation", action="store_true", help="run stages without an overlay of their own")
    parser.add_argument("--markdown", metavar="FILE", help="also write a Markdown summary to a file")


def _apply(commands: Any) -> None:
    parser = _command(commands, "apply", "do what a plan says, unless its ground has moved", "reconcile", "apply")
    parser.add_argument("plan", metavar="FILE", help="a plan that `runner plan --out FILE` wrote")
    _running(parser)


def _reconcile(commands: Any) -> None:
    help_ = "run what changed and record the results on the state branch"
    parser = _command(commands, "reconcile", help_, "reconcile", "reconcile")
    _rev(parser, "commit or branch of the remote (default: its watched branch)")
    _running(parser)
    parser.add_argument(
        "--retry", nargs="*", metavar="STAGE", help="try failed stages again: these, or all when none is named"
    )
    parser.add_argument("--only", nargs="+", metavar="STAGE", help="only these stages and what they need")
    parser.add_argument("--force", action="store_true", help="run always-changed stages once more for this commit")
    parser.add_argument("--accept-state", metavar="SHA", help="go on from a state branch that somebody rewrote")


def _status(commands: Any) -> None:
    parser = _command(commands, "status", "show what stands for each stage", "history", "status")
    _rev(parser)


def _explain(commands: Any) -> None:
    parser = _command(commands, "explain", "show everything that decides about one stage", "history", "explain")
    parser.add_argument("stage", metavar="STAGE", help="train, or pipeline:train")
    _rev(parser)


def _runs(commands: Any) -> None:
    help_ = "list, show and compare recorded runs"
    parser = commands.add_parser("runs", help=help_, description=help_[0].upper() + help_[1:] + ".")
    add_common(parser)
    parser.set_defaults(parser=parser)
    actions = parser.add_subparsers(metavar="ACTION", title="actions")
    listing = _command(actions, "list", "list recorded runs, the newest first", "runs", "list_runs")
    listing.add_argument("--stage", metavar="STAGE", help="only runs of this stage")
    listing.add_argument("--failed", action="store_true", help="only failed runs")
    listing.add_argument("--limit", "-n", type=_positive, default=20, metavar="N", help="how many (default: 20)")
    listing.add_argument("--ref", metavar="REF", help="another state branch, such as runner/proposed/BRANCH")
    show = _command(actions, "show", "show one recorded run", "runs", "show_run")
    show.add_argument("record", metavar="RECORD", help="number of the record, or the start of its run key")
    help_ = "compare parameters, inputs, outputs and metrics of two runs, or of two commits"
    compare = _command(actions, "compare", help_, "runs", "compare_runs")
    compare.add_argument(
        "sides", metavar="A B", nargs="*", help="two records, or two revisions (default: HEAD~1 and HEAD)"
    )
    compare.add_argument(
        "--stage", metavar="STAGE", help="the last two runs of this stage, or only it of two revisions"
    )


def _log(commands: Any) -> None:
    parser = _command(commands, "log", "print the log of a stage's last run", "history", "log")
    parser.add_argument("stage", metavar="STAGE", help="train, or pipeline:train; or the number of a record")


def _pull(commands: Any) -> None:
    help_ = "bring recorded outputs into the working tree"
    parser = _command(commands, "pull", help_, "history", "pull")
    parser.add_argument("stages", metavar="STAGE", nargs="*", help="only outputs of these stages")
    parser.add_argument("--force", action="store_true", help="replace files that differ")


def _replay(commands: Any) -> None:
    help_ = "run a recorded run again at its commit and compare the outputs"
    parser = _command(commands, "replay", help_, "reconcile", "replay")
    parser.add_argument("record", metavar="RECORD", help="number of the record")
    parser.add_argument("--repo", metavar="URL", help="the repository, where it is not the one of this folder")
    parser.add_argument("--branch", metavar="NAME", help="the watched branch")
    parser.add_argument("--no-isolation", action="store_true", help="run without an overlay")


def _daemon(commands: Any) -> None:
    parser = _command(commands, "daemon", "reconcile again and again", "daemon", "daemon")
    _running(parser)
    parser.add_argument(
        "--interval", type=_seconds, default=60.0, metavar="TIME", help="such as 30s or 5m (default: 60s)"
    )
    parser.add_argument("--once", action="store_true", help="one round, then stop")


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 10**6:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    unit = units.get(text[-1:], 0.0)
    try:
        value = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 366 * 86400:
        raise argparse.ArgumentTypeError(f"{text} is no time; say 30s, 5m or 1h")
    return value
