"""`runner claims list|break`: what runners say they are running now."""

from __future__ import annotations

import argparse
import os

from runner.cli.console import Console
from runner.core.claims import Claim
from runner.errors import ExitCode, InputError
from runner.record.claims import Placed, read_claims
from runner.report.claims_view import claims_json, claims_text
from runner.wiring.clone import working_folder
from runner.wiring.repository import Repository, open_repository


def list_claims(arguments: argparse.Namespace, console: Console) -> int:
    """Every claim that is on the remote now."""
    placed = _placed(_repository(arguments))
    claims: list[Claim] = sorted((row.claim for row in placed.values()), key=lambda claim: (claim.since, claim.id))
    console.result(claims_text(claims, console.out), claims_json(claims))
    return ExitCode.DONE


def break_claims(arguments: argparse.Namespace, console: Console) -> int:
    """Remove claims of runners that are known to be gone; a runner that lives places its own again."""
    repository = _repository(arguments)
    placed = _placed(repository)
    chosen = dict(placed) if arguments.all else {}
    for name in arguments.claims:
        found = {key: row for key, row in placed.items() if key.startswith(name)}
        if len(found) != 1:
            what = f"there is no claim {name}" if not found else f"{name} may be one of {len(found)} claims"
            raise InputError(what, "`runner claims list` shows them")
        chosen |= found
    if not chosen and not arguments.all:
        raise InputError("which claim is meant?", "name it as `runner claims list` does, or say --all")
    for row in chosen.values():
        repository.mirror.drop(row.ref, row.oid)
    console.result(
        "".join(f"broken: {name}\n" for name in sorted(chosen)) or "Nobody claims anything.\n",
        {
            "schema": 1,
            "broken": sorted(chosen),
        },
    )
    return ExitCode.DONE


def _repository(arguments: argparse.Namespace) -> Repository:
    return open_repository(working_folder(arguments.folder), arguments.repo, os.environ)


def _placed(repository: Repository) -> dict[str, Placed]:
    return read_claims(repository.mirror)[0]
