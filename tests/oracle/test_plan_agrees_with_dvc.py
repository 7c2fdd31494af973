"""What the runner plans for a repository that DVC ran, against what DVC says of a clean clone of the same commit.

DVC compares a working tree with `dvc.lock`, so it tells what changed by itself: a stage below a changed one is still
unchanged to it. The runner reads git alone and also tells what would follow. They agree when

- every stage that DVC calls changed is anything but `keep`, and
- every stage that DVC calls unchanged, and whose upstream it calls unchanged too, is `keep`.

Known differences, on purpose:

- *frozen*: `dvc status` reports a changed command and `always changed` of a frozen stage, `dvc repro` then runs nothing
  of it. The runner keeps a frozen stage as long as it has a result, and so says what `dvc repro` does.
- *always changed* and callback stages: DVC calls them changed for ever, the runner runs them once for each commit.
  Right after `dvc repro`, with nothing recorded by the runner, both say changed.
- a dep, a parameter or an output that is no longer declared: DVC looks at what is declared now and calls the stage
  unchanged. To the runner the declarations are part of the run key, so this is another run; either is accepted here.
- a dep that is nowhere: DVC reports it as `deleted` and fails when it gets there, the runner refuses the commit.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.oracle.answers import Answer, dvc_answers, dvc_would_run
from tests.oracle.checkouts import Checkout
from tests.oracle.commands import plan, runner
from tests.oracle.edits import BREAKING, apply_edits
from tests.oracle.seeds import seeds
from tests.oracle.stages import Address

pytestmark = pytest.mark.filterwarnings("ignore")  # DVC's own


@pytest.mark.parametrize("seed", seeds())
def test_a_plan_after_edits_says_what_dvc_says(seed: int, tmp_path: Path) -> None:
    checkout = _reproduced(seed, tmp_path)
    rng = random.Random(seed)
    done = apply_edits(checkout.model, rng, rng.randint(1, 4))
    checkout.commit("; ".join(done))
    clone = checkout.clone("clean")
    answers = dvc_answers(clone)
    steps = plan(checkout.root)
    assert {address for address, step in steps.items() if step.action != "remove"} == answers.keys()
    wrong = [
        f"{address}: planned {step.action} {step.reasons}, DVC says {answers[address].status}"
        for address, step in steps.items()
        if step.action != "remove" and not _agrees(step.action, address, answers)
    ]
    assert not wrong, "\n".join([*wrong, "after these edits:", *done])
    listed = {address for address in dvc_would_run(clone) if not answers[address].frozen}
    assert not {address for address in listed if steps[address].action == "keep"}


@pytest.mark.parametrize("seed", seeds(1000, one_in=4))
def test_what_dvc_ran_is_kept_without_edits(seed: int, tmp_path: Path) -> None:
    checkout = _reproduced(seed, tmp_path)
    answers = dvc_answers(checkout.clone("clean"))
    steps = plan(checkout.root)
    expected = {address: _first_action(answer, address, answers) for address, answer in answers.items()}
    assert {address: step.action == "keep" for address, step in steps.items()} == expected, steps


@pytest.mark.parametrize("seed", seeds(2000, one_in=4))
def test_edits_that_cancel_out_plan_to_what_was_planned_before(seed: int, tmp_path: Path) -> None:
    checkout = _reproduced(seed, tmp_path)
    before = copy.deepcopy(checkout.model)
    kept = {address for address, step in plan(checkout.root).items() if step.action == "keep"}
    apply_edits(checkout.model, random.Random(seed), 3)
    checkout.commit("Edit")
    checkout.model = before
    checkout.commit("Undo")
    assert {address for address, step in plan(checkout.root).items() if step.action == "keep"} == kept


@pytest.mark.parametrize("seed", seeds(3000, one_in=4))
def test_a_dep_that_is_nowhere_is_refused_by_name(seed: int, tmp_path: Path) -> None:
    checkout = _reproduced(seed, tmp_path)
    if not apply_edits(checkout.model, random.Random(seed), 1, BREAKING):
        pytest.skip("no stage of this repository reads a file")
    checkout.commit("Break")
    missing = {path for answer in dvc_answers(checkout.clone("clean")).values() for path in answer.missing}
    said = runner(checkout.root, "plan", accepted=(1,))
    assert missing
    assert all(path in said.err + said.out for path in missing)
    assert "Traceback" not in said.err


def _reproduced(seed: int, folder: Path) -> Checkout:
    checkout = Checkout.create(seed, folder)
    checkout.reproduce()
    checkout.commit("Record")
    return checkout


def _agrees(action: str, address: Address, answers: Mapping[Address, Answer]) -> bool:
    answer = answers[address]
    if answer.frozen:
        return action == "keep"
    if answer.changed:
        return action != "keep"
    return action == "keep" or answer.shrunk or _has_changed_upstream(address, answers)


def _first_action(answer: Answer, address: Address, answers: Mapping[Address, Answer]) -> bool:
    """Whether an unedited stage is kept: not if it, or something above it, is always changed."""
    return not answer.changed and not _has_changed_upstream(address, answers)


def _has_changed_upstream(address: Address, answers: Mapping[Address, Answer]) -> bool:
    """Whether anything above changed; a frozen stage stands still and lets nothing through."""
    return any(
        not answers[above].frozen
        and (answers[above].changed or answers[above].shrunk or _has_changed_upstream(above, answers))
        for above in answers[address].upstream
    )
