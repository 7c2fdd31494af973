"""The arguments of every command, in one table of contents."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from runner.cli.parser import EXAMPLES, Formatter, Parser, UsageMistake


def add_commands(parser: argparse.ArgumentParser, words: Sequence[str] | None = None) -> None:
    """All commands, in the order a newcomer meets them; where `words` are given, only the first that they name."""
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", prog=parser.prog)
    known = {add.__name__[1:]: add for add in _COMMANDS}
    said = [word for before, word in pairwise(["", *(words or ())]) if before not in _VALUED]
    named = next((word for word in said if word in known), None)
    for add in _COMMANDS if named is None else [known[named]]:
        add(commands)


def add_common(parser: argparse.ArgumentParser) -> None:
    """What every command takes; accepted before the command and after it."""
    # No defaults here: those of a command would hide what was said before it.
    nothing = argparse.SUPPRESS
    group = parser.add_argument_group("options of every command")
    group.add_argument(
        "-C", dest="folder", metavar="DIR", default=nothing, help="work in this folder instead of the current one"
    )
    group.add_argument("--json", action="store_true", default=nothing, help="print the result as JSON on stdout")
    group.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default=nothing,
        help="colour the output; auto, the default: on a terminal, unless NO_COLOR is set",
    )


def examples(*lines: str) -> str:
    """Calls that work, for the end of a help; what stands behind `#` explains."""
    return "\n".join([EXAMPLES, *(f"  runner {line}" for line in lines)])


def _command(commands: Any, name: str, help_: str, module: str, function: str, *calls: str, more: str = "") -> Parser:
    """A command; `calls` are its examples, and `more` is said of it in its own help."""
    parser = _below(commands, name, help_, *calls, more=more)
    parser.set_defaults(module=module, function=function)
    return parser


def _group(commands: Any, name: str, help_: str, *calls: str) -> tuple[Parser, Any]:
    """A command that only has others below it, and the place for them; `calls` are its examples."""
    parser = _below(commands, name, help_, *calls)
    parser.set_defaults(parser=parser)
    return parser, parser.add_subparsers(metavar="ACTION", title="actions", prog=parser.prog)


def _below(commands: Any, name: str, help_: str, *calls: str, more: str = "") -> Parser:
    parser: Parser = commands.add_parser(
        name,
        help=help_,
        description=f"{help_[0].upper()}{help_[1:]}.{' ' if more else ''}{more}",
        epilog=examples(*calls),
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    return parser


def options_of(parser: argparse.ArgumentParser, words: Sequence[str]) -> tuple[str, list[str]]:
    """The command that some words call, such as `runner runs list`, and the options it takes."""
    parser = _called(parser, words)
    return parser.prog, [option for action in parser._actions for option in action.option_strings]


def check_none_empty(words: Sequence[str]) -> None:
    """Raise UsageMistake for an empty argument: a variable that was not set must not mean what is the default.

    Without its trust file, its checkpoint or its revision a command would do something else than was meant.
    """
    for before, word in zip(("", *words), words, strict=False):
        name, equals, value = word.partition("=")
        if not word.strip() or (word.startswith("--") and equals and not value.strip()):
            place = name if equals else before if before.startswith("-") and before != "--" else ""
            raise UsageMistake(
                f"{place}: the value is empty" if place else "an argument is empty",
                "most often a variable that is not set; leave it out to take what is the default",
            )


def needs_value(parser: argparse.ArgumentParser, words: Sequence[str], option: str) -> str:
    """What to say of an option without a value: also where one is there that looks like an option, such as `-1s`."""
    parser = _called(parser, words)
    action = next((action for action in parser._actions if option in action.option_strings), None)
    known = [name for action in parser._actions for name in action.option_strings]
    at = next((number for number, word in enumerate(words) if action and word in action.option_strings), len(words))
    said = words[at + 1] if at + 1 < len(words) else ""
    if action is None or said.partition("=")[0] in known or not said:
        return f"{option} needs a value"
    try:
        if callable(action.type):
            action.type(said)
    except argparse.ArgumentTypeError as error:
        return f"{option}: {error}"
    return f"{option} needs a value; one that begins with a dash is written {option}={said}"


def _called(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.ArgumentParser:
    for word in words:
        groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        inner = groups[0].choices.get(word) if groups else None
        parser = inner if inner is not None else parser
    return parser


def _rev(parser: Parser, help_: str = "commit, branch or tag (default: HEAD)") -> None:
    parser.add_argument("rev", nargs="?", metavar="REV", help=help_)


def _init(commands: Any) -> None:
    help_ = "write a first runner.yaml"
    more = (
        "Adopts every dvc.yaml that is there. Where there is none it asks for a first stage on a terminal, and starts "
        "from a template elsewhere."
    )
    calls = ("init", "init --template quickstart")
    parser = _command(commands, "init", help_, "init", "init", *calls, more=more)
    parser.add_argument(
        "--template",
        choices=("empty", "quickstart", "library"),
        help="start from a commented skeleton, or from an example that runs as it is: one with code of its own, or ten "
        "lines with stages of the library; asks nothing",
    )
    parser.add_argument("--yes", "-y", action="store_true", help="ask nothing; without a dvc.yaml: --template empty")
    parser.add_argument("--force", action="store_true", help="replace files that are there, such as a runner.yaml")
    add_common(parser)


def _validate(commands: Any) -> None:
    calls = ("validate", "validate my-branch", "validate --format github")
    help_ = "check the specs and say everything that is wrong"
    parser = _command(commands, "validate", help_, "specs", "validate", *calls, more="Runs nothing.")
    _rev(parser, "commit, branch or tag (default: the files of the working tree, committed or not)")
    parser.add_argument(
        "--format", choices=("text", "github"), default="text", help="text (default), or annotations for GitHub"
    )
    add_common(parser)


def _schema(commands: Any) -> None:
    help_ = "print the JSON Schema of a kind of spec"
    parser = _command(commands, "schema", help_, "specs", "schema", "schema pipeline")
    parser.add_argument("kind", metavar="KIND", help="Project, Pipeline, Deployment or Monitor; dvc for a dvc.yaml")
    add_common(parser)


def _stage(commands: Any) -> None:
    help_ = "run a stage of the built-in library by hand, or list them"
    calls = ("stage", "stage split --help", "stage split --data=raw.csv --parts='[0.8, 0.2]' --out=a.csv --out=b.csv")
    parser = _command(commands, "stage", help_, "stage", "stage", *calls)
    add_common(parser)
    parser.add_argument("name", metavar="NAME", nargs="?", help="the stage (default: list them)")
    parser.add_argument("words", metavar="...", nargs=argparse.REMAINDER, help="its arguments; NAME --help lists them")


def _contract(commands: Any) -> None:
    calls = ("contract infer data/raw.csv --out contracts/raw.yaml",)
    parser, actions = _group(commands, "contract", "write a data contract for the stage validate", *calls)
    help_ = "write the contract that a table keeps now, for people to review"
    infer = _command(actions, "infer", help_, "contract", "infer", "contract infer data/raw.csv", *calls)
    infer.add_argument("data", metavar="DATA", help="a table: .csv, .tsv, .jsonl or .parquet")
    infer.add_argument("--out", metavar="FILE", help="the file to write (default: print it)")
    infer.add_argument("--force", action="store_true", help="replace the file where it is there")
    for inner in (parser, infer):
        add_common(inner)


def _plan(commands: Any) -> None:
    help_ = "show what a reconcile would do, and why; runs nothing"
    more = (
        "Ends with 0 where every stage is kept, and with 2 where any is not, also where it only waits or stands failed."
    )
    calls = ("plan", "plan my-branch --all", "plan --out plan.json")
    parser = _command(commands, "plan", help_, "plan", "plan", *calls, more=more)
    _rev(parser)
    parser.add_argument("--all", action="store_true", help="list every stage, also those that are kept")
    parser.add_argument("--out", metavar="FILE", help="also write the plan to a file, for `runner apply`")
    parser.add_argument("--fetch", action="store_true", help="ask the remote for the newest state first")
    parser.add_argument(
        "--format",
        choices=("text", "markdown", "github"),
        default="text",
        help="text (default), a Markdown summary, or text with annotations of bad specs for GitHub",
    )
    _jobs(parser)
    _budget(parser)
    _trust(parser)
    add_common(parser)


def _running(parser: Parser) -> None:
    _jobs(parser)
    _where(parser)
    _trust(parser)


def _running_once(parser: Parser) -> None:
    _running(parser)
    parser.add_argument("--markdown", metavar="FILE", help="also append a Markdown summary to a file")
    _budget(parser)
    parser.add_argument("--over-budget", action="store_true", help="run it although it is over its budget")


def _budget(parser: Parser) -> None:
    parser.add_argument(
        "--budget",
        type=_seconds,
        metavar="TIME",
        help="how long it may take by estimate, such as 30m or 2h (default: what the Project says, else any time)",
    )


def _jobs(parser: Parser) -> None:
    parser.add_argument(
        "--jobs", "-j", type=_positive, metavar="N", help="stages at once (default: the cores that the runner may use)"
    )


def _trust(parser: Parser) -> None:
    parser.add_argument(
        "--trust",
        metavar="FILE",
        help="the keys that may sign (default: RUNNER_TRUST, else trust.yaml in the runner's folder)",
    )


def _where(parser: Parser, *, isolation: bool = True) -> None:
    parser.add_argument(
        "--repo",
        metavar="URL",
        type=_url,
        help="the repository, where it is not the one of this folder; needs no clone",
    )
    parser.add_argument(
        "--branch",
        metavar="NAME",
        help="the watched branch (default: what the Project says, else the default branch of the remote)",
    )
    if isolation:
        help_ = "run stages without an overlay file system of their own"
        parser.add_argument("--no-isolation", action="store_true", help=help_)


def _apply(commands: Any) -> None:
    help_ = "do what a plan says, unless its ground has moved"
    parser = _command(commands, "apply", help_, "reconcile", "apply", "apply plan.json")
    parser.add_argument("plan", metavar="FILE", help="a plan that `runner plan --out FILE` wrote")
    _running_once(parser)
    add_common(parser)


def _reconcile(commands: Any) -> None:
    help_ = "run what changed and record the results on the state branch"
    more = "Works on what the remote has: push first."
    calls = ("reconcile", "reconcile my-branch", "reconcile --retry train", "reconcile --only prepare train")
    parser = _command(commands, "reconcile", help_, "reconcile", "reconcile", *calls, more=more)
    _rev(parser, "commit or branch of the remote (default: its watched branch)")
    parser.add_argument(
        "--retry", nargs="*", metavar="STAGE", help="try failed stages again: these, or all when none is named"
    )
    parser.add_argument("--only", nargs="+", metavar="STAGE", help="only these stages and what they need")
    parser.add_argument("--force", action="store_true", help="run always-changed stages once more for this commit")
    parser.add_argument(
        "--no-wait", action="store_true", help="leave what another runner runs now to it, and end with 5"
    )
    parser.add_argument(
        "--accept-state",
        metavar="SHA",
        help="go on from a state branch that was rewritten, or is not signed by who may: its commit now, or `none`",
    )
    _running_once(parser)
    add_common(parser)


def _status(commands: Any) -> None:
    more = "Ends with 3 where a stage stands failed, or a release that could not be put to use."
    calls = ("history", "status", "status", "status my-branch", "status --live")
    parser = _command(commands, "status", "show what stands for each stage", *calls, more=more)
    _rev(parser)
    parser.add_argument("--live", action="store_true", help="ask servers that Deployments name what they serve")
    _trust(parser)
    add_common(parser)


def _explain(commands: Any) -> None:
    calls = ("history", "explain", "explain train", "explain churn:train my-branch")
    parser = _command(commands, "explain", "show everything that decides about one stage", *calls)
    parser.add_argument("stage", metavar="STAGE", help="train, or pipeline:train where several pipelines have one")
    _rev(parser)
    add_common(parser)


def _runs(commands: Any) -> None:
    from runner.cli.runs_options import add_runs  # imported late: the other commands do without

    add_runs(commands)


def _gate(commands: Any) -> None:
    from runner.cli.release_options import add_gate  # imported late: the other commands do without

    add_gate(commands)


def _approve(commands: Any) -> None:
    from runner.cli.release_options import add_approve  # imported late: as above

    add_approve(commands)


def _rollback(commands: Any) -> None:
    from runner.cli.release_options import add_rollback  # imported late: as above

    add_rollback(commands)


def _doctor(commands: Any) -> None:
    help_ = "say what the project still lacks, with the lines that would add it"
    more = (
        "Reads git objects and configuration, runs nothing and asks no network. A practice that you do without is "
        "declined with `doctor: {skip: {NAME: REASON}}` of the Project."
    )
    parser = _command(commands, "doctor", help_, "doctor", "doctor", "doctor", "doctor --strict", more=more)
    _rev(parser, "commit, branch or tag (default: the files of the working tree, committed or not)")
    parser.add_argument("--strict", action="store_true", help="end with 3 where anything lacks")
    parser.add_argument(
        "--format", choices=("text", "markdown"), default="text", help="text (default), or a Markdown summary"
    )
    _trust(parser)
    add_common(parser)


def _log(commands: Any) -> None:
    help_ = "print the log of a stage's last run"
    parser = _command(
        commands, "log", help_, "history", "log", "log train", "log 17", "log my-branch@9", "log 21 train"
    )
    parser.add_argument(
        "stage",
        metavar="STAGE|RECORD",
        help="train, or pipeline:train; or a record, also of `runner verify`: its number, or BRANCH@NUMBER",
    )
    parser.add_argument(
        "of", metavar="STAGE", nargs="?", help="which stage is meant, where the record is of several repetitions"
    )
    add_common(parser)


def _pull(commands: Any) -> None:
    help_ = "bring recorded outputs into the working tree"
    more = "Renews what the runner made or brought; leaves alone what somebody else wrote."
    parser = _command(commands, "pull", help_, "history", "pull", "pull", "pull train evaluate", more=more)
    parser.add_argument("stages", metavar="STAGE", nargs="*", help="only outputs of these stages (default: of all)")
    parser.add_argument("--force", action="store_true", help="replace files that differ, whoever wrote them")
    add_common(parser)


def _replay(commands: Any) -> None:
    help_ = "run a recorded run again at its commit and compare the outputs"
    parser = _command(commands, "replay", help_, "reconcile", "replay", "replay 17", more="Records nothing.")
    parser.add_argument("record", metavar="RECORD", help="number of the record")
    _where(parser)
    add_common(parser)


def _verify(commands: Any) -> None:
    help_ = "run what stands for stages again and compare it with what is recorded"
    more = "Nothing that stands changes. What comes out is recorded; a stage that is not deterministic is marked."
    calls = ("verify train", "verify --all --no-record")
    parser = _command(commands, "verify", help_, "verify", "verify", *calls, more=more)
    parser.add_argument("stages", metavar="STAGE", nargs="*", help="train, or pipeline:train; a group for all of it")
    parser.add_argument("--all", action="store_true", help="every stage that can be verified")
    parser.add_argument("--no-record", action="store_true", help="compare only: record nothing and mark nothing")
    _where(parser)
    _trust(parser)
    add_common(parser)


def _claims(commands: Any) -> None:
    help_ = "show or break what runners claim to be running"
    parser, actions = _group(commands, "claims", help_, "claims list", "claims break 3f2a9c")
    help_ = "list the claims that are on the remote now"
    listing = _command(actions, "list", help_, "claims", "list_claims", "claims list")
    help_ = "remove claims of runners that are known to be gone"
    breaking = _command(actions, "break", help_, "claims", "break_claims", "claims break 3f2a9c", "claims break --all")
    breaking.add_argument("claims", metavar="CLAIM", nargs="*", help="as `runner claims list` names it, or its start")
    breaking.add_argument("--all", action="store_true", help="every claim there is")
    for one in (listing, breaking):
        one.add_argument(
            "--repo", metavar="URL", type=_url, help="the repository, where it is not the one of this folder"
        )
    for inner in (parser, listing, breaking):
        add_common(inner)


def _daemon(commands: Any) -> None:
    help_ = "reconcile again and again"
    more = "SIGTERM or SIGINT ends it, after what has finished was recorded."
    calls = ("daemon", "daemon --repo https://github.com/you/wine.git --interval 5m")
    parser = _command(commands, "daemon", help_, "daemon", "daemon", *calls, more=more)
    parser.add_argument(
        "--interval",
        type=_seconds,
        default=60.0,
        metavar="TIME",
        help="from the end of a round to the begin of the next, such as 30s, 5m or 1h (default: 60s)",
    )
    parser.add_argument("--once", action="store_true", help="one round, then stop")
    parser.add_argument(
        "--verify-sample",
        type=_spacing,
        metavar="N/TIME",
        help="when nothing is to be done, run N recorded runs again in each hour (4/h) or day (10/day), and compare",
    )
    _running(parser)
    add_common(parser)


def _serve(commands: Any) -> None:
    from runner.cli.serve_options import add_serve_options  # imported late: start-up

    help_ = "serve a model over HTTP: a folder, or what is released"
    calls = (
        "serve --model models/churn",
        "serve --repo https://github.com/you/churn.git --listen 127.0.0.1:9000 --log predictions",
    )
    parser = _command(commands, "serve", help_, "serve", "serve", *calls, more="SIGTERM or SIGINT ends it.")
    add_serve_options(parser)
    add_common(parser)


def _audit(commands: Any) -> None:
    help_ = "verify the ledger, show it, prove a record, export runs"
    parser, actions = _group(
        commands, "audit", help_, "audit verify --trust trust.yaml", "audit show 17", "audit prove 17"
    )
    help_ = "verify that the ledger is what the runner wrote"
    calls = ("audit verify", "audit verify --trust trust.yaml --pinned checkpoint", "audit verify --deep")
    verify = _command(actions, "verify", help_, "audit", "verify", *calls)
    _rev(verify, "a state branch or any commit with a ledger (default: the clone's own state branch)")
    _trust(verify)
    verify.add_argument("--pinned", metavar="FILE", help="a checkpoint that was kept: the ledger has to extend it")
    verify.add_argument("--deep", action="store_true", help="also bytes of outputs, dvc.lock files and git's objects")
    help_ = "show the ledger in short, or one record"
    show = _command(actions, "show", help_, "audit", "show", "audit show", "audit show 17")
    show.add_argument("record", nargs="?", type=_positive, metavar="N", help="number of a record")
    help_ = "prove that a record is in the ledger"
    prove = _command(actions, "prove", help_, "audit", "prove", "audit prove 17")
    prove.add_argument("record", type=_positive, metavar="N", help="number of a record")
    prove.add_argument("--pinned", metavar="FILE", help="also prove that the ledger extends this checkpoint")
    help_ = "export all runs, a line of JSON each"
    export = _command(actions, "export", help_, "audit", "export", "audit export --format openlineage")
    export.add_argument("--format", choices=("slsa", "openlineage"), default="slsa", help="default: slsa")
    for action in (show, prove, export):
        action.add_argument("--ref", metavar="REF", help="another state branch, such as runner/proposed/BRANCH")
    for inner in (parser, verify, show, prove, export):
        add_common(inner)


def _keys(commands: Any) -> None:
    help_ = "make and show keys that sign records"
    parser, actions = _group(commands, "keys", help_, "keys generate ~/runner.key")
    help_ = "make a key that signs records"
    generate = _command(actions, "generate", help_, "keys", "generate", "keys generate ~/runner.key")
    generate.add_argument("file", metavar="FILE", help="a new file for the private key")
    help_ = "show the public line of a key, its id and what it is trusted with"
    show = _command(actions, "show", help_, "keys", "show", "keys show", "keys show ~/runner.key")
    show.add_argument("file", metavar="FILE", nargs="?", help="a private key (default: the key the runner signs with)")
    _trust(show)
    for inner in (parser, generate, show):
        add_common(inner)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 10**6:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return int(text)


def _spacing(text: str) -> float:
    """Seconds from one to the next, of so many in an hour or a day."""
    found = re.fullmatch(r"([0-9]{1,6})/(h|hour|d|day)", text)
    if found is None or int(found[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no rate; say 4/h or 10/day")
    return (3600.0 if found[2].startswith("h") else 86400.0) / int(found[1])


def _url(text: str) -> str:
    if not text.strip():  # most often a variable that is not set; the working folder is not what was meant
        raise argparse.ArgumentTypeError("the URL is empty; leave the option out to take the repository of this folder")
    return text


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


_VALUED = ("-C", "--color")
"""Options before the command whose value may be the name of a command."""
_COMMANDS = (
    *(
        _init,
        _validate,
        _schema,
        _plan,
        _apply,
        _reconcile,
        _status,
        _explain,
        _runs,
        _gate,
        _approve,
        _rollback,
        _doctor,
        _log,
        _pull,
        _replay,
    ),
    *(_stage, _contract, _verify, _claims, _daemon, _serve, _audit, _keys),
)
