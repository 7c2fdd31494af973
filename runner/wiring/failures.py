"""What to type about a stage that stands failed, so that it holds for the revision that was looked at."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from runner.core.actions import Action
from runner.core.outline import Line
from runner.observe import refs
from runner.report.plan_view import WayOut

if TYPE_CHECKING:
    from runner.core.plan import Step
    from runner.ledger.state import State
    from runner.wiring.clone import Clone


def way_out(
    clone: Clone | None,
    steps: Iterable[Step | Line],
    ref: str | None,
    rev: str | None,
    state: State | None = None,
) -> WayOut:
    """The commands that fit the first failure among the steps of a plan or a reconcile.

    `ref` is the state branch that was compared with, `rev` what a reconcile has to be asked for (None for the watched
    branch), `state` the newest state, where runs were recorded after the steps were planned. Without a clone the
    commands are meant for one of the watched branch.
    """
    step = next((step for step in steps if step.action is Action.FAILED), None)
    if step is None:
        return WayOut()
    asked = "" if rev is None else shlex.quote(rev)
    hit = None if isinstance(step, Line) else step.hit
    if not (hit is not None and hit.ref) and ref == _looked_at(clone, ref, rev):
        return WayOut(step.address.stage, asked)
    if hit is None and state is not None and step.key is not None:
        hit = state.find(step.key)
    where = ref if hit is None else hit.ref or ref
    return WayOut("" if hit is None or where is None else shlex.quote(f"{_called(where)}@{hit.record}"), asked)


def _looked_at(clone: Clone | None, ref: str | None, rev: str | None) -> str | None:
    """The state branch of which `runner log STAGE` would show a run."""
    if clone is None:
        return ref if rev is None else None
    return clone.own_ref() or ref


def _called(ref: str) -> str:
    """What people call the runs of a state branch: by the branch that they were recorded for, where that is clear."""
    if ref.startswith(f"{refs.PROPOSED}/"):
        return unquote(ref.removeprefix(f"{refs.PROPOSED}/"))
    return ref.removeprefix(f"{refs.STATE_OF}/")
