"""Outputs that no cache can keep, or that would have the runner read what is not the stage's: at every level of
isolation the run is recorded as failed, with words that help, and nothing of it is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.reconcile.test_stray_writes import level, reconciled_by_nobody, run_of, world_at

__all__ = ["level"]

SOCKET = f"""{sys.executable} -S -c "import socket; socket.socket(socket.AF_UNIX).bind('odd')\""""
ODD = {
    "a pipe": ("mkfifo odd", "odd: neither a file nor a folder"),
    "a pipe in a folder": ("mkdir odd; mkfifo odd/pipe", "odd/pipe: neither a file nor a folder"),
    "a socket": (SOCKET, "odd: neither a file nor a folder"),
    "a device": ("mknod odd c 1 3 || mkfifo odd", "odd: neither a file nor a folder"),
    "a link to itself": ("ln -s odd odd", "odd: a symlink that leads to itself"),
    "a link to itself in a folder": ("mkdir odd; ln -s b odd/a; ln -s a odd/b", "a symlink that leads nowhere"),
    "a link to nowhere": ("ln -s nowhere odd", "odd: does not exist"),
    "a link to the environment": ("ln -s /proc/self/environ odd", "odd: a link that leads out of the repository"),
    "a link to the runner's own": ("ln -s /proc/$PPID/environ odd", "odd: a link that leads out of the repository"),
    "a link out": ("ln -s /etc/passwd odd", "odd: a link that leads out of the repository"),
    "a link out in a folder": ("mkdir odd; ln -s ../in odd/in; ln -s /etc odd/etc", "odd/etc: a link that leads out"),
    "a link above": ("rm -r deep && ln -s /etc deep", "a link that leads out of the repository"),
    "nothing": ("true", "exit code 0, but odd was not written"),
}  # fmt: skip


@pytest.mark.parametrize("what", list(ODD))
def test_an_output_that_cannot_be_kept_is_told_and_the_rest_goes_on(level: str, tmp_path: Path, what: str) -> None:
    command, message = ODD[what]
    out = "deep/passwd" if what == "a link above" else "odd"
    stages = (
        f"stages:\n  bad:\n    cmd: {json.dumps(command)}\n    deps: [in]\n    outs: [{out}]\n"
        "  good:\n    cmd: cat in deep/kept > good; ls >> good\n    deps: [in, deep/kept]\n    outs: [good]\n"
    )
    world = world_at(level, tmp_path, {"dvc.yaml": stages, "in": "in\n", "deep/kept": "kept\n"})
    world.environ["SECRET_OF_THE_RUNNER"] = "s3cr3t-of-the-runner"
    told = world.reconcile("--jobs", "1", ok=(3,))
    assert told.outcomes == {"bad": "outputs", "good": "ok"}
    said = run_of(world, "bad")["outcome"]["message"]
    assert message in said
    assert str(world.home("a")) not in said
    assert world.output("good").startswith("in\nkept\n")
    assert "odd" not in world.output("good").split()
    for path in [*world.folder.rglob("files/md5/*/*")]:
        assert b"s3cr3t-of-the-runner" not in path.read_bytes()
    assert [path.name for place in world.home("a").glob("r/*/w/*") for path in place.iterdir()] == ["lock"]


CLOSED = """\
stages:
  file:
    cmd: echo file > file; chmod 0 file
    deps: [in]
    outs: [file]
  many:
    cmd: mkdir -p many/deep; echo many > many/deep/file; chmod 0 many/deep/file many/deep many
    deps: [in]
    outs: [many]
  reads:
    cmd: cat file many/deep/file > reads
    deps: [file, many]
    outs: [reads]
"""


def test_outputs_that_their_owner_may_not_read_are_kept_all_the_same(level: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        world = world_at(level, Path(name) / "world", {"in": "1\n", "dvc.yaml": CLOSED})
        ran = reconciled_by_nobody(level, world, Path(name))
        assert {run["stage"]: run["outcome"] for run in ran} == {
            "file": "ok", "many": "ok", "reads": "ok",
        }  # fmt: skip
        assert [path.name for place in Path(name).glob("a/r/*/w/*") for path in place.iterdir()] == ["lock"]


KILLS = """\
stages:
  kills:
    cmd: sleep 1000 & kill -KILL $PPID; sleep 1000
    deps: [in]
    outs: [out]
  good:
    cmd: cp in good
    deps: [in]
    outs: [good]
"""


def test_the_record_says_that_who_watched_the_stage_was_killed(tmp_path: Path) -> None:
    world = world_at("group", tmp_path, {"dvc.yaml": KILLS, "in": "1\n"})
    told = world.reconcile(ok=(3,))
    assert told.outcomes == {"kills": "killed", "good": "ok"}
    assert run_of(world, "kills")["outcome"]["message"] == (
        "was killed by signal 9, and so was the process that watched it"
    )


MOUNTS = """\
stages:
  mounts:
    cmd:
      - cp in mounts; mkdir m; mount -t tmpfs none m; mount -t tmpfs none $TMPDIR; echo x > m/x
      - mount -t tmpfs none $PWD
    deps: [in]
    outs: [mounts]
  good:
    cmd: ls | grep -x -e m -e in > good
    deps: [in]
    outs: [good]
"""


def test_what_a_stage_mounts_in_its_worktree_is_gone_after_it(level: str, tmp_path: Path) -> None:
    """In a mount namespace of the test: without one of its own a stage of root mounts for everybody."""
    world = world_at(level, tmp_path, {"dvc.yaml": MOUNTS, "in": "1\n"})
    script = '"$@" > "$0" 2>&1; echo $? >> "$0"; grep -c " $RUNNER_HOME" /proc/self/mountinfo >> "$0"; true'
    unshare = ["unshare", "-m" if os.getuid() == 0 else "-Urm", "sh", "-c", script, str(tmp_path / "said")]
    command = world.command("reconcile", "--jobs", "1")
    done = subprocess.run([*unshare, *command], cwd=world.repo.path, env=world.environment("a"), capture_output=True)
    if done.returncode:
        pytest.skip("this system does not let us have mounts of our own")
    *_, code, mounts = (tmp_path / "said").read_text().splitlines()
    assert (code, mounts) == ("0", "0"), (tmp_path / "said").read_text()
    assert world.output("good") == "in\n"
    assert [path.name for place in world.home("a").glob("r/*/w/*") for path in place.iterdir()] == ["lock"]
