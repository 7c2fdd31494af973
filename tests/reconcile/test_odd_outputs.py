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


def test_outputs_that_cannot_be_kept_are_told_and_the_rest_goes_on(level: str, tmp_path: Path) -> None:
    rows, messages = ["stages:"], {}
    for number, (what, (command, message)) in enumerate(ODD.items()):
        own = f"odd{number}"  # an output has one stage
        out = "deep/passwd" if what == "a link above" else own
        rows.append(f"  bad{number}: {{cmd: {json.dumps(command.replace('odd', own))}, deps: [in], outs: [{out}]}}")
        messages[f"bad{number}"] = message.replace("odd", own)
    rows.append("  good: {cmd: cat in deep/kept > good; ls >> good, deps: [in, deep/kept], outs: [good]}\n")
    world = world_at(level, tmp_path, {"dvc.yaml": "\n".join(rows), "in": "in\n", "deep/kept": "kept\n"})
    world.environ["SECRET_OF_THE_RUNNER"] = "s3cr3t-of-the-runner"
    told = world.reconcile("--jobs", "1", ok=(3,))
    assert told.outcomes == {**dict.fromkeys(messages, "outputs"), "good": "ok"}
    assert told.value["runs"][-1]["stage"] == "good"  # it saw a worktree in which all the others had worked
    said = {run["stage"]: run["outcome"]["message"] for run in world.runs() if run["stage"] != "good"}
    wrong = {stage: text for stage, text in said.items() if messages[stage] not in text}
    assert wrong == {}
    assert [text for text in said.values() if str(world.home("a")) in text] == []
    assert world.output("good").startswith("in\nkept\n")
    assert [word for word in world.output("good").split() if word.startswith("odd")] == []
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
