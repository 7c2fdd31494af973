"""Examples as somebody takes them: a repository of their own with a remote, and stages that find this Python."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.command import call
from tests.packaging.workflows import ROOT
from tests.repositories import GitRepo, git, new_bare_remote


class Example:
    """A copy of an example that is validated, and then reconciled.

    `python` is what commands of stages find by that name.
    """

    def __init__(self, name: str, folder: Path, python: str = sys.executable) -> None:
        self.python = python
        shutil.copytree(ROOT / "examples" / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        git(folder / name, "init", "--quiet", "--initial-branch", "main")
        self.repo = GitRepo(folder / name)
        self.repo.commit(message="Start")
        new_bare_remote(folder / f"{name}.git", self.repo)
        self.says("validate")
        self.says("plan", code=2)
        self.says("reconcile")

    def says(self, *words: str, code: int = 0) -> str:
        """What a command prints, which must end with this code."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", str(Path(self.python).parent), prepend=os.pathsep)
            answer = call(self.repo.path, *words)
        assert answer.code == code, f"{words}: {answer.out}{answer.err}"
        return answer.out

    def json(self, *words: str, code: int = 0) -> Any:
        """The same as JSON."""
        return json.loads(self.says(*words, "--json", code=code))

    def file(self, path: str) -> str:
        """A file as it is recorded."""
        return self.repo.git("show", f"origin/runner/state:{path}")

    def metrics(self, path: str) -> Any:
        """Recorded metrics."""
        return json.loads(self.file(path))

    def edit(self, old: str, new: str, path: str = "runner.yaml") -> None:
        """Change a file in a commit that is pushed."""
        before = (self.repo.path / path).read_text()
        assert old in before
        self.repo.commit({path: before.replace(old, new)})
        self.repo.push()

    def gates(self) -> dict[str, str]:
        """The verdicts by the names of gates."""
        (found,) = self.json("gate")["deployments"]
        return {row["name"]: row["verdict"] for row in found["gates"]}

    def lacks(self) -> set[str]:
        """What `runner doctor` says."""
        return {row["practice"] for row in self.json("doctor")["findings"]} - {"host"}


def specs(name: str) -> list[Any]:
    """The documents of an example."""
    return list(yaml.safe_load_all((ROOT / "examples" / name / "runner.yaml").read_text()))
