"""What a command imports is what it costs to start; these lists may only grow for a reason."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import call
from tests.cli.worlds import Team

HEAVY = {
    *("dvc", "dvc_data", "dvc_objects", "scmrepo", "fsspec", "configobj", "pathspec", "pygit2", "git", "networkx"),
    *("yaml", "ruamel", "tomlkit", "jsonschema", "jinja2", "markupsafe", "pandas", "numpy", "sklearn", "rich"),
    *(
        "dataclasses",
        "inspect",
        "asyncio",
        "http",
        "email",
        "logging",
        "multiprocessing",
        "ssl",
        "unittest",
        "urllib.request",
    ),
}
PLAN_ROOMS = {
    "cli",
    "wiring",
    "report",
    "observe",
    "specs",
    "ledger",
    "git",
    "core",
    "errors",
    "values",
    "patterns",
    "data.gitignore",
}

_PROBE = """
import contextlib, io, json, sys
before = set(sys.modules)
from runner.cli.main import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    try:
        main(sys.argv[1:])
    except SystemExit:
        pass
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def imported(folder: Path, *words: str) -> set[str]:
    """Modules that a command imports, on a Python that has imported nothing."""
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-S", "-c", _PROBE, *words]
    # Without the site module nothing is there from the start; what is installed is then found by its path.
    environ["PYTHONPATH"] += os.pathsep + os.pathsep.join(path for path in sys.path if "site-packages" in path)
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], ["plan", "--help"], ["runs", "compare", "--help"]], ids=str
)
def test_help_imports_the_parser_and_nothing_else_of_ours(words: list[str], tmp_path: Path) -> None:
    found = imported(tmp_path, *words)
    # The many arguments of `runs`, of `serve` and of what releases stand by themselves.
    own = set() if words[0] == "plan" else {"runner.cli.runs_options"}
    own |= {"runner.cli.serve_options", "runner.cli.release_options"} if words[0].startswith("--") else set()
    assert {name for name in found if name.split(".")[0] == "runner"} == own | {
        "runner",
        "runner.cli",
        "runner.cli.main",
        "runner.cli.options",
        "runner.cli.parser",
    }
    assert not {"dataclasses", "inspect", "json", "subprocess", "pathlib", "difflib"} & found
    assert not HEAVY & found


WARM = (
    ["plan"],
    ["plan", "--json"],
    ["status"],
    ["explain", "evaluate"],
    ["runs", "list"],
    ["runs", "compare"],
    ["log", "report"],
)


@pytest.mark.parametrize("words", WARM, ids=" ".join)
def test_a_command_that_reads_imports_nothing_heavy_once_it_is_warm(words: list[str], team: Team) -> None:
    call(team.path, *words)
    assert not HEAVY & imported(team.path, *words)


def test_a_warm_plan_enters_only_the_rooms_that_read(team: Team) -> None:
    call(team.path, "plan")
    names = {name.removeprefix("runner.") for name in imported(team.path, "plan") if name.startswith("runner.")}
    assert {name for name in names if not any(name == room or name.startswith(room + ".") for room in PLAN_ROOMS)} <= {
        "data",
        "resources",
        "process",
        "process.host",
    }


def test_a_plan_that_was_made_before_imports_nothing_that_reads_specs_or_plans(team: Team) -> None:
    call(team.path, "plan")
    found = imported(team.path, "plan")
    planning = {"core.plan", "core.runkey", "core.records", "ledger.state", "observe.observation", "specs.desired"}
    assert not {f"runner.{name}" for name in planning} & found
    assert not {"sqlite3", "tempfile", "random", "difflib", "uuid", "ast", "datetime", "configparser"} & found
    assert {"shutil", "bz2", "lzma"} & found == set()


def test_a_plan_that_is_made_anew_imports_nothing_that_parses_specs_or_opens_a_database(team: Team) -> None:
    call(team.path, "plan")
    shutil.rmtree(Path(os.environ["RUNNER_HOME"]) / "parsed" / "outline")
    found = imported(team.path, "plan")
    assert "runner.core.plan" in found
    assert {"sqlite3", "datetime", "runner.specs.schemas"} & found == set()
