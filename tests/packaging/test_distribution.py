"""What is declared, pinned and shipped agrees with what is there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from runner.errors import InputError
from runner.resources import schema_file, template_file
from tests.packaging.workflows import ROOT, library
from tests.repositories import new_repository

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (file,) = folder.iterdir()
    return file


def run_from(wheel_folder: Path, *args: str) -> str:
    """Run the package of an unpacked wheel, in a folder from which the checkout cannot be imported."""
    environment = {**os.environ, "PYTHONPATH": f"{wheel_folder}{os.pathsep}{library()}", "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-S", "-m", "runner", *args]  # -S: the editable install is not seen
    return subprocess.run(command, cwd=wheel_folder, env=environment, check=True, capture_output=True, text=True).stdout


def test_every_runtime_dependency_has_its_line_of_reason() -> None:
    declared = [_name(requirement) for requirement in PROJECT["dependencies"]]
    told = re.findall(
        r"^\| ([a-z0-9-]+) \| .{30,} \| .+ \|$", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE
    )
    assert told == declared


def test_every_dependency_is_pinned_and_no_pin_names_an_address() -> None:
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin)] == []
    extras = PROJECT["optional-dependencies"]
    tested = [
        requirement
        for extra in ("dev", "grpc", "notebook", "onnx", "parquet", "serve", "shap")
        for requirement in extras[extra]
    ]
    declared = {_name(requirement) for requirement in PROJECT["dependencies"] + tested}
    assert declared - {_name(pin) for pin in pins} == {_name(PROJECT["name"])}  # what is developed has that extra


def test_the_wheel_holds_every_schema_and_template_and_no_test(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("schemas", "templates"):
        expected = {f"runner/_{folder}/{file.name}" for file in (ROOT / folder).iterdir() if file.is_file()}
        assert expected
        assert expected <= names
    for example, least in ((ROOT / "examples/quickstart", 6), (ROOT / "examples/library", 3)):
        files = [file for file in example.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
        assert len(files) >= least
        assert {f"runner/_examples/{example.name}/{file.relative_to(example)}" for file in files} <= names
    assert not any(name.startswith(("tests/", "examples/", "benchmarks/")) or "__pycache__" in name for name in names)
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_an_installed_wheel_finds_its_schemas_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    assert run_from(tmp_path, "schema", "Pipeline") == schema_file("Pipeline").read_text()
    assert run_from(tmp_path, "--version").startswith("runner ")
    repo = new_repository(tmp_path / "new")
    run_from(tmp_path, "init", "--template", "quickstart", "-C", str(repo.path))
    assert (repo.path / "runner.yaml").read_text() == (ROOT / "examples/quickstart/runner.yaml").read_text()


def test_a_kind_is_found_in_any_case_and_one_that_is_not_there_is_named() -> None:
    assert json.loads(schema_file("pipeline").read_text())["title"] == "Pipeline"
    with pytest.raises(InputError, match=r"'\.\./pipeline' is not a kind") as caught:
        schema_file("../pipeline")
    assert "pipeline" in caught.value.hint
    assert template_file("plan.md.j2").is_file()


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return found[0].lower().replace("_", "-").replace(".", "-")
