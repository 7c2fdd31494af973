"""What the runner adds to the files of a desired commit, whatever stands: rendered pipelines and `.gitignore` files."""

from __future__ import annotations

from runner import __version__
from runner.core.predicates import RECONCILE
from runner.core.records import BadRecord
from runner.errors import RunnerError
from runner.git.read import Reader
from runner.ledger.state import State
from runner.observe.inputs import overlay_files
from runner.specs.desired import read_specs
from runner.specs.parse_cache import ParseCache


def added_files(reader: Reader, cache: ParseCache, commit: str, desired: str) -> dict[str, bytes] | None:
    """Path to bytes, as the state commit has to have them; None where another version of the runner made them."""
    try:
        if _version(State(reader, commit)) != __version__:
            return None
        read = read_specs(reader, desired, cache)
    except (RunnerError, BadRecord, KeyError, TypeError):
        return None  # said of the records themselves; and of what no runner could read nothing is made
    if read.findings:
        return None
    rendered = {one.dvc_file: one.rendered.encode() for one in read.desired.pipelines if one.rendered is not None}
    return rendered | overlay_files(read.desired, reader.tree(desired), reader, cache)


def _version(state: State) -> str | None:
    """The version of the runner that made the newest commit which is more than records."""
    for record in state.records():
        if record.kind is RECONCILE and not record.own["reconcile"]["late"]:
            return str(record.own["runnerVersion"])
    return None
