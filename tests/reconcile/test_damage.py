"""Objects that are damaged, here and on the DVC remote: never used, had again or made again, and replaced."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import World, dvc_pull, dvc_status
from tests.saved import Saved

STAGES = """\
stages:
  make:
    cmd: echo make >> @TRACE@; cp in file; mkdir -p folder/sub; cp in folder/sub/a; echo b > folder/b
    deps: [in]
    outs: [file, folder]
  use:
    cmd: echo use >> @TRACE@; cat file folder/sub/a folder/b > used; echo ${b} >> used
    deps: [file, folder]
    params: [b]
    outs: [used]
"""
FILES = {"dvc.yaml": STAGES, "in": "input\n", "params.yaml": "b: 1\n"}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    _rewrite(path, bytes(data))


def truncate(path: Path) -> None:
    _rewrite(path, path.read_bytes()[:-1])


def delete(path: Path) -> None:
    path.unlink()


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("x")


def _rewrite(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)


DAMAGE = [flip, truncate, delete, make_folder]


def objects(world: World) -> dict[str, str]:
    """What is damaged in turn: a file, a member of a folder, the folder's listing."""
    outs = {out["path"]: out["md5"] for run in world.runs() for out in run["outs"]}
    listing = json.loads(place(world.store, outs["folder"]).read_bytes())
    member = next(row["md5"] for row in listing if row["relpath"] == "b")
    return {"file": outs["file"], "member": member, "listing": outs["folder"]}


def place(root: Path, md5: str) -> Path:
    return root / "files/md5" / md5[:2] / md5[2:]


def change(world: World) -> None:
    """`use` has to run, and needs what `make` left."""
    world.edit({"params.yaml": f"b: {len(world.runs())}\n"})


def check_whole(world: World, name: str) -> None:
    """Everything that stands is on the remote as DVC itself reads it, and nothing is left to do."""
    root = world.clone(name)
    dvc_pull(root)
    assert dvc_status(root) == {}
    assert (root / "used").read_text().startswith("input\ninput\nb\n")
    assert world.reconcile().commit is None
    assert world.trace() == []
    check_ledger(world.remote)


@pytest.fixture(scope="module")
def reconciled(own_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Saved[World]:
    """A repository whose results are on a DVC remote."""
    world = World.create(tmp_path_factory.mktemp("reconciled") / "world", FILES, dvc=True)
    world.reconcile()
    world.trace()
    return Saved.of(world, world.folder)


@pytest.fixture
def world(reconciled: Saved[World]) -> World:
    """The same once more for each test."""
    return reconciled.again()


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_object_of_the_cache_is_put_aside_and_fetched_again(
    world: World, damage: Callable[[Path], None]
) -> None:
    cache = world.repo.path / ".dvc/cache"
    md5s = objects(world)
    for md5 in md5s.values():
        damage(place(cache, md5))
    change(world)
    told = world.reconcile()
    assert (told.ran, world.trace()) == (["use"], ["use"])
    rows = world.records()[-1]["reconcile"].get("damaged", [])
    if damage is not delete:
        assert rows == [{"where": "this host", "md5": md5, "replaced": True} for md5 in sorted(md5s.values())]
        assert "was damaged: put aside as" in told.err
        assert {path.name for path in (cache / "quarantine").iterdir()} == set(md5s.values())
    else:
        assert rows == []
    check_whole(world, "fresh")


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("what", ["file", "member", "listing"])
def test_a_damaged_object_of_the_dvc_remote_is_made_again_and_replaced(
    world: World, damage: Callable[[Path], None], what: str
) -> None:
    md5 = objects(world)[what]
    damage(place(world.store, md5))
    world.forget_cache()
    change(world)
    told = world.reconcile()
    assert told.outcomes == {"make": "remade", "use": "ok"}
    assert world.trace() == ["make", "use"]
    rows = world.records()[-1]["reconcile"].get("damaged", [])
    if damage is not delete:
        assert rows == [{"where": "store", "md5": md5, "replaced": True}]
        assert "replaced on the DVC remote 'store'" in told.err
    assert not list(world.home("a").glob("r/*/damaged.json"))
    world.forget_cache()
    check_whole(world, "fresh")


def test_everything_damaged_here_and_there_is_made_again(world: World) -> None:
    for root in (world.repo.path / ".dvc/cache", world.store):
        for path in root.glob("files/md5/*/*"):
            flip(path)
    change(world)
    assert world.reconcile().outcomes == {"make": "remade", "use": "ok"}
    world.trace()
    rows = world.records()[-1]["reconcile"]["damaged"]
    assert {row["where"] for row in rows} == {"store", "this host"}
    assert all(row["replaced"] for row in rows)
    assert "damaged" not in world.runner("audit", "verify").stdout
    check_whole(world, "fresh")


def test_damage_that_is_known_outlives_the_runner_that_found_it(world: World) -> None:
    md5 = objects(world)["file"]
    flip(place(world.store, md5))
    world.forget_cache()
    change(world)
    world.environ["RUNNER_FAILPOINTS"] = "cache-synced=kill"
    process = world.start("reconcile")
    process.communicate()
    assert process.returncode != 0
    del world.environ["RUNNER_FAILPOINTS"]
    assert json.loads(next(world.home("a").glob("r/*/damaged.json")).read_text())["store"].count(md5) == 1
    world.reconcile()
    assert world.trace() == ["make", "use"]
    assert {row["md5"] for record in world.records() for row in record.get("reconcile", {}).get("damaged", [])} == {md5}
    check_whole(world, "fresh")


def test_data_that_no_stage_makes_is_never_taken_damaged(tmp_path: Path) -> None:
    world = World.create(tmp_path, {**FILES, "dvc.yaml": STAGES.replace("deps: [in]", "deps: [in, data]")}, dvc=True)
    (world.repo.path / "data").write_text("data\n")
    from tests.oracle.checkouts import repo

    with repo(world.repo.path) as opened:
        opened.add("data")
        opened.push()
    world.edit({"data.dvc": (world.repo.path / "data.dvc").read_text()})
    md5 = (world.repo.path / "data.dvc").read_text().partition("md5: ")[2].split()[0]
    flip(place(world.store, md5))
    shutil.rmtree(world.repo.path / ".dvc/cache")
    told = world.reconcile(ok=(4,))
    assert "are damaged on the DVC remote 'store'" in told.err
    assert "delete the damaged objects there" in told.err
    assert world.trace() == []
