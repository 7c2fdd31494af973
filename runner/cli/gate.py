"""`runner gate`: what the gates of deployments come to."""

from __future__ import annotations

import argparse
import datetime
import os
from pathlib import Path
from typing import Any

from runner.cli.console import Console
from runner.core.gates import Effect
from runner.errors import ExitCode, HostError, InputError
from runner.report.gate_view import gate_text, judgement_json, junit
from runner.wiring.clone import open_clone, working_folder
from runner.wiring.gates import GateReport, judge_gates

_CODES = {Effect.PASS: ExitCode.DONE, Effect.FAIL: ExitCode.FAILED, Effect.HOLD: ExitCode.HELD}


def gate(arguments: argparse.Namespace, console: Console) -> int:
    """Judge the gates by what is recorded; a failure beats what is held, and that beats what passes."""
    folder = working_folder(arguments.folder)
    clone = open_clone(folder, os.environ, arguments.trust)
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    report = judge_gates(clone, arguments.deployment, arguments.rev, arguments.champion, day)
    effects = {judgement.effect for judgement, _ in report.judgements}
    code = next(_CODES[effect] for effect in (Effect.FAIL, Effect.HOLD, Effect.PASS) if effect in effects)
    value = _document(report, code)
    console.result(gate_text(value, [judgement for judgement, _ in report.judgements], console.out), value)
    if arguments.junit:
        _write(folder / arguments.junit, junit(value), "w")
    if arguments.markdown:
        from runner.report.markdown import rendered  # imported late: templates

        _write(folder / arguments.markdown, rendered("gate.md.j2", value), "a")
    return code


def _document(report: GateReport, code: ExitCode) -> dict[str, Any]:
    deployments = []
    for judgement, model in report.judgements:
        known = {"stage": model.stage, "record": model.record, "key": model.key, "provenance": model.provenance}
        deployments.append(judgement_json(judgement, known))
    return {
        "schema": 1,
        "commit": report.commit,
        "policy": report.policy,
        "policyCommit": report.policy_commit,
        "deployments": deployments,
        "holdouts": [use.as_json() for use in report.holdouts],
        "notes": list(report.notes),
        "exitCode": int(code),
    }


def _write(file: Path, text: str, mode: str) -> None:
    try:
        with open(file, mode, encoding="utf-8") as out:
            out.write(text)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError(f"{file}: {error.strerror}", "say a file in a folder that is there") from error
    except OSError as error:
        raise HostError(f"{file}: {error.strerror}", "choose another place for the file") from error
