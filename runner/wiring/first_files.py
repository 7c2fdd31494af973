"""The first files of a repository: a `runner.yaml` alone, or an example that runs as it is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from runner.errors import InputError
from runner.resources import example_folder

_LEFT_OUT = ("__pycache__",)
_MERGED = ".gitignore"


def example_files(name: str) -> dict[str, str]:
    """Path to text of the files of an example that travels with the package."""
    folder = example_folder(name)
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not set(_LEFT_OUT) & set(file.parts)]
    return {file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8") for file in files}


def write_first(root: Path, files: Mapping[str, str], *, force: bool) -> list[str]:
    """Write the files below the root and return their paths; a `.gitignore` that is there only gets the lines it lacks.

    Raises InputError where one is there already and `force` is not set, or leads out of the root; then nothing was
    written.
    """
    present = [path for path in files if os.path.lexists(root / path) and path != _MERGED]
    if present and not force:
        what = f"{root / present[0]} exists" if len(present) == 1 else f"{', '.join(present)} exist in {root}"
        raise InputError(what, "edit it, or replace it with --force" if len(present) == 1 else "replace them: --force")
    for path in files:
        parent = (root / path).parent.resolve()
        if parent != root.resolve() and root.resolve() not in parent.parents:
            raise InputError(f"{path} goes through a link that leaves the repository", "replace the link by a folder")
        blocked = next((p for p in (root / path).parents if p.exists() and not p.is_dir()), None)
        if blocked is not None or (root / path).is_dir():
            raise InputError(f"{blocked or root / path} is in the way", "move it, or start in another folder")
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        _replace(root / path, _with_lines(root / path, text.splitlines()) if path == _MERGED else text)
    return list(files)


def _with_lines(file: Path, lines: Iterable[str]) -> str:
    before = file.read_text(encoding="utf-8", errors="surrogateescape") if file.is_file() else ""
    lacking = [line for line in lines if line not in before.splitlines()]
    return before + ("\n" if before and not before.endswith("\n") else "") + "".join(f"{line}\n" for line in lacking)


def _replace(file: Path, text: str) -> None:
    """Write a file whole or not at all, and never through a link to some other place."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", errors="surrogateescape", dir=file.parent, prefix=".runner-", delete=False
    ) as part:
        part.write(text)
    os.chmod(part.name, 0o644)
    os.replace(part.name, file)
