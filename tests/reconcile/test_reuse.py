"""The same key never runs twice, on whichever branch, laptop or machine it ran first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import World, dvc_repro, dvc_status

pytestmark = pytest.mark.filterwarnings("ignore")  # DVC's own

STAGES = """\
stages:
  prepare:
    cmd: echo prepare >> @TRACE@; cat data.txt > made.txt
    deps: [data.txt]
    outs: [made.txt]
  train:
    cmd:
      - echo train >> @TRACE@
      - cat made.txt > model.txt
      - echo ${rate} > m.json
      - mkdir few few/deep
      - cp m.json few/a
      - cp m.json few/deep/b
    deps: [made.txt]
    params: [rate]
    outs: [model.txt]
    metrics: [m.json: {cache: false}, few: {cache: false}]
  report:
    cmd: echo report >> @TRACE@; cat m.json few/a > report.txt
    deps: [m.json, few]
    outs: [report.txt]
"""
FILES = {"dvc.yaml": STAGES, "data.txt": "1\n", "params.yaml": "rate: 1\n"}


pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Reconciled once; each test leaves `main` as it was."""
    world = World.create(tmp_path_factory.mktemp("world"), FILES, dvc=True)
    world.reconcile()
    world.trace()
    return world


def test_a_revert_brings_back_what_was_recorded(world: World) -> None:
    world.edit({"params.yaml": "rate: 2\n"}, "Two")
    assert world.reconcile().ran == ["report", "train"]
    world.repo.git("revert", "--no-edit", "HEAD")
    world.repo.push()
    assert world.plan() == {"prepare": "keep", "train": "reuse", "report": "reuse"}
    told = world.reconcile()
    assert (told.ran, told.commit is not None) == ([], True)
    assert world.file("m.json") == "1\n"
    assert world.trace() == ["report", "train"]
    assert world.reconcile().commit is None
    check_ledger(world.remote)


def test_a_stage_with_a_new_name_does_not_run_again(world: World) -> None:
    world.edit({"dvc.yaml": STAGES.replace("  train:", "  learn:")}, "Rename")
    assert world.plan() == {"prepare": "keep", "learn": "reuse", "report": "keep", "train": "remove"}
    assert world.reconcile().ran == []
    assert "learn:" in world.file("dvc.lock")
    world.edit({"dvc.yaml": STAGES}, "Rename back")
    assert world.reconcile().ran == []
    assert set(world.plan().values()) == {"keep"}


def test_a_merge_takes_over_what_ran_for_the_proposal(world: World) -> None:
    world.repo.git("switch", "--quiet", "--create", "feature/x")
    world.edit({"params.yaml": "rate: 3\n"}, "Three")
    assert world.plan() == {"prepare": "keep", "train": "run", "report": "wait"}
    caches = _run_cache(world)
    told = world.reconcile("feature/x")
    assert told.ran == ["report", "train"]
    assert _run_cache(world) == caches, "a proposal wrote DVC's run-cache"
    assert {run["trust"] for run in world.runs("runner/proposed/feature%2Fx")[-2:]} == {"proposed"}
    assert world.tip("runner/proposed/feature%2Fx") is not None
    assert world.reconcile("feature/x").commit is None
    world.repo.git("switch", "--quiet", "main")
    world.repo.git("merge", "--quiet", "--no-ff", "--no-edit", "feature/x")
    world.repo.push()
    assert world.plan() == {"prepare": "keep", "train": "reuse", "report": "reuse"}
    told = world.reconcile(host="other", elsewhere=True)
    assert told.ran == []
    assert world.file("m.json") == "3\n"
    assert world.file("few/a") == "3\n"
    adopted = [record for record in world.records() if "adoptedFrom" in record]
    assert [record["adoptedFrom"]["ref"] for record in adopted] == ["runner/proposed/feature%2Fx"] * 2
    assert world.trace() == ["report", "train"]
    world.repo.git("push", "--quiet", "origin", ":feature/x", ":runner/proposed/feature%2Fx")
    assert world.reconcile().commit is None
    assert set(world.plan().values()) == {"keep"}
    check_ledger(world.remote)
    root = world.clone("merged")
    with_cache(root, world)
    assert dvc_status(root) == {}


