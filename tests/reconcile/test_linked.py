"""What people committed as a link, a submodule or a file is on the state branch as they committed it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runner.core.nouns import Address, Desired, Out, Pipeline, Project, Stage
from runner.git.read import Reader
from runner.observe.inputs import overlay_files
from runner.specs.parse_cache import ParseCache
from tests.reconcile.audits import findings
from tests.reconcile.worlds import STATE, World, dvc_pull, dvc_status
from tests.repositories import GitRepo

STAGES = """\
stages:
  in: {cmd: cat common.ignore d/.gitignore > d/x, deps: [common.ignore], outs: [d/x]}
  beside: {cmd: cp common.ignore e/x, deps: [common.ignore], outs: [e/x]}
"""
FILES = {"dvc.yaml": STAGES, "common.ignore": "*.pyc\n", "d/in": "1\n", "e/in": "1\n"}


def test_an_ignore_file_that_is_a_link_stays_one_and_nothing_is_written_through_it(tmp_path: Path) -> None:
    world = World.create(tmp_path, FILES, dvc=True)
    (world.repo.path / "d/.gitignore").symlink_to("../common.ignore")
    world.edit()
    message = (
        "`d/.gitignore` is a symbolic link, which git does not follow, so it gets no lines for the outputs beside it; "
        "make it a file"
    )
    assert message in world.runner("plan", ok=(2,)).stdout

    told = world.reconcile()

    assert told.ran == ["beside", "in"]
    assert world.output("d/x") == "*.pyc\n*.pyc\n"
    clone = world.clone("clone")
    assert (clone / "d/.gitignore").readlink() == Path("../common.ignore")
    assert (clone / "common.ignore").read_text() == "*.pyc\n"
    assert (clone / "e/.gitignore").read_text() == "/x\n"
    dvc_pull(clone)
    assert dvc_status(clone) == {}
    assert findings(world.remote, STATE) == ()
    assert world.reconcile().commit is None


def test_lines_for_outputs_replace_nothing_but_files(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"file": "1", "ignored/.gitignore": "*.pyc\n", "odd/.gitignore/file": "1", "target": "ignored"})
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{'100' * 13}1,sub")
    for path in ("link", "linked/.gitignore"):
        repo.git("update-index", "--add", "--cacheinfo", f"120000,{repo.git('hash-object', 'target')},{path}")
    repo.git("commit", "--quiet", "--message", "Link")
    outs = ["file/x", "ignored/x", "link/deep/x", "link/x", "linked/x", "new/x", "odd/x", "sub/x"]
    stage = Stage(Address("dvc.yaml", "a"), ("c",), outs=tuple(map(Out, outs)))

    with Reader.discover(repo.path) as reader:
        commit = reader.resolve("HEAD")
        desired = Desired(commit, Project(), (Pipeline("dvc.yaml", "dvc.yaml", "dvc.yaml", None, (stage,)),), {}, {})
        assert overlay_files(desired, reader.tree(commit), reader, ParseCache(None)) == {
            "ignored/.gitignore": b"*.pyc\n/x\n",
            "new/.gitignore": b"/x\n",
        }
