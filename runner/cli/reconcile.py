"""`runner reconcile`, `runner apply` and `runner replay`: the commands that run stages."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.cli.console import Console
from runner.cli.stopping import stopping
from runner.core.actions import Action
from runner.errors import ExitCode, InputError, RunnerError
from runner.ledger.in_place import desired_at
from runner.parts import Request, Result
from runner.reconcile import reconcile as run_reconcile
from runner.report.plan_view import WayOut
from runner.report.progress import Progress
from runner.report.result_view import result_json, result_line, result_notices, result_text
from runner.report.style import Style
from runner.specs.parse_cache import ParseCache
from runner.values import replace
from runner.wiring.clone import Clone, open_clone, working_folder
from runner.wiring.joining import take_over_state
from runner.wiring.parts import RealParts, Settings, watch_of
from runner.wiring.repository import Repository, open_repository
from runner.wiring.revision import remote_revision
from runner.wiring.signing import signing_of
from runner.wiring.trust_file import trust_file

if TYPE_CHECKING:
    from runner.wiring.trust import Trusting


def reconcile(arguments: argparse.Namespace, console: Console) -> int:
    """Run what changed and record it."""
    retry = () if arguments.retry is None else tuple(arguments.retry) or None
    only = tuple(arguments.only) if arguments.only else None
    request = Request(rev=arguments.rev, retry=retry, force=arguments.force, targets=only)
    repository = _repository(arguments)
    if repository.clone is not None:
        # `HEAD~1` is meant as it is here; on the remote's side it would be another commit.
        request = replace(request, rev=remote_revision(repository.clone.reader, request.rev))
    accepted = None
    if arguments.accept_state:
        from runner.wiring.acceptance import accept_state  # imported late: rare

        found = accept_state(repository, arguments.accept_state, _trusting(repository, arguments))
        accepted = found.commit
        for branch, seen in found.cut_off.items():
            text = (
                f"{Style.safe(branch)} does not go on from {seen[:12]}: whoever pinned a checkpoint of what is cut off"
            )
            do = "is told so (`audit verify --pinned` ends with 12) until they have looked and pin anew; let them know"
            console.say(f"{console.err.yellow('notice: ')}{text} {do}")
        for branch, new in found.beyond.items():
            text = f"{Style.safe(branch)} at {accepted[:12]} has records that are new to this host: {new.first} to"
            rows = ", ".join(f"{first} to {last}" if first < last else f"{first}" for first, last in new.doubted)
            doubt = f"; signed by nobody who is trusted: {rows}" if rows else ""
            console.say(f"{console.err.yellow('notice: ')}{text} {new.last}; they count from now on{doubt}")
        why = dict.fromkeys(found.unappended, "adds no record to the commit before it")
        why |= dict.fromkeys(found.torn, "has other parents than its last record names")
        for branch, text in why.items():
            text = f"{Style.safe(branch)} at {accepted[:12]} {text}: `audit verify`"
            do = "ends with 12 at that commit for ever; to avoid that, push a commit of the runner there instead"
            console.say(f"{console.err.yellow('notice: ')}{text} {do}")
    return _run(repository, request, arguments, console, accepted)


def apply(arguments: argparse.Namespace, console: Console) -> int:
    """Do what a plan file says, unless its ground has moved."""
    value = _plan_file(working_folder(arguments.folder) / arguments.plan)
    request = Request(rev=value.get("rev"), expected=(value["desired"], value["recordedDigest"]))
    return _run(_repository(arguments), request, arguments, console)


def replay(arguments: argparse.Namespace, console: Console) -> int:
    """Run a recorded run again and compare what comes out."""
    from runner.report.replay_view import replay_json, replay_text
    from runner.wiring.replay import replay_record

    repository = _repository(arguments)
    progress = Progress(console.err, console.say, live=console.interactive)
    with stopping() as (stop, _):
        try:
            settings = Settings(branch=arguments.branch, isolate=not arguments.no_isolation, trigger="replay")
            outcome = replay_record(repository, arguments.record, settings, os.environ, progress.event, stop)
        finally:
            progress.close()
    console.result(replay_text(outcome, console.out), replay_json(outcome))
    return ExitCode.DONE if outcome.same else ExitCode.FAILED


def _run(
    repository: Repository,
    request: Request,
    arguments: argparse.Namespace,
    console: Console,
    accepted_state: str | None = None,
) -> int:
    if taken := take_over_state(repository, _trust_file(arguments)):
        console.say(f"{console.err.yellow('notice: ')}{Style.safe(taken)}")
    settings = Settings(
        jobs=arguments.jobs,
        branch=arguments.branch,
        isolate=not arguments.no_isolation,
        trigger=os.environ.get("GITHUB_EVENT_NAME", "command"),
        accepted_state=accepted_state,
        # What a plan file says holds for its commit alone: it is not asked again later.
        wait=request.expected is None and not arguments.no_wait,
        watch=watch_of(os.environ),
        trust=_trust_file(arguments),
        budget_seconds=arguments.budget,
        over_budget=arguments.over_budget,
    )
    summary = _summary_file(arguments)
    progress = Progress(console.err, console.say, live=console.interactive)
    with signing_of(os.environ) as signing, stopping() as (stop, signals):
        planned = progress.planned
        parts = repository.parts(settings, os.environ, progress.event, lambda plan, _: planned(plan), signing)
        try:
            result = run_reconcile(parts, request, stop)
            # Before the processes that read git are ended.
            line = result_line(result, console.err)
            way = _way_out(result, request, parts, arguments)
        finally:
            progress.close()
            parts.close()
    _share(repository, console)
    code = signals[-1] if signals else result.exit_code
    value = result_json(result, code) if console.as_json or summary is not None else {}
    console.result(result_text(result, console.out, way), value)
    for notice in result_notices(result):
        console.say(console.err.yellow("notice: ") + Style.safe(notice))
    console.say(line)
    if request.rev is None and repository.clone is not None:
        _tell_what_took_no_part(result.plan.desired, repository, repository.clone, console)
    if summary is not None and not _markdown(summary, value, console) and code == ExitCode.DONE:
        return ExitCode.HOST
    return code


def _way_out(result: Result, request: Request, parts: RealParts, arguments: argparse.Namespace) -> WayOut:
    """What to type about what failed; the clone is looked at anew, since there may be a state branch more."""
    if all(step.action is not Action.FAILED for step in result.steps.values()):
        return WayOut()
    from runner.wiring.failures import way_out  # imported late: start-up

    clone = open_clone(working_folder(arguments.folder), os.environ) if arguments.repo is None else None
    ref = parts.aim(result.observation).branch
    return way_out(clone, result.steps.values(), ref, request.rev, result.state)


def _share(repository: Repository, console: Console) -> None:
    try:
        repository.share_states()
    except RunnerError as error:  # the results are recorded; only this clone does not know of them yet
        console.say(f"This clone does not see the newest state yet: {Style.safe(error.line)}")


def _tell_what_took_no_part(desired: str, repository: Repository, clone: Clone, console: Console) -> None:
    """Say it where a person's newest work is not what was reconciled."""
    if clone.reader.worktree is None:
        return
    try:
        head = clone.reader.head()
        if head != desired:
            # On a watched branch that holds its results, the commit of a reconcile stands for the one it is about.
            head = desired_at(clone.reader, head)
    except InputError:
        return  # no commit here yet, so nothing was left out
    is_part = head == desired or (repository.mirror.reader.exists(head) and clone.reader.is_ancestor(head, desired))
    if not is_part:
        do = "name it: `runner reconcile HEAD`" if repository.mirror.has_remote_commit(head) else "push it first"
        console.say(console.err.yellow(f"HEAD ({head[:12]}) is not part of {desired[:12]} and was left out; {do}."))
    elif clone.reader.is_dirty():
        console.say(console.err.dim("The working tree has changes that are not committed; they were left out."))


