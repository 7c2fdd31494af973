"""The runner's own copy against real remotes: folders, a git daemon, and hosts that are not there."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.errors import HostError, InputError
from runner.git.commit import CommitRequest, FileContent, Identity
from runner.git.mirror import Mirror
from runner.git.network import network_config
from runner.git.push import PushStatus
from runner.git.read import Reader
from tests.counted import counted
from tests.git.commits import ADA, STATE, request, state_commit
from tests.repositories import GitRepo, git, new_bare_remote


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder whose repositories a git daemon serves, for pushes too, and its URL."""
    base = tmp_path_factory.mktemp("served")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["git", "daemon", f"--base-path={base}", "--export-all", "--enable=receive-pack", "--reuseaddr"]
    process = subprocess.Popen(
        [*command, "--listen=127.0.0.1", f"--port={port}", str(base)],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield base, f"git://127.0.0.1:{port}"
    os.killpg(process.pid, 15)
    process.wait()


def test_a_fetch_brings_every_branch_and_drops_those_that_are_gone(repo: GitRepo, mirror: Mirror) -> None:
    repo.git("push", "--quiet", "origin", "HEAD:refs/heads/side/one")
    mirror.fetch()
    assert mirror.tip("side/one") == mirror.tip("main") == repo.head
    repo.git("push", "--quiet", "origin", ":refs/heads/side/one")
    repo.git("push", "--quiet", "origin", "HEAD:refs/heads/side")
    repo.git("commit", "--quiet", "--amend", "--message", "Rewound")
    repo.git("push", "--quiet", "--force", "origin", "main")
    mirror.fetch()
    assert mirror.tip("side/one") is None
    assert mirror.tip("side") != repo.head
    assert mirror.tip("main") == repo.head


def test_heads_of_pull_requests_are_fetched_when_asked(repo: GitRepo, remote: Path, mirror: Mirror) -> None:
    repo.git("checkout", "--quiet", "-b", "proposal")
    proposal = repo.commit({"a.txt": "better"})
    repo.git("push", "--quiet", "origin", "HEAD:refs/pull/7/head")
    mirror.fetch()
    assert not mirror.has_remote_commit(proposal)
    mirror.fetch(pulls=True)
    assert mirror.has_remote_commit(proposal)
    assert mirror.reader.ref("refs/pull/7/head") == proposal


def test_the_remote_tells_its_tips_and_its_default_branch(remote: Path, repo: GitRepo, mirror: Mirror) -> None:
    assert mirror.branch_tips() == {"main": repo.head}
    assert mirror.default_branch() == "main"
    git(remote, "symbolic-ref", "HEAD", "refs/heads/nowhere")
    other = Mirror.open(mirror.path.with_name("other.git"), str(remote))
    with counted() as work:
        other.catch_up()
        assert other.default_branch() is other.default_branch() is None
    assert work.git() == ["ls-remote", "fetch"]  # and not once more for each answer
    git(remote, "symbolic-ref", "HEAD", "refs/heads/main")
    other.catch_up()
    assert other.default_branch() == "main"
    other.close()


def test_an_empty_remote_is_fetched_without_complaint(tmp_path: Path) -> None:
    mirror = Mirror.open(tmp_path / "m.git", str(new_bare_remote(tmp_path / "empty.git")))
    mirror.fetch()
    assert mirror.branch_tips() == {}
    mirror.close()


def test_a_commit_that_was_only_made_here_is_not_the_remotes(mirror: Mirror, repo: GitRepo) -> None:
    sha, _ = state_commit(mirror, b"1")
    assert mirror.reader.commit(sha).parents == (repo.head,)
    assert not mirror.has_remote_commit(sha)
    assert not mirror.has_remote_commit("a" * 40)
    assert mirror.has_remote_commit(repo.head)


def test_a_commit_is_put_together_in_order(mirror: Mirror, repo: GitRepo) -> None:
    main = repo.head
    tree = mirror.reader.tree(main)
    entry = tree.get("a.txt")
    assert entry is not None
    odd = ['quo"te\\', "new\nline", "täg/日本", "caf\udce9", " lead and trail ", "tab\t"]
    sha = mirror.write_commit(
        CommitRequest(
            parents=(main,),
            base_tree=tree.oid,
            deletes=("src", "nowhere/at/all"),
            trees={"copies/src": tree.folders["src"]},
            files={
                "run.sh": FileContent("100755", b"#!/bin/sh\n"),
                "copies/src/x.py": FileContent(data=b""),
                "same": FileContent(oid=entry.oid),
                **{name: FileContent(data=name.encode("utf-8", "surrogateescape")) for name in odd},
            },
            message="Über alles\n\nBody",
            author=Identity("A <evil>\nparent 0", "a@b"),
            time_epoch=1_700_000_000,
        )
    )
    made = mirror.reader.tree(sha)
    assert sorted(made.files) == sorted(["a.txt", "copies/src/x.py", "copies/src/y.py", "run.sh", "same", *odd])
    assert made.files["run.sh"].mode == "100755"
    assert made.files["same"] == entry
    for name in odd:
        assert mirror.reader.file(sha, name) == name.encode("utf-8", "surrogateescape")
    assert mirror.reader.file(sha, "copies/src/x.py") == b""
    commit = mirror.reader.commit(sha)
    assert commit.message == "Über alles\n\nBody\n"
    assert commit.author == "A evil parent 0 <a@b>"
    assert commit.committed_at == 1_700_000_000
    assert git(mirror.path, "for-each-ref", "refs/runner") == ""
    git(mirror.path, "fsck", "--strict", "--no-dangling", sha)


def test_the_same_request_gives_the_same_commit(mirror: Mirror, repo: GitRepo) -> None:
    asked = request(mirror, (repo.head,), x=b"1")
    assert mirror.write_commit(asked) == mirror.write_commit(asked)


def test_a_first_commit_needs_neither_parent_nor_tree(mirror: Mirror) -> None:
    sha = mirror.write_commit(request(mirror, (), x=b"1"))
    assert mirror.reader.commit(sha).parents == ()
    assert list(mirror.reader.tree(sha).files) == ["x"]
    emptied = CommitRequest((sha,), None, "Empty", ADA, 0)
    assert mirror.reader.tree(mirror.write_commit(emptied)).files == {}


def test_parents_keep_their_order(mirror: Mirror, repo: GitRepo) -> None:
    sha, _ = state_commit(mirror, b"1")
    assert mirror.push(sha, STATE, None).status is PushStatus.ACCEPTED
    second, _ = state_commit(mirror, b"2")
    assert mirror.reader.commit(second).parents == (sha, repo.head)


@pytest.mark.parametrize("path", ["../x", "/x", ".git/config", "a//b", "a/.GIT/x", "", "a\0b"])
def test_an_impossible_path_is_refused_before_anything_is_written(mirror: Mirror, repo: GitRepo, path: str) -> None:
    wanted = CommitRequest((repo.head,), None, "x", ADA, 0, files={path: FileContent(data=b"")})
    with pytest.raises(InputError, match="cannot be a path"):
        mirror.write_commit(wanted)


def test_an_unknown_parent_or_tree_is_no_traceback(mirror: Mirror, repo: GitRepo) -> None:
    with pytest.raises(HostError, match="could not write a commit"):
        mirror.write_commit(CommitRequest(("a" * 40,), None, "x", ADA, 0))
    with pytest.raises(HostError, match="could not write a commit"):
        mirror.write_commit(CommitRequest((repo.head,), None, "x", ADA, 0, trees={"t": "b" * 40}))
    with pytest.raises(InputError, match="full object name"):
        mirror.write_commit(CommitRequest(("HEAD",), None, "x", ADA, 0))
    assert list(mirror.path.glob("fast_import_crash*")) == []


def test_a_branch_is_created_then_moved_and_known_without_a_fetch(mirror: Mirror, remote: Path) -> None:
    first, _ = state_commit(mirror, b"1")
    assert mirror.push(first, STATE, None).status is PushStatus.ACCEPTED
    assert mirror.tip(STATE) == first == git(remote, "rev-parse", STATE)
    second, expected = state_commit(mirror, b"2")
    assert expected == first
    assert mirror.push(second, STATE, first).status is PushStatus.ACCEPTED
    assert mirror.tip(STATE) == second == git(remote, "rev-parse", STATE)


def test_a_push_that_had_arrived_is_accepted_again(mirror: Mirror) -> None:
    sha, _ = state_commit(mirror, b"1")
    assert [mirror.push(sha, STATE, None).status for _ in range(2)] == [PushStatus.ACCEPTED] * 2


def test_creating_what_somebody_created_first_loses_the_race(mirror: Mirror, repo: GitRepo, remote: Path) -> None:
    sha, _ = state_commit(mirror, b"1")
    repo.git("push", "--quiet", "origin", f"{repo.head}:refs/heads/{STATE}")  # an ancestor of ours: no plain push fails
    assert mirror.push(sha, STATE, None).status is PushStatus.LOST_RACE
    assert git(remote, "rev-parse", STATE) == repo.head


def test_a_branch_that_was_rewound_loses_the_race(mirror: Mirror, repo: GitRepo, remote: Path) -> None:
    first, _ = state_commit(mirror, b"1")
    mirror.push(first, STATE, None)
    second, expected = state_commit(mirror, b"2")
    git(remote, "update-ref", f"refs/heads/{STATE}", repo.head)
    assert mirror.push(second, STATE, expected).status is PushStatus.LOST_RACE
    assert git(remote, "rev-parse", STATE) == repo.head


def test_a_branch_that_was_deleted_loses_the_race(mirror: Mirror, remote: Path) -> None:
    first, _ = state_commit(mirror, b"1")
    mirror.push(first, STATE, None)
    second, expected = state_commit(mirror, b"2")
    git(remote, "update-ref", "-d", f"refs/heads/{STATE}")
    assert mirror.push(second, STATE, expected).status is PushStatus.LOST_RACE


def test_what_does_not_descend_is_never_pushed(mirror: Mirror, repo: GitRepo) -> None:
    first, _ = state_commit(mirror, b"1")
    mirror.push(first, STATE, None)
    with pytest.raises(InputError, match="does not descend"):
        mirror.push(repo.head, STATE, first)


@pytest.mark.parametrize("branch", ["-x", "a..b", "a b", "x.lock", "refs/heads/x:y", "a\nb", ""])
def test_a_name_that_is_no_branch_is_refused(mirror: Mirror, repo: GitRepo, branch: str) -> None:
    with pytest.raises(InputError, match="not a branch name"):
        mirror.push(repo.head, branch, None)


def _race(url: str, folder: Path, writers: int, each: int) -> tuple[int, list[PushStatus]]:
    """Every writer records `each` times, with retry; the number of attempts and the statuses that were no success."""
    attempts: list[PushStatus] = []
    start = threading.Barrier(writers)

    def write(writer: int) -> None:
        mirror = Mirror.open(folder / f"{writer}.git", url)
        start.wait()
        for number in range(each):
            while True:
                mirror.fetch()
                sha, tip = state_commit(mirror, f"{writer} {number}".encode())
                attempts.append(mirror.push(sha, STATE, tip).status)
                if attempts[-1] is PushStatus.ACCEPTED or len(attempts) > 500:
                    break
        mirror.close()

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    return len(attempts), [status for status in attempts if status is not PushStatus.ACCEPTED]


@pytest.mark.parametrize("transport", ["folder", "daemon"])
def test_racing_writers_all_get_through_exactly_once(
    transport: str, repo: GitRepo, daemon: tuple[Path, str], tmp_path: Path
) -> None:
    base, url = daemon
    remote = new_bare_remote(base / f"race-{transport}.git", repo)
    where = str(remote) if transport == "folder" else f"{url}/{remote.name}"
    attempts, others = _race(where, tmp_path / "mirrors", writers=3, each=4)
    assert set(others) <= {PushStatus.LOST_RACE}
    assert attempts == 12 + len(others)
    log = git(remote, "rev-list", "--first-parent", STATE, "--not", "main").split()
    records = [git(remote, "show", f"{sha}:record") for sha in log]
    assert sorted(records) == sorted(f"{writer} {number}" for writer in range(3) for number in range(4))


def test_two_writers_of_one_version_have_one_winner(remote: Path, tmp_path: Path) -> None:
    mirrors = [Mirror.open(tmp_path / f"{n}.git", str(remote)) for n in range(4)]
    expected: str | None = None
    for _ in range(3):
        for mirror in mirrors:
            mirror.fetch()
        made = [state_commit(mirror, f"{n} {time.time_ns()}".encode())[0] for n, mirror in enumerate(mirrors)]
        with ThreadPoolExecutor(4) as pool:
            pushes = [pool.submit(m.push, sha, STATE, expected) for m, sha in zip(mirrors, made, strict=True)]
            results = [push.result() for push in pushes]
        won = [sha for sha, result in zip(made, results, strict=True) if result.status is PushStatus.ACCEPTED]
        assert len(won) == 1
        assert git(remote, "rev-parse", STATE) == won[0]
        assert [r.status for r in results].count(PushStatus.LOST_RACE) == 3
        expected = won[0]
    for mirror in mirrors:
        mirror.close()


def _hook(remote: Path, name: str, body: str) -> None:
    hook = remote / "hooks" / name
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{body}\n")
    hook.chmod(0o755)


@pytest.mark.parametrize("hook", ["update", "pre-receive"])
def test_a_hook_that_declines_is_quoted(mirror: Mirror, remote: Path, hook: str) -> None:
    _hook(remote, hook, "echo 'No commits on Fridays' >&2; exit 1")
    sha, _ = state_commit(mirror, b"1")
    result = mirror.push(sha, STATE, None)
    assert result.status is PushStatus.REFUSED
    assert "No commits on Fridays" in result.detail
    assert result.hint


def test_a_branch_checked_out_at_the_remote_is_refused_with_a_hint(repo: GitRepo, tmp_path: Path) -> None:
    mirror = Mirror.open(tmp_path / "m.git", str(repo.path))
    mirror.fetch()
    sha = mirror.write_commit(request(mirror, (repo.head,), x=b"1"))
    result = mirror.push(sha, "main", repo.head)
    assert result.status is PushStatus.REFUSED
    assert "check out another branch" in result.hint
    assert mirror.push(sha, STATE, None).status is PushStatus.ACCEPTED  # the repository itself may be the remote
    mirror.close()


def test_a_branch_in_the_way_of_the_name_is_said(mirror: Mirror, repo: GitRepo, remote: Path) -> None:
    git(remote, "update-ref", "refs/heads/runner", repo.head)
    sha, _ = state_commit(mirror, b"1")
    result = mirror.push(sha, STATE, None)
    assert result.status is PushStatus.REFUSED
    assert "in the way" in result.hint


def test_a_remote_that_may_not_be_written_to_refuses(repo: GitRepo, tmp_path: Path, daemon: tuple[Path, str]) -> None:
    base, url = daemon
    remote = new_bare_remote(base / "readonly.git", repo)
    git(remote, "config", "daemon.receivepack", "false")
    mirror = Mirror.open(tmp_path / "m.git", f"{url}/readonly.git")
    mirror.fetch()
    sha, _ = state_commit(mirror, b"1")
    result = mirror.push(sha, STATE, None)
    assert result.status in (PushStatus.REFUSED, PushStatus.UNKNOWN)
    assert mirror.tip(STATE) is None
    mirror.close()


def test_a_connection_that_breaks_after_the_push_arrived_is_unknown(
    repo: GitRepo, tmp_path: Path, daemon: tuple[Path, str]
) -> None:
    base, url = daemon
    remote = new_bare_remote(base / "cut.git", repo)
    mirror = Mirror.open(tmp_path / "m.git", f"{url}/cut.git")
    mirror.fetch()
    sha, _ = state_commit(mirror, b"1")
    _hook(remote, "reference-transaction", '[ "$1" = committed ] && kill -9 $PPID; exit 0')
    assert mirror.push(sha, STATE, None).status is PushStatus.UNKNOWN
    assert git(remote, "rev-parse", STATE) == sha
    (remote / "hooks" / "reference-transaction").unlink()
    mirror.fetch()
    assert mirror.tip(STATE) == sha
    mirror.close()


def test_a_remote_that_vanished_leaves_the_push_unknown(mirror: Mirror, remote: Path) -> None:
    sha, _ = state_commit(mirror, b"1")
    remote.rename(remote.with_name("moved"))
    result = mirror.push(sha, STATE, None)
    assert result.status is PushStatus.UNKNOWN
    assert "does not appear to be a git repository" in result.detail


@pytest.mark.parametrize("url", ["-x", "--upload-pack=touch x", "ext::sh -c true", "ftp://x/y", "a\nb", "", "fd::7"])
def test_a_url_that_could_run_something_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        Mirror.open(tmp_path / "m.git", url)
    assert not (tmp_path / "m.git").exists()


def test_a_url_that_the_users_configuration_turns_into_a_program_is_refused(tmp_path: Path) -> None:
    config = (("url.ext::touch .insteadOf", "https://nice.example/"),)
    mirror = Mirror.open(tmp_path / "m.git", f"https://nice.example/{tmp_path}/ran", config)
    with pytest.raises(InputError, match="not allowed"):
        mirror.fetch()
    assert not (tmp_path / "ran").exists()
    mirror.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("git://127.0.0.1:1/x.git", "cannot be reached"),
        ("http://user:secret@127.0.0.1:1/x.git", "cannot be reached"),
        ("http://no-such-host.invalid/x.git", "cannot be reached"),
        ("/no/such/folder.git", "no such repository"),
    ],
)
def test_a_fetch_that_fails_says_why_without_the_password(url: str, message: str, tmp_path: Path) -> None:
    mirror = Mirror.open(tmp_path / "m.git", url)
    with pytest.raises(HostError, match=message) as problem:
        mirror.fetch()
    assert "secret" not in str(problem.value)
    assert problem.value.hint
    mirror.close()


