"""Where data lies: the DVC cache of a clone and the DVC remotes of a commit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runner.data.cache import Cache
from runner.data.config import DvcConfig
from runner.data.damage import Damage
from runner.data.remotes import Remotes
from runner.errors import HostError, InputError
from runner.git.read import Reader, small_file
from runner.ledger.state import State

if TYPE_CHECKING:
    from runner.observe.observation import Observation


def dvc_folder_of(reader: Reader) -> Path | None:
    """The `.dvc` of a working tree: at its root, else where HEAD has one below it; None where there is none."""
    if reader.worktree is None:
        return None
    if _is_folder(reader.worktree / ".dvc"):
        return reader.worktree / ".dvc"
    head = _head(reader)
    configs = [] if head is None else [path for path in reader.tree(head).paths if path.endswith("/.dvc/config")]
    folders = [reader.worktree / path.removesuffix("/config") for path in sorted(configs, key=len)]
    return next((folder for folder in folders if _is_folder(folder)), None)


def _head(reader: Reader) -> str | None:
    try:
        return reader.resolve("HEAD")
    except InputError:
        return None  # no commit yet


def dvc_cache_of(dvc_folder: Path) -> Path:
    """The cache folder that a clone's DVC uses: `cache.dir` of its configuration, relative to it, else `.dvc/cache`."""
    config = DvcConfig.load(_text(dvc_folder / "config"), _text(dvc_folder / "config.local"), base=dvc_folder)
    return config.cache_dir or dvc_folder / "cache"


def readable_cache_of(reader: Reader, dvc_folder: Path) -> Path:
    """The same for whoever only looks: a place outside the working tree counts only where no commit can have named it.

    What a stranger's branch brings (`.dvc/config`, or a `config.local` that it committed) must not lead a plan into
    other folders of this host.
    """
    head, root = _head(reader), reader.worktree or dvc_folder
    local = str((dvc_folder / "config.local").relative_to(root))
    is_committed = head is not None and reader.tree(head).get(local) is not None
    own = None if is_committed else _text(dvc_folder / "config.local")
    config = DvcConfig.load(_text(dvc_folder / "config"), own, base=dvc_folder)
    said = DvcConfig.load(None, own, base=dvc_folder).cache_dir
    place = config.cache_dir or dvc_folder / "cache"
    is_inside = os.path.realpath(place).startswith(os.path.realpath(root) + os.sep)
    return place if is_inside or said is not None else dvc_folder / "cache"


def remotes_at(
    reader: Reader,
    commit: str,
    dvc_root: str,
    clone_dvc: Path | None,
    environ: Mapping[str, str],
    cache: Cache,
    damage: Damage | None = None,
) -> Remotes:
    """DVC remotes: the configuration at a commit, under the user's own (`config.local`) and this host's.

    `damage` keeps what is found damaged there.
    """
    prefix = "" if dvc_root == "." else f"{dvc_root}/"
    committed = reader.file(commit, f"{prefix}.dvc/config")
    local = _text(clone_dvc / "config.local") if clone_dvc is not None else None
    override = Path(environ["RUNNER_DVC_CONFIG"]) if environ.get("RUNNER_DVC_CONFIG") else None
    return Remotes.load(committed, local, override, clone_dvc, cache=cache, damage=damage)


def _text(file: Path) -> bytes | None:
    """A configuration; never through a link, since what cannot be read of it is shown."""
    return small_file(file, _CONFIG_LIMIT_BYTES, follow=False) if file.is_file() and not file.is_symlink() else None


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


_CONFIG_LIMIT_BYTES = 1 << 20


def check_remotes(remotes: Remotes, observation: Observation, *, tell_of_none: bool) -> list[str]:
    """Find out before anything runs that its bytes could not be sent to where they belong; gives notices to people.

    Raises HostError, and InputError for a remote that the configuration does not name. `tell_of_none`: whether it
    matters that there is no remote.
    """
    outs = [out for stage in observation.desired.stages() for out in stage.outs if out.cache and out.push]
    for name in sorted({out.remote or remotes.default_name() or "" for out in outs} - {""}):
        remotes.check(name)
        check_is_there(remotes, name, observation.state)
    notices = [f"{option} of the committed DVC configuration is not followed" for option in remotes.ignored]
    if tell_of_none and remotes.default_name() is None:
        notices.append("there is no DVC remote: the bytes of results stay on this host")
    return notices


def check_is_there(remotes: Remotes, name: str, state: State | None) -> None:
    """Raise HostError where results are recorded to be on a remote that is a folder of this host, and it is gone.

    Whatever is pushed would make it, and on a disk that is only not mounted it would be the wrong one.
    """
    folder = remotes.lost_folder(name)
    if folder is None or state is None:
        return
    is_default = name == remotes.default_name()
    entries = (state.current(address) for address in state.addresses())
    outs = (out for entry in entries if entry is not None for out in entry.outs if out.cached and out.push)
    if (is_default and state.summary.location == name) or any(out.remote == name for out in outs):
        raise HostError(
            f"remote '{name}': the folder {folder} is gone, and results are recorded as being there",
            "mount its disk; if it is to begin anew, make the folder: what stages need of it is made again",
        )
