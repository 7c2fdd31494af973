"""The examples on the pages work: specs are valid, commands end as told, programs run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from runner.git.read import Reader
from runner.specs.desired import validate
from runner.specs.parse_cache import ParseCache
from tests.cli.command import call
from tests.docs.pages import PAGES, ROOT, Block, block, blocks, page, sections, shell_lines
from tests.repositories import GitRepo, git, new_bare_remote

_SPECS = [
    pytest.param(found, id=f"{path.name}-{number}")
    for path in PAGES
    for number, found in enumerate(blocks(path.read_text(encoding="utf-8")))
    if found.mark in ("spec", "dvc")
]
_ENDS = {"runner plan": 2}
"""What a command of the first minute ends with, where it is not 0."""


@pytest.mark.parametrize("example", _SPECS)
def test_a_spec_on_a_page_is_valid_once_its_inputs_are_there(
    example: Block, git_repo: Callable[..., GitRepo], tmp_path: Path
) -> None:
    name = "runner.yaml" if example.mark == "spec" else "dvc.yaml"
    params = yaml.safe_dump({"prepare": {}, "train": {}})
    files = {name: example.text, "params.yaml": params, "pipelines/.keep": "", ".dvc/config": ""}
    if "dvc.yaml" in example.text and name == "runner.yaml":
        files["dvc.yaml"] = "stages: {}\n"
    if "pipelines/" in example.text:
        files["pipelines/more.yaml"] = "# nothing yet\n"
    if "src.features:build" in example.text:
        files["src/features.py"] = "def build(data, window, out): ...\n"  # as the page says
    repo = git_repo(files)
    found = _findings(repo, tmp_path)
    inputs = {m[1]: "" for f in found if (m := re.match(r"`([^`]+)` is neither in git", f))}
    assert len(inputs) == len(found), found
    repo.commit(inputs)
    assert _findings(repo, tmp_path) == []


def _findings(repo: GitRepo, folder: Path) -> list[str]:
    reader = Reader.discover(repo.path)
    try:
        return [finding.message for finding in validate(reader, repo.head, ParseCache(folder / "parsed"))]
    finally:
        reader.close()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Where `runner` and `python` are those of this test, and the runner has a home of its own."""
    folder = tmp_path_factory.mktemp("bin")
    for name, arguments in (("runner", " -m runner"), ("python", "")):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
        program.chmod(0o755)
    return os.environ | {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RUNNER_HOME": str(tmp_path_factory.mktemp("home")),
    }


@pytest.fixture(scope="module")
def wine(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A clone in which the first minute of the README has been spent, and what its commands said."""
    folder = tmp_path_factory.mktemp("first-minute")
    clone = folder / "wine"
    shutil.copytree(ROOT / "examples/adopt-dvc", clone, ignore=shutil.ignore_patterns("__pycache__", "runner.yaml"))
    (clone / ".dvc/config").write_text(f"[core]\n    remote = store\n['remote \"store\"']\n    url = {folder}/store\n")
    git(clone, "init", "--quiet", "--initial-branch", "main")
    repo = GitRepo(clone)
    repo.commit(message="Wine")
    new_bare_remote(folder / "remote.git", repo)
    git(clone, "push", "--quiet", "--set-upstream", "origin", "main")
    said = []
    for command in shell_lines(block("README.md", "first minute")):
        done = _shell(command, clone, environment)
        assert done.returncode == _ENDS.get(command, 0), f"{command}: {done.stderr[-500:]}"
        said.append(done.stdout)
    return clone, said


def _shell(command: str, folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_after_the_first_minute_the_outputs_are_in_the_working_tree(wine: tuple[Path, list[str]]) -> None:
    clone, said = wine
    assert "pulled" in said[-1]
    assert json.loads((clone / "metrics.json").read_text())["accuracy"] > 0.5


@pytest.mark.slow
def test_a_clone_of_the_state_branch_is_a_dvc_repository_in_which_nothing_is_to_do(
    wine: tuple[Path, list[str]], environment: Mapping[str, str], tmp_path: Path
) -> None:
    remote = wine[0].parent / "remote.git"
    git(tmp_path, "clone", "--quiet", "--branch", "runner/state", str(remote), "state")
    for command, expected in (("pull", ""), ("status", "up to date"), ("repro", "up to date")):
        done = _shell(f"python -m dvc {command}", tmp_path / "state", environment)
        assert done.returncode == 0
        assert expected in done.stdout


@pytest.mark.slow
def test_the_program_that_reads_the_ledger_finds_one_unbroken_chain(
    wine: tuple[Path, list[str]], environment: Mapping[str, str], tmp_path: Path
) -> None:
    program = tmp_path / "ledger.py"
    program.write_text(block("docs/state-branch.md", "program"))
    done = _shell(f"python {program}", wine[0], environment)
    assert done.stdout.endswith("6 records, one unbroken chain\n"), done.stdout + done.stderr
    assert "dvc.yaml collect ok" in done.stdout


_CALLS = {
    "init": "init --force",
    "validate": "validate HEAD",
    "plan": "plan",
    "reconcile": "reconcile",
    "status": "status",
    "explain": "explain classify",
    "runs list": "runs list",
    "runs show": "runs show 1",
    "runs compare": "runs compare 1 2",
    "doctor": "doctor",
    "log": "log classify",
    "pull": "pull",
    "replay": "replay 1",
    "verify": "verify --no-record collect",
}


@pytest.mark.slow
@pytest.mark.parametrize("command", _CALLS)
def test_the_json_of_a_command_has_the_names_that_its_page_gives(
    command: str, wine: tuple[Path, list[str]], environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = sections(page("docs/commands.md"))[f"runner {command}"]
    stated = text.partition("JSON: ")[2].partition("\n\n")[0]
    stated = re.sub(r"\([^()]*(\([^()]*\))?[^()]*\)", "", stated).partition(";")[0].partition(". ")[0]
    for name in ("PATH", "PYTHONPATH", "RUNNER_HOME"):
        monkeypatch.setenv(name, environment[name])
    done = call(wine[0], *_CALLS[command].split(), "--json")
    assert set(done.json) == set(re.findall(r"`(\w+)`", stated)), done.err
