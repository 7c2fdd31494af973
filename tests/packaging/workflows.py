"""A small stand-in for a job of GitHub Actions: runs the `run` steps of a composite action as they are written."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def load(name: str) -> Any:
    """A YAML file of this repository; `on` stays a string."""
    return yaml.load((ROOT / name).read_text(), Loader=yaml.BaseLoader)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step left behind."""

    code: int
    log: str
    summary: str
    outputs: Mapping[str, str]

    @property
    def commands(self) -> list[str]:
        """The workflow commands that GitHub would obey: those outside of stop-commands."""
        obeyed: list[str] = []
        token = ""
        for line in self.log.splitlines():
            if token:
                token = "" if line == f"::{token}::" else token
            elif line.startswith("::stop-commands::"):
                token = line.removeprefix("::stop-commands::")
            elif line.lstrip().startswith("::") or "##[" in line:
                obeyed.append(line)
        return obeyed


@dataclass(frozen=True, slots=True)
class Job:
    """One job on one machine: a workspace, a temporary folder and a home of its own."""

    folder: Path
    workspace: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def step(self, action: Mapping[str, Any], name: str, inputs: Mapping[str, str]) -> StepResult:
        """Run the step called `name` of a composite action; inputs that are not given have their defaults."""
        step = next(step for step in action["runs"]["steps"] if step["name"] == name)
        values = {key: str(row.get("default", "")) for key, row in action["inputs"].items()} | dict(inputs)
        temporary = self.folder / "temp"
        files = {key: self.folder / key.lower() for key in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV")}
        for folder in (temporary, self.folder / "home"):
            folder.mkdir(exist_ok=True)
        for file in files.values():
            file.write_text("")
        script = self.folder / "script.sh"
        script.write_text(step["run"])
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_OS": "Linux",
            "RUNNER_TEMP": str(temporary),
            **{key: str(file) for key, file in files.items()},
            **self.variables,
            **{key: _resolved(text, values) for key, text in step.get("env", {}).items()},
        }
        done = subprocess.run(
            # https://docs.github.com/actions/reference/workflow-syntax-for-github-actions: `shell: bash`
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
            cwd=self.workspace / _resolved(step.get("working-directory", "."), values),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        return StepResult(done.returncode, done.stdout, files["GITHUB_STEP_SUMMARY"].read_text(), outputs)


def library() -> str:
    """Where the packages of this interpreter are."""
    return sysconfig.get_path("purelib")


def _resolved(text: str, inputs: Mapping[str, str]) -> str:
    """The expressions that the action uses; any other is a KeyError."""

    def value(found: re.Match[str]) -> str:
        expression = found[1]
        if expression == "github.action_path":
            return str(ROOT)
        kind, _, name = expression.partition(".")
        return {"inputs": inputs}[kind][name]

    return re.sub(r"\$\{\{ ([^}]+) \}\}", value, text)
