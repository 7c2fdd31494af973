"""`runner init` where there is nothing to adopt: templates, and questions to a person."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from runner.specs.first_pipeline import Answers, as_name, first_specs
from tests.cli.command import call, spawn
from tests.reconcile.worlds import until
from tests.repositories import GitRepo

ROOT = Path(__file__).parents[2]
ANSWERED = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: "churn"}
spec:
  stages:
    "train":
      cmd: python src/train.py --deep
      deps: ["src/train.py"]
      outs: ["models/a.bin", "my file"]
"""


def conversation(folder: Path, *answers: str, interrupted_at: bytes = b"") -> tuple[int, str, str]:
    """`runner init` on a terminal: exit code, stdout, and what the terminal showed.

    `interrupted_at` is a question at which the person presses Ctrl-C.
    """
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if name != "CI"}
    environ |= {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "200"}
    shown: list[bytes] = []

    def drain() -> None:
        try:
            while chunk := os.read(ours, 65536):
                shown.append(chunk)
        except OSError:
            return  # how Linux says that the other end is closed

    reader = threading.Thread(target=drain)
    reader.start()
    # A test that runs in the background of a shell ignores SIGINT, and so would all that it starts.
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{listening}; from runner.cli.main import main; raise SystemExit(main(['init']))"]
    process = subprocess.Popen(
        command, cwd=folder, env=environ, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, text=True
    )
    os.close(theirs)
    try:
        os.write(ours, "".join(answers).encode())
        if interrupted_at:
            until(lambda: interrupted_at in b"".join(shown))
            process.send_signal(signal.SIGINT)  # what the terminal does
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
        reader.join()
        os.close(ours)
    return process.returncode, out, b"".join(shown).decode().replace("\r\n", "\n")


def test_three_answers_make_a_pipeline_that_is_valid(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"src/train.py": "print(1)\n"}, name="churn")
    code, out, shown = conversation(repo.path, "python src/train.py --deep\n", "\n", "models/a.bin 'my file'\n")
    assert code == 0, shown
    assert "Command of its first stage" in shown
    assert "Name of the pipeline [churn]: " in shown
    assert (repo.path / "runner.yaml").read_text() == ANSWERED
    assert "git add runner.yaml" in out
    assert call(repo.path, "validate").out == "Valid: churn (1 stage).\n"