def test_a_branch_name_that_is_used_again_is_a_new_proposal(world: World) -> None:
    world.repo.git("branch", "--force", "feature/x", "main")
    world.repo.git("switch", "--quiet", "feature/x")
    world.edit({"params.yaml": "rate: 4\n"}, "Four")
    assert world.reconcile("feature/x").ran == ["report", "train"]
    world.repo.git("switch", "--quiet", "main")
    world.trace()
    check_ledger(world.remote, "runner/proposed/feature%2Fx")


def test_a_proposal_gets_no_secrets(world: World) -> None:
    world.repo.git("switch", "--quiet", "--create", "secretive")
    secret = STAGES.replace("  report:\n", "  report:\n    meta: {runner: {secrets: [TOKEN]}}\n").replace(
        "cat m.json few/a > report.txt", "echo $TOKEN > report.txt"
    )
    world.edit({"dvc.yaml": secret}, "Ask for a secret")
    world.environ["TOKEN"] = "hush-hush"
    told = world.reconcile("secretive", ok=(0, 4))
    assert (told.ran, told.actions["report"]) == ([], "unknown")
    del world.environ["TOKEN"]
    world.repo.git("switch", "--quiet", "main")


def test_the_dvc_configuration_of_a_proposal_is_not_followed(world: World) -> None:
    world.repo.git("switch", "--quiet", "--create", "elsewhere")
    there = world.folder / "there"
    config = f"[core]\n    remote = there\n['remote \"there\"']\n    url = {there}\n"
    world.edit({".dvc/config": config, "params.yaml": "rate: 9\n"}, "Send it there")
    before = len(list(world.store.glob("files/md5/*/*")))
    assert world.reconcile("elsewhere").ran == ["report", "train"]
    assert not there.exists()
    assert len(list(world.store.glob("files/md5/*/*"))) > before
    world.repo.git("switch", "--quiet", "main")
    world.trace()


def test_evidence_whose_metrics_were_not_committed(tmp_path: Path) -> None:
    world = World.create(tmp_path, {**FILES, ".gitignore": "/m.json\n/few\n"}, dvc=True)
    dvc_repro(world.repo.path)
    world.edit(message="Reproduced, without the metrics")
    world.trace()
    assert world.reconcile().ran == []
    assert world.file("m.json") == "1\n"
    assert world.file("few/deep/b") == "1\n"
    world.edit({"dvc.yaml": STAGES.replace("> report.txt", "> report.txt; echo >> report.txt")})
    assert world.reconcile(host="b", elsewhere=True).ran == ["report"]
    check_ledger(world.remote)


def test_what_ran_on_a_laptop_counts_as_evidence(tmp_path: Path) -> None:
    world = World.create(tmp_path, FILES, dvc=True)
    dvc_repro(world.repo.path)
    world.edit(message="Reproduced")
    head = world.repo.head
    assert world.trace() == ["prepare", "report", "train"]
    world.repo.git("switch", "--quiet", "--create", "distrust")
    world.repo.commit({"runner.yaml": PROJECT}, "Distrust")
    assert world.plan() == {"prepare": "run", "train": "wait", "report": "wait"}
    world.repo.git("switch", "--quiet", "main")
    assert set(world.plan().values()) == {"keep"}
    told = world.reconcile()
    assert (told.ran, told.commit is not None, world.trace()) == ([], True, [])
    entry = json.loads(world.file(".runner/recorded/dvc.yaml/train.json"))
    assert (entry["provenance"], entry["record"]) == (f"dvc.lock@{head}", None)
    assert world.reconcile().commit is None
    assert world.file("dvc.lock") == (world.repo.path / "dvc.lock").read_text()
    assert world.file("m.json") == "1\n"
    root = world.clone("fresh")
    with_cache(root, world)
    assert dvc_status(root) == {}


