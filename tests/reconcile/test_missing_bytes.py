"""Bytes that are lost are fetched, or else made again; bytes that are damaged are never used."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import World, dvc_pull, dvc_status

STAGES = """\
stages:
  first:
    cmd: echo first >> @TRACE@; cp in first
    deps: [in]
    outs: [first]
  second:
    cmd: echo second >> @TRACE@; (echo 2; cat first) > second; echo ${a} > m
    deps: [first]
    params: [a]
    outs: [second]
    metrics: [m: {cache: false}]
  third:
    cmd: echo third >> @TRACE@; cat second m > third
    deps: [second, m]
    outs: [third]
  other:
    cmd: echo other >> @TRACE@; cat first second > other; echo ${b} >> other
    deps: [first, second]
    params: [b]
    outs: [other]
"""
FILES = {"dvc.yaml": STAGES, "in": "1\n", "params.yaml": "a: 1\nb: 1\n"}


def lose_bytes(world: World, host: str = "a") -> None:
    """Everything that DVC's cache holds for this host is gone, and so is its memory of runs."""
    world.forget_cache(host)


def test_lost_bytes_are_made_again_only_where_they_are_needed(tmp_path: Path) -> None:
    world = World.create(tmp_path, FILES)
    world.reconcile()
    world.trace()
    lose_bytes(world)
    assert set(world.plan().values()) == {"keep"}
    assert world.reconcile().ran == []
    world.edit({"params.yaml": "a: 1\nb: 2\n"})
    assert world.plan() == {"first": "keep", "second": "keep", "third": "keep", "other": "run"}
    told = world.reconcile()
    assert world.trace() == ["first", "other", "second"]
    assert told.outcomes == {"first": "remade", "second": "remade", "other": "ok"}
    assert set(world.plan().values()) == {"keep"}
    assert world.reconcile().commit is None
    check_ledger(world.remote)


def test_lost_bytes_come_back_from_the_dvc_remote(tmp_path: Path) -> None:
    world = World.create(tmp_path, FILES, dvc=True)
    world.reconcile()
    world.trace()
    lose_bytes(world)
    world.edit({"params.yaml": "a: 1\nb: 2\n"})
    assert world.reconcile().ran == ["other"]
    assert world.trace() == ["other"]
    check_ledger(world.remote)


def test_several_stages_may_ask_for_the_same_lost_bytes(tmp_path: Path) -> None:
    readers = "".join(
        f"  r{n}:\n    cmd: echo r{n} >> @TRACE@; cat first > r{n}; echo ${{b}} >> r{n}\n"
        f"    deps: [first]\n    params: [b]\n    outs: [r{n}]\n"
        for n in range(5)
    )
    world = World.create(
        tmp_path, {**FILES, "dvc.yaml": STAGES.replace("cp in first", "sleep 0.2; cp in first") + readers}
    )
    world.reconcile()
    world.trace()
    lose_bytes(world)
    world.edit({"params.yaml": "a: 1\nb: 2\n"})
    world.reconcile("--jobs", "3")
    assert world.trace() == sorted(["first", "second", "other", *(f"r{n}" for n in range(5))])
    assert set(world.plan().values()) == {"keep"}
    check_ledger(world.remote)


def test_a_result_that_comes_out_differently_the_second_time_is_followed_up(tmp_path: Path) -> None:
    stages = STAGES.replace("cp in first", "date +%N > first")
    world = World.create(tmp_path, {**FILES, "dvc.yaml": stages}, dvc=True)
    (world.repo.path / ".dvc/config").write_text("")
    world.edit(message="No remote")
    world.reconcile()
    world.trace()
    lose_bytes(world)
    world.edit({"params.yaml": "a: 1\nb: 2\n"})
    world.reconcile()
    assert world.trace() == ["first", "other", "second", "third"]
    assert set(world.plan().values()) == {"keep"}
    assert world.reconcile().commit is None
    check_ledger(world.remote)
    root = world.clone("fresh")
    (root / ".dvc/config.local").write_text(f"[cache]\n    dir = {world.repo.path / '.dvc/cache'}\n")
    from tests.oracle.checkouts import repo

    with repo(root) as opened:
        opened.checkout()
    assert dvc_status(root) == {}


