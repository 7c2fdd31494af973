"""The runner's own audit of a branch in a test: no story that the runner writes may give a finding."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from runner.audit.chain import Examiner
from runner.audit.findings import Breakage
from runner.audit.trust import Trust
from runner.audit.verify import Report, verify
from runner.git.read import Reader
from runner.process.signing_keys import verifies
from runner.specs.parse_cache import ParseCache
from runner.wiring.added import added_files, asked_of
from runner.wiring.signing import statement_checker


def audited(repository: Path, branch: str, trust: Trust | None = None) -> Report:
    """The audit of a branch of a bare repository."""
    with Reader.discover(repository) as reader:
        examiner = Examiner(statement_checker(), verifies, trust)
        with tempfile.TemporaryDirectory() as folder:
            cache = ParseCache(Path(folder))
            adds, asks = (functools.partial(one, reader, cache) for one in (added_files, asked_of))
            is_proposal = branch.startswith("runner/proposed/")
            return verify(reader, reader.resolve(branch), examiner, proposal=is_proposal, adds=adds, asks=asks)


def findings(repository: Path, branch: str, trust: Trust | None = None) -> tuple[Breakage, ...]:
    """What is wrong with it."""
    return audited(repository, branch, trust).found
