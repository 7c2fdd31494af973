"""`runner claims list|break`: what runners say they are running now."""

from __future__ import annotations

import argparse
import os

from runner.cli.console import Console
from runner.core.claims import Claim
from runner.core.own_refs import CLAIMS
from runner.errors import ExitCode, InputError
from runner.record.claims import Placed, read_claims
from runner.report.claims_view import claims_json, claims_text
from runner.wiring.clone import working_folder
from runner.wiring.home import claim_is_gone
from runner.wiring.repository import Repository, open_repository


def list_claims(arguments: argparse.Namespace, console: Console) -> int:
    """Every claim that is on the remote now."""
    repository = _repository(arguments)
    placed = _placed(repository)
    claims: list[Claim] = sorted((row.claim for row in placed.values()), key=lambda claim: (claim.since, claim.id))
    gone = {claim.id for claim in claims if claim_is_gone(claim, repository.home)}
    console.result(claims_text(claims, gone, console.out), claims_json(claims, gone))
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
        if not claim_is_gone(row.claim, repository.home):
            text = "is not known to be gone; if that runner lives, others now start the stages that it runs, too"
            console.say(f"{console.err.yellow('notice: ')}{row.claim.id[:12]} {text}")
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
    placed, listed = read_claims(repository.mirror)
    known = repository.mirror.reader.refs(*CLAIMS.places)
    repository.mirror.forget(ref for ref in known if ref not in listed)  # so that `runner status` says the same
    return placed
