"""Measures what the command of a stage costs before anybody does anything around it: a process that is started and
awaited, and the same below the runner's own supervisors, at each level of isolation.

    python benchmarks/floor.py                # CPU ms of one process each, user and system, the median of five rounds
    python benchmarks/floor.py --count 1000   # so many processes a round
"""

from __future__ import annotations

import ctypes
import os
import resource
import statistics
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from script import PR_SET_CHILD_SUBREAPER, at_least_1, parser_of, run_script, working_folder

from runner.process.launcher import Launcher

COMMAND = b"echo s00001 > out"
ENVIRONMENT = {b"PATH": os.fsencode(os.defpath), b"LANG": b"C.UTF-8"}
BASH = (b"/bin/bash", b"--noprofile", b"--norc", b"-c", COMMAND)
PROGRAMS = {"true": (b"/bin/true",), "sh": (b"/bin/sh", b"-c", COMMAND), "bash": BASH}
LEVELS = {"group": b"g", "pid": b"p", "overlay+pid": b"o"}


def started(folder: Path, count: int, words: Sequence[bytes]) -> None:
    """Start and await a program so many times, as a program in Python does it at the least."""
    os.chdir(folder)
    for _ in range(count):
        os.waitpid(os.posix_spawn(words[0], words, ENVIRONMENT), 0)


def supervised(folder: Path, count: int, level: bytes) -> None:
    """Have one of the runner's supervisors run `bash` so many times. Raises SystemExit where the level is refused."""
    launcher = Launcher()
    tree = folder / "tree"
    tree.mkdir(exist_ok=True)
    for number in range(count):
        private = folder / str(number)
        layers = {name: private / name for name in ("upper", "work")}
        for layer in layers.values():
            layer.mkdir(parents=True)
        request = {
            "commands": [list(BASH)],
            "directory": os.fsencode(tree),
            "folder": b".",
            "environment": ENVIRONMENT,
            "worktree": os.fsencode(tree),
            **{name: os.fsencode(path) for name, path in layers.items()},
        }
        stage = launcher.launch(level, request)
        answer = stage.answer() or {"setup": "the supervisor was killed"}
        stage.close()
        if "setup" in answer:
            raise SystemExit(f"{level.decode()}: {answer['setup']}")
    launcher.close()


def cpu_ms(work: Callable[[Path, int], None], count: int) -> float:
    """CPU ms of one of `count` pieces of work, with all that they start. Raises SystemExit where it failed."""
    with working_folder() as folder:
        before = _used()
        child = os.fork()
        if child == 0:
            _work_and_end(work, folder, count)
        _, status = os.waitpid(child, 0)
        while _waited():
            continue
        if status:
            raise SystemExit(1)  # what it said stands on stderr
        return (_used() - before) * 1000 / count


def _work_and_end(work: Callable[[Path, int], None], folder: Path, count: int) -> None:
    code = 1
    try:
        os.setsid()  # no Ctrl-C comes here: whoever waits ends us
        work(folder, count)
        code = 0
    except SystemExit as refused:
        print(refused, file=sys.stderr)
    except Exception:  # noqa: BLE001 - the fork ends here, whatever it was
        traceback.print_exc()
    finally:
        os._exit(code)


def _waited() -> bool:
    try:
        os.wait()
    except ChildProcessError:
        return False
    return True


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure each of them by turns, and print the medians."""
    parser = parser_of(__doc__)
    parser.add_argument("--count", type=at_least_1, default=300, help="processes a round")
    parser.add_argument("--rounds", type=at_least_1, default=5, help="rounds; the median counts")
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what a supervisor used is counted when it ends
    works: dict[str, Callable[[Path, int], None]] = {
        f"{name}, by itself": lambda folder, count, words=words: started(folder, count, words)
        for name, words in PROGRAMS.items()
    }
    works |= {
        f"bash, {name}": lambda folder, count, level=level: supervised(folder, count, level)
        for name, level in LEVELS.items()
    }
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(options.rounds):
        for name, work in works.items():
            found[name].append(cpu_ms(work, options.count))
    for name, each in found.items():
        print(f"| {name} | {statistics.median(each):.2f} |")


if __name__ == "__main__":
    run_script(main)