def test_a_repository_that_the_daemon_lacks_is_not_found(daemon: tuple[Path, str], tmp_path: Path) -> None:
    mirror = Mirror.open(tmp_path / "m.git", f"{daemon[1]}/nowhere.git")
    with pytest.raises(HostError) as problem:
        mirror.fetch()
    assert "nowhere.git" in problem.value.message
    mirror.close()


def test_a_folder_of_somebody_elses_is_never_taken(tmp_path: Path, remote: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("1")
    with pytest.raises(InputError, match="not the runner's"):
        Mirror.open(tmp_path / "precious", str(remote))
    assert (tmp_path / "precious" / "thesis.txt").exists()


def test_a_clone_sees_what_was_pushed(mirror: Mirror, repo: GitRepo) -> None:
    sha, _ = state_commit(mirror, b"1")
    mirror.push(sha, STATE, None)
    repo.git("fetch", "--quiet", "origin", "main")
    before = {path: path.read_bytes() for path in (repo.path / ".git").glob("*") if path.is_file()}
    with Reader.discover(repo.path) as clone:
        assert mirror.update_tracking(clone, STATE)
        assert not mirror.update_tracking(clone, "nowhere")
        assert clone.refs("refs/remotes/") == {
            f"refs/remotes/origin/{STATE}": sha,
            "refs/remotes/origin/main": repo.head,
        }
    assert {path: path.read_bytes() for path in (repo.path / ".git").glob("*") if path.is_file()} == before


def test_a_plan_in_a_clone_reads_the_objects_of_the_mirror(mirror: Mirror, repo: GitRepo) -> None:
    sha, _ = state_commit(mirror, b"1")
    with Reader.discover(repo.path, [mirror.path]) as reader:
        assert reader.file(sha, "record") == b"1"


def test_a_surrounding_hooks_variables_do_not_lead_elsewhere(
    repo: GitRepo, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "GIT_DIR": str(repo.path / ".git"),
        "GIT_WORK_TREE": str(repo.path),
        "GIT_INDEX_FILE": ".git/index",
        "GIT_OBJECT_DIRECTORY": str(repo.path / ".git/objects"),
        "GIT_NAMESPACE": "other",
        "GIT_CONFIG_PARAMETERS": "'remote.origin.url'='/nowhere'",
    }.items():
        monkeypatch.setenv(name, value)
    mirror = Mirror.open(tmp_path / "m.git", str(remote))
    mirror.fetch()
    sha, _ = state_commit(mirror, b"1")
    assert mirror.push(sha, STATE, None).status is PushStatus.ACCEPTED
    assert (mirror.path / "HEAD").read_text() == "ref: refs/heads/main\n"
    assert mirror.reader.file(sha, "record") == b"1"
    mirror.close()


def test_a_sha256_remote_is_mirrored(tmp_path: Path) -> None:
    path = tmp_path / "sha256"
    path.mkdir()
    repo = GitRepo(path)
    repo.git("init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    repo.commit({"a": "1"})
    mirror = Mirror.open(tmp_path / "m.git", str(path))
    mirror.fetch()
    sha, _ = state_commit(mirror, b"1")
    assert mirror.push(sha, STATE, None).status is PushStatus.ACCEPTED
    assert len(sha) == 64
    mirror.close()


def test_a_shallow_remote_is_mirrored(repo: GitRepo, remote: Path, tmp_path: Path) -> None:
    repo.commit({"a.txt": "2"})
    repo.push()
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{remote}", "shallow")
    mirror = Mirror.open(tmp_path / "m.git", str(tmp_path / "shallow"))
    mirror.fetch()
    sha, _ = state_commit(mirror, b"1")
    assert mirror.push(sha, STATE, None).status is PushStatus.ACCEPTED
    mirror.close()


def test_only_what_is_listed_is_taken_from_the_users_configuration(
    repo: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gitconfig"
    config.write_text(
        '[credential]\n\thelper = store\n[credential "https://a.example"]\n\thelper =\n\thelper = "!f"\n'
        '[http]\n\tproxy = http://p:1\n\tsslVerify\n[url "git@x:"]\n\tinsteadOf = https://x/\n'
        "[core]\n\tsshCommand = ssh -i k\n\thooksPath = /evil\n\tfsmonitor = /evil\n[alias]\n\tfetch = !evil\n"
        "[user]\n\tname = X\n[safe]\n\tdirectory = /srv/x\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    repo.git("config", "http.https://github.com/.extraheader", "AUTHORIZATION: basic abc")
    repo.git("config", "core.sshCommand", "/evil")
    repo.git("config", "credential.helper", "!evil")
    with Reader.discover(repo.path) as reader:
        pairs = network_config(reader)
    assert pairs == (
        ("credential.helper", "store"),
        ("credential.https://a.example.helper", ""),
        ("credential.https://a.example.helper", "!f"),
        ("http.proxy", "http://p:1"),
        ("http.sslverify", "true"),
        ("url.git@x:.insteadof", "https://x/"),
        ("core.sshcommand", "ssh -i k"),
        ("safe.directory", "/srv/x"),
        ("http.https://github.com/.extraheader", "AUTHORIZATION: basic abc"),
    )
    assert ("http.proxy", "http://p:1") in network_config(None)


def test_the_users_url_rewriting_and_ownership_rules_hold(repo: GitRepo, remote: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        for folder, _, names in os.walk(remote):
            for name in (".", *names):
                os.chown(os.path.join(folder, name), 12345, 12345)
    config = ((f"url.{remote.parent}/.insteadOf", "https://short.example/"), ("safe.directory", str(remote)))
    mirror = Mirror.open(tmp_path / "m.git", f"https://short.example/{remote.name}", config)
    mirror.fetch()
    assert mirror.tip("main") == repo.head
    mirror.close()
