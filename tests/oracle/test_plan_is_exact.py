"""What a plan says against what a reconcile then does, over generated repositories and edits.

Exact means: `keep`, `reuse` and `remove` execute nothing; `run` executes; `wait` ends as keep, reuse or run; nothing
that is not listed executes. What executed is read from the trace file that every command appends to, not from what
the runner says of itself.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.oracle.checkouts import Checkout
from tests.oracle.commands import EXECUTES_NOTHING, Reconciled, Step, plan, reconcile
from tests.oracle.edits import apply_edits
from tests.oracle.repositories import Model
from tests.oracle.seeds import seeds
from tests.oracle.stages import Address, Stage
from tests.repositories import git

pytestmark = pytest.mark.filterwarnings("ignore")  # DVC's own


@pytest.mark.parametrize("seed", seeds(100))
def test_a_reconcile_executes_exactly_what_was_planned(seed: int, tmp_path: Path) -> None:
    checkout = Checkout.create(seed, tmp_path)
    steps, executed, _ = _reconciled(checkout)
    assert not {step.action for step in steps.values()} & EXECUTES_NOTHING
    assert set(executed) == checkout.model.addresses(), "a first reconcile executes everything"
    checkout.model.settle()

    rng = random.Random(seed)
    done = apply_edits(checkout.model, rng, rng.randint(1, 4))
    checkout.commit("; ".join(done))
    steps, executed, reconciled = _reconciled(checkout)
    _holds(steps, executed, reconciled, "; ".join(done))
    _stands_still(checkout)


@pytest.mark.parametrize("seed", seeds(200, one_in=4))
def test_what_dvc_ran_before_is_executed_exactly_as_planned(seed: int, tmp_path: Path) -> None:
    checkout = Checkout.create(seed, tmp_path)
    checkout.reproduce()
    checkout.commit("Record")
    rng = random.Random(seed)
    done = apply_edits(checkout.model, rng, rng.randint(1, 4))
    checkout.commit("; ".join(done))
    steps, executed, reconciled = _reconciled(checkout)
    _holds(steps, executed, reconciled, "; ".join(done), evidence=True)
    _stands_still(checkout)


@pytest.mark.parametrize("seed", seeds(300, one_in=4))
def test_going_back_to_an_earlier_commit_executes_nothing_that_ran_there(seed: int, tmp_path: Path) -> None:
    checkout = Checkout.create(seed, tmp_path)
    _reconciled(checkout)
    checkout.model.settle()
    first = copy.deepcopy(checkout.model)
    done = apply_edits(checkout.model, random.Random(seed), 3)
    checkout.commit("; ".join(done))
    _reconciled(checkout)
    checkout.model = first
    checkout.commit("Go back")
    steps, executed, reconciled = _reconciled(checkout)
    _holds(steps, executed, reconciled, "back, after " + "; ".join(done))
    assert set(executed) <= {address for stage in _may_run_again(first) for address in stage.addresses()}
    _stands_still(checkout)


def _reconciled(checkout: Checkout) -> tuple[dict[Address, Step], Counter[Address], Reconciled]:
    """Plan, then reconcile: the plan, how often each stage executed by the trace, and what the reconcile says."""
    tokens = checkout.model.tokens()
    steps = plan(checkout.root)
    before = len(checkout.trace())
    reconciled = reconcile(checkout.root)
    executed = Counter(tokens[token] for token in checkout.trace()[before:])
    assert executed == Counter(reconciled.executed), "the runner says that it executed something else"
    return steps, executed, reconciled


def _holds(
    steps: dict[Address, Step],
    executed: Counter[Address],
    reconciled: Reconciled,
    edits: str,
    *,
    evidence: bool = False,
) -> None:
    """The plan was exact; `evidence` is true where DVC's run-cache may know a run that the plan could not see."""
    wrong = [f"{address} executed {count} times" for address, count in executed.items() if count > 1]
    wrong += [f"{address} executed and was not planned" for address in executed.keys() - steps.keys()]
    for address, step in steps.items():
        ended = reconciled.actions.get(address)
        ran = executed[address] == 1
        if step.action in EXECUTES_NOTHING and ran:
            wrong.append(f"{address} was planned {step.action} and executed")
        if step.action == "run" and not ran and not (evidence and address in reconciled.restored):
            wrong.append(f"{address} was planned run, did not execute, and ended as {ended}")
        if step.action == "wait" and ended not in ("keep", "reuse", "run"):
            wrong.append(f"{address} was planned wait and ended as {ended}")
        if ended == "reuse" and ran:
            wrong.append(f"{address} ended as reuse and executed")
        if step.action not in EXECUTES_NOTHING | {"run", "wait"}:
            wrong.append(f"{address} was planned {step.action}: {step.reasons}")
    assert not wrong, "\n".join([*wrong, f"after: {edits}"])


def _may_run_again(model: Model) -> list[Stage]:
    """Stages whose key is not all there is to them, and everything below: they run where they ran before."""
    found = [
        stage
        for stage in model.stages
        if stage.always_changed or not stage.outs or any(out.persist for out in stage.outs)
    ]
    for stage in found:
        below = [other for out in stage.concrete_outs() for other in model.consumers(out.path)]
        found.extend(other for other in below if other not in found)
    return found


def _stands_still(checkout: Checkout) -> None:
    """A plan right after a reconcile is all keep; a second reconcile makes no commit and executes nothing."""
    refs, trace = git(checkout.root, "for-each-ref"), checkout.trace()
    left = {str(address): step for address, step in plan(checkout.root).items() if step.action != "keep"}
    assert not left
    assert reconcile(checkout.root).commit is None
    assert git(checkout.root, "for-each-ref") == refs
    assert checkout.trace() == trace
