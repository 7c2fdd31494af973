"""The small examples run as they are, and come to what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.packaging.examples import Example
from tests.packaging.workflows import ROOT


@pytest.mark.slow
def test_ten_lines_with_stages_of_the_library_make_a_model_and_measure_it(tmp_path: Path) -> None:
    text = (ROOT / "examples/library/runner.yaml").read_text()
    assert len(text.splitlines()) <= 10
    example = Example("library", tmp_path)
    assert example.metrics("metrics.json")["accuracy"] > 0.9
    assert example.json("plan")["summary"] == {"keep": 3}
    assert {"contract", "holdout", "gates", "objective"} < example.lacks()


@pytest.mark.slow
def test_texts_are_sorted_by_what_they_are_about_and_the_gates_pass(tmp_path: Path) -> None:
    example = Example("text", tmp_path)
    assert set(example.gates().values()) == {"pass"}
    # Nine of ten are about what their team does, and of the others a quarter by chance.
    assert 0.8 < example.metrics("metrics.json")["accuracy"] < 0.99
    example.edit("most: 300", "most: 4")
    example.says("reconcile", code=3)  # it is recorded, and refused
    assert set(example.json("gate", code=3)["deployments"][0]["gates"][0]["verdict"].split()) == {"fail"}


def test_a_script_puts_each_release_into_a_folder_and_a_broken_one_makes_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    example = Example("deploy", tmp_path)
    served = tmp_path / "served/prices-api/production"
    assert (served / "current").readlink() == Path("v1")
    assert json.loads((served / "current/release.json").read_text())["version"] == 1
    assert "/current is v1, try 1" in example.says("log", "prices-api")
    example.edit('echo "$to', 'exit 1; echo "$to', "deploy.sh")
    assert "v2 failed, the model of v1 is back" in example.says("reconcile", code=3)
    assert (served / "current").readlink() == Path("v3")
    text = (example.repo.path / "runner.yaml").read_text().partition("---")[0]
    example.repo.commit({"runner.yaml": text})
    example.repo.push()
    example.says("reconcile")
    assert not (served / "current").exists()
