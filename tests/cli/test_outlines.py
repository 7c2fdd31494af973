"""What a plan said is kept by all that it depends on: it is never what another plan would have said."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from runner.core.digests import md5_hex
from runner.core.runkey import run_key
from runner.observe.observation import Observation
from runner.parts import Request
from runner.reconcile import reconcile
from runner.specs.pipelines import read_stage
from runner.wiring.parts import Settings
from runner.wiring.repository import open_repository
from tests.cli.command import call, reconciled
from tests.counted import calls
from tests.repositories import GitRepo

STAGES = """\
stages:
  a: {cmd: mkdir d; cp in d/x, deps: [in], outs: [d]}
  b: {cmd: cat d/x > o, deps: [d/x], params: [p], outs: [o]}
"""
FILES = {
    "runner.yaml": "apiVersion: runner/v1\nkind: Project\nmetadata: {name: p}\nspec: {specs: [dvc.yaml]}\n",
    "dvc.yaml": STAGES,
    "params.yaml": "p: 1\n",
    "in": "1\n",
}


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitRepo:
    """Reconciled once, with a home of its own."""
    monkeypatch.setenv("RUNNER_HOME", str(tmp_path / "home"))
    made = reconciled(tmp_path / "p", FILES)
    return made


def _said(repo: GitRepo, *words: str) -> dict[str, Any]:
    said: dict[str, Any] = call(repo.path, "plan", "--json", *words).json
    del said["stateAge"]
    return said


def _actions(repo: GitRepo, *words: str) -> dict[str, str]:
    """What a plan says, which is what one says that remembers nothing."""
    said = _said(repo, *words)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as fresh:
        patch.setenv("RUNNER_HOME", fresh)
        assert _said(repo, *words) == said
    return {row["stage"]: row["action"] for row in said["stages"]}


def test_whatever_moves_is_seen_at_once(repo: GitRepo) -> None:
    kept = {"a": "keep", "b": "keep"}
    assert _actions(repo) == _actions(repo) == kept
    repo.commit({"params.yaml": "p: 2\n"})
    assert _actions(repo) == {"a": "keep", "b": "run"}
    repo.push()
    assert call(repo.path, "reconcile").code == 0
    assert _actions(repo) == kept
    repo.git("checkout", "-q", "-b", "other")
    repo.commit({"in": "2\n"})
    assert _actions(repo) == {"a": "run", "b": "wait"}
    repo.push("other")
    assert call(repo.path, "reconcile", "other").code == 0
    assert _actions(repo) == kept
    repo.git("checkout", "-q", "main")
    repo.git("merge", "-q", "other")
    assert _actions(repo) == {"a": "reuse", "b": "reuse"}
    assert _actions(repo, "HEAD~1") == kept


def test_a_kept_answer_that_is_damaged_counts_for_nothing(repo: GitRepo) -> None:
    said = _said(repo)
    folder = Path(os.environ["RUNNER_HOME"]) / "parsed" / "outline"
    (file,) = folder.rglob("*.json")
    whole = file.read_bytes()
    for damaged in (b"", whole[:-9], whole.replace(b"keep", b"stay"), whole.split(b"\n")[0] + b"\n[]"):
        file.write_bytes(damaged)
        assert _said(repo) == said
        assert file.read_bytes() == whole


def test_a_plan_that_looked_into_the_cache_is_made_anew(repo: GitRepo) -> None:
    listing = b'[{"md5": "26ab0db90d72e28ad0ba1e22ee510510", "relpath": "x"}]'
    digest = md5_hex(listing)
    tracked = f"outs:\n- {{md5: {digest}.dir, size: 2, nfiles: 1, hash: md5, path: t}}\n"
    stages = "stages:\n  c: {cmd: cat t/x > o, deps: [t/x], outs: [o]}\n"
    repo.commit({"dvc.yaml": stages, "t.dvc": tracked, ".dvc/config": ""})
    assert _actions(repo)["c"] == "unknown"
    listed = repo.path / ".dvc" / "cache" / "files" / "md5" / digest[:2] / f"{digest[2:]}.dir"
    listed.parent.mkdir(parents=True)
    listed.write_bytes(listing)
    assert _actions(repo)["c"] == "run"
    listed.unlink()
    assert _actions(repo)["c"] == "unknown"


def test_a_process_that_looks_again_reads_anew_only_what_moved(repo: GitRepo) -> None:
    settings = Settings(trigger="daemon", wait=False)

    def round_() -> dict[str, str]:
        repository = open_repository(repo.path, None, os.environ)
        parts = repository.parts(settings, os.environ, lambda event: None, lambda plan, seen: None)
        try:
            result = reconcile(parts, Request(), threading.Event())
            return {str(step.address.stage): step.action.value for step in result.plan.steps}
        finally:
            parts.close()

    kept = {"a": "keep", "b": "keep"}
    assert round_() == kept
    with calls(run_key, read_stage) as called:
        assert round_() == kept
        assert called == {}
        repo.commit({"params.yaml": "p: 3\n"})
        repo.push()
        assert round_() == {"a": "keep", "b": "run"}
        assert called["run_key"] > 0
    assert round_() == kept


def test_what_a_kept_observation_asks_of_the_host_later_counts_as_well(repo: GitRepo) -> None:
    settings = Settings(trigger="daemon", wait=False)

    def looks(asks: bool) -> Observation:
        repository = open_repository(repo.path, None, os.environ)
        parts = repository.parts(settings, os.environ, lambda event: None, lambda plan, seen: None)
        try:
            seen = parts.observe(Request())
            plan, _ = seen.plan(parts.wishes(Request(), seen))
            if asks:
                seen.object_bytes("0" * 32)
            parts.planned(plan, seen)
            return seen
        finally:
            parts.close()

    first = looks(asks=False)
    assert looks(asks=True) is first
    assert looks(asks=False) is not first


def test_what_a_project_is_for_stands_above_its_plan_and_runs_nothing(repo: GitRepo) -> None:
    more = (
        "  objective: {statement: Fewer | leave., metric: 'm.json:auc'}\n"
        "  kpis: [{name: churn, target: 0.03, direction: down}]\n"
        "  owners: [{name: '@ada', role: model}, growth]\n"
    )
    text = FILES["runner.yaml"].replace("spec: {specs: [dvc.yaml]}\n", "spec:\n  specs: [dvc.yaml]\n") + more
    before = _said(repo)
    repo.commit({"runner.yaml": text})
    for _ in ("made", "remembered"):
        said = _said(repo)
        assert said["stages"] == before["stages"]
        assert said["objective"] == {"statement": "Fewer | leave.", "metric": "m.json:auc"}
        assert said["owners"] == [{"name": "@ada", "role": "model"}, {"name": "growth", "role": ""}]
        assert call(repo.path, "plan").out.splitlines()[2:4] == [
            "purpose   Fewer | leave. (m.json:auc) · churn: down to 0.03",
            "owners    @ada (model) · growth",
        ]
    told = call(repo.path, "plan", "--format", "markdown").out
    assert "Fewer &#124; leave.** (<code>m.json:auc</code>) churn: down to 0.03. Owners: &#64;ada (model), growth." in (
        " ".join(told.split())
    )
