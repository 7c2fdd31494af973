"""What a reconcile leaves on the state branch, against what DVC finds there and what `dvc repro` leaves itself."""

from __future__ import annotations

import difflib
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.oracle.answers import dvc_answers, dvc_would_run
from tests.oracle.checkouts import Checkout
from tests.oracle.commands import reconcile
from tests.oracle.edits import apply_edits
from tests.oracle.repositories import to_yaml
from tests.oracle.seeds import seeds

pytestmark = pytest.mark.filterwarnings("ignore")  # DVC's own

STATE = "refs/heads/runner/state"


@pytest.mark.parametrize("seed", seeds(400, one_in=4))
def test_dvc_finds_nothing_to_do_on_the_state_branch(seed: int, tmp_path: Path) -> None:
    checkout = Checkout.create(seed, tmp_path)
    reconcile(checkout.root)
    checkout.model.settle()
    done = apply_edits(checkout.model, random.Random(seed), 2)
    checkout.commit("; ".join(done))
    reconcile(checkout.root)
    clone = checkout.clone("state", STATE, pull=True)
    answers = dvc_answers(clone)
    assert answers.keys() == checkout.model.addresses()
    changed = {
        str(address): answer.status for address, answer in answers.items() if answer.changed and not answer.frozen
    }
    assert {status for row in changed.values() for status in row} <= {"always changed"}, changed
    # of a frozen stage whose command was edited DVC only verifies the outputs, and lists it
    assert {str(address) for address in dvc_would_run(clone) if not answers[address].frozen} <= changed.keys()


@pytest.mark.parametrize("seed", seeds(500, one_in=4))
def test_the_lock_files_are_those_that_dvc_repro_writes(seed: int, tmp_path: Path) -> None:
    checkout = Checkout.create(seed, tmp_path)
    reconcile(checkout.root)
    ours = checkout.clone("ours", STATE, pull=True)
    checkout.reproduce()
    for pipeline in sorted({stage.pipeline for stage in checkout.model.stages}):
        lock = Path(pipeline).with_suffix(".lock")
        written, expected = _stages(ours / lock), _stages(checkout.root / lock)
        assert not _differences(written, expected)


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """What differs, as lines of a diff; the order of stages is that in which they ran, and says nothing."""
    written, expected = (to_yaml({name: stages[name] for name in sorted(stages)}) for stages in (ours, theirs))
    return list(difflib.unified_diff(written.splitlines(), expected.splitlines(), "ours", "DVC's", lineterm=""))


def _stages(lock: Path) -> Mapping[str, Any]:
    stages: Mapping[str, Any] = yaml.safe_load(lock.read_text())["stages"]
    return stages