def test_enter_alone_starts_from_the_quickstart(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo()
    code, _, shown = conversation(repo.path, "\n", "other\n", "\n")
    assert code == 0, shown
    assert "There is no template other" in shown
    assert (repo.path / "src/train.py").is_file()


def test_control_c_leaves_everything_as_it_is(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo()
    code, _, shown = conversation(repo.path, "python train.py\n", interrupted_at=b"Name of the pipeline")
    assert code == 130, shown
    assert sorted(path.name for path in repo.path.iterdir()) == [".git"]


def test_control_d_leaves_everything_as_it_is(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo()
    code, _, shown = conversation(repo.path, "\x04")
    assert (code, "Nothing was written." in shown) == (130, True), shown
    assert sorted(path.name for path in repo.path.iterdir()) == [".git"]


def test_commas_between_the_files_that_a_command_writes_are_no_part_of_their_names(
    git_repo: Callable[..., GitRepo],
) -> None:
    repo = git_repo()
    code, _, shown = conversation(repo.path, "python train.py\n", "\n", "model.pkl, metrics.json,'a, b' c,\n")
    assert code == 0, shown
    assert 'outs: ["model.pkl", "metrics.json", "a, b", "c"]' in (repo.path / "runner.yaml").read_text()


def test_the_commands_that_come_next_are_those_of_the_folder_one_is_in(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"deep/er/file": "1"})
    answer = call(repo.path / "deep/er", "init", "--template", "quickstart")
    (line,) = [line.strip() for line in answer.out.splitlines() if "git add" in line]
    assert line == "git add ../../.gitignore ../../params.yaml ../../runner.yaml ../../src"
    assert "Beside it: ../../.gitignore, " in answer.out
    done = spawn(repo.path / "deep/er", shell=line)
    assert done.code == 0, done.err
    assert "A  runner.yaml" in repo.git("status", "--porcelain")


@pytest.mark.parametrize("words", [[], ["--yes"], ["--template", "empty"]], ids=" ".join)
def test_nobody_is_asked_without_a_terminal(words: list[str], git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo()
    answer = call(repo.path, "init", *words, "--json")
    assert answer.code == 0
    assert (answer.json["template"], answer.json["files"]) == ("empty", ["runner.yaml"])
    assert answer.err == ""
    assert (repo.path / "runner.yaml").read_text().startswith("# A pipeline: stages in DVC's grammar")


def test_a_template_is_not_for_what_is_adopted(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"dvc.yaml": "stages: {x: {cmd: echo}}\n"})
    answer = call(repo.path, "init", "--template", "quickstart")
    assert (answer.code, "leave --template out" in answer.err) == (1, True)
    assert call(repo.path, "init", "--json").json["template"] is None


def test_files_that_are_there_are_not_replaced_unasked(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    repo = git_repo({"params.yaml": "mine: 1\n", ".gitignore": "*.log"})
    answer = call(repo.path, "init", "--template", "quickstart")
    assert (answer.code, "params.yaml exists" in answer.err, "--force" in answer.err) == (1, True, True)
    assert not (repo.path / "runner.yaml").exists()
    assert call(repo.path, "init", "--template", "quickstart", "--force").code == 0
    assert (repo.path / ".gitignore").read_text() == "*.log\n__pycache__/\n"
    (tmp_path / "elsewhere").mkdir()
    other = git_repo(name="other")
    (other.path / "src").symlink_to(tmp_path / "elsewhere")
    refused = call(other.path, "init", "--template", "quickstart")
    assert (refused.code, "goes through a link that leaves the repository" in refused.err) == (1, True)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    (other.path / "src").unlink()
    (other.path / "src").write_text("a file")
    blocked = call(other.path, "init", "--template", "quickstart", "--force")
    assert (blocked.code, "is in the way" in blocked.err) == (1, True)


def test_the_template_of_ten_lines_is_valid_as_it_is(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"README.md": "Mine\n"})
    answer = call(repo.path, "init", "--template", "library", "--json")
    assert answer.json["files"] == [".gitignore", "data/iris.csv", "runner.yaml"]
    assert len(answer.json["text"].splitlines()) <= 10
    assert call(repo.path, "validate").out == "Valid: iris (3 stages).\n"


@pytest.mark.slow
def test_the_quickstart_is_planned_and_reconciled_by_the_commands_that_init_says(
    git_repo: Callable[..., GitRepo], bare_remote: Callable[..., Path]
) -> None:
    repo = git_repo({"README.md": "Mine\n"})
    bare_remote(repo)
    answer = call(repo.path, "init", "--template", "quickstart")
    commands = [line.strip() for line in answer.out.partition("Next:\n\n")[2].splitlines()]
    assert commands[0] == "runner validate"
    assert commands[-2:] == ["runner plan", "runner reconcile"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command, code in [(command, 2 if command == "runner plan" else 0) for command in commands]:
        done = spawn(repo.path, shell=command, env={"PATH": path})
        assert done.code == code, f"{command}: {done.err}"
    assert repo.git("status", "--porcelain") == ""
    assert call(repo.path, "plan").code == 0
    assert "roc_auc" in repo.git("show", "origin/runner/state:metrics.json")


@pytest.mark.parametrize(
    ("command", "outs"),
    [
        ("true", ()),
        ("- x: y # z", ("a b", "null")),
        ('echo "two\\n" && exit 1', ("é",)),
        ("python ./src/a.py 'open", ("src/a.py",)),
        ("${nothing} | cat", ("[x]",)),
    ],
)
def test_whatever_is_answered_is_what_the_specs_say(command: str, outs: tuple[str, ...]) -> None:
    text = first_specs(Answers(command, "  ?? Zürich / 1 ", outs), {"src/a.py", "README.md"})
    value = yaml.safe_load(text)
    (stage,) = value["spec"]["stages"].values()
    assert stage["cmd"] == command
    assert stage.get("outs", []) == [out for out in outs if out not in stage.get("deps", [])]
    assert value["metadata"]["name"] == "Z-rich-1"


def test_names_are_made_of_what_a_name_may_hold() -> None:
    assert [as_name(text, "main") for text in ("a b", "-x-", "训练", "x" * 100)] == ["a-b", "x", "main", "x" * 40]
