"""`runner audit verify|show|prove|export`: whether the ledger is what the runner wrote, and what it says."""

from __future__ import annotations

import argparse
import json
import os

from runner.audit.proofs import consistency, inclusion
from runner.cli.console import Console
from runner.core.checkpoint import BadCheckpoint, parse_checkpoint
from runner.errors import ExitCode, InputError
from runner.git.objects import DamagedObjects
from runner.ledger import layout
from runner.report.audit_view import ledger_json, ledger_text, record_json, verify_json, verify_text
from runner.report.style import Style
from runner.wiring.audit import Wanted, audit, opened_ledger, place_of, read_checkpoint
from runner.wiring.clone import working_folder


def verify(arguments: argparse.Namespace, console: Console) -> int:
    """Verify a ledger; the exit code says what kind of thing is wrong."""
    folder = working_folder(arguments.folder)
    wanted = Wanted(arguments.rev, arguments.trust, place_of(folder, arguments.pinned), arguments.deep)
    try:
        named, report = audit(folder, wanted, os.environ)
    except DamagedObjects as error:
        finding = {"kind": "bytes", "exitCode": 13, "place": "git objects", "message": error.message}
        text = f"{console.out.red('bytes')}  git objects: {Style.safe(error.message)}\n"
        console.result(text, {"schema": 1, "findings": [finding], "exitCode": 13})
        return ExitCode.AUDIT_BYTES
    console.result(verify_text(named.name, report, console.out), verify_json(named.name, report))
    return report.exit_code


def show(arguments: argparse.Namespace, console: Console) -> int:
    """The ledger in short, or one record with its whole statement."""
    ledger, chain = opened_ledger(working_folder(arguments.folder), arguments.ref, os.environ)
    if arguments.record is None:
        checkpoint = ledger.files.get(layout.CHECKPOINT, b"").decode(errors="replace")
        value = ledger_json(ledger, chain, checkpoint)
        console.result(ledger_text(ledger, chain, checkpoint, console.out), value)
        return ExitCode.DONE
    _check_number(arguments.record, len(chain.data))
    record = chain.examined[arguments.record - 1].record
    if record is None:
        raise InputError(f"record {arguments.record} cannot be read", "`runner audit verify` says why")
    value = record_json(record)
    console.result("\n".join(Style.safe_lines(json.dumps(value, indent=1, ensure_ascii=False))) + "\n", value)
    return ExitCode.DONE


def prove(arguments: argparse.Namespace, console: Console) -> int:
    """A proof that a record is in the ledger, for whoever has nothing but a checkpoint."""
    folder = working_folder(arguments.folder)
    ledger, chain = opened_ledger(folder, arguments.ref, os.environ)
    _check_number(arguments.record, len(chain.data))
    data = ledger.files.get(layout.CHECKPOINT, b"")
    try:
        newest = parse_checkpoint(data)
    except BadCheckpoint as error:
        raise InputError(f"{layout.CHECKPOINT}: {error}", "`runner audit verify` says what is wrong") from error
    if newest.size != len(chain.data):
        raise InputError(f"{layout.CHECKPOINT} is not of these records", "`runner audit verify` says what is wrong")
    value = inclusion(chain, arguments.record, data, newest.size)
    older = place_of(folder, arguments.pinned)
    if older is not None:
        pinned = read_checkpoint(older)
        if not 1 <= pinned.size <= newest.size or chain.frontiers[pinned.size].root() != pinned.root:
            raise InputError(f"{older}: it is not of the beginning of this ledger", "`runner audit verify` says more")
        value["consistency"] = consistency(chain, pinned)
    console.result(json.dumps(value, indent=1) + "\n", value)
    return ExitCode.DONE


def export(arguments: argparse.Namespace, console: Console) -> int:
    """All runs in a format of others, a line of JSON each."""
    from runner.audit.export import FORMATS  # imported late: only this command needs it

    _, chain = opened_ledger(working_folder(arguments.folder), arguments.ref, os.environ)
    for line in FORMATS[arguments.format](chain):
        console.line(line)
    return ExitCode.DONE


def _check_number(number: int, count: int) -> None:
    if number > count:
        raise InputError(f"there is no record {number}", f"the newest one is {count}")
