"""Specs judged before they are committed: the working tree as a tree object in a throw-away object store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

from runner.core.nouns import Desired, Notice
from runner.errors import Finding, Place, SpecError
from runner.git.read import Reader
from runner.ledger.state import State
from runner.observe.checks import frozen_findings, host_findings
from runner.specs.desired import Reading, read_specs
from runner.values import dataclass
from runner.wiring.clone import Clone, host_limits


@dataclass(frozen=True, slots=True)
class Validated:
    """Specs without a finding."""

    desired: Desired
    notices: tuple[Notice, ...]
    """What people should know: of the specs, and of what this host does not have."""


def validated(clone: Clone, rev: str | None, environ: Mapping[str, str]) -> Validated:
    """The specs at a revision, or else in the working tree; raises SpecError with every finding.

    Nothing is fetched and nothing of the repository runs. What the host lacks is a notice and no finding: who checks
    on a laptop what runs on a server has done nothing wrong.
    """
    if rev is not None or clone.reader.worktree is None:
        return _judged(clone, clone.reader, clone.reader.resolve(rev or "HEAD"), rev, environ)
    from runner.git.draft import draft_commit  # imported late: only the working tree needs it

    with draft_commit(clone.reader) as (reader, commit):
        return _judged(clone, reader, commit, None, environ)


def _judged(clone: Clone, reader: Reader, commit: str, rev: str | None, environ: Mapping[str, str]) -> Validated:
    reading = read_specs(reader, commit, clone.apart)
    frozen = frozen_findings(reading, lambda: _state(clone, rev))
    is_known = not clone.has_remote or bool(clone.states.tips) if frozen else True
    findings = [*reading.findings, *(frozen if is_known else ())]
    if findings:
        raise SpecError(findings)
    notices = [*reading.desired.notices, *_host_notices(reading, environ)]
    if not is_known:
        notices += [_unsure(finding) for finding in frozen]
    return Validated(reading.desired, tuple(notices))


def _state(clone: Clone, rev: str | None) -> State | None:
    """What is recorded for a revision as far as this clone knows; None in a repository without a commit."""
    branch = clone.reader.current_branch()
    is_unborn = branch is not None and clone.reader.ref(f"refs/heads/{branch}") is None
    return None if rev is None and is_unborn else clone.state(rev)


def _host_notices(reading: Reading, environ: Mapping[str, str]) -> list[Notice]:
    """What a plan or a reconcile on this host would refuse."""
    found = [_notice(finding) for finding in host_findings(reading.desired.stages(), host_limits)]
    shell = reading.desired.project.shell
    if shell is not None and shutil.which(shell, path=environ.get("PATH", os.defpath)) is None:
        found.append(Notice(f"the shell {shell!r} is not on this host", Place("runner.yaml")))
    return found


def _notice(finding: Finding) -> Notice:
    return Notice(finding.message, Place(finding.file, finding.line, finding.column))


def _unsure(finding: Finding) -> Notice:
    """A remote may have recorded what this clone has not seen."""
    message = f"{finding.message}, as far as this clone knows: it knows no state, `runner plan --fetch` asks the remote"
    return Notice(message, Place(finding.file, finding.line, finding.column))