def _repository(arguments: argparse.Namespace) -> Repository:
    return open_repository(working_folder(arguments.folder), arguments.repo, os.environ)


def _trust_file(arguments: argparse.Namespace) -> Path | None:
    return trust_file(working_folder(arguments.folder), os.environ, arguments.trust)


def _trusting(repository: Repository, arguments: argparse.Namespace) -> Trusting | None:
    file = _trust_file(arguments)
    if file is None:
        return None
    from runner.wiring.trust import Trusting  # imported late: start-up

    return Trusting(file, repository.home, ParseCache(repository.home_root / "parsed"))


def _plan_file(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_bytes())
        texts = (value["recordedDigest"], value["desired"], value["rev"] or "")
        if value["schema"] != 1 or not all(isinstance(text, str) for text in texts):
            raise KeyError("schema")
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}", "write one with `runner plan --out FILE`") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{file} is not a plan of this runner", "write one with `runner plan --out FILE`") from error
    return dict(value)


def _summary_file(arguments: argparse.Namespace) -> Path | None:
    """The file of `--markdown`; raises InputError, before anything runs, where nothing can be appended to it."""
    if not arguments.markdown:
        return None
    file: Path = working_folder(arguments.folder) / arguments.markdown
    try:
        file.open("ab").close()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}", "choose another place for the summary") from error
    return file


def _markdown(file: Path, value: dict[str, Any], console: Console) -> bool:
    """Append the summary; False, with a word, where that fails: what was recorded is told all the same."""
    from runner.report.markdown import rendered

    try:
        with open(file, "a", encoding="utf-8") as out:
            out.write(rendered("reconcile.md.j2", value))
    except OSError as error:
        console.say(f"{console.err.red('error: ')}{file}: {error.strerror}\n  the summary is lost; all else is done")
        return False
    return True
