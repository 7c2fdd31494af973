"""Calling the command line: in this process where that is enough, in one of its own where streams and limits matter."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.cli.main import main
from tests.repositories import GitRepo, new_bare_remote, new_repository


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """All of stdout as one JSON document."""
        return json.loads(self.out)


def call(folder: Path, *words: str) -> Answer:
    """Call the command in this process, as if in `folder`."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.chdir(folder):
        try:
            code = main(words)
        except SystemExit as exit_:  # --help and --version
            code = int(exit_.code or 0)
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined] # a BytesIO
    return Answer(code, *texts)


def reconciled(path: Path, files: Mapping[str, str]) -> GitRepo:
    """A repository at `path`, with a bare remote beside it and one reconcile recorded there."""
    made = new_repository(path, files)
    new_bare_remote(path.with_suffix(".git"), made)
    assert call(made.path, "reconcile").code == 0
    return made


def spawn(folder: Path, *words: str, env: Mapping[str, str] | None = None, shell: str = "") -> Answer:
    """Call the command in a process of its own; `shell` is a line of bash in which `runner` is the command."""
    environ = {**os.environ, **(env or {})}
    if shell:
        function = f'runner() {{ "{sys.executable}" -m runner "$@"; }}\n'
        command = ["bash", "-c", function + shell]
    else:
        command = [sys.executable, "-m", "runner", *words]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        command, cwd=folder, env=environ | {"PYTHONPATH": root}, capture_output=True, text=True, check=False, timeout=60
    )
    return Answer(done.returncode, done.stdout, done.stderr)
