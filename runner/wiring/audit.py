"""An audit from a clone: which commit, which trust, and the parts that it takes."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path

from runner.audit.chain import Chain, Examiner, check_chain
from runner.audit.deep import check_deep
from runner.audit.reading import Ledger, read_ledger
from runner.audit.tip import records_in
from runner.audit.trust import read_trust
from runner.audit.verify import Report, verify
from runner.core.checkpoint import BadCheckpoint, Checkpoint, parse_checkpoint
from runner.errors import Held, InputError
from runner.ledger import layout
from runner.observe import refs
from runner.process.signing_keys import verifies
from runner.values import dataclass, replace
from runner.wiring.added import added_files, asked_of
from runner.wiring.clone import Clone, open_clone
from runner.wiring.signing import statement_checker
from runner.wiring.trust_file import trust_file


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks of an audit."""

    rev: str | None = None
    """A state branch by its name, or any revision; None for the clone's own state branch.

    The mirror's counts where the clone has none."""
    trust: str | None = None
    """The trust file that an option names."""
    pinned: Path | None = None
    deep: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """The commit that an audit is of."""

    name: str
    tip: str
    proposal: bool


def audit(folder: Path, wanted: Wanted, environ: Mapping[str, str]) -> tuple[Named, Report]:
    """Verify a ledger; raises InputError where there is none, or a file that was named is none."""
    clone = open_clone(folder, environ)
    named = _named(clone, wanted.rev)
    file = trust_file(folder, environ, wanted.trust)
    trust = read_trust(file) if file is not None else None
    pinned = read_checkpoint(wanted.pinned) if wanted.pinned is not None else None
    examiner = Examiner(statement_checker(), verifies, trust)
    report = verify(
        clone.reader,
        named.tip,
        examiner,
        pinned=pinned,
        proposal=named.proposal,
        everything=wanted.deep,
        adds=functools.partial(added_files, clone.reader, clone.apart),
        asks=functools.partial(asked_of, clone.reader, clone.apart),
    )
    return named, _deep(clone, report) if wanted.deep else report


def opened_ledger(folder: Path, rev: str | None, environ: Mapping[str, str]) -> tuple[Ledger, Chain]:
    """The records of a ledger without a verdict; raises InputError where there is none."""
    clone = open_clone(folder, environ)
    ledger = read_ledger(clone.reader, _named(clone, rev).tip)
    records, _ = records_in(ledger.files)
    return ledger, check_chain(records, Examiner(statement_checker(), verifies))


def read_checkpoint(file: Path) -> Checkpoint:
    """A checkpoint that somebody kept; raises InputError."""
    try:
        return parse_checkpoint(file.read_bytes())
    except OSError as error:
        raise InputError(
            f"{file}: {error.strerror}", f"keep one: git show BRANCH:{layout.CHECKPOINT} > FILE"
        ) from error
    except BadCheckpoint as error:
        raise InputError(f"{file}: {error}", f"keep one: git show BRANCH:{layout.CHECKPOINT} > FILE") from error


def _named(clone: Clone, rev: str | None) -> Named:
    try:
        known, own = clone.states.tips, clone.own_states.tips
    except Held:
        if rev is None:
            raise
        known = own = {}  # a clone of the state branch alone: there is nothing that it is the state of
    # What the mirror knows of a branch may have been restored since. Where people commit, too, the clone may be behind.
    tips = {**known, **{name: tip for name, tip in own.items() if name != clone.policy.watched}}
    if rev is None:
        if clone.states.first not in tips:
            raise InputError("nothing is recorded yet", "run `runner reconcile` first, or fetch the state branch")
        rev = clone.states.first
    tip = tips.get(rev) or clone.reader.resolve(rev)
    names = [name for name, commit in (*known.items(), *own.items()) if commit == tip]
    return Named(rev, tip, bool(names) and all(name.startswith(refs.PROPOSED) for name in names))


def _deep(clone: Clone, report: Report) -> Report:
    said: list[str] = []
    ledger = report.ledger
    found = check_deep(clone.reader, ledger.commit, ledger.files, report.chain, clone.dvc_cache(), said.append)
    return replace(report, found=tuple(sorted({*report.found, *found})), deep="; ".join(said))


def place_of(folder: Path, name: str | None) -> Path | None:
    """A file that was named on the command line."""
    return None if name is None else Path(os.path.join(folder, name))
