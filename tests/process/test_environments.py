"""Virtual environments, really built; the package in them is made here, so no network is needed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.errors import HostError, InputError
from runner.process import environments
from runner.process.environments import ensure, find_python

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


def test_two_builders_make_one_environment_that_works_and_is_kept(tmp_path: Path) -> None:
    lock, home = wheel(tmp_path), tmp_path / "environments"
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: ensure(lock, None, home), range(2))
    assert first == second
    program = [str(first.bin_dir / "python"), "-c", "import colour; print(colour.NAME)"]
    assert subprocess.check_output(program, text=True) == "blue\n"
    built = (home / first.digest / environments.COMPLETE).stat().st_mtime_ns
    assert ensure(lock, RUNNING, home) == first
    assert (home / first.digest / environments.COMPLETE).stat().st_mtime_ns == built


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