def test_a_stage_that_cannot_make_its_bytes_again_fails_and_its_readers_wait(tmp_path: Path) -> None:
    stages = STAGES.replace("cp in first", "test ! -e @TRACE@.broken && cp in first")
    world = World.create(tmp_path, {**FILES, "dvc.yaml": stages})
    world.reconcile()
    lose_bytes(world)
    (world.folder / "trace.broken").touch()
    world.edit({"params.yaml": "a: 1\nb: 2\n"})
    told = world.reconcile(ok=(3,))
    assert told.actions == {"first": "failed", "second": "keep", "third": "keep", "other": "wait"}
    (world.folder / "trace.broken").unlink()
    assert world.reconcile().outcomes == {"first": "remade", "second": "remade", "other": "ok"}
    check_ledger(world.remote)


def test_a_damaged_object_is_found_and_replaced(tmp_path: Path) -> None:
    world = World.create(tmp_path, FILES, dvc=True)
    world.reconcile()
    world.trace()
    objects = list(world.repo.path.glob(".dvc/cache/files/md5/*/*"))
    for path in objects:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes() + b"damage")
        path.chmod(0o444)
    world.edit({"params.yaml": "a: 1\nb: 2\n"})
    assert world.reconcile().ran == ["other"]
    assert world.output("other") == "1\n2\n1\n2\n"
    root = world.clone("fresh")
    dvc_pull(root)
    assert dvc_status(root) == {}
    assert world.trace() == ["other"]
    check_ledger(world.remote)


def test_a_damaged_object_on_the_dvc_remote_is_not_believed(tmp_path: Path) -> None:
    world = World.create(tmp_path, FILES, dvc=True)
    world.reconcile()
    world.trace()
    lose_bytes(world)
    for path in world.store.glob("files/md5/*/*"):
        path.chmod(0o644)
        path.write_bytes(b"damage")
    world.edit({"params.yaml": "a: 1\nb: 2\n"})
    told = world.reconcile()
    assert "damaged on the DVC remote 'store', and not used" in told.err
    assert told.outcomes == {"first": "remade", "second": "remade", "other": "ok"}
    assert world.trace() == ["first", "other", "second"]
    check_ledger(world.remote)


def test_a_dvc_remote_that_cannot_be_reached_keeps_the_results_here(tmp_path: Path) -> None:
    world = World.create(tmp_path, FILES, dvc=True)
    world.store.rmdir()
    world.store.write_text("no folder")
    assert "store" in world.reconcile(ok=(4,)).err
    assert world.tip() is None
    assert world.trace() == ["first", "other", "second", "third"]
    world.store.unlink()
    told = world.reconcile()
    assert (told.actions, world.trace()) == (dict.fromkeys(told.actions, "keep"), [])
    root = world.clone("fresh")
    dvc_pull(root)
    assert dvc_status(root) == {}
    check_ledger(world.remote)


def test_lost_bytes_that_no_stage_needs_are_made_again_where_a_person_says_so(tmp_path: Path) -> None:
    world = World.create(tmp_path, FILES, dvc=True)
    world.reconcile()
    md5 = next(out["md5"] for run in world.runs() if run["stage"] == "third" for out in run["outs"])
    told = world.reconcile("--retry", "third")
    assert told.ran == []
    assert "third" in told.err, "what is whole is kept, and that is said"
    lose_bytes(world)
    kept = world.store / "files/md5" / md5[:2] / md5[2:]
    kept.unlink()
    world.trace()
    assert world.reconcile().ran == []
    told = world.reconcile("--retry", "third")
    assert (world.trace(), told.outcomes) == (["third"], {"third": "remade"})
    assert kept.is_file()
    assert set(world.plan().values()) == {"keep"}
    assert world.reconcile("--retry", "third").ran == []
    check_ledger(world.remote)


def test_damaged_bytes_that_no_stage_needs_are_replaced_where_a_person_says_so(tmp_path: Path) -> None:
    world = World.create(tmp_path, FILES, dvc=True)
    world.reconcile()
    md5 = next(out["md5"] for run in world.runs() if run["stage"] == "third" for out in run["outs"])
    lose_bytes(world)
    kept = world.store / "files/md5" / md5[:2] / md5[2:]
    good = kept.read_bytes()
    kept.chmod(0o644)
    kept.write_bytes(b"x" * len(good))
    told = world.reconcile("--retry", "third")
    assert told.outcomes == {"third": "remade"}
    assert kept.read_bytes() == good
    assert set(world.plan().values()) == {"keep"}
    check_ledger(world.remote)


