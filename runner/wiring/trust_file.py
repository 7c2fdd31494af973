"""Where the trust file is that a person configured on this host."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from runner.errors import InputError
from runner.wiring.home import home_folder

TRUST = "RUNNER_TRUST"
"""Names the trust file, where no option does."""
_IN_HOME = "trust.yaml"
"""The trust file of a host, below the runner's own folder, where nothing else names one."""


def trust_file(folder: Path, environ: Mapping[str, str], named: str | None = None) -> Path | None:
    """The trust file: as an option says, else RUNNER_TRUST, else the one in the runner's folder; None without one.

    Raises InputError for one inside the work tree (whoever may push would say whom to trust), and for a variable that
    is set and empty: somebody forgot to fill it, and without a trust file no signature is looked at.
    """
    said = named or environ.get(TRUST)
    if said == "":
        hint = "name the file, or unset the variable to go without or with the one in the runner's folder"
        raise InputError(f"{TRUST} is set and empty", hint)
    if said:
        file = folder / Path(said).expanduser()
        _check_outside(file, folder)
        return file
    file = home_folder(environ) / _IN_HOME
    return file if os.path.lexists(file) else None


def _check_outside(file: Path, folder: Path) -> None:
    """Neither the name nor what it leads to may lie in the work tree: a link can be committed as well."""
    start = Path(os.path.realpath(folder))
    tree = next((one for one in (start, *start.parents) if os.path.lexists(one / ".git")), None)
    if tree is None:
        return
    parent = Path(os.path.realpath(file.parent))
    if tree in (parent, *parent.parents) or tree in Path(os.path.realpath(file)).parents:
        raise InputError(
            f"{file}: the trust file lies in the work tree of the repository that it judges",
            f"move it out of {tree}, where a commit cannot change it, and name it by its full path",
        )
