"""`runner status`, `explain`, `log` and `pull`: what stands, why, and its bytes."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from runner.cli.console import Console
from runner.cli.ground import ground_of
from runner.core.actions import Action
from runner.errors import ExitCode, InputError
from runner.report.history_view import Beside, status_json, status_text
from runner.report.plan_view import releases_text
from runner.report.style import Style, log_text, plural, size
from runner.wiring.clone import has_releases, open_clone, working_folder
from runner.wiring.history import newest_results
from runner.wiring.holdouts import holdout_uses
from runner.wiring.rewritten import rewritten_states

if TYPE_CHECKING:
    from runner.core.releases import Verdict
    from runner.wiring.clone import Clone
    from runner.wiring.history import Log


def status(arguments: argparse.Namespace, console: Console) -> int:
    """What stands for each stage, and whether that is what the specs ask for."""
    clone = open_clone(working_folder(arguments.folder), os.environ, arguments.trust)
    observation, aim = clone.observed(arguments.rev)
    plan, _ = observation.plan()
    rewritten = rewritten_states(clone, aim)
    observation = clone.told(observation, *map(str, rewritten))
    state = observation.state
    verified = state.verifications() if state else {}
    results = newest_results(state, verified) if state else {}
    age = clone.state_age(plan.state)
    holdouts = [use.as_json() for use in holdout_uses(observation, observation.desired.holdouts)]
    beside = Beside(age, clone.waiting_runs(), clone.proposals(), clone.claims(), verified, results, holdouts)
    records = plural(state.summary.head.sequence if state else 0, "record")
    signed = () if state is None else ("signed" if state.is_signed else "not signed",)
    ground = ground_of(clone, plan, observation.has_specs, aim, arguments.rev, records, *signed)
    value = status_json(plan, observation, beside) | {"rewritten": [row.as_json() for row in rewritten]}
    releases: list[Verdict] = []
    if has_releases(observation):
        from runner.wiring.releases import planned_releases  # imported late: few release anything

        releases = planned_releases(clone, observation, live=arguments.live)
    value["releases"] = [verdict.as_json() for verdict in releases]
    text = status_text(plan, observation, ground, beside, console.out)
    console.result(text + releases_text(releases, console.out), value)
    failed = any(step.action is Action.FAILED for step in plan.steps)
    failed |= any(row.standing is not None and row.standing.code == ExitCode.FAILED for row in releases)
    return ExitCode.FAILED if failed else ExitCode.DONE


def explain(arguments: argparse.Namespace, console: Console) -> int:
    """Everything that decides about one stage."""
    from runner.report.explain_view import explain_json, explain_text
    from runner.wiring.estimates import time_of
    from runner.wiring.history import find_planned, record_of_step, verification_of_step

    clone = open_clone(working_folder(arguments.folder), os.environ)
    observation = clone.observation(arguments.rev)
    plan, _ = observation.plan()
    try:
        address = find_planned(observation, arguments.stage)
    except InputError as error:
        if arguments.rev is not None or not clone.reader.is_dirty():
            raise
        hint = f"{error.hint}; changes of the working tree count once they are committed"
        raise InputError(error.message, hint) from error
    step = next(step for step in plan.steps if step.address == address)
    verified = verification_of_step(step, observation)
    time = time_of(address, observation)
    value = explain_json(step, observation, record_of_step(step, observation), verified, time)
    console.result(explain_text(value, console.out), value)
    return ExitCode.DONE


def log(arguments: argparse.Namespace, console: Console) -> int:
    """The log of a run or a repetition, where this host has it; else the tail that the record keeps."""
    clone = open_clone(working_folder(arguments.folder), os.environ)
    found = _found_log(clone, arguments.stage, arguments.of)
    value = {
        "schema": 1,
        "record": found.record,
        "runId": found.run_id,
        "stage": str(found.stage),
        "outcome": found.outcome,
        "host": found.host,
        "whole": found.whole,
        "text": found.text,
    }
    console.result(log_text(found.text, console.out), value)
    if not found.whole:
        console.say(Style.safe(_about_missing_log(found)))
    elif not found.text:
        console.say(Style.safe(f"{found.stage} printed nothing ({found.message or 'it succeeded'})."))
    return ExitCode.DONE


def _found_log(clone: Clone, name: str, stage: str | None) -> Log:
    from runner.wiring.history import find_log, is_stage, log_of

    if "@" in name and not is_stage(clone, name):
        from runner.wiring.experiments import is_named_record, run_named  # imported late: few name another branch

        if is_named_record(clone, name):
            _, record, run = run_named(clone, name)
            return log_of(clone, name, record, run, stage)
    return find_log(clone, name, stage)


def _about_missing_log(log: Log) -> str:
    if log.size_bytes is None:
        return f"The log of a repetition is not recorded: {log.run_id}.log is on {log.host} below its RUNNER_HOME."
    kept = "This is its end, as the record keeps it" if log.text else "A record keeps the end of failed runs only"
    return f"{kept}; the whole log ({size(log.size_bytes)}, {log.run_id}.log) is on {log.host} below its RUNNER_HOME."


def pull(arguments: argparse.Namespace, console: Console) -> int:
    """Recorded outputs into the working tree."""
    from runner.wiring.history import find_results, the_state
    from runner.wiring.pull import DIFFERS, MISSING, PULLED, made_again, not_of_head, pull_outputs

    clone = open_clone(working_folder(arguments.folder), os.environ)
    state = the_state(clone)
    wanted = None
    if arguments.stages:
        wanted = {address for name in arguments.stages for address in find_results(clone, name, state)}
    done = pull_outputs(clone, state, wanted, force=arguments.force, environ=os.environ)
    head, others = not_of_head(clone, state, wanted)
    rows = [(what, path) for path, what in sorted(done.outputs.items())]
    colours = {PULLED: "green", DIFFERS: "yellow", MISSING: "red"}
    lines = [f"{console.out.paint(colours.get(what, 'dim'), what.ljust(7))}  {Style.safe(path)}" for what, path in rows]
    value = {
        "schema": 1,
        "state": state.commit,
        "desired": state.summary.desired,
        "head": head,
        "notOfHead": [str(address) for address in others],
        "outputs": done.outputs,
        "missing": [row.as_json() for row in done.lost],
        "damaged": [{"digest": md5, "replaced": is_back} for md5, is_back in done.damaged.items()],
        "exitCode": int(done.exit_code),
    }
    console.result("\n".join(lines) or "There is nothing to pull.", value)
    for md5, is_back in done.damaged.items():
        became = "fetched again" if is_back else "taken out of it"
        console.say(f"{console.err.yellow('notice: ')}object {md5} in the cache of this host was damaged: {became}")
    if others:
        which = f"these are results of {state.summary.desired[:12]}, and HEAD is {head[:12]}"
        console.say(f"{console.err.yellow('notice: ')}{which}: `runner plan` says what a reconcile would do")
    if done.lost:
        console.say(f"{console.err.red('error: ')}{plural(len(done.lost), 'output')} could not be brought:")
        told = [f"  {row.fact.path} of {row.address}, {row.fact.md5}: {row.error.message}" for row in done.lost]
        advice = dict.fromkeys([*(row.advice for row in done.lost), made_again(done.lost)])
        for line in [*told, *(f"  {text}" for text in advice if text)]:
            console.say(Style.safe(line))
    if DIFFERS in done.outputs.values():
        console.say("Files that differ hold what no run left there, and were left alone; --force replaces them.")
    return done.exit_code
