"""Virtual environments, really built; the package in them is made here, so no network is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.errors import HostError, InputError
from runner.process import environments
from runner.process.environments import VirtualEnvironment, find_python, in_use, prune
from tests.saved import Saved

ROOT = Path(__file__).parents[2]
RUNNING = "{}.{}.{}".format(*sys.version_info)


def wheel(folder: Path) -> bytes:
    """A lock file that names a wheel with one module."""
    path = folder / "colour-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("colour.py", "NAME = 'blue'\n")
        archive.writestr("colour-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: colour\nVersion: 1.0\n")
        archive.writestr("colour-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("colour-1.0.dist-info/RECORD", "")
    return f"colour @ {path.as_uri()}\n".encode()


def ensure(lock: bytes, python: str | None, home: Path) -> VirtualEnvironment:
    """An environment that is built and not in use any more."""
    with in_use(lock, python, home) as found:
        return found


def age(home: Path, days: float) -> None:
    """Have everything in a folder of environments as if it had been left alone for so long."""
    then = time.time() - days * 24 * 3600
    for path in [*home.glob("*"), *home.glob("*/.*")]:
        os.utime(path, (then, then))


@dataclass(frozen=True)
class Built:
    """A home in which there was nothing, and what two builders got there at the same time."""

    lock: bytes
    home: Path
    found: tuple[VirtualEnvironment, ...]


@pytest.fixture(scope="module")
def saved(own_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Saved[Built]:
    """Built once: an environment takes seconds."""
    folder = tmp_path_factory.mktemp("built")
    lock, home = wheel(folder), folder / "environments"
    with ThreadPoolExecutor(2) as pool:
        found = tuple(pool.map(lambda _: ensure(lock, None, home), range(2)))
    return Saved.of(Built(lock, home, found), home)


@pytest.fixture
def built(saved: Saved[Built]) -> Built:
    """The same once more for each test."""
    return saved.again()


def test_two_builders_make_one_environment_that_works_and_is_kept(built: Built) -> None:
    first, second = built.found
    assert first == second
    program = [str(first.bin_dir / "python"), "-c", "import colour; print(colour.NAME)"]
    assert subprocess.check_output(program, text=True) == "blue\n"
    complete = built.home / first.digest / environments.COMPLETE
    before = complete.stat().st_mtime_ns
    assert ensure(built.lock, RUNNING, built.home) == first
    assert complete.stat().st_mtime_ns == before


def test_an_interrupted_build_leaves_nothing_that_counts_and_pip_is_quoted(tmp_path: Path) -> None:
    lock = f"gone @ {(tmp_path / 'gone-1.0-py3-none-any.whl').as_uri()}\n".encode()
    with pytest.raises(HostError, match=r"(?s)could not be built \(failed\).*gone-1.0") as caught:
        ensure(lock, None, tmp_path / "environments")
    assert "the whole log: " in caught.value.hint
    assert not list((tmp_path / "environments").glob("*/" + environments.COMPLETE))


def test_a_version_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Python 3\.99 is not on this host") as caught:
        ensure(b"", "3.99", tmp_path)
    assert "python3.99" in caught.value.hint


def test_another_version_is_found_on_the_path(tmp_path: Path) -> None:
    other = tmp_path / "python3.98"
    other.write_text("#!/bin/sh\necho 3.98.7\n")
    other.chmod(0o755)
    for wanted in ("3.98", "3.98.7"):
        assert find_python(wanted, {"PATH": str(tmp_path)}) == (str(other), "3.98.7")
    with pytest.raises(InputError):
        find_python("3.98.6", {"PATH": str(tmp_path)})


def test_a_shim_that_does_not_run_is_not_an_interpreter(tmp_path: Path) -> None:
    shim = tmp_path / "python3.97"
    shim.write_text("#!/bin/sh\necho not installed >&2; exit 127\n")
    shim.chmod(0o755)
    with pytest.raises(InputError):
        find_python("3.97", {"PATH": str(tmp_path)})


def test_the_running_version_is_the_default() -> None:
    assert find_python(None) == (sys.executable, RUNNING)
    assert find_python(f"{sys.version_info[0]}.{sys.version_info[1]}") == (sys.executable, RUNNING)


def test_an_environment_goes_when_it_was_not_used_for_thirty_days(built: Built) -> None:
    home = built.home
    complete = home / built.found[0].digest / environments.COMPLETE
    age(home, 29)
    prune(home)
    assert complete.exists()
    age(home, 31)
    ensure(built.lock, None, home)
    prune(home)
    assert complete.exists(), "it was used a moment ago"
    age(home, 31)
    prune(home)
    assert list(home.iterdir()) == []  # as where nothing was ever built


def test_an_environment_in_use_by_another_process_stays_however_old_it_is(built: Built) -> None:
    home = built.home
    program = (
        "import sys; from pathlib import Path; from runner.process.environments import in_use\n"
        "with in_use(sys.argv[2].encode(), None, Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(home), built.lock.decode()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        age(home, 31)
        prune(home)
        assert (home / built.found[0].digest / "bin" / "python").exists()
        holder.kill()
    prune(home)
    assert list(home.iterdir()) == []


def test_where_there_are_no_environments_nothing_is_pruned(tmp_path: Path) -> None:
    prune(tmp_path / "environments")
    assert list(tmp_path.iterdir()) == []
