"""On the state branch every DVC client works: nothing to do, everything to be had, files as DVC writes them itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.docs.pages import page
from tests.reconcile.worlds import STATE, World, dvc, dvc_pull, dvc_repro, dvc_status
from tests.repositories import Content, git

pytestmark = pytest.mark.filterwarnings("ignore")  # DVC's own

STAGES = """\
stages:
  last:
    cmd: cat each-eu.txt out/one.csv score.txt > last.txt && chmod +x last.txt
    deps: [each-eu.txt, out/one.csv, score.txt]
    params:
      - whole.json:
      - conf.py: [RATE, Net.depth]
    outs: [last.txt]
  zeta:
    cmd: echo zeta >> @TRACE@; mkdir -p out/deep; cut -d, -f1 data/raw.csv > out/one.csv; echo 2 > "out/deep/zwei ü.csv"
    deps: [data]
    params: [depth, model.rate, limits, "other.toml": [table.name]]
    outs: [out]
  alpha:
    cmd:
      - echo alpha >> @TRACE@
      - wc -l < out/one.csv > score.txt
      - printf '{"acc":0.5,"loss":{"train":1e-05}}' > metrics.json
      - printf 'x,y\\n1,2\\n3,4\\n' > curve.csv
    deps: [out/one.csv, run.sh]
    outs: [score.txt]
    metrics:
      - metrics.json: {cache: false}
    plots:
      - curve.csv: {x: x, y: y}
  each:
    foreach: [eu, us]
    do:
      cmd: echo each-${item} >> @TRACE@; cp score.txt each-${item}.txt
      deps: [score.txt]
      outs: ["each-${item}.txt"]
"""
NESTED = """\
stages:
  sub:
    wdir: ../work
    cmd: echo sub >> @TRACE@; sh ../run.sh > made; cp made small
    deps: [../run.sh, ../out]
    outs: [made]
    metrics: [small: {cache: false}]
"""
FILES: Mapping[str, Content] = {
    "dvc.yaml": STAGES,
    "nested/dvc.yaml": NESTED,
    "work/keep": "",
    "data/raw.csv": "1,2\n3,4\n",
    "run.sh": "echo 7\n",
    "params.yaml": "depth: 3\nmodel: {rate: 1e-3, name: 'null'}\nlimits: [1.0, 0x10, true, null, '1e3']\n",
    "other.toml": '[table]\nname = "ü"\n',
    ".gitignore": "*.log",
    "whole.json": '{"b": [1.50, 1e10, true, null, {"z": 1, "a": "x"}], "a": {"deep": -0.0}}',
    "conf.py": "RATE = 1e-3\n\n\nclass Net:\n    depth = -3\n    name = 'x'\n",
}
PIPELINE = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: churn}
spec:
  params: [params.yaml]
"""


def indented(stages: str) -> str:
    return "".join(f"  {line}\n" if line else "\n" for line in stages.splitlines())


def assert_dvc_agrees(world: World, folder: str = ".") -> Path:
    """A fresh clone of the state with nothing but its DVC remote; DVC finds nothing to do and would write the same."""
    root = world.clone("fresh") / folder
    dvc_pull(root)
    assert dvc_status(root) == {}
    assert dvc_repro(root) == []
    assert world.trace() == []
    assert git(root, "status", "--porcelain") == ""
    for lock in root.rglob("dvc.lock"):
        lock.unlink()
    dvc_repro(root, force=True, run_cache=False)
    assert git(root, "status", "--porcelain") == ""
    return root


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two `dvc.yaml` files, reconciled twice: the second time one parameter was another one."""
    world = World.create(tmp_path_factory.mktemp("adopted"), FILES, dvc=True)
    (world.repo.path / "run.sh").chmod(0o755)
    world.edit(message="May be executed")
    first = world.reconcile()
    assert first.ran == ["alpha", "each@eu", "each@us", "last", "sub", "zeta"]
    assert world.trace() == sorted(["zeta", "alpha", "each-eu", "each-us", "sub"])
    return world


def test_a_clone_of_the_state_is_clean_for_dvc(adopted: World) -> None:
    root = assert_dvc_agrees(adopted)
    adopted.trace()
    shown = dvc(root, "metrics", "show")
    assert "metrics.json" in shown
    assert "work/small" in shown
    assert "curve.csv" in dvc(root, "plots", "show", "--json")
    assert "runner/state" in dvc(root, "exp", "show", "--csv")


def test_a_dep_that_is_spelled_twice_has_two_rows(tmp_path: Path) -> None:
    text = "stages:\n  a: {cmd: cat in data/x > a, deps: [in, ./in, data/, data], outs: [a]}\n"
    world = World.create(tmp_path, {"dvc.yaml": text, "in": "1\n", "data/x": "2\n"}, dvc=True)
    assert world.reconcile().ran == ["a"]
    assert_dvc_agrees(world)
    world.runner("audit", "verify")
    assert world.plan() == {"a": "keep"}


def test_metrics_can_be_compared_between_states(adopted: World) -> None:
    before = adopted.tip()
    adopted.edit({"dvc.yaml": STAGES.replace("0.5", "0.75")})
    told = adopted.reconcile()
    assert told.ran == ["alpha"]
    assert told.actions["each@eu"] == "keep"
    root = adopted.clone("compared")
    table = dvc(root, "metrics", "diff", before or "", STATE)
    assert "0.25" in table


def test_a_pipeline_document_is_rendered_for_dvc(tmp_path: Path) -> None:
    files = {name: text for name, text in FILES.items() if not name.endswith("dvc.yaml")}
    world = World.create(tmp_path, {**files, "pipelines/churn.yaml": PIPELINE + indented(STAGES)}, dvc=True)
    world.reconcile()
    world.trace()
    assert ".runner/pipelines/churn/dvc.lock" in world.files()
    root = assert_dvc_agrees(world)
    world.trace()
    written = re.search(r"`dvc (repro[^`]*)` runs nothing", page("README.md"))
    assert written is not None
    assert "up to date" in dvc(root, *written[1].split())
    assert world.trace() == []


def test_a_repository_without_dvc_is_initialised_in_the_state_alone(tmp_path: Path) -> None:
    world = World.create(tmp_path, FILES)
    world.reconcile()
    world.trace()
    assert world.repo.git("status", "--porcelain") == ""
    assert not (world.repo.path / ".dvc").exists()
    root = world.clone("fresh")
    caches = list(world.home("a").glob("r/*/cache"))
    assert len(caches) == 1
    (root / ".dvc/config.local").write_text(f"[cache]\n    dir = {caches[0]}\n")
    dvc(root, "checkout")
    assert dvc_status(root) == {}
    assert git(root, "status", "--porcelain") == ""


def test_a_dvc_root_may_lie_below_the_git_root(tmp_path: Path) -> None:
    files = {f"ml/{name}": text for name, text in FILES.items()}
    world = World.create(tmp_path, {**files, "README": "other things\n"}, dvc=True, dvc_root="ml")
    world.reconcile()
    world.trace()
    assert_dvc_agrees(world, "ml")
