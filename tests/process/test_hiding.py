"""What a stage must not see it does not find: the key, the agent, the runner's notes; and it cannot look behind."""

from __future__ import annotations

import ast
import errno
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from runner.process.hiding import has_other_names, hidden_from_stages
from runner.process.keeper import LOCKED_AWAY
from runner.process.signing_keys import agent_key, generate
from tests.process.conftest import Run
from tests.process.test_signing import agent

__all__ = ["agent"]

pytestmark = pytest.mark.usefixtures("level")


@pytest.fixture
def apart(level: str) -> None:
    """Only where stages have namespaces of their own."""
    if level == "group":
        pytest.skip("without namespaces nothing is hidden, and the record says so")


def said(run: Run, tmp_path: Path, command: str, **changes: object) -> str:
    """What a command prints, with what it says of its errors."""
    outcome = run(f"{{ {command}; }} 2>&1; :", log_path=tmp_path / "said.log", **changes)
    assert outcome.reason == "ok"
    return (tmp_path / "said.log").read_text()


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("alone", [True, False], ids=["in a folder of its own", "beside other files"])
def test_a_stage_does_not_find_the_key(run: Run, tmp_path: Path, alone: bool) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    generate(folder / "key")
    if not alone:
        (folder / "other").write_text("other\n")
    (tmp_path / "link").symlink_to(folder / "key")
    hidden = hidden_from_stages(tmp_path / "link", [])
    names = f"{folder}/key {tmp_path}/link /proc/1/root{folder}/key /proc/self/root{folder}/key"
    text = said(run, tmp_path, f"cat {names}; cat {folder}/other; cd {folder} && cat key", hidden=hidden)
    assert "PRIVATE" not in text
    assert ("other\n" in text) is not alone
    assert "PRIVATE" in (folder / "key").read_text()


