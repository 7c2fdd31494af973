"""How much work data makes in a whole reconcile, in exact counts: what is opened, and how often."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.process.isolation import Isolation, available_isolation
from tests.aged import age
from tests.counted import counted
from tests.reconcile.worlds import World

FILES = 200


def test_data_is_opened_once_and_not_again_while_it_stays_as_it_is(tmp_path: Path) -> None:
    if available_isolation(tmp_path) is not Isolation.OVERLAY:
        pytest.skip("without overlays outputs stay where they are, and the cache has copies")
    outside = tmp_path / "outside"
    outside.mkdir()
    for number in range(FILES):
        (outside / f"{number}").write_text(f"{number}\n")
    age(*outside.iterdir())
    stages = f"""\
stages:
  copy:
    cmd: cp -r {outside} out
    deps: [{outside}]
    outs: [out]
  read:
    cmd: cat out/* > all
    deps: [out]
    outs: [all]
"""
    world = World.create(tmp_path / "world", {"dvc.yaml": stages})
    with counted() as work:
        assert world.reconcile().ran == ["copy", "read"]
    assert sorted(work.below(outside)) == sorted(map(str, outside.iterdir()))
    left = [path for path in work.opened if f"/upper/out{os.sep}" in path]
    assert len(left) == len(set(left)) == FILES

    # The outputs' own files are the objects: they have one name, now that the layer is gone, and nobody may write.
    objects = [path for path in world.home("a").glob("r/*/cache/files/md5/??/*") if path.suffix != ".dir"]
    assert len(objects) == FILES + 1
    assert {(path.stat().st_nlink, path.stat().st_mode & 0o777) for path in objects} == {(1, 0o444)}
    assert not set(work.opened) & set(map(str, objects))

    with counted() as work:
        assert set(world.reconcile().actions.values()) == {"keep"}
    assert work.below(outside) == []
    assert [path for path in work.below(world.home("a")) if "/cache/files/" in path] == []


def test_a_file_that_changed_is_all_that_is_written_of_a_commit(tmp_path: Path) -> None:
    if available_isolation(tmp_path) is not Isolation.OVERLAY:
        pytest.skip("without overlays stages write to their worktrees, and nothing of them is kept")
    stages = "stages:\n  all: {cmd: 'echo x > undeclared; cat src/* > all', deps: [src], outs: [all]}\n"
    world = World.create(tmp_path / "world", {"dvc.yaml": stages, **{f"src/{n:02}": f"{n}\n" for n in range(20)}})
    assert world.reconcile().ran == ["all"]

    def files() -> dict[str, tuple[int, int]]:
        found = [path for path in world.home("a").glob("r/*/kept/**/*") if path.is_file()]
        return {path.name: (path.stat().st_ino, path.stat().st_ctime_ns) for path in found}

    before = files()
    assert {"dvc.yaml", *(f"{n:02}" for n in range(20))} <= set(before)
    assert not {"all", "undeclared"} & set(before)
    world.edit({"src/07": "seven\n"})
    assert world.reconcile().ran == ["all"]
    assert world.output("all") == "".join("seven\n" if n == 7 else f"{n}\n" for n in range(20))
    assert {name for name, now in files().items() if before[name] != now} == {"07", ".gitignore"} & set(before) | {"07"}
