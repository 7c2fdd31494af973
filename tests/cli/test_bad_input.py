"""Bad input of every kind: told with its place and a way out, nothing run, nothing changed, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.command import Answer, call, spawn
from tests.cli.worlds import Team
from tests.repositories import Content, GitRepo, git, new_bare_remote

HEAD = "apiVersion: runner/v1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n  stages:\n"
STAGE = f"{HEAD}    a: {{cmd: cp in a.txt, deps: [in], outs: [a.txt]}}\n"
GOOD: dict[str, Content] = {"runner.yaml": STAGE, "in": "1\n"}
UNREACHABLE = "http://127.0.0.1:9/repository.git"

SPECS: dict[str, tuple[Mapping[str, Content], list[str]]] = {
    "broken YAML": (
        {"runner.yaml": STAGE + "   b: {cmd: x}\n"},
        ["runner.yaml:7:4: not YAML", "align the key with its neighbours"],
    ),
    "a tab": ({"runner.yaml": HEAD + "\ta: {cmd: x}\n"}, ["runner.yaml:6:1: not YAML", "indent with spaces"]),
    "an unknown key": (
        {"runner.yaml": HEAD + "    a: {cmd: x, dep: [in]}\n", "in": "1"},
        ["runner.yaml:6:17: unknown key `dep`", "did you mean `deps`?"],
    ),
    "a duplicate key": (
        {"runner.yaml": HEAD + "    a: {cmd: x}\n    a: {cmd: y}\n"},
        ["runner.yaml:7:5: the key `a` stands here twice", "remove or rename one of them"],
    ),
    "a cycle": (
        {"runner.yaml": HEAD + "    a: {cmd: x, deps: [y], outs: [z]}\n    b: {cmd: x, deps: [z], outs: [y]}\n"},
        ["runner.yaml:6:5: ", "p:a → p:b → p:a", "remove one of these dependencies"],
    ),
    "two owners of one output": (
        {"runner.yaml": HEAD + "    a: {cmd: x, outs: [o]}\n    b: {cmd: y, outs: [o]}\n"},
        ["runner.yaml:7:24: the output `o` is also made by p:a", "outputs of its own"],
    ),
    "a missing dependency": (
        {"runner.yaml": STAGE},
        ["runner.yaml:6:34: `in` is neither in git", "commit it, run `dvc add`"],
    ),
    "a path outside the repository": (
        {"runner.yaml": HEAD + "    a: {cmd: x, outs: [../o]}\n"},
        ["runner.yaml:6:24: the output `../o` leaves the repository", "use a path inside it"],
    ),
    "a bad name": (
        {"runner.yaml": HEAD + "    a/b: {cmd: x}\n"},
        ["runner.yaml:6:5: `a/b` is not a name", "letters, digits"],
    ),
    "an unknown variable": (
        {"runner.yaml": HEAD + "    a: {cmd: 'echo ${nothing}'}\n"},
        ["runner.yaml:6:9: unknown variable ${nothing}", "params.yaml"],
    ),
    "an alias bomb": (
        {
            "runner.yaml": HEAD
            + "    a: {cmd: x}\nx: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(f"x{n}: &a{n} [{', '.join(['*a' + (str(n - 1) if n else '')] * 10)}]\n" for n in range(9))
        },
        ["runner.yaml:11:45: more than 100000 values", "use fewer aliases"],
    ),
    "not text": (
        {"runner.yaml": b"\xff\xfe\x00a"},
        ["runner.yaml:1:1: the text is not UTF-8", "save the file as UTF-8"],
    ),
    "more than this host has": (
        {"runner.yaml": HEAD + "    a: {cmd: x, resources: {cpu: 5000}}\n"},
        ["runner.yaml:6:5: stage a asks for 5000 cores", "lower `resources`"],
    ),
    "a frozen stage that never ran": (
        {"runner.yaml": HEAD + "    a: {cmd: x, frozen: true, outs: [o]}\n"},
        ["runner.yaml:6:5: stage a: is frozen and has never run", "take `frozen` away"],
    ),
}
_OF_THE_HOST = {"more than this host has"}
"""What another host may have: `validate` says it, and has nothing against it."""


@contextmanager
def nothing_happens(*repositories: Path) -> Iterator[None]:
    """Fail where a ref of these repositories changes, or anything ran."""
    logs = Path(os.environ["RUNNER_HOME"]).parent
    before = [git(path, "for-each-ref") for path in repositories], sorted(logs.glob("runner/r/*/logs/*"))
    yield
    assert ([git(path, "for-each-ref") for path in repositories], sorted(logs.glob("runner/r/*/logs/*"))) == before


def refused(answer: Answer, code: int, *said: str) -> None:
    """Fail unless a command ended so, said all of this on stderr and nothing that only programmers read."""
    assert answer.code == code, answer.err
    for text in said:
        assert text in answer.err, answer.err
    assert "Traceback" not in answer.err
    assert "defect" not in answer.err


@pytest.mark.parametrize("name", SPECS)
def test_bad_specs_are_refused_by_every_command_with_the_place(name: str, git_repo: Callable[..., GitRepo]) -> None:
    files, said = SPECS[name]
    repo = git_repo(files)
    with nothing_happens(repo.path):
        if name in _OF_THE_HOST:
            validated = call(repo.path, "validate")
            assert validated.code == 0
            assert f"notice: {said[0]}" in validated.err
        else:
            refused(call(repo.path, "validate"), 1, *said, "nothing was run")
            refused(call(repo.path, "validate", "HEAD"), 1, *said)
        refused(call(repo.path, "reconcile"), 1, *said)
        plan = call(repo.path, "plan", "--json")
        refused(plan, 1, *said)
        annotated = call(repo.path, "plan", "--format", "github")
    assert plan.json["error"]["exitCode"] == 1
    first = plan.json["findings"][0]
    assert plan.json["error"]["message"].endswith("in the specs")
    assert first["line"] >= 1
    assert annotated.code == 1
    rows = annotated.out.splitlines()
    assert len(rows) == len(plan.json["findings"])
    assert rows[0].startswith(f"::error file={first['file']},line={first['line']},col={first['column']}::")


def test_findings_are_annotations_with_their_line_breaks_and_colons_escaped(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({"a,b:c/dvc.yaml": "stages:\n  a: {cmd: x, dep: [y]}\n", ".dvc/config": ""})
    answer = call(repo.path, "validate", "--format", "github")
    assert answer.code == 1
    assert answer.out.startswith("::error file=a%2Cb%3Ac/dvc.yaml,line=2,col=15::unknown key `dep`")


READING = (["plan"], ["status"], ["runs", "list"], ["explain", "a"], ["log", "a"], ["pull"], ["runs", "compare"])


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_repository_without_a_commit_says_what_to_do_first(
    words: list[str], git_repo: Callable[..., GitRepo]
) -> None:
    refused(call(git_repo().path, *words), 1, "the repository has no commit yet", "commit the specs first")


def test_a_reconcile_without_a_commit_says_what_to_do_first(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    repo = git_repo()
    refused(call(repo.path, "reconcile"), 1, "has no branch yet", "commit something and push it")
    repo.git("remote", "add", "origin", str(new_bare_remote(tmp_path / "empty.git")))
    refused(call(repo.path, "reconcile"), 1, "empty.git has no branch yet", "commit something and push it")


def test_an_unborn_branch_is_named(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo(GOOD)
    repo.git("checkout", "--quiet", "--orphan", "other")
    refused(call(repo.path, "plan"), 1, "branch other has no commit yet")


@pytest.mark.parametrize("words", [["plan"], ["reconcile"], ["init"], ["validate"], ["daemon", "--once"]], ids=" ".join)
def test_a_folder_without_a_repository_is_named(words: list[str], tmp_path: Path) -> None:
    refused(call(tmp_path, *words), 1, f"{tmp_path} is not in a git repository", "git init")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused(call(tmp_path, "plan", "-C", "/nowhere"), 1, "/nowhere: no such folder")


def test_an_unpushed_commit_is_to_be_pushed_first(team: Team, tmp_path: Path) -> None:
    clone = _clone(team, tmp_path)
    commit = clone.commit({"flag": "unpushed\n"})
    with nothing_happens(team.remote):
        refused(call(clone.path, "reconcile", "HEAD"), 1, commit, "push it first")
        refused(call(clone.path, "reconcile", commit), 1, commit, "push it first")
        left_out = call(clone.path, "reconcile")
    assert left_out.code == 3  # what stands failed on the watched branch
    assert f"HEAD ({commit[:12]}) is not part of {team.broken[:12]} and was left out; push it first." in left_out.err


def test_a_dirty_working_tree_is_not_read_and_that_is_said(team: Team, tmp_path: Path) -> None:
    clone = _clone(team, tmp_path)
    before = call(clone.path, "plan", "--json").json["stages"]
    clone.write({"runner.yaml": "{", "flag": "dirty\n"})
    answer = call(clone.path, "plan", "--json")
    assert answer.json["stages"] == before
    assert "changes that are not committed; they are not in this plan" in answer.err
    with nothing_happens(team.remote):
        assert "changes that are not committed; they were left out" in call(clone.path, "reconcile").err
    assert "not committed" not in call(clone.path, "plan", "HEAD").err


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("/nowhere/gone.git", "there is no such repository"),
        (UNREACHABLE, "the host cannot be reached"),
        ("ssh://127.0.0.1:9/repository.git", "the host cannot be reached"),
    ],
)
def test_a_remote_that_cannot_be_reached_is_named_and_may_be_tried_again(
    url: str, says: str, git_repo: Callable[..., GitRepo]
) -> None:
    repo = git_repo(GOOD)
    repo.git("remote", "add", "origin", url)
    with nothing_happens(repo.path):
        for words in (["reconcile"], ["plan", "--fetch"], ["daemon", "--once"]):
            answer = call(repo.path, *words)
            refused(answer, 4, url, says, "check the")
        assert call(repo.path, "plan").code == 2  # needs no network


def test_a_transport_that_runs_commands_is_not_used(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    repo = git_repo(GOOD)
    repo.git("remote", "add", "origin", f"ext::sh -c touch% {tmp_path}/pwned")
    refused(call(repo.path, "reconcile"), 1, "this transport is not allowed", "allowed are")
    assert not (tmp_path / "pwned").exists()


def test_a_repository_without_dvc_gets_it_on_the_state_branch_alone(
    git_repo: Callable[..., GitRepo], bare_remote: Callable[..., Path]
) -> None:
    repo = git_repo(GOOD)
    remote = bare_remote(repo)
    before = _files(repo.path)
    assert call(repo.path, "reconcile").code == 0
    assert _files(repo.path) == before
    assert repo.git("status", "--porcelain") == ""
    assert ".dvc/config" in git(remote, "ls-tree", "-r", "--name-only", "runner/state").splitlines()


def test_a_lock_file_of_dvc_1_vouches_for_nothing_and_is_written_anew(git_repo: Callable[..., GitRepo]) -> None:
    one = "c4ca4238a0b923820dcc509a6f75849b"
    lock = f"a:\n  cmd: cp in o\n  deps:\n  - {{path: in, md5: {one}}}\n  outs:\n  - {{path: o, md5: {one}}}\n"
    spec = "stages:\n  a: {cmd: cp in o, deps: [in], outs: [o]}\n"
    repo = git_repo({"dvc.yaml": spec, "in": "1", "dvc.lock": lock, ".dvc/config": "", ".gitignore": "/o\n"})
    answer = call(repo.path, "plan", "--json")
    assert answer.code == 2  # its digests are of another kind than those of today: they cannot be compared
    reasons = ["dvc.lock has the layout of a DVC before 2.0, which DVC 3 refuses"]
    assert answer.json["stages"][0]["reasons"] == reasons
    repo.commit({"dvc.lock": f"schema: '2.0'\nstages:\n  {lock.rstrip().replace(chr(10), chr(10) + '  ')}\n"})
    reasons = ["dvc.lock is of a DVC before 3.0, whose digests are of another kind"]
    assert call(repo.path, "plan", "--json").json["stages"][0]["reasons"] == reasons
    repo.commit({"dvc.lock": lock})
    assert call(repo.path, "reconcile").code == 0
    assert repo.git("show", "runner/state:dvc.lock").startswith("schema: '2.0'")
    assert repo.git("show", "HEAD:dvc.lock") == lock.rstrip()


def test_a_shallow_clone_plans_and_says_what_it_lacks(team: Team, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{team.remote}", str(shallow))
    assert "nothing known here; `runner plan --fetch` asks the remote" in call(shallow, "plan").out
    refused(call(shallow, "plan", "HEAD~1"), 1, "unknown revision 'HEAD~1'", "git fetch --unshallow")
    fetched = call(shallow, "plan", "--fetch", "--json")
    assert [row["action"] for row in fetched.json["stages"]] == ["keep"] * 4 + ["failed"]
    git(shallow, "remote", "remove", "origin")
    refused(call(shallow, "reconcile"), 1, "this clone is shallow and has no remote", "whole history")


def test_a_detached_head_is_planned_and_explained(team: Team, tmp_path: Path) -> None:
    clone = _clone(team, tmp_path)
    clone.git("checkout", "--quiet", "--detach", team.first)
    assert call(clone.path, "plan", "--json").json["desired"] == team.first
    left_out = call(clone.path, "reconcile", "--json")
    assert left_out.json["desired"] == team.broken
    assert "left out" not in left_out.err  # it is part of what was reconciled


UNKNOWN: dict[str, tuple[list[str], list[str]]] = {
    "a command": (["plann"], ["there is no command 'plann'", "did you mean plan?"]),
    "no such option": (["plan", "--jsn"], ["unrecognized arguments: --jsn", "`runner plan --help` shows"]),
    "an action": (["runs", "lst"], ["`runner runs` has no action 'lst'", "did you mean list?"]),
    "a missing argument": (["explain"], ["required: STAGE", "`runner explain --help`"]),
    "a number": (["runs", "list", "--limit", "0"], ["0 is not a number from 1 on"]),
    "a time": (["daemon", "--interval", "nan"], ["nan is no time", "30s"]),
    "a revision": (["plan", "feture"], ["unknown revision 'feture'", "feature"]),
    "a revision like an option": (["plan", "--", "--output=x"], ["unknown revision '--output=x'"]),
    "a stage": (["explain", "evalute"], ["there is no stage evalute", "did you mean evaluate?"]),
    "a stage that stands for several": (["explain", "train"], ["train stands for several stages", "churn:train@us"]),
    "the log of a stage": (["log", "reprot"], ["there is no stage reprot", "did you mean report?"]),
    "runs of a stage": (["runs", "list", "--stage", "evalute"], ["there is no stage evalute"]),
    "a stage to retry": (["reconcile", "--retry", "evalute"], ["there is no stage evalute", "evaluate"]),
    "a stage to run alone": (["reconcile", "--only", "evalute"], ["there is no stage evalute", "evaluate"]),
    "outputs of a stage": (["pull", "evalute"], ["there is no stage evalute", "evaluate"]),
    "a record": (["runs", "show", "999"], ["there is no record 999", "the newest one is 13"]),
    "a record by key": (["runs", "show", "ffffffffffff"], ["there is no record ffffffffffff", "runs list"]),
    "a stage as a record": (["runs", "show", "report"], ["report is a stage, not a record", "--stage report"]),
    "records to compare": (["runs", "compare", "1", "999"], ["there is no record 999"]),
    "a record and a revision": (["runs", "compare", "1", "HEAD"], ["not of one kind", "say records, or revisions"]),
    "too many sides": (["runs", "compare", *"abcdefghijklmnopqrstu"], ["21 sides are too many"]),
    "a record of no run": (["runs", "compare", "6", "1"], ["record 6 is of no run"]),
    "a record to replay": (["replay", "999"], ["there is no recorded run 999"]),
    "a state branch": (["runs", "list", "--ref", "other"], ["there is no state branch other", "runner/state"]),
    "a kind": (["schema", "Pipelin"], ["'pipelin' is not a kind", "pipeline"]),
    "a branch to watch": (["reconcile", "--branch", "nothing"], ["has no branch nothing"]),
    "a commit of the remote": (["reconcile", "nothing"], ["has no such commit or branch", "push it first"]),
    "a state to accept": (["reconcile", "--accept-state", "1234567"], ["no state branch is at 1234567"]),
    "no commit to accept": (["reconcile", "--accept-state", "x"], ["'x' is not the name of a commit"]),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_there_is_named_with_what_might_be_meant(name: str, team: Team) -> None:
    words, said = UNKNOWN[name]
    with nothing_happens(team.path, team.remote):
        refused(call(team.path, *words), 1, *said)
        answer = call(team.path, "--json", *words)
    assert answer.code == 1
    assert answer.json["error"]["exitCode"] == 1
    assert said[0] in answer.json["error"]["message"] + answer.json["error"]["hint"]


@pytest.mark.parametrize(
    "content", [b"garbage", b"[]", b"{}", b'{"schema": 1}', b"\xff\xfe", b"[" * 100_000, b'{"schema":2,"desired":"a"}']
)
def test_a_plan_file_that_is_no_plan_is_refused(content: bytes, team: Team, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(content)
    with nothing_happens(team.remote):
        answer = call(team.path, "apply", str(tmp_path / "plan.json"))
    refused(answer, 1, "plan.json is not a plan of this runner", "runner plan --out FILE")


def test_a_plan_file_that_cannot_be_read_or_written_is_named(team: Team, tmp_path: Path) -> None:
    refused(call(team.path, "apply", str(tmp_path / "none.json")), 1, "none.json: No such file", "runner plan --out")
    refused(call(team.path, "apply", str(tmp_path)), 1, "Is a directory")
    refused(call(team.path, "plan", "--out", str(tmp_path / "no" / "p.json")), 1, "p.json: No such file", "folder")
    refused(call(team.path, "plan", "--out", "/dev/full"), 4, "/dev/full: No space left on device", "another place")


@pytest.mark.parametrize(("home", "says"), [("/dev/null/home", "Not a directory"), ("/sys/runner", "not permitted")])
def test_a_home_that_cannot_be_used_stops_what_writes_and_nothing_else(home: str, says: str, team: Team) -> None:
    with nothing_happens(team.path, team.remote):
        refused(spawn(team.path, "reconcile", env={"RUNNER_HOME": home}), 4, home, says)
        assert spawn(team.path, "plan", env={"RUNNER_HOME": home}).code == 2


def test_a_full_disk_is_said_and_nothing_is_lost(
    git_repo: Callable[..., GitRepo], bare_remote: Callable[..., Path], tmp_path: Path
) -> None:
    """A home on a file system of its own, so small that the result of the stage does not fit."""
    repo = git_repo({"runner.yaml": HEAD + "    a: {cmd: head -c 9000000 /dev/urandom > o, outs: [o]}\n"})
    remote = bare_remote(repo)
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=6m none {small} && "
    shell = f'unshare --user --map-root-user --mount bash -c \'{mount}exec "$0" -m runner reconcile\' "$PYTHON"'
    environ = {"RUNNER_HOME": str(small), "PYTHON": sys.executable, "TMPDIR": str(tmp_path)}
    if subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], check=False).returncode:
        pytest.skip("no user namespaces here")
    with nothing_happens(repo.path, remote):
        answer = spawn(repo.path, shell=shell, env=environ)
    assert answer.code in (3, 4), answer.err
    assert "No space left on device" in answer.err
    assert "Traceback" not in answer.err


def test_files_that_may_not_grow_are_like_a_full_disk(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    repo = git_repo({"runner.yaml": HEAD + "    a: {cmd: true}\n", "in": os.urandom(400_000)})
    repo.git("remote", "add", "origin", str(repo.path))
    environ = {"RUNNER_HOME": str(tmp_path / "home")}
    answer = spawn(repo.path, shell="ulimit -f 100; trap '' XFSZ; runner reconcile", env=environ)
    assert answer.code == 4, answer.err
    assert "Traceback" not in answer.err


def _clone(team: Team, folder: Path) -> GitRepo:
    git(folder, "clone", "--quiet", str(team.remote), str(folder / "clone"))
    return GitRepo(folder / "clone")


def _files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
