"""`python`: a function gets what it asks for by name, what it returns is written, and what goes wrong is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = """\
import json, random
from src.helpers import scaled

def build(data, *, window, outs, metrics, plots, seed):
    with open(outs[0], "w") as file:
        json.dump([data, open(data).read(), window, outs, metrics, plots, seed, random.random(), scaled(window)], file)
    for path in metrics + plots:
        open(path, "w").write("{}")

def alone(out, metric, plot=None):
    for path in (out, metric):
        open(path, "w").write("{}")

def table(rows: int):
    import pandas
    return pandas.DataFrame({"a": range(rows)})

def numbers(value: float):
    import numpy
    return {"b": {"x": numpy.float32(0.5)}, "a": [value, None, True]}

def forgets(outs):
    return {"x": 1}

def fails(out):
    scaled(None)

def leaves():
    raise SystemExit(3)

async def later(): ...
"""
HELPERS = "def scaled(number):\n    return number * 2\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with modules, one of which is called like a library."""
    path = tmp_path_factory.mktemp("work")
    files = {"src/features.py": MODULE, "src/helpers.py": HELPERS, "raw.txt": "raw", "json.py": "raise ValueError\n"}
    files |= {"numpy.py": "", "shadowed.py": "import numpy\ndef f(): ...\n", "broken.py": "import nowhere_at_all\n"}
    for name, text in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text)
    return path


def called(folder: Path, call: str, *words: str, code: int = 0, seed: str = "0") -> str:
    """What a call says on stderr."""
    command = [sys.executable, "-P", "-m", "runner.stages.python", f"--call={call}", *words]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "RUNNER_SEED": seed}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == code, done.stderr
    return done.stderr


def test_a_function_is_given_what_it_has_parameters_for(folder: Path) -> None:
    words = ('--inputs={"data": "raw.txt"}', '--args={"window": 7}', "--out=new/a.json", "--out=b.json")
    (folder / "b.json").write_text("")
    words = (*words, "--metrics=m.json", "--plots=p.json")
    called(folder, "src.features:build", *words, seed="5")
    told = json.loads((folder / "new/a.json").read_text())
    assert told[:7] == ["raw.txt", "raw", 7, ["new/a.json", "b.json"], ["m.json"], ["p.json"], 5]
    assert told[8] == 14
    called(folder, "src.features:build", *words, seed="5")
    assert json.loads((folder / "new/a.json").read_text()) == told, "the seed is set for what is random"
    called(folder, "src.features:alone", "--out=o.json", "--metrics=n.json")
    assert (folder / "o.json").read_text() == (folder / "n.json").read_text() == "{}"


def test_what_it_returns_is_written_where_it_has_a_place(folder: Path) -> None:
    called(folder, "src.features:table", '--args={"rows": 2}', "--out=t.csv")
    assert (folder / "t.csv").read_text() == "a\n0\n1\n"
    called(folder, "src.features:numbers", '--args={"value": 1.5}', "--metrics=r.json")
    assert json.loads((folder / "r.json").read_text()) == {"a": [1.5, None, True], "b": {"x": 0.5}}
    told = called(folder, "src.features:numbers", '--args={"value": NaN}', "--metrics=nan.json", code=1)
    assert "nan.json: `a.0` is nan, which is no number" in told
    assert not (folder / "nan.json").exists()


@pytest.mark.parametrize(
    ("call", "words", "said"),
    [
        ("src.features:bild", (), "src.features holds no `bild`\n  did you mean `src.features:build`?"),
        ("src.featurs:build", (), "the module src.featurs cannot be imported: ModuleNotFoundError: No module named"),
        ("broken:f", (), "No module named 'nowhere_at_all'"),
        ("shadowed:f", (), "numpy.py has the name of an installed module, `numpy`, which is imported in its place"),
        ("json:loads", (), "cannot be called so: missing a required argument: 's'"),
        ("src.features:later", (), "is no function that can be called"),
        ("src.features:table", (), "cannot be called so: missing a required argument: 'rows'\n  it takes (rows: int)"),
        ("src.features:forgets", (), "ended, and o.json is not there\n  it is given as `outs`, and as `out`, where"),
        ("src.features:leaves", (), "`src.features:leaves` failed: SystemExit: 3"),
        ("src.features:build", ('--inputs={"data": "gone.txt"}',), "gone.txt: there is no such file"),
        ("src.features:table", ('--inputs={"rows": "raw.txt"}', '--args={"rows": 1}'), "stands in both"),
        ("src.features", (), "`call` cannot be `src.features`"),
    ],
)
def test_what_goes_wrong_is_told_in_a_sentence(call: str, words: tuple[str, ...], said: str, folder: Path) -> None:
    (folder / "o.json").unlink(missing_ok=True)
    told = called(folder, call, *words, "--out=o.json", code=1)
    assert said in told
    assert "runner/stages" not in told, "only frames of the repository are shown"


def test_a_failure_shows_the_lines_of_the_repository_and_then_says_what_failed(folder: Path) -> None:
    told = called(folder, "src.features:fails", "--out=o.json", code=1)
    assert told.startswith('Traceback (most recent call last):\n  File "src/features.py", line ')
    assert '  File "src/helpers.py", line 2, in scaled\n    return number * 2\n' in told
    assert told.splitlines()[-2].startswith("python: `src.features:fails` failed: TypeError: unsupported operand")
    assert told.count("File ") == 2
