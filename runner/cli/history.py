"""`runner status`, `explain`, `log` and `pull`: what stands, why, and its bytes."""

from __future__ import annotations

import argparse
import os

from runner.cli.console import Console
from runner.core.actions import Action
from runner.core.naming import find_stage, find_stages
from runner.errors import ExitCode, InputError
from runner.report.history_view import explain_json, explain_text, status_json, status_text
from runner.wiring.clone import open_clone, working_folder


def status(arguments: argparse.Namespace, console: Console) -> int:
    """What stands for each stage, and whether that is what the specs ask for."""
    clone = open_clone(working_folder(arguments.folder), os.environ)
    observation = clone.observation(arguments.rev)
    plan, _ = observation.plan()
    age = clone.state_age(observation.state)
    pending = clone.pending_runs(arguments.rev)
    value = status_json(plan, observation, age, pending)
    console.result(status_text(plan, observation, age, pending, console.out), value)
    failed = any(step.action is Action.FAILED for step in plan.steps)
    return ExitCode.FAILED if failed else ExitCode.DONE


def explain(arguments: argparse.Namespace, console: Console) -> int:
    """Everything that decides about one stage."""
    clone = open_clone(working_folder(arguments.folder), os.environ)
    observation = clone.observation(arguments.rev)
    plan, _ = observation.plan()
    address = find_stage(arguments.stage, observation.graph.stages)
    step = next(step for step in plan.steps if step.address == address)
    record = None
    if observation.state is not None and step.entry is not None and step.entry.record is not None:
        record = observation.state.record(step.entry.record)
    value = explain_json(step, observation, record)
    console.result(explain_text(value, console.out), value)
    return ExitCode.DONE


def log(arguments: argparse.Namespace, console: Console) -> int:
    """The log of a stage's last run, where this host has it; else the tail that the record keeps."""
    from runner.wiring.history import find_log

    clone = open_clone(working_folder(arguments.folder), os.environ)
    found = find_log(clone, arguments.stage)
    console.result(found.text, {"runId": found.run.run_id, "host": found.run.host.get("name"), "text": found.text})
    if not found.whole:
        console.say(
            f"The whole log is on {found.run.host.get('name', 'another host')}; this is what the record keeps of it."
        )
    return ExitCode.DONE


def pull(arguments: argparse.Namespace, console: Console) -> int:
    """Recorded outputs into the working tree."""
    from runner.wiring.pull import pull_outputs

    folder = working_folder(arguments.folder)
    clone = open_clone(folder, os.environ)
    state = clone.state()
    if state is None:
        raise InputError("nothing is recorded yet", "run `runner reconcile` first")
    wanted = None
    if arguments.stages:
        wanted = {address for name in arguments.stages for address in find_stages(name, state.addresses())}
    pulled = pull_outputs(folder, clone, state, wanted, force=arguments.force, environ=os.environ)
    lines = [f"{what:<9} {path}" for path, what in sorted(pulled.items())]
    console.result("\n".join(lines) + "\n" if lines else "There is nothing to pull.\n", {"outputs": pulled})
    refused = [path for path, what in pulled.items() if what == "differs"]
    if refused:
        console.say("Files that differ were left alone; --force replaces them.")
    return ExitCode.INPUT if refused else ExitCode.DONE
