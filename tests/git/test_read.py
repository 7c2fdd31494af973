"""Reading real repositories of every shape."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.errors import HostError, InputError
from runner.git import objects, read
from runner.git.objects import DamagedObjects
from runner.git.read import Reader
from runner.git.tree import TreeEntry
from tests.repositories import GitRepo, git, new_repository

FILES = {"params.yaml": "lr: 1\n", "src/train.py": "print()\n", "src/deep/er/a.txt": "a", "src.txt": "beside src/"}
MakeRepo = Callable[..., GitRepo]


def test_a_repository_is_found_from_a_subfolder(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    with Reader.discover(repo.path / "src" / "deep") as reader:
        assert reader.worktree == repo.path
        assert reader.git_dir == repo.path / ".git"
        assert reader.resolve("HEAD") == repo.head
        assert reader.current_branch() == "main"
        assert reader.remote_url() is None
        assert not reader.is_shallow()


def test_a_folder_without_a_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not in a git repository"):
        Reader.discover(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        Reader.discover(tmp_path / "nowhere")


def test_a_bare_clone_is_read(git_repo: MakeRepo, bare_remote: Callable[..., Path]) -> None:
    repo = git_repo(FILES)
    remote = bare_remote(repo)
    with Reader.discover(remote) as reader:
        assert reader.worktree is None
        assert reader.file(reader.resolve("main"), "params.yaml") == b"lr: 1\n"
        assert not reader.is_dirty()


def test_a_linked_worktree_has_its_own_head(git_repo: MakeRepo, tmp_path: Path) -> None:
    repo = git_repo(FILES)
    repo.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "linked"))
    side = GitRepo(tmp_path / "linked").commit({"side.txt": "1"})
    with Reader.discover(tmp_path / "linked") as reader:
        assert reader.resolve("HEAD") == side
        assert reader.current_branch() == "side"
        assert reader.worktree == tmp_path / "linked"
        assert reader.common_dir == repo.path / ".git"


def test_a_detached_head_has_no_branch(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    repo.git("checkout", "--quiet", "--detach")
    with Reader.discover(repo.path) as reader:
        assert reader.current_branch() is None
        assert reader.resolve("HEAD") == repo.head


def test_a_repository_without_commit_says_so(git_repo: MakeRepo) -> None:
    with Reader.discover(git_repo().path) as reader:
        with pytest.raises(InputError, match="no commit yet"):
            reader.resolve("HEAD")
        assert reader.current_branch() == "main"


def test_a_branch_without_commit_is_told_from_an_empty_repository(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    repo.git("checkout", "--quiet", "--orphan", "fresh")
    with Reader.discover(repo.path) as reader, pytest.raises(InputError, match="branch fresh has no commit yet"):
        reader.resolve("HEAD")


def test_a_shallow_clone_ends_early_and_says_so(git_repo: MakeRepo, bare_remote: Callable[..., Path]) -> None:
    repo = git_repo(FILES)
    first = repo.head
    second = repo.commit({"a": "2"})
    remote = bare_remote(repo)
    git(remote.parent, "clone", "--quiet", "--depth=1", f"file://{remote}", "shallow")
    with Reader.discover(remote.parent / "shallow") as reader:
        assert reader.is_shallow()
        assert [commit.sha for commit in reader.log_first_parent(second, 10)] == [second]
        with pytest.raises(InputError, match="unshallow"):
            reader.resolve(first)


def test_every_kind_of_revision_is_resolved(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    first = repo.head
    repo.git("tag", "--annotate", "v1", "--message", "v1")
    second = repo.commit({"a": "2"})
    with Reader.discover(repo.path) as reader:
        assert reader.resolve("v1") == first
        assert reader.resolve("HEAD~1") == first
        assert reader.resolve(second[:10]) == second
        assert reader.resolve("refs/heads/main") == second
        assert reader.ref("refs/tags/v1") == first
        assert reader.ref("refs/heads/mai") is None
        assert reader.refs("refs/heads/", "refs/tags/") == {"refs/heads/main": second, "refs/tags/v1": first}


@pytest.mark.parametrize("rev", ["--all", "-h", "--output=x", "HEAD:params.yaml", "HEAD..HEAD", "", "a\nb", "HEAD\0"])
def test_what_is_no_commit_is_refused_and_never_an_option(git_repo: MakeRepo, rev: str) -> None:
    repo = git_repo(FILES)
    with Reader.discover(repo.path) as reader:
        with pytest.raises(InputError, match="revision"):
            reader.resolve(rev)
        assert reader.resolve("HEAD") == repo.head
    assert sorted(os.listdir(repo.path)) == [".git", "params.yaml", "src", "src.txt"]


@pytest.mark.parametrize("oid", ["--help", "HEAD", "abc", "A" * 40, "a" * 41])
def test_only_full_names_are_object_names(git_repo: MakeRepo, oid: str) -> None:
    with Reader.discover(git_repo(FILES).path) as reader:
        for ask in (reader.tree, reader.blob, reader.commit, reader.size, reader.exists):
            with pytest.raises(InputError, match="not a full object name"):
                ask(oid)


def test_a_mistyped_branch_gets_a_suggestion(git_repo: MakeRepo) -> None:
    with Reader.discover(git_repo(FILES).path) as reader, pytest.raises(InputError, match="unknown") as problem:
        reader.resolve("mian")
    assert problem.value.hint == "did you mean main?"


def test_a_tree_agrees_with_git(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    (repo.path / "run.sh").write_text("#!/bin/sh\n")
    (repo.path / "run.sh").chmod(0o755)
    (repo.path / "link").symlink_to("src/train.py")
    commit = repo.commit()
    lines = [line.split("\t") for line in repo.git("ls-tree", "-r", "-t", "-z", "HEAD").rstrip("\0").split("\0")]
    expected = {path: meta.split() for meta, path in lines}
    with Reader.discover(repo.path) as reader:
        tree = reader.tree(commit)
        assert tree.files == {
            path: TreeEntry(mode, oid) for path, (mode, kind, oid) in expected.items() if kind != "tree"
        }
        assert tree.folders == {path: oid for path, (_, kind, oid) in expected.items() if kind == "tree"}
        assert tree.oid == repo.git("rev-parse", "HEAD^{tree}")
        assert tree.paths == sorted(tree.files)


@pytest.mark.parametrize("read_all_first", [False, True])
def test_a_tree_answers_the_same_lazily_and_whole(git_repo: MakeRepo, read_all_first: bool) -> None:
    commit = git_repo(FILES).head
    with Reader.discover(git_repo({}, name="other").path.parent / "repo") as reader:
        tree = reader.tree(commit)
        if read_all_first:
            assert len(tree.files) == 4
        assert tree.below("src") == ["src/deep/er/a.txt", "src/train.py"]
        assert tree.below("src/deep") == ["src/deep/er/a.txt"]
        assert tree.below("sr") == []
        assert tree.below("src.txt") == []
        assert tree.below(".") == sorted(FILES)
        assert tree.is_folder("src/deep/er")
        assert not tree.is_folder("src.txt")
        entry = tree.get("src/train.py")
        assert entry is not None
        assert reader.blob(entry.oid) == b"print()\n"
        assert [tree.get(path) for path in ("src", "nowhere", "src/", "src.txt/a", "", "./src.txt")] == [None] * 6


def test_a_look_up_reads_only_the_folders_on_the_way(git_repo: MakeRepo) -> None:
    repo = git_repo({f"f{i}/g{j}/x": f"{i} {j}" for i in range(10) for j in range(10)})
    with Reader.discover(repo.path) as reader:
        tree = reader.tree(reader.resolve("HEAD"))
        assert tree.get("f1/g2/x") is not None
        assert reader.counts["objects"] == 4


def test_names_that_are_not_utf8_come_back_as_they_are(git_repo: MakeRepo) -> None:
    repo = git_repo({"a": "1"})
    odd = [b"caf\xe9", b"tab\there", b"new\nline", b'quo"te', "täg/日本".encode()]
    for name in odd:
        path = os.path.join(os.fsencode(repo.path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(name)
    commit = repo.commit()
    with Reader.discover(repo.path) as reader:
        for name in odd:
            path_text = name.decode("utf-8", "surrogateescape")
            assert path_text in reader.tree(commit).files
            assert reader.file(commit, path_text) == name


def test_names_that_no_file_system_must_see_are_set_apart(git_repo: MakeRepo) -> None:
    repo = git_repo({"a": "1"})
    blob, inner = repo.git("rev-parse", "HEAD:a"), repo.git("rev-parse", "HEAD^{tree}")
    raw = b"".join(
        mode + b" " + name + b"\0" + bytes.fromhex(oid)
        for mode, name, oid in [
            (b"100644", b"..", blob),
            (b"40000", b".GIT", inner),
            (b"100644", b"fine", blob),
            (b"100644", b"x/y", blob),
        ]
    )
    done = subprocess.run(
        ["git", "-C", str(repo.path), "hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
        input=raw,
        capture_output=True,
        check=True,
    )
    with Reader.discover(repo.path) as reader:
        tree = reader.tree(done.stdout.decode().strip())
        assert list(tree.files) == ["fine"]
        assert tree.folders == {}
        assert tree.refused == ("..", ".GIT", "x/y")


def test_a_bomb_of_trees_is_refused(git_repo: MakeRepo) -> None:
    repo = git_repo({"a": "1"})
    oid = repo.git("rev-parse", "HEAD^{tree}")
    for _ in range(12):
        raw = b"".join(b"40000 d%d\0" % i + bytes.fromhex(oid) for i in range(10))
        command = ["git", "-C", str(repo.path), "hash-object", "-t", "tree", "-w", "--stdin"]
        oid = subprocess.run(command, input=raw, capture_output=True, check=True).stdout.decode().strip()
    with Reader.discover(repo.path) as reader:
        assert reader.tree(oid).get("d0/d1/nothing") is None
        with pytest.raises(InputError, match=r"stands for more than [\d,]+ paths"):
            _ = reader.tree(oid).files


def test_many_blobs_are_read_through_one_process(git_repo: MakeRepo) -> None:
    files = {f"d{i % 7}/f{i}": f"{i}\n" * 50 for i in range(1500)}
    repo = git_repo(files)
    with Reader.discover(repo.path) as reader:
        tree = reader.tree(reader.resolve("HEAD"))
        blobs = reader.blobs(entry.oid for entry in tree.files.values())
        assert {path: blobs[entry.oid].decode() for path, entry in tree.files.items()} == files
        assert reader.counts["processes"] == 2


def test_a_branch_with_a_file_of_its_own_is_read_without_a_process(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    head, name = repo.head, "refs/heads/main"
    with Reader.discover(repo.path) as reader:
        before = reader.counts["processes"]
        assert (reader.ref(name), reader.head()) == (head, head)
        assert reader.counts["processes"] == before
        repo.git("pack-refs", "--all", "--prune")
        assert (reader.ref(name), reader.head()) == (head, head)
        second = repo.commit({"a": "1"})
        assert (reader.ref(name), reader.head()) == (second, second)
        repo.git("symbolic-ref", "refs/heads/other", name)
        assert reader.ref("refs/heads/other") == second
        repo.git("update-ref", "-d", name)
        assert reader.ref(name) is None
        with pytest.raises(InputError, match="no commit yet"):
            reader.head()
        # What lies there and is no branch: the lock of a process that writes one, and what the path only leads to.
        (repo.path / ".git/refs/heads/main.lock").write_text(head + "\n")
        (repo.path / ".git/beside").write_text(head + "\n")
        assert reader.ref(f"{name}.lock") is reader.ref("refs/heads/../../beside") is None


def test_whether_an_object_is_here_is_asked_of_the_process_that_reads_it(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    with Reader.discover(repo.path) as reader:
        tree = reader.tree(repo.head)
        oid = tree.files["params.yaml"].oid
        before = reader.counts["processes"]
        assert reader.exists(oid)
        assert not reader.exists("0" * 40)
        assert reader.size(oid) == len(FILES["params.yaml"])
        assert reader.at([(repo.head, "src.txt"), (repo.head, "none")]) == [tree.files["src.txt"].oid, None]
        assert reader.counts["processes"] == before
        with reader.each_blob([oid], limit_bytes=100) as blobs:
            next(blobs)
            assert reader.exists(oid)  # that process is in the middle of an answer
        assert reader.counts["processes"] == before + 1
        assert reader.blob(oid) == FILES["params.yaml"].encode()


def test_a_blob_above_the_limit_is_refused_and_the_next_one_read(git_repo: MakeRepo) -> None:
    repo = git_repo({"big": "x" * 5000, "small": "y"})
    with Reader.discover(repo.path) as reader:
        with pytest.raises(InputError, match="big: 5,000 bytes, more than the 100"):
            reader.file(repo.head, "big", limit_bytes=100)
        assert reader.file(repo.head, "small", limit_bytes=100) == b"y"


def test_a_missing_object_is_named(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    with Reader.discover(repo.path) as reader:
        assert not reader.exists("a" * 40)
        for ask in (reader.blob, reader.size, reader.tree, lambda oid: list(reader.stream(oid))):
            with pytest.raises(DamagedObjects, match="a" * 40):
                ask("a" * 40)
        assert reader.file(repo.head, "src.txt") == b"beside src/"


@pytest.mark.parametrize("content", [b"rubbish", b"", zlib.compress(b"blob 11\0besi"), zlib.compress(b"blob 99999\0x")])
def test_a_broken_object_ends_the_question_and_not_the_reader(
    git_repo: MakeRepo, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_PATIENCE_SECONDS", 0.5)
    repo = git_repo(FILES)
    oid = repo.git("rev-parse", "HEAD:src.txt")
    loose = repo.path / ".git" / "objects" / oid[:2] / oid[2:]
    loose.chmod(0o644)
    loose.write_bytes(content)
    with Reader.discover(repo.path) as reader:
        with pytest.raises(DamagedObjects):
            reader.file(repo.head, "src.txt")
        assert reader.file(repo.head, "params.yaml") == b"lr: 1\n"


def test_a_blob_is_streamed_in_chunks_and_sized_unread(git_repo: MakeRepo) -> None:
    repo = git_repo({"a": "0123456789"})
    with Reader.discover(repo.path) as reader:
        entry = reader.tree(repo.head).get("a")
        assert entry is not None
        assert list(reader.stream(entry.oid, 4)) == [b"0123", b"4567", b"89"]
        assert reader.size(entry.oid) == 10
        assert reader.exists(entry.oid)


def test_what_is_no_regular_file_is_not_read_as_one(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    (repo.path / "link").symlink_to("src.txt")
    commit = repo.commit()
    with Reader.discover(repo.path) as reader:
        assert [reader.file(commit, path) for path in ("link", "src", "nowhere")] == [None] * 3


def test_a_commit_is_read_with_its_parents(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    first = repo.head
    second = repo.commit({"a": "1"}, "Zweite Änderung\n\nMore.")
    with Reader.discover(repo.path) as reader:
        commit = reader.commit(second)
        assert commit.parents == (first,)
        assert commit.author == "Ada Tester <ada@example.com>"
        assert commit.message == "Zweite Änderung\n\nMore.\n"
        assert abs(commit.committed_at - time.time()) < 100
        assert commit.tree == reader.tree(second).oid
        assert reader.is_ancestor(first, second)
        assert not reader.is_ancestor(second, first)
        assert [c.sha for c in reader.log_first_parent(second, 5)] == [second, first]
        with pytest.raises(InputError, match="not a commit"):
            reader.commit(commit.tree)


@pytest.mark.parametrize(
    ("encoding", "words"),
    [("ISO-8859-1", "caf\xe9"), ("windows-1252", "caf\xe9"), ("", "caf\ufffd")]
    + [
        (name, "caf\ufffd")
        for name in ("undefined", "idna", "punycode", "unicode_escape", "hex", "nonsense", "a.b", "x\xff")
    ],
)
def test_a_message_is_read_in_its_character_set_and_as_utf8_where_it_names_none(
    encoding: str, words: str, git_repo: MakeRepo
) -> None:
    repo = git_repo(FILES)
    ada = "Ada <ada@example.com> 1 +0000"
    text = f"tree {repo.git('rev-parse', 'HEAD^{tree}').strip()}\nauthor {ada}\ncommitter {ada}\n"
    text += f"encoding {encoding}\n\ncaf\xe9" if encoding else "\ncaf\xe9"
    file = repo.path / "commit"
    file.write_bytes(text.encode("latin-1"))
    sha = repo.git("hash-object", "-t", "commit", "-w", "commit").strip()
    with Reader.discover(repo.path) as reader:
        assert reader.commit(sha).message == words


def test_a_dirty_tree_is_told_from_a_clean_one(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    with Reader.discover(repo.path) as reader:
        assert not reader.is_dirty()
        repo.write({"untracked": "1"})
        assert not reader.is_dirty()
        repo.write({"src.txt": "2"})
        assert reader.is_dirty()


def test_remotes_are_read_and_relative_ones_made_absolute(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    repo.git("remote", "add", "origin", "../remote.git")
    repo.git("remote", "add", "web", "https://example.com/x.git")
    repo.git("remote", "add", "ssh", "git@example.com:x.git")
    with Reader.discover(repo.path / "src") as reader:
        assert reader.remote_url() == str(repo.path.parent / "remote.git")
        assert reader.remote_url("web") == "https://example.com/x.git"
        assert reader.remote_url("ssh") == "git@example.com:x.git"
        assert reader.remote_url("none") is None


def test_objects_of_another_repository_can_be_read_too(git_repo: MakeRepo, tmp_path: Path) -> None:
    repo, other = git_repo(FILES), new_repository(tmp_path / "with:colon", {"b": "other"})
    with Reader.discover(repo.path, [other.path / ".git"]) as reader:
        assert reader.file(other.head, "b") == b"other"
        assert reader.file(repo.head, "src.txt") == b"beside src/"


def test_new_commits_are_seen_by_an_open_reader(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    with Reader.discover(repo.path) as reader:
        assert reader.resolve("HEAD") == repo.head
        second = repo.commit({"a": "1"})
        repo.git("repack", "-a", "-d", "--quiet")
        assert reader.resolve("HEAD") == second
        assert reader.file(second, "a") == b"1"


def test_a_sha256_repository_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sha256"
    path.mkdir()
    repo = GitRepo(path)
    repo.git("init", "--quiet", "--object-format=sha256")
    commit = repo.commit(FILES)
    with Reader.discover(path) as reader:
        assert len(reader.resolve("HEAD")) == 64
        assert sorted(reader.tree(commit).files) == sorted(FILES)
        assert reader.file(commit, "src.txt") == b"beside src/"


def test_nothing_of_the_repository_is_run(git_repo: MakeRepo, tmp_path: Path) -> None:
    repo = git_repo(FILES)
    script = tmp_path / "spy"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    script.chmod(0o755)
    for key in ("core.fsmonitor", "core.sshCommand", "core.pager", "core.alternateRefsCommand", "filter.x.clean"):
        repo.git("config", key, str(script))
    repo.git("config", "remote.origin.promisor", "true")
    repo.git("config", "remote.origin.url", f"ext::{script}")
    for hook in ("post-index-change", "reference-transaction", "post-checkout"):
        (repo.path / ".git" / "hooks").mkdir(exist_ok=True)
        (repo.path / ".git" / "hooks" / hook).symlink_to(script)
    with Reader.discover(repo.path) as reader:
        commit = reader.resolve("HEAD")
        assert len(reader.tree(commit).files) == 4
        assert not reader.is_dirty()
        assert not reader.exists("a" * 40)
        assert len(reader.refs("refs/")) == 1
    assert not (tmp_path / "ran").exists()


def test_variables_of_a_surrounding_hook_do_not_lead_elsewhere(
    git_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, other = git_repo(FILES), git_repo({"b": "1"}, name="other")
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.path / ".git/index"))
    with Reader.discover(repo.path) as reader:
        commit = reader.resolve("HEAD")
    monkeypatch.delenv("GIT_DIR")
    assert commit == repo.head


def test_ownership_is_checked_unless_the_user_said_otherwise(
    git_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if os.geteuid():
        pytest.skip("only root can give a folder to somebody else")
    repo = git_repo(FILES)
    for folder, _, names in os.walk(repo.path):
        for name in (".", *names):
            os.chown(os.path.join(folder, name), 12345, 12345)
    with pytest.raises(InputError, match="another user") as problem:
        Reader.discover(repo.path)
    assert "safe.directory" in problem.value.hint
    config = tmp_path / "gitconfig"
    config.write_text(f"[safe]\n\tdirectory = {repo.path}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    with Reader.discover(repo.path) as reader:
        assert len(reader.resolve("main")) == 40


def test_a_closed_reader_can_be_used_again(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    reader = Reader.discover(repo.path)
    reader.resolve("HEAD")
    reader.close()
    assert reader.file(repo.head, "src.txt") == b"beside src/"
    reader.close()


def test_a_partial_clone_never_fetches_by_itself(git_repo: MakeRepo, bare_remote: Callable[..., Path]) -> None:
    repo = git_repo(FILES)
    remote = bare_remote(repo)
    git(remote, "config", "uploadpack.allowFilter", "true")
    git(remote.parent, "clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{remote}", "partial")
    with Reader.discover(remote.parent / "partial") as reader:
        commit = reader.resolve("HEAD")
        assert sorted(reader.tree(commit).files) == sorted(FILES)
        with pytest.raises(DamagedObjects) as problem:
            reader.file(commit, "src.txt")
        assert "partial clone" in problem.value.hint
        assert sorted(reader.tree(commit).files) == sorted(FILES)


def test_a_question_within_a_question_is_no_deadlock(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    with Reader.discover(repo.path) as reader:
        oids = [entry.oid for entry in reader.tree(repo.head).files.values()]
        with reader.each_blob(oids, limit_bytes=100) as blobs:
            for _ in blobs:
                with pytest.raises(RuntimeError, match="a question within"):
                    reader.blob(oids[0])
                break
        assert reader.blob(oids[0])  # and one that is given up half-way disturbs nobody


def test_whether_an_object_is_there_is_told_while_others_are_being_read(git_repo: MakeRepo) -> None:
    repo = git_repo(FILES)
    with Reader.discover(repo.path) as reader, ThreadPoolExecutor(1) as pool:
        oids = [entry.oid for entry in reader.tree(repo.head).files.values()]
        with reader.each_blob(oids, limit_bytes=100) as blobs:
            next(blobs)
            assert pool.submit(reader.exists, oids[0]).result(timeout=60)
        assert reader.exists(oids[0])
        assert reader.counts["processes"] == 3  # one found the clone, one gives contents, one is beside it


def test_a_question_that_an_error_ended_keeps_nobody_waiting_however_long_the_error_is_kept(
    git_repo: MakeRepo,
) -> None:
    repo = git_repo(FILES)
    with Reader.discover(repo.path) as reader, ThreadPoolExecutor(2) as pool:
        oids = [entry.oid for entry in reader.tree(repo.head).files.values()]

        def failing() -> BaseException:
            try:
                with reader.each_blob(oids, limit_bytes=100) as blobs:
                    next(blobs)
                    raise HostError("the disk is full")
            except HostError as error:
                return error  # with the frames that it came through

        kept = pool.submit(failing).result(timeout=60)
        assert pool.submit(reader.blob, oids[0]).result(timeout=60)
        assert str(kept) == "the disk is full"


def test_many_threads_may_ask_one_reader(git_repo: MakeRepo) -> None:
    files = {f"f{i}": str(i) * 200 for i in range(300)}
    repo = git_repo(files)
    with Reader.discover(repo.path) as reader, ThreadPoolExecutor(8) as pool:
        tree = reader.tree(repo.head)

        def ask(path: str) -> bytes:
            return reader.blob(tree.files[path].oid)

        assert [data.decode() for data in pool.map(ask, files)] == list(files.values())


def test_reading_imports_neither_gitpython_nor_what_the_mirror_needs() -> None:
    code = "import sys, runner.git.read; print(*sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert not {"git", "gitdb", "tempfile", "difflib", "runner.git.mirror"} & set(done.stdout.split())


def test_a_reader_that_goes_on_for_weeks_remembers_only_so_much_of_the_trees_it_saw(
    git_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "_KEPT_ENTRIES", 60)
    repo = git_repo(FILES)
    commits = [repo.commit({f"kept/{number}": "x"}) for number in range(20)]
    with Reader.discover(repo.path) as reader:
        for number, commit in enumerate(commits):
            assert reader.tree(commit).get(f"kept/{number}") is not None
            assert {f"kept/{earlier}" for earlier in range(number + 1)} < set(reader.tree(commit).files)
        assert sum(len(part.files) for part in reader._parts.values()) < 60 + 20 + len(FILES) < sum(range(20))
        assert len(reader._trees) <= 18
        assert sorted(reader.tree(commits[0]).files) == sorted([*FILES, "kept/0"])
