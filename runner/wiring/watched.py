"""Which branch is watched in a repository without a remote, where what is checked out says nothing of it.

An experiment's branch is a proposal there as anywhere: it gets no secrets, opens no hold-out and writes no state.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from runner.errors import Held, InputError
from runner.git.read import Reader
from runner.observe import refs
from runner.wiring.home import RepositoryHome

_HEADS = "refs/heads/"
_USUAL = ("main", "master")


def is_worked_in(url: str) -> bool:
    """Whether a repository is a folder that people work in: a bare one names its branch on purpose."""
    return (Path(url) / ".git").exists()


def watched_alone(reader: Reader, known: Mapping[str, str], current: str | None, home: RepositoryHome) -> str | None:
    """The watched branch: the one that was reconciled here, else one that holds what is recorded; None for none.

    Of several, and where nothing is recorded, `main` or `master`, else the one that is checked out. `known` are refs
    by their full names.
    """
    heads = {name.removeprefix(_HEADS): tip for name, tip in known.items() if name.startswith(_HEADS)}
    own = [name for name in sorted(heads) if not name.startswith(refs.OWN_PREFIX)]
    noted = home.watched.read_text().strip() if home.watched.is_file() else None
    if noted in own:
        return noted
    recorded = _desired(reader, heads.get(refs.STATE))
    holding = [name for name in own if recorded and reader.is_ancestor(recorded, heads[name])]
    among = holding or own
    usual = [name for name in _USUAL if name in among]
    if usual:
        return usual[0]
    return holding[0] if holding and current not in holding else current


def note_watched(home: RepositoryHome, branch: str) -> None:
    """Remember what was watched, so that what is recorded keeps its branch."""
    file = home.watched
    if file.is_file() and file.read_text().strip() == branch:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".watched.{os.getpid()}")
    part.write_text(branch + "\n")
    os.replace(part, file)


def _desired(reader: Reader, state: str | None) -> str | None:
    """The newest desired commit that was recorded, where it is here."""
    if state is None:
        return None
    from runner.ledger.state import State  # imported late: start-up

    try:
        desired = State(reader, state).summary.desired
    except (Held, InputError):
        return None  # whoever goes on from it is told
    return desired if reader.exists(desired) else None
