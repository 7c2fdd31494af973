"""What the kernel saw: one case of every mechanism, in a process of its own under `strace`.

Only Python and git are started, nothing is connected to, nothing is written but the runner's own bounded cache, and
nothing is read outside the repository, that cache, and the places of Python and the system.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.command import Answer
from tests.hostile.catalogue import MECHANISMS
from tests.hostile.ground import Ground
from tests.hostile.traced_calls import ENDS, MARK
from tests.hostile.watch import own_places

_CALLS = "execve,connect,bind,open,openat,openat2,creat,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,rmdir"
_MORE = "link,linkat,symlink,symlinkat,truncate,chmod,fchmodat,mknod,mknodat,chdir"
_CHANGES = ("creat", "unlink", "rename", "mkdir", "rmdir", "link", "symlink", "truncate", "chmod", "fchmod", "mknod")
_SYSTEM = (
    "/usr/", "/lib", "/bin/", "/proc/", "/sys/", "/etc/ld.so", "/etc/localtime", "/etc/passwd", "/etc/nsswitch.conf",
    "/etc/mime.types", "/etc/locale", "/etc/gitattributes", "/etc/os-release", "/dev/null", "/dev/urandom",
)  # fmt: skip
_LINE = re.compile(r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<at>[^>]*)>, )?"(?P<path>(?:[^"\\]|\\.)*)"')
_GROUPS = 4
_REASON = "strace cannot be used here: install it, and allow ptrace"


def _can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return not subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False
    ).returncode


@dataclass(frozen=True)
class Seen:
    """One call of the kernel that did something."""

    call: str
    paths: tuple[str, ...]
    writes: bool
    by_git: bool
    """By another process than the runner's own; each was started by an `execve` of git."""
    text: str


def _seen(trace: Path) -> dict[int, list[Seen]]:
    """What happened in each of the calls of the runner."""
    found: dict[int, list[Seen]] = {}
    number, own = -1, ""
    for line in trace.read_text(errors="backslashreplace").splitlines():
        if MARK in line:
            number = int(re.split(r"\D", line.partition(MARK)[2])[0])
        if ENDS in line:
            break
        match = _LINE.match(line)
        own = own or (match["pid"] if match is not None else "")
        if match is None or number < 0 or (int(match["result"]) < 0 and match["call"] not in ("connect", "bind")):
            continue
        paths = tuple(
            os.path.normpath(os.path.join(part["at"] or "/", part["path"].encode().decode("unicode_escape")))
            for part in _PATH.finditer(match["arguments"])
        )
        flags = re.search(r"O_(?:WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)", match["arguments"]) is not None
        writes = flags or match["call"].startswith(_CHANGES)
        found.setdefault(number, []).append(Seen(match["call"], paths, writes, match["pid"] != own, line[:300]))
    return found


def _misdeeds(seen: Sequence[Seen], ground: Ground, everywhere: Sequence[Ground], git_follows: bool) -> list[str]:
    # What an earlier call opened may be closed, and tidied up, in a later one.
    own = (*(str(other.home) for other in everywhere), str(ground.folder / "tmp"))
    root = str(Path(__file__).resolve().parents[2])
    readable = (str(ground.clone), *own, *own_places(), *_SYSTEM, *(path + "/" for path in sys.path if path), root)
    found = []
    for one in seen:
        if one.call == "chdir":
            continue
        if one.call in ("connect", "bind"):
            found += [one.text] if "/nscd/" not in one.text else []
        elif one.call == "execve":
            name = os.path.basename(one.paths[0])
            is_known = name == "git" or name.startswith("git-") or one.paths[0] == sys.executable or name == "uname"
            found += [] if is_known else [one.text]
        elif one.writes:
            found += [one.text for path in one.paths[:2] if not path.startswith((*own, "/dev/null", "/dev/tty"))]
        elif not (git_follows and one.by_git):
            found += [one.text for path in one.paths[:1] if not f"{path}/".startswith(readable)]
    return found


@pytest.mark.parametrize("group", range(_GROUPS))
def test_the_kernel_saw_nothing_that_must_not_be(group: int, tmp_path: Path) -> None:
    if not _can_trace():
        pytest.skip(_REASON)
    calls: list[tuple[Ground, str, list[str]]] = []
    follows: list[bool] = []
    chosen = [(name, case) for name in list(MECHANISMS)[group::_GROUPS] for case in MECHANISMS[name].traced()]
    for position, (name, case) in enumerate(chosen):
        ground = Ground.create(tmp_path / f"{position}")
        (ground.folder / "tmp").mkdir()
        rev = ground.prepared(case)
        _checked_out(ground, case.files)
        for words in (["validate", rev], ["plan", "--all", rev], ["validate"], ["status"], ["explain", "a"]):
            calls.append((ground, f"{name}: {case.name}", [word for word in words if word]))
            follows.append(case.git_follows)
    answers, seen = _traced(calls, tmp_path)
    for number, (ground, name, words) in enumerate(calls):
        code, out, err = answers[number]
        said = f"{name}: runner {' '.join(words)}: {code}\n{err[-1000:]}"
        assert code in (0, 1, 2, 3, 4, 6), said
        ground.check(Answer(code, out, err), said)
        misdeeds = _misdeeds(seen.get(number, []), ground, [other for other, _, _ in calls], follows[number])
        assert misdeeds == [], f"{said}\n" + "\n".join(misdeeds)
        left = {file.relative_to(ground.home).parts[0] for file in ground.home.rglob("*") if file.is_file()}
        assert left <= {"parsed", "apart", "digests.sqlite", "digests.sqlite-wal", "digests.sqlite-shm"}, said
    assert any(one.call == "execve" for calls_seen in seen.values() for one in calls_seen)  # the trace is one


def _checked_out(ground: Ground, files: object) -> None:
    """The files in the working tree, as far as a file system takes them."""
    for path, content in dict(files).items():  # type: ignore[call-overload]
        try:
            ground.write({path: content})
        except (OSError, ValueError, KeyError):
            continue


def _traced(
    calls: Sequence[tuple[Ground, str, list[str]]], folder: Path
) -> tuple[list[tuple[int, str, str]], dict[int, list[Seen]]]:
    todo, done, trace = folder / "todo.json", folder / "done.json", folder / "trace"
    rows = [(str(ground.clone), ground.environment(), words) for ground, _, words in calls]
    todo.write_text(json.dumps(rows, ensure_ascii=True))
    # With a filter in the kernel only the calls that are looked at cost anything.
    command = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-y",
        "-s",
        "4096",
        "-o",
        str(trace),
        "-e",
        f"trace={_CALLS},{_MORE}",
    ]
    program = [sys.executable, "-m", "tests.hostile.traced_calls", str(todo), str(done)]
    root = str(Path(__file__).resolve().parents[2])
    env = {**os.environ, "PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run([*command, *program], cwd=root, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(done.read_text()), _seen(trace)
