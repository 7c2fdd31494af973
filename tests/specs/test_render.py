"""A Pipeline document and the `dvc.yaml` it renders to are the same stages, to the runner and to DVC."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest

from tests.repositories import GitRepo
from tests.specs.corpus import CORPUS
from tests.specs.readings import DVC_PROJECT, Seen, desired_of, make_inputs_exist, seen_by_dvc, seen_by_runner

HEAD = "apiVersion: runner/v1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n"
PLAIN_NAMES_ONLY = {"templates", "datasets are kept", "empty", "wdir is the parent"}
"""Not for Pipelines: names with punctuation, data sets, no stages, no file at the root."""


def pipeline_of(text: str) -> str:
    return HEAD + textwrap.indent(text, "  ")


def as_dvc_sees_the_rendered(repo: GitRepo, text: str) -> dict[str, Seen]:
    repo.write({".runner/pipelines/p/dvc.yaml": text})
    return {
        name: seen for (file, name), seen in seen_by_dvc(repo.path).items() if file == ".runner/pipelines/p/dvc.yaml"
    }


@pytest.mark.parametrize("name", sorted(CORPUS.keys() - PLAIN_NAMES_ONLY))
def test_dvc_reads_the_rendered_file_to_the_same_stages(name: str, git_repo: Callable[..., GitRepo]) -> None:
    files = {**DVC_PROJECT, **CORPUS[name]}
    repo = git_repo(files)
    make_inputs_exist(repo)
    adopted = {key: seen for (file, key), seen in seen_by_dvc(repo.path).items() if file == "dvc.yaml"}
    repo.commit({"pipelines/p.yaml": pipeline_of(files["dvc.yaml"])}, delete=["dvc.yaml"])

    (pipeline,) = [pipeline for pipeline in desired_of(repo).pipelines if pipeline.name == "p"]

    assert {stage.address.stage: seen_by_runner(stage) for stage in pipeline.stages} == adopted
    assert pipeline.rendered is not None
    assert as_dvc_sees_the_rendered(repo, pipeline.rendered) == adopted


def test_runner_fields_are_read_and_do_not_reach_dvc(git_repo: Callable[..., GitRepo]) -> None:
    spec = """\
    seed: 3
    env: {A: general, B: 1}
    timeout: 1h
    stages:
      a:
        foreach: [1, 2]
        do:
          cmd: x ${item}
          outs: ['o${item}']
          env: {A: 'own-${item}', C: true}
          resources: {cpu: '${item}', memory: 4Gi}
          retries: ${item}
          mutex: [gpu, db]
          secrets: [TOKEN]
          environment: {python: '3.12', lock: requirements.lock}
          image: img@sha256:0
      b:
        cmd: y
        timeout: 90
        wdir: sub
        deps: [../o1]
      c:
        uses: split
        with: {data: requirements.lock, parts: [1]}
        outs: [part.csv]
    """
    repo = git_repo(
        {
            **DVC_PROJECT,
            "pipelines/p.yaml": HEAD + textwrap.dedent(spec).replace("\n", "\n  ").join(["  ", ""]).rstrip() + "\n",
            "requirements.lock": "",
        }
    )

    desired = desired_of(repo)
    stages = {stage.address.stage: stage for stage in desired.stages()}

    first, second = stages["a@1"], stages["a@2"]
    assert (second.resources.cpu, second.resources.memory_bytes, second.retries) == (2.0, 4 << 30, 2)
    assert first.env == (("A", "own-1"), ("B", "1"), ("C", "true"))
    assert (first.mutex, first.secrets, first.seed, first.timeout_seconds) == (("db", "gpu"), ("TOKEN",), 3, 3600.0)
    assert first.environment is not None
    assert (first.environment.lock, first.environment.python) == ("requirements.lock", "3.12")
    assert first.not_handled == ("image",)
    assert (stages["b"].timeout_seconds, stages["b"].wdir, stages["b"].deps) == (90.0, "sub", ("o1",))
    assert (stages["c"].uses, stages["c"].not_handled) == ("split@1", ())
    assert [notice.message for notice in desired.not_handled] == [
        "`image` of the stage p:a@1 is not handled yet",
        "`image` of the stage p:a@2 is not handled yet",
    ]
    rendered = desired.pipelines[0].rendered
    assert rendered is not None
    assert set(as_dvc_sees_the_rendered(repo, rendered)) == {"a@1", "a@2", "b", "c"}


def test_a_rendered_file_reads_well(git_repo: Callable[..., GitRepo]) -> None:
    text = """\
    vars: [conf.yaml:lr]
    stages:
      train:
        cmd: python train.py ${lr}
        wdir: src
        vars: [own.yaml]
        deps: [train.py]
        params: [model.depth]
        outs: [../model.pkl]
        resources: {cpu: 2}
    metrics: [m.json]
    plots: [p.csv, {curve: {x: a, y: {p.csv: b}}}]
    artifacts: {m: {path: model.pkl, type: model}}
    """
    files = {
        "conf.yaml": "lr: 1e-3\n",
        "params.yaml": "a: 1\n",
        "src/own.yaml": "x: 1\n",
        "src/train.py": "",
        "src/params.yaml": "model: {depth: 1}\n",
    }
    repo = git_repo({**DVC_PROJECT, **files, "pipelines/p.yaml": pipeline_of(textwrap.dedent(text))})

    assert desired_of(repo).pipelines[0].rendered == textwrap.dedent("""\
        # Rendered by the runner from the Pipeline p; edit that instead.
        vars:
        - ../../../params.yaml
        - ../../../conf.yaml:lr
        stages:
          train:
            cmd: python train.py ${lr}
            wdir: ../../../src
            vars:
            - own.yaml
            deps:
            - train.py
            params:
            - model.depth
            outs:
            - ../model.pkl
        metrics:
        - ../../../m.json
        plots:
        - ../../../p.csv
        - curve:
            x: a
            y:
              ../../../p.csv: b
        artifacts:
          m:
            path: ../../../model.pkl
            type: model
        """)
