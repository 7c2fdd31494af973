"""A small team's repository as the command line meets it: a remote, results of two commits, a failure, a proposal."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from runner.wiring.home import RepositoryHome, home_folder, repository_home
from tests.cli.command import call
from tests.repositories import GitRepo, new_bare_remote, new_repository

RUNNER_YAML = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: churn}
spec:
  stages:
    prepare:
      cmd: sort data/raw.csv > data/clean.csv
      desc: Sort the raw data.
      deps: [data/raw.csv]
      outs: [data/clean.csv]
    train:
      foreach: [us, de]
      do:
        cmd: mkdir -p models; cat src/train.sh data/clean.csv > models/${item}.bin; echo "training ${item}"
        deps: [src/train.sh, data/clean.csv]
        params: [train.rate, train.depth]
        outs: ["models/${item}.bin"]
    evaluate:
      cmd: bash src/evaluate.sh
      deps: [src/evaluate.sh, models/us.bin, models/de.bin]
      params: [evaluate]
      metrics: [metrics.json: {cache: false}]
      timeout: 10m
    report:
      cmd: cat metrics.json > report.txt; echo "the flag says $(cat flag)"; test "$(cat flag)" = good
      deps: [metrics.json, flag]
      outs: [report.txt]
"""

FILES = {
    "runner.yaml": RUNNER_YAML,
    "data/raw.csv": "b,2\na,1\n",
    "src/train.sh": "train\n",
    "src/evaluate.sh": (
        "t=$(sed -n 's/.*threshold: *//p' params.yaml)\n"
        'echo "{\\"auc\\": 0.$t, \\"acc\\": {\\"us\\": 0.5, \\"de\\": 0.75}}" > metrics.json\n'
    ),
    "params.yaml": "train: {rate: 0.1, depth: 3}\nevaluate:\n  threshold: 81\n",
    "flag": "good\n",
}


@dataclass(frozen=True, slots=True)
class Team:
    """The repository, its remote and its commits by what they did."""

    repo: GitRepo
    remote: Path
    first: str
    deeper: str
    broken: str

    @property
    def path(self) -> Path:
        return self.repo.path


def new_team(folder: Path) -> Team:
    """Three commits, each reconciled: all well; other parameters; a stage that fails. And a proposal on `feature`."""
    repo = new_repository(folder / "churn", FILES)
    remote = new_bare_remote(folder / "remote.git", repo)
    _reconcile(repo, 0)
    first = repo.head
    params = FILES["params.yaml"]
    deeper = repo.commit({"params.yaml": params.replace("depth: 3", "depth: 4").replace("81", "85")}, "Deeper trees")
    repo.push()
    _reconcile(repo, 0)
    broken = repo.commit({"flag": "bad\n"}, "Break the report")
    repo.push()
    _reconcile(repo, 3)
    repo.git("checkout", "--quiet", "-b", "feature")
    repo.commit({"flag": "good\n", "params.yaml": params.replace("81", "90")}, "Be strict")
    repo.push()
    _reconcile(repo, 0, "feature")
    repo.git("checkout", "--quiet", "main")
    return Team(repo, remote, first, deeper, broken)


def copy_of(team: Team, folder: Path) -> Team:
    """The same with the bytes of its results, for a test that goes on with it."""
    shutil.copytree(team.path, folder / "churn", symlinks=True)
    shutil.copytree(team.remote, folder / "remote.git", symlinks=True)
    repo = GitRepo(folder / "churn")
    repo.git("remote", "set-url", "origin", str(folder / "remote.git"))
    shutil.copytree(home_of(team.remote).cache, home_of(folder / "remote.git").cache)
    return Team(repo, folder / "remote.git", team.first, team.deeper, team.broken)


def home_of(remote: Path) -> RepositoryHome:
    """Where the runner keeps what it knows of a repository."""
    return repository_home(home_folder(os.environ), str(remote))


def _reconcile(repo: GitRepo, code: int, *words: str) -> None:
    answer = call(repo.path, "reconcile", "--jobs", "1", *words)
    assert answer.code == code, answer.err