def test_a_pull_brings_all_that_can_be_had_and_names_the_rest(tmp_path: Path) -> None:
    world = World.create(tmp_path, FILES, dvc=True)
    world.reconcile()
    digests = {out["path"]: out["md5"] for run in world.runs() for out in run["outs"]}
    lose_bytes(world)
    kept = {name: world.store / "files/md5" / md5[:2] / md5[2:] for name, md5 in digests.items()}
    kept["third"].unlink()
    kept["other"].chmod(0o644)
    kept["other"].write_bytes(b"damage")
    (world.repo.path / "m").write_text("mine")
    done = world.runner("pull", "--json", ok=(4,))
    value = json.loads(done.stdout)
    words = {"first": "pulled", "second": "pulled", "m": "differs", "other": "missing", "third": "missing"}
    assert (value["outputs"], value["exitCode"]) == (words, 4)
    other, third = value["missing"]
    assert [(row["stage"], row["path"], row["digest"]) for row in (other, third)] == [
        ("other", "other", digests["other"]),
        ("third", "third", digests["third"]),
    ]
    assert "1 object is damaged" in other["message"]
    assert "1 object is missing" in third["message"]
    assert all("`runner reconcile --retry dvc.yaml:" in row["hint"] for row in (other, third))
    assert "2 outputs could not be brought" in done.stderr
    assert "`runner reconcile --retry dvc.yaml:other dvc.yaml:third` makes them again" in done.stderr
    assert (world.repo.path / "second").read_text() == "2\n1\n"
    assert not (world.repo.path / "third").exists()
    told = world.reconcile("--retry", "dvc.yaml:other", "dvc.yaml:third")  # as the hints say
    assert told.outcomes == {"other": "remade", "third": "remade"}
    (world.repo.path / "m").unlink()
    again = json.loads(world.runner("pull", "--json").stdout)["outputs"]
    assert again == words | {"first": "there", "second": "there", "m": "pulled"} | dict.fromkeys(
        ("other", "third"), "pulled"
    )
    mine = world.repo.path / ".dvc/cache/files/md5" / digests["second"][:2] / digests["second"][2:]
    mine.chmod(0o644)
    mine.write_bytes(b"damage")
    (world.repo.path / "second").unlink()
    brought = world.runner("pull", "--json", "second")
    assert json.loads(brought.stdout)["damaged"] == [{"digest": digests["second"], "replaced": True}]
    assert f"object {digests['second']} in the cache of this host was damaged: fetched again" in brought.stderr


def test_a_failure_on_a_full_disk_is_not_recorded(tmp_path: Path) -> None:
    stages = "stages:\n  big: {cmd: head -c 30000000 /dev/zero > big 2> /dev/null, outs: [big]}\n"
    stages += "  after: {cmd: wc -c < big > after, deps: [big], outs: [after]}\n"
    world = World.create(tmp_path / "world", {"dvc.yaml": stages}, dvc=True)
    small = world.home("small")
    small.mkdir()
    within = f'mount -t tmpfs -o size=12m none "{small}" && exec "$@"'
    command = ["unshare", "-m" if os.getuid() == 0 else "-Urm", "sh", "-c", within, "sh"]
    done = subprocess.run(
        [*command, *world.command("reconcile")], cwd=world.repo.path, env=world.environment("small"),
        capture_output=True, text=True,
    )  # fmt: skip
    if done.stderr.startswith(("unshare:", "mount:")):
        pytest.skip("this system does not let us mount a small file system for ourselves")
    assert done.returncode == 4, done.stderr
    assert "stage big: exit code 1, and the disk of " in done.stderr
    assert world.tip() is None
    assert world.reconcile(host="b").ran == ["after", "big"]


@pytest.mark.parametrize("has_left_over", [False, True])
def test_a_dvc_remote_whose_folder_is_gone_is_not_made_anew(has_left_over: bool, tmp_path: Path) -> None:
    stages = "stages:\n  a: {cmd: cp in a, deps: [in], outs: [a]}\n"
    world = World.create(tmp_path / "world", {"dvc.yaml": stages, "in": "1\n"}, dvc=True)
    world.store.rmdir()
    world.reconcile()  # the first push makes it
    away = world.store.with_name("away")
    world.edit({"in": "2\n"})
    if has_left_over:
        hook = world.remote / "hooks/pre-receive"
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
        assert "the results are kept on this host" in world.reconcile(ok=(4,)).err
        hook.unlink()
    world.store.rename(away)
    told = world.reconcile(ok=(4,))
    assert f"the folder {world.store} is gone" in told.err
    assert not world.store.exists()
    away.rename(world.store)
    assert world.reconcile().ran == ([] if has_left_over else ["a"])
    assert world.output("a") == "2\n"
