"""Every stage that DVC would load is read with the same command, folder, inputs, parameters and outputs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runner.core.nouns import Address
from tests.repositories import GitRepo
from tests.specs.corpus import CORPUS
from tests.specs.readings import DVC_PROJECT, desired_of, make_inputs_exist, seen_by_dvc, seen_by_runner


@pytest.mark.parametrize("name", CORPUS)
def test_every_stage_is_read_as_dvc_reads_it(name: str, git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({**DVC_PROJECT, **CORPUS[name]})
    make_inputs_exist(repo)
    repo.commit()

    ours = {(stage.address.pipeline, stage.address.stage): seen_by_runner(stage) for stage in desired_of(repo).stages()}

    assert ours == seen_by_dvc(repo.path)


def test_a_dvc_project_below_the_root_of_git_is_read_as_dvc_reads_it(git_repo: Callable[..., GitRepo]) -> None:
    stage = "cmd: 'x ${lr}', deps: [src.py, ../outside.py], params: [lr], outs: [o]"
    files = {
        "ml/.dvc/config": "",
        "ml/dvc.yaml": f"stages:\n  a: {{{stage}}}\n",
        "ml/params.yaml": "lr: 1\n",
        "ml/sub/dvc.yaml": "stages:\n  b:\n    cmd: y\n    deps: [../o]\n",
        "ml/src.py": "",
        "outside.py": "",
        "dvc.yaml": "stages:\n  not: {cmd: outside of the project}\n",
    }
    repo = git_repo(files)

    desired = desired_of(repo)

    assert desired.dvc_root == "ml"
    assert desired.has_dvc
    expected = {Address("ml/dvc.yaml", "a"), Address("ml/sub/dvc.yaml", "b")}
    assert {stage.address for stage in desired.stages()} == expected
    ours = {(stage.address.pipeline, stage.address.stage): seen_by_runner(stage) for stage in desired.stages()}
    assert ours == seen_by_dvc(repo.path / "ml", "ml")
