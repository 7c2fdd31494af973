"""What the runner makes of the specs at a desired commit, whatever stands: rendered pipelines and ignore files."""

from __future__ import annotations

from runner.audit.approvals import Stated
from runner.audit.made import Made
from runner.core.nouns import Desired
from runner.core.predicates import RECONCILE
from runner.core.records import BadRecord
from runner.errors import RunnerError
from runner.git.read import Reader
from runner.ledger import layout
from runner.ledger.state import State
from runner.observe.inputs import overlay_files
from runner.specs.desired import read_specs
from runner.specs.parse_cache import ParseCache


def added_files(reader: Reader, cache: ParseCache, commit: str, desired: str) -> Made | None:
    """What the state commit has to hold; None where a runner that renders otherwise made it."""
    try:
        if _rendering(State(reader, commit)) != layout.RENDER_VERSION:
            return None
        read = read_specs(reader, desired, cache)
    except (RunnerError, BadRecord, KeyError, TypeError):
        return None  # said of the records themselves; and of what no runner could read nothing is made
    return made_of(reader, cache, read.desired) if not read.findings else None


def asked_of(reader: Reader, cache: ParseCache, commit: str) -> Stated | None:
    """Whom the specs of a commit ask for signatures; None where they cannot be read, or are not here."""
    try:
        read = read_specs(reader, commit, cache)
        author = author_of(reader, commit)
    except RunnerError:
        return None
    if read.findings:
        return None
    rows = {(row.name, place.name): place.approvals for row in read.desired.deployments for place in row.environments}
    return Stated(rows, author)


def author_of(reader: Reader, commit: str) -> str:
    """The address of the author of a commit."""
    return reader.commit(commit).author.rpartition("<")[2].rstrip(">")


def made_of(reader: Reader, cache: ParseCache, asked: Desired) -> Made:
    """What this runner makes of specs; with other bytes `layout.RENDER_VERSION` has to rise."""
    files = {one.dvc_file: one.rendered.encode() for one in asked.pipelines if one.rendered is not None}
    files |= overlay_files(asked, reader.tree(asked.commit), reader, cache)
    if not asked.has_dvc:
        files |= layout.DVC_FOLDER
    if asked.dvc_root == ".":
        files[".dvcignore"] = layout.with_dvcignore_lines(reader.file(asked.commit, ".dvcignore") or b"")
    return Made(
        files=files,
        locks={one.name: one.lock_file for one in asked.pipelines},
        stages={stage.address: stage for stage in asked.stages()},
    )


def _rendering(state: State) -> int | None:
    """How the newest commit which is more than records was rendered; None where its record does not say."""
    for record in state.records():
        if record.kind is RECONCILE and not record.own["reconcile"]["late"]:
            stated = record.own["reconcile"].get("rendering")
            return stated if isinstance(stated, int) else None
    return None
