"""Bounds of all specs of a commit together: a stranger may bring any number of files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from runner.specs import desired
from tests.cli.command import call
from tests.hostile.ground import Ground
from tests.hostile.kinds import Case


def _dvc_yaml(name: str, count: int = 1) -> str:
    return "stages:\n" + "".join(f"  {name}{n}: {{cmd: x, deps: [/in], outs: [{name}{n}]}}\n" for n in range(count))


def _validated(tmp_path: Path, files: Mapping[str | bytes, str]) -> list[str]:
    """What is said of a commit, by caches that are empty and then by caches that know every file."""
    ground = Ground.create(tmp_path / "ground")
    rev = ground.commit(Case("x", {"runner.yaml": "", "in": "1\n", **files}, plain=True))
    said = []
    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RUNNER_HOME", str(ground.home))
            answer = call(ground.clone, "validate", rev)
        said.append(answer.out + answer.err)
    assert said[0] == said[1]
    return said[0].splitlines()


def test_the_spec_files_of_a_commit_are_bounded_in_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"d{n}/dvc.yaml": _dvc_yaml("s").replace("/in", "../in") for n in range(4)}
    size_bytes = len(files["d0/dvc.yaml"])
    monkeypatch.setattr(desired, "_ALL_SPECS_BYTES", 3 * size_bytes)
    said = _validated(tmp_path, files)
    [finding] = [line for line in said if "in all" in line]
    assert finding.startswith("error: d3/dvc.yaml")
    monkeypatch.setattr(desired, "_ALL_SPECS_BYTES", 4 * size_bytes)
    assert not [line for line in _validated(tmp_path / "more", files) if "in all" in line]


def test_the_stages_of_a_commit_are_bounded_in_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"d{n}/dvc.yaml": _dvc_yaml("s", 3).replace("/in", "../in") for n in range(3)}
    monkeypatch.setattr(desired, "MAX_STAGES", 8)
    [finding] = [line for line in _validated(tmp_path, files) if "in all" in line]
    assert finding.startswith("error: d2/dvc.yaml")
    assert "8 stages" in finding
    monkeypatch.setattr(desired, "MAX_STAGES", 9)
    assert not [line for line in _validated(tmp_path / "more", files) if "in all" in line]


def test_the_lock_files_of_a_commit_are_bounded_in_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = "schema: '2.0'\nstages: {}\n"
    files = {f"d{n}/dvc.yaml": _dvc_yaml("s").replace("/in", "../in") for n in range(3)}
    files |= {f"d{n}/dvc.lock": lock for n in range(3)}
    monkeypatch.setattr(desired, "_ALL_LOCKS_BYTES", 2 * len(lock))
    [finding] = [line for line in _validated(tmp_path, files) if "in all" in line]
    assert finding.startswith("error: d2/dvc.lock")
