"""Results go to stdout and everything else to stderr; JSON is all there is on stdout; nobody has to read to the end."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cli.command import call, spawn
from tests.cli.worlds import Team, copy_of

JSON = (
    (0, "validate"),
    (0, "validate", "HEAD"),
    (0, "schema", "pipeline"),
    (2, "plan"),
    (2, "plan", "--all", "HEAD~2"),
    (2, "plan", "--format", "markdown"),
    (2, "plan", "--format", "github"),
    (3, "status"),
    (0, "explain", "report"),
    (0, "explain", "prepare"),
    (0, "runs", "list"),
    (0, "runs", "list", "--failed", "--limit", "1", "--stage", "report"),
    (0, "runs", "show", "5"),
    (0, "runs", "show", "6"),
    (0, "runs", "compare"),
    (0, "runs", "compare", "1", "2"),
    (0, "runs", "compare", "--stage", "evaluate"),
    (0, "log", "report"),
    (0, "log", "5"),
    (1, "plan", "no-such-revision"),
    (1, "init"),
    (1, "no-such-command"),
)


@pytest.mark.parametrize("case", JSON, ids=lambda case: " ".join(map(str, case)))
def test_json_is_one_document_and_says_which_schema_it_has(case: tuple[int, *tuple[str, ...]], team: Team) -> None:
    code, *words = case
    answer = call(team.path, *words, "--json")
    assert answer.code == code, answer.err
    value = answer.json
    if code == 1:
        assert set(value) == {"error"}
        assert set(value["error"]) == {"message", "hint", "exitCode"}
        assert answer.err.startswith("error: ")
    elif words[0] != "schema":
        assert value["schema"] == 1
        assert "error" not in answer.err


def test_a_reconcile_tells_the_same_as_json(team: Team, tmp_path: Path) -> None:
    team = copy_of(team, tmp_path)
    team.repo.commit({"flag": "still bad\n"})
    team.repo.push()
    answer = call(team.path, "reconcile", "--json")
    assert answer.code == answer.json["exitCode"] == 3
    assert [(run["stage"], run["outcome"]) for run in answer.json["runs"]] == [("report", "failed")]
    assert answer.json["commit"] == team.repo.git("rev-parse", "origin/runner/state")
    assert "▶ report" in answer.err


def test_a_daemon_writes_a_line_of_json_for_each_round_that_did_something(team: Team, tmp_path: Path) -> None:
    team = copy_of(team, tmp_path)
    assert call(team.path, "daemon", "--once", "--json").out == ""
    team.repo.commit({"flag": "good\n", "data/raw.csv": "c,3\n"})
    team.repo.push()
    lines = call(team.path, "daemon", "--once", "--json").out.splitlines()
    assert [json.loads(line)["exitCode"] for line in lines] == [0]


def test_who_reads_one_line_only_does_not_hurt(team: Team) -> None:
    answer = spawn(team.path, shell='runner plan --all | head -1; echo "${PIPESTATUS[0]}"')
    first, code = answer.out.splitlines()
    assert first.startswith("desired")
    assert (code, answer.err) == ("2", "")


def test_a_reconcile_goes_on_when_nobody_listens(team: Team, tmp_path: Path) -> None:
    team = copy_of(team, tmp_path)
    commit = team.repo.commit({"flag": "good \n"})
    team.repo.push()
    shell = "runner reconcile 2>&1 >/dev/null | true; runner reconcile >&- 2>&-; echo $?"
    assert spawn(team.path, shell=shell).out == "3\n"
    assert team.repo.git("rev-parse", "origin/runner/state^2") == commit


def test_an_output_that_cannot_be_written_is_an_error(team: Team) -> None:
    answer = spawn(team.path, shell="runner status > /dev/full")
    assert (answer.code, answer.err) == (4, "error: the output cannot be written: No space left on device\n")


def test_a_terminal_without_unicode_gets_ascii(team: Team) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    text = spawn(team.path, "plan", env=ascii_only)
    assert text.out.isascii()
    assert "x failed  report" in text.out
    names = ("desired", "state", "recordedDigest", "stages")
    told = [spawn(team.path, "plan", "--json", env=env).json for env in (ascii_only, {})]
    assert [told[0][name] for name in names] == [told[1][name] for name in names]


def test_names_that_are_no_text_are_shown_escaped(team: Team, tmp_path: Path) -> None:
    team = copy_of(team, tmp_path)
    raw = os.fsencode(team.path) + b"/not-\xff"
    Path(os.fsdecode(raw)).mkdir()
    (Path(os.fsdecode(raw)) / "dvc.yaml").write_text("stages: {x: {cmd: echo}}\n")
    spec = team.path / "runner.yaml"
    spec.write_text("apiVersion: runner/v1\nkind: Project\nspec: {specs: ['**/dvc.yaml']}\n---\n" + spec.read_text())
    team.repo.commit()
    assert call(team.path, "plan").code in (1, 2)
    assert call(team.path, "plan", "--json").json


@pytest.mark.parametrize(
    ("env", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
def test_colours_are_for_terminals_that_want_them(env: dict[str, str], coloured: bool, team: Team) -> None:
    shown = in_terminal(team.path, ["status"], columns=200, env={"NO_COLOR": "", "TERM": "xterm"} | env)
    assert ("\x1b[" in shown) == coloured
    assert "\x1b[" not in spawn(team.path, "status", env={"NO_COLOR": ""}).out


def test_colours_can_be_forced_and_forbidden(team: Team) -> None:
    assert "\x1b[" in spawn(team.path, "status", "--color", "always").out
    assert "\x1b[" not in in_terminal(team.path, ["--color", "never", "status"], columns=80, env={"NO_COLOR": ""})


def test_colours_can_be_forced_where_dvc_is_loaded(team: Team, tmp_path: Path) -> None:
    team = copy_of(team, tmp_path)
    answer = spawn(team.path, "reconcile", "--color", "always")
    assert "\x1b[31mfailed" in answer.out
    assert "\x1b[33mNothing new to record" in answer.err


@pytest.mark.parametrize("columns", [40, 60, 100])
@pytest.mark.parametrize("words", [["status"], ["runs", "list"], ["plan", "--all"]], ids=" ".join)
def test_tables_fit_the_terminal(words: list[str], columns: int, team: Team) -> None:
    shown = in_terminal(team.path, words, columns=columns, env={})
    tables = [line for line in shown.splitlines() if not line.startswith(("`", "proposal"))]
    assert max(map(len, tables)) <= columns


def test_nothing_is_cut_where_there_is_room(team: Team) -> None:
    assert "…" not in in_terminal(team.path, ["runs", "list"], columns=300, env={})
    answer = spawn(team.path, "runs", "list", env={"COLUMNS": "40"})
    assert "train.depth  evaluate.threshold" in answer.out


def test_the_log_of_a_stage_cannot_move_the_cursor_of_a_terminal(team: Team, tmp_path: Path) -> None:
    team = copy_of(team, tmp_path)
    team.repo.commit({"flag": "\x1b]0;owned\x07\x1b[2J\x1b[31mbad\x1b[0m\x07\n"})
    team.repo.push()
    call(team.path, "reconcile")
    shown = in_terminal(team.path, ["log", "report"], columns=80, env={})
    assert shown.strip() == "the flag says bad�"
    assert "\x1b[31mbad" in spawn(team.path, "log", "report").out


def in_terminal(folder: Path, words: list[str], *, columns: int, env: dict[str, str]) -> str:
    """What a terminal of so many columns shows, order by order, without carriage returns."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": str(columns), **env}
    chunks: list[bytes] = []

    def drain() -> None:
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            while chunk := os.read(ours, 65536):
                chunks.append(chunk)

    reader = threading.Thread(target=drain)
    reader.start()
    command = [sys.executable, "-m", "runner", *words]
    subprocess.run(command, cwd=folder, env=environ, stdout=theirs, stderr=subprocess.DEVNULL, check=False, timeout=60)
    os.close(theirs)
    reader.join()
    os.close(ours)
    return b"".join(chunks).decode().replace("\r\n", "\n")