@pytest.mark.usefixtures("apart")
def test_not_even_root_looks_behind(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    generate(folder / "key")
    for others in ((), ("other",)):
        for name in others:
            (folder / name).touch()
        hidden = hidden_from_stages(folder / "key", [])
        key, place = folder / "key", tmp_path / "place"
        place.mkdir(exist_ok=True)
        inner = f"umount {key}; umount {folder}; mount --bind {tmp_path} {place}; cat {key} {place}/keys/key"
        for tries in (inner, f"unshare --user --map-root-user --mount sh -c {shlex.quote(inner)}"):
            assert "PRIVATE" not in said(run, tmp_path, tries, hidden=hidden)


PRIVILEGED = """\
import ctypes, os, stat, sys
key = sys.argv[1].encode()
held = next(int(line.split()[1], 16) for line in open("/proc/self/status") if line.startswith("CapEff"))
print("capabilities", sorted(number for number in range(64) if held >> number & 1))
libc = ctypes.CDLL(None, use_errno=True)
class Handle(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]
handle, mount = Handle(128, 0), ctypes.c_int()
if libc.name_to_handle_at(-100, key, ctypes.byref(handle), ctypes.byref(mount), 0) == 0:
    opened = libc.open_by_handle_at(os.open(os.path.dirname(key), os.O_RDONLY), ctypes.byref(handle), os.O_RDONLY)
    print("by handle", opened, ctypes.get_errno())
try:
    os.mknod("disk", 0o600 | stat.S_IFBLK, os.makedev(8, 0))
    print("made a disk")
except PermissionError:
    print("no disk")
try:
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
    print("may set the kernel")
except OSError:
    print("sets nothing")
os.mkdir("own"), os.chmod("own", 0o700), os.chown("own", 12, 12) if os.geteuid() == 0 else None
print("ordinary work is done")
"""


@pytest.mark.usefixtures("apart")
def test_root_opens_no_file_by_handle_makes_no_disk_and_sets_nothing_of_the_kernel(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    generate(folder / "key")
    (folder / "other").write_text("other\n")
    program = f"{shlex.quote(sys.executable)} -c {shlex.quote(PRIVILEGED)} {folder}/other"
    hidden = hidden_from_stages(folder / "key", [])
    lines = said(run, tmp_path, program, hidden=hidden).splitlines()
    capabilities = set(ast.literal_eval(lines[0].removeprefix("capabilities ")))
    assert not capabilities & set(LOCKED_AWAY.values())
    if len(lines) == 5:  # else its file system has no handles
        assert lines.pop(1) == f"by handle -1 {errno.EPERM}"
    assert lines[1:] == ["no disk", "sets nothing", "ordinary work is done"]


@pytest.mark.usefixtures("apart")
def test_a_key_that_takes_the_place_of_a_hidden_one_is_hidden_too(run: Run, tmp_path: Path) -> None:
    folder, started, go = tmp_path / "keys", tmp_path / "started", tmp_path / "go"
    folder.mkdir()
    generate(folder / "key")
    hidden = hidden_from_stages(folder / "key", [])
    renewed = subprocess.Popen(
        [
            "sh",
            "-c",
            f"until [ -e {started} ]; do sleep 0.01; done; cp {folder}/key new && mv new {folder}/key && touch {go}",
        ],
        cwd=tmp_path,
    )
    text = said(
        run, tmp_path, f"touch {started}; while [ ! -e {go} ]; do sleep 0.01; done; cat {folder}/key", hidden=hidden
    )
    assert renewed.wait() == 0
    assert "PRIVATE" not in text


@pytest.mark.usefixtures("apart")
def test_a_stage_does_not_reach_the_agent_and_the_runner_does(run: Run, tmp_path: Path, agent: dict[str, str]) -> None:
    place = agent["SSH_AUTH_SOCK"]
    program = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({place!r}); print('reached')"
    command = f"python3 -c {shlex.quote(program)}"
    assert "reached" in said(run, tmp_path, command)
    hidden = hidden_from_stages(Path(place), [])
    assert "reached" not in said(run, tmp_path, command, hidden=hidden)
    assert len(agent_key(agent["NAME"], place).sign(b"data")) == 64


@pytest.mark.usefixtures("apart")
def test_what_is_hidden_and_the_folders_above_it_stay_where_they_are(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "above" / "keys"
    folder.mkdir(parents=True)
    generate(folder / "key")
    (folder / "other").write_text("other\n")
    folder.parent.chmod(0o555)  # who owns it may change that
    tries = ["chmod 755 above", "mv above/keys/key key", "mv above/keys keys", "mv above moved", "rm -r above/keys"]
    inner = f"cd {tmp_path}; {'; '.join(tries)}; mkdir above/new; mv above/new above/newer; rm above/keys/other"
    deeper = shlex.quote(f"umount {folder}; umount {folder.parent}; {inner}")
    nested = f"unshare --user --map-root-user --mount sh -c {deeper}"
    hidden = hidden_from_stages(folder / "key", [])
    try:
        text = said(run, tmp_path, f"{inner}; {nested}", hidden=hidden)
        assert text.count("busy") >= 4
        # A second stage, and the runner, find what they know where they know it; ordinary work there was done.
        find = f"cd {tmp_path}; find . -name key -size +0 -type f; ls above"
        assert said(run, tmp_path, find, hidden=hidden).split() == ["keys", "newer"]
        assert "PRIVATE" in (folder / "key").read_text()
    finally:
        folder.parent.chmod(0o755)


@pytest.mark.usefixtures("apart")
def test_notes_of_the_runner_are_neither_read_nor_written(run: Run, tmp_path: Path) -> None:
    folders, file = [tmp_path / "seen", tmp_path / "journal", tmp_path / "journal" / "main"], tmp_path / "trust.yaml"
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "note").write_text("note\n")
    file.write_text("trust\n")
    hidden = hidden_from_stages(None, [*folders, file, tmp_path / "not there"])
    tries = "; ".join(f"cat {folder}/note; echo forged > {folder}/note; echo forged > {folder}/x" for folder in folders)
    text = said(run, tmp_path, f"{tries}; cat {file}; echo forged > {file}", hidden=hidden)
    assert "note\n" not in text
    assert "trust\n" not in text
    assert {(folder / "note").read_text() for folder in folders} == {"note\n"}
    assert [folder for folder in folders if (folder / "x").exists()] == []
    assert file.read_text() == "trust\n"


def test_a_key_that_is_gone_hides_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    assert said(run, tmp_path, "echo runs", hidden=hidden_from_stages(tmp_path / "keys" / "key", [])) == "runs\n"


def test_a_key_with_two_names_is_known_to_be_in_reach(tmp_path: Path) -> None:
    generate(tmp_path / "key")
    assert not has_other_names(tmp_path / "key")
    os.link(tmp_path / "key", tmp_path / "another")
    assert has_other_names(tmp_path / "key")