def test_the_run_cache_of_a_laptop_is_used_when_stages_would_run(tmp_path: Path) -> None:
    world = World.create(tmp_path, FILES, dvc=True)
    dvc_repro(world.repo.path)
    assert world.trace() == ["prepare", "report", "train"]
    assert world.plan()["prepare"] == "run"
    told = world.reconcile()
    assert world.trace() == []
    assert told.outcomes["prepare"] == "restored"
    run = next(run for run in world.runs() if run["stage"] == "prepare")
    assert (run["provenance"], run["outcome"]["reason"]) == ("run-cache", "restored")
    assert set(world.plan().values()) == {"keep"}
    check_ledger(world.remote)


LEAKING = """\
stages:
  told: {cmd: 'echo "{a: $TOKEN}" > told.yaml', deps: [data.txt], metrics: [told.yaml: {cache: false}]}
  named: {cmd: 'mkdir named && touch "named/x-$TOKEN"', deps: [data.txt], outs: [named]}
  large:
    cmd: head -c ${bytes} /dev/zero > large
    deps: [data.txt]
    params: [bytes]
    plots: [large: {cache: false}]
  clean: {cmd: 'echo "a: 1" > clean.yaml', deps: [data.txt], metrics: [clean.yaml: {cache: false}]}
  knows: {cmd: test -n "$TOKEN"; echo 1 > knows, outs: [knows], meta: {runner: {secrets: [TOKEN]}}}
"""


def test_what_the_run_cache_has_passes_the_checks_of_what_a_stage_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "s3cr3t-value-of-token"
    files = {"dvc.yaml": LEAKING, "data.txt": "1\n", "params.yaml": "bytes: 2000000\n"}
    world = World.create(tmp_path, files, dvc=True)
    monkeypatch.setenv("TOKEN", secret)
    dvc_repro(world.repo.path)
    told = world.reconcile(ok=(3,))
    runs = {run["stage"]: run for run in world.runs()}
    assert {name: (run["provenance"], run["outcome"]["reason"]) for name, run in runs.items()} == {
        "told": ("runner", "ok"),
        "named": ("runner", "ok"),
        "large": ("runner", "outputs"),
        "clean": ("run-cache", "restored"),
        "knows": ("runner", "ok"),
    }
    assert runs["large"]["outcome"]["message"].startswith("large has 1.9 MiB: an output with `cache: false`")
    unfit = "not taken from DVC's run-cache, the stage runs: "
    for found in ("told.yaml holds the value of TOKEN", "the name of a file in named holds", "large has 1.9 MiB"):
        assert unfit + found in told.err
    assert runs["clean"]["metrics"] == {"clean.yaml": {"a": 1}}
    assert world.file("told.yaml") == "{a: }\n"
    assert "large" not in world.files()
    assert secret not in told.err + json.dumps(told.value) + json.dumps(world.records())
    check_ledger(world.remote)


def test_dvc_repro_uses_what_we_ran(tmp_path: Path) -> None:
    world = World.create(tmp_path, FILES, dvc=True)
    world.reconcile()
    world.trace()
    root = world.clone("laptop", "main")
    with_cache(root, world)
    dvc_repro(root)
    assert world.trace() == []
    assert (root / "dvc.lock").read_text() == world.file("dvc.lock")


PROJECT = """\
apiVersion: runner/v1
kind: Project
metadata: {name: x}
spec: {trust: {dvcLock: ignore}}
"""


def with_cache(root: Path, world: World) -> None:
    """The clone shares the cache of the user's clone, which the runner uses too."""
    (root / ".dvc/config.local").write_text(f"[cache]\n    dir = {world.repo.path / '.dvc/cache'}\n")
    with_checkout(root)


def with_checkout(root: Path) -> None:
    """DVC puts its outputs in place."""
    from tests.oracle.checkouts import repo

    with repo(root) as opened:
        opened.checkout(force=True, allow_missing=True)


def _run_cache(world: World) -> list[str]:
    return sorted(str(path) for path in world.repo.path.glob(".dvc/cache/runs/*/*/*"))
