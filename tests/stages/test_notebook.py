"""`notebook`: executed copy and page are the same wherever it runs; what fails is told with its cell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.core.notebooks import read_notebook
from runner.stages.executed import counting, settled
from runner.stages.notebook import main

STAGE = [sys.executable, "-P", "-m", "runner.stages.notebook"]


def _cell(source: str, *tags: str, kind: str = "code") -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {"tags": [*tags]} if tags else {}, "source": source}
    return cell | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def _write(*cells: dict[str, Any], name: str = "n.ipynb", **more: Any) -> bytes:
    kernel = {"kernelspec": {"name": "an-env-of-somebody", "display_name": "x", "language": "python"}}
    document = {"cells": [*cells], "metadata": kernel, "nbformat": 4, "nbformat_minor": 4, **more}
    Path(name).write_text(json.dumps(document), encoding="utf-8")
    return Path(name).read_bytes()


def _run(*words: str, before: tuple[str, ...] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [*before, *STAGE, "--notebook=n.ipynb", *words], env=env, capture_output=True, text=True, timeout=600
    )


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def _apart_from_the_network() -> tuple[str, ...]:
    """A command that takes the network away from another one; nothing where the host has none."""
    words = ("unshare", "--user", "--map-root-user", "--net")
    try:
        return words if subprocess.run([*words, "true"], capture_output=True).returncode == 0 else ()
    except FileNotFoundError:
        return ()


def test_it_runs_to_the_same_bytes_anywhere_and_leaves_the_source_alone(place: Path) -> None:
    source = _write(
        _cell("# Title <script>alert(1)</script>", kind="markdown"),
        _cell("rows = 1\nname = 'a'", "parameters"),
        _cell("import os, sys, warnings\nimport helper\nprint(rows, name, helper.WORD, os.environ['RUNNER_SEED'])"),
        _cell("for _ in range(3): print('piece', flush=True)\nwarnings.warn('careful')\nprint({'a', 'b', 'c', 'd'})"),
        _cell("open('made.txt', 'w').write(str(rows))"),
        _cell(
            "from IPython.display import HTML\nHTML('<b onclick=x>bold</b><script>bad</script><img src=x onerror=y>')"
        ),
        _cell("import pandas\npandas.DataFrame({'word': ['in a table']})"),
        _cell("> a quote, `a < b` and [a link](javascript:bad)", kind="markdown"),
    )
    Path("helper.py").write_text("WORD = 'mine'\n", encoding="utf-8")
    words = ('--parameters={"rows": 5}', "--out=made.txt", "--out=c.ipynb", "--out=c.html")
    found = []
    hostile = "raise SystemExit('the configuration of somebody')"
    (place / "home/.ipython/profile_default").mkdir(parents=True)
    (place / "home/.ipython/profile_default/ipython_config.py").write_text(hostile)
    (place / "home/.jupyter").mkdir()
    (place / "home/.jupyter/jupyter_config.py").write_text(hostile)
    long = place / ("temporary-" * 12)
    long.mkdir()
    other = {"HOME": str(place / "home"), "TMPDIR": str(long)}
    for before, environment in (((), {}), (_apart_from_the_network(), other)):
        done = _run(*words, before=before, RUNNER_SEED="3", PYTHONHASHSEED="0", **environment)
        assert done.returncode == 0, done.stderr
        found.append([Path(name).read_bytes() for name in ("c.ipynb", "c.html", "made.txt")])
    assert found[0] == found[1]
    assert [*long.iterdir()] == []
    assert Path("n.ipynb").read_bytes() == source
    cells = json.loads(found[0][0])["cells"]
    tags = [cell["metadata"].get("tags") for cell in cells]
    assert tags == [None, ["parameters"], ["injected-parameters"], *[None] * 6]
    assert cells[3]["outputs"][0]["text"] == "5 a mine 3\n"
    assert "".join(cells[4]["outputs"][0]["text"]).startswith("piece\npiece\npiece\n")
    assert found[0][2] == b"5"
    page = found[0][1].decode()
    assert "<b>bold</b>" in page
    assert "5 a mine 3" in page
    assert "<td>in a table</td>" in page
    assert "<blockquote>" in page
    assert re.findall(r"<script|<style scoped|<[^<>]* (?:onclick|onerror)=|href=.javascript|src=.http", page) == []


def test_a_cell_that_fails_is_told_by_its_number_and_nothing_is_written() -> None:
    _write(_cell("text", kind="markdown"), _cell("a = 1", "parameters"), _cell("def f(): return 1 / 0"), _cell("f()"))
    done = _run('--parameters={"a": 2}', "--out=c.ipynb")
    assert done.returncode == 1
    assert "n.ipynb: cell 4 failed: ZeroDivisionError: division by zero" in done.stderr
    assert "return 1 / 0" in done.stderr
    assert "\x1b" not in done.stderr
    assert [*Path.cwd().iterdir()] == [Path.cwd() / "n.ipynb"]


def test_what_the_notebook_should_have_written_and_did_not_is_told() -> None:
    _write(_cell("1"))
    done = _run("--out=c.ipynb", "--metrics=m.json")
    assert (done.returncode, "m.json: the notebook did not write it" in done.stderr) == (1, True)
    assert not Path("c.ipynb").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (['--parameters={"row": 1}'], "it has no parameter `row`\n  did you mean `rows`?"),
        (["--kernel=none"], "there is no kernel `none` here"),
    ],
)
def test_what_cannot_be_run_is_told(words: list[str], message: str) -> None:
    _write(_cell("rows = 1", "parameters"))
    done = _run(*words)
    assert (done.returncode, message in done.stderr, "Traceback" in done.stderr) == (1, True, False), done.stderr


@pytest.mark.parametrize("text", ["", "[]", '{"cells": [], "nbformat": 3}', "[" * 100_000])
def test_what_is_no_notebook_is_told(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("n.ipynb").write_text(text)
    assert main(["--notebook=n.ipynb"]) == 1
    assert "n.ipynb: it is no notebook" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(_cell("1"))
    monkeypatch.setitem(sys.modules, "papermill", None)
    assert main(["--notebook=n.ipynb"]) == 1
    assert "pip install gitops-runner[notebook]" in capsys.readouterr().err


def test_what_changes_from_run_to_run_is_in_no_copy() -> None:
    stream = {"output_type": "stream", "name": "stdout"}
    outputs = [stream | {"text": ["a", "b"]}, stream | {"text": "c"}, {**stream, "name": "stderr", "text": "d"}]
    cells = [
        _cell("p", "injected-parameters") | {"id": "5a1f"},
        _cell("1") | {"id": "mine", "metadata": {"papermill": {"start_time": "now"}, "tags": []}, "outputs": outputs},
        _cell("2") | {"id": "cell-2", "metadata": {"execution": {"iopub.status.busy": "now"}}},
    ]
    made = settled({"cells": cells, "metadata": {"papermill": {"x": 1}, "k": 2}, "nbformat_minor": 5})
    assert [cell["id"] for cell in made["cells"]] == ["injected-parameters", "mine", "cell-2"]
    assert [cell["metadata"] for cell in made["cells"]] == [{"tags": ["injected-parameters"]}, {}, {}]
    assert [output["text"] for output in made["cells"][1]["outputs"]] == ["abc", "d"]
    assert made["metadata"] == {"k": 2}


def test_a_notebook_runs_as_what_counts_of_it_and_nothing_else() -> None:
    cells = [_cell("a", "parameters", "skip-execution") | {"id": "x"}, _cell("b", kind="markdown")]
    shown = {"outputs": [{"output_type": "stream", "name": "stdout", "text": "old"}], "execution_count": 7}
    info = {"language_info": {"name": "python", "version": "2"}}
    first = _write(cells[0], cells[1], metadata=info)
    other = _write(cells[0] | shown | {"id": "y"}, cells[1] | {"metadata": {"x": 1}}, metadata=info | {"more": 1})
    assert read_notebook(first).digest == read_notebook(other).digest
    assert counting(json.loads(first)) == counting(json.loads(other))
    bare = json.dumps(counting(json.loads(first)))
    assert "skip" not in bare
    assert read_notebook(_write(_cell("c"), metadata=info)).digest != read_notebook(first).digest
