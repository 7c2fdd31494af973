"""Where data lies: the DVC cache of a clone and the DVC remotes of a commit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runner.data.cache import Cache
from runner.data.config import DvcConfig
from runner.data.damage import Damage
from runner.data.remotes import Remotes
from runner.errors import InputError
from runner.git.read import Reader


def dvc_folder_of(reader: Reader) -> Path | None:
    """The `.dvc` of a working tree: at its root, else where HEAD has one below it; None where there is none."""
    if reader.worktree is None:
        return None
    if (reader.worktree / ".dvc").is_dir():
        return reader.worktree / ".dvc"
    head = _head(reader)
    configs = [] if head is None else [path for path in reader.tree(head).paths if path.endswith("/.dvc/config")]
    folders = [reader.worktree / path.removesuffix("/config") for path in sorted(configs, key=len)]
    return next((folder for folder in folders if folder.is_dir()), None)


def _head(reader: Reader) -> str | None:
    try:
        return reader.resolve("HEAD")
    except InputError:
        return None  # no commit yet


def dvc_cache_of(dvc_folder: Path) -> Path:
    """The cache folder that a clone's DVC uses: `cache.dir` of its configuration, relative to it, else `.dvc/cache`."""
    config = DvcConfig.load(_text(dvc_folder / "config"), _text(dvc_folder / "config.local"), base=dvc_folder)
    return config.cache_dir or dvc_folder / "cache"


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
    return file.read_bytes() if file.is_file() else None
