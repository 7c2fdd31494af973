"""What keeps a mirror usable: damage, left-over locks, kills, and packs."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.errors import HostError, InputError
from runner.git.commit import CommitRequest, Identity
from runner.git.mirror import Mirror
from runner.git.objects import DamagedObjects
from runner.git.push import PushStatus
from tests.counted import counted
from tests.git.commits import ADA, STATE, request, state_commit
from tests.repositories import GitRepo

PACKED_REFS = ("packed refs", "packed refs line")


def _damage(mirror: Mirror, damage: str) -> None:
    if damage == "head":
        (mirror.path / "HEAD").write_text("rubbish")
    elif damage == "config":
        (mirror.path / "config").write_text("[core\n")
    elif damage == "empty ref":
        (mirror.path / "refs" / "heads").mkdir(exist_ok=True, parents=True)
        (mirror.path / "refs" / "heads" / "main").write_text("")
    elif damage == "packed refs":
        (mirror.path / "packed-refs").write_text("junk")
    elif damage == "packed refs line":
        (mirror.path / "packed-refs").write_text("junk\n")
    elif damage == "objects":
        (mirror.path / "objects").rename(mirror.path / "gone")
    else:
        for pack in (mirror.path / "objects" / "pack").iterdir():
            pack.chmod(0o644)
            pack.write_bytes(b"") if damage == "empty pack" else pack.unlink()


@pytest.mark.parametrize("damage", ["head", "packs", "empty pack", "empty ref", "config", "objects", *PACKED_REFS])
def test_a_damaged_mirror_is_made_again(mirror: Mirror, repo: GitRepo, damage: str) -> None:
    _damage(mirror, damage)
    second = repo.commit({"new": "1"})
    repo.push()
    again = Mirror.open(mirror.path, mirror.url)
    again.fetch()
    assert again.tip("main") == second
    assert again.reader.file(second, "a.txt") == b"a"
    again.close()


def test_catching_up_asks_and_fetches_only_where_a_branch_moved(mirror: Mirror, repo: GitRepo) -> None:
    head = repo.head
    with counted() as work:
        seen = mirror.catch_up()
        assert seen.ref("refs/heads/main") == head
        assert (seen.ref("refs/heads/none"), seen.refs("refs/runner/claims/")) == (None, {})
        assert mirror.default_branch() == "main"
    assert work.git() == ["ls-remote", "for-each-ref"]
    for change in (["push", "-q", "origin", "HEAD:refs/heads/more"], ["push", "-q", "origin", ":refs/heads/more"]):
        repo.git(*change)
        seen = mirror.catch_up()
        assert (
            seen.refs("refs/heads/")
            == mirror.reader.refs("refs/heads/")
            == {f"refs/heads/{name}": tip for name, tip in mirror.branch_tips().items()}
        )
    claim = "refs/runner/claims/one"
    repo.git("push", "-q", "origin", f"HEAD:{claim}")
    mirror.catch_up()
    assert mirror.reader.ref(claim) == repo.head


@pytest.mark.parametrize("damage", ["head", "packs", "empty pack", "empty ref", "config", "objects", *PACKED_REFS])
def test_a_damaged_mirror_is_made_again_though_nothing_moved(mirror: Mirror, repo: GitRepo, damage: str) -> None:
    _damage(mirror, damage)
    again = Mirror.open(mirror.path, mirror.url)
    again.catch_up()
    assert again.tip("main") == repo.head
    assert again.reader.file(repo.head, "a.txt") == b"a"
    again.close()


def test_a_damage_that_a_reader_finds_is_mended_by_rebuilding(mirror: Mirror, repo: GitRepo) -> None:
    for pack in (mirror.path / "objects" / "pack").iterdir():
        pack.unlink()
    with pytest.raises((DamagedObjects, InputError)):
        mirror.reader.file(repo.head, "a.txt")
    mirror.rebuild()
    assert mirror.reader.file(repo.head, "a.txt") == b"a"


def test_a_lock_whose_owner_is_gone_is_removed(mirror: Mirror, repo: GitRepo) -> None:
    for name in ("packed-refs.lock", "refs/heads/main.lock", "refs/runner/made.lock"):
        lock = mirror.path / name
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    sha, _ = state_commit(mirror, b"1")
    repo.commit({"new": "1"})
    repo.push()
    (mirror.path / "refs/heads/main.lock").touch()
    mirror.fetch()
    assert mirror.tip("main") == repo.head
    assert mirror.push(sha, STATE, None).status is PushStatus.ACCEPTED


def test_a_lock_whose_owner_lives_is_respected(mirror: Mirror, repo: GitRepo) -> None:
    repo.commit({"new": "1"})
    repo.push()
    lock = mirror.path / "refs/heads/main.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    with subprocess.Popen(
        ["git", f"--git-dir={mirror.path}", "hash-object", "--stdin"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as alive:
        with pytest.raises(HostError):
            mirror.fetch()
        assert lock.exists()
        alive.communicate(b"")
    mirror.fetch()
    assert mirror.tip("main") == repo.head


def test_many_threads_may_use_one_mirror(mirror: Mirror, repo: GitRepo) -> None:
    def work(number: int) -> str:
        mirror.fetch()
        return mirror.write_commit(request(mirror, (repo.head,), x=str(number).encode()))

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(work, range(8)))
    assert [mirror.reader.file(sha, "x") for sha in made] == [str(number).encode() for number in range(8)]


def test_many_packs_are_packed_into_one_without_what_slows_pushes_down(mirror: Mirror, repo: GitRepo) -> None:
    assert not mirror.tidy()
    made = [mirror.write_commit(request(mirror, (repo.head,), x=str(n).encode())) for n in range(45)]
    assert mirror.tidy()
    assert len(list((mirror.path / "objects/pack").glob("*.pack"))) <= 2
    assert not list((mirror.path / "objects/pack").glob("*.bitmap"))
    assert mirror.reader.file(made[0], "x") == b"0"  # not on any branch yet, and young


def test_a_runner_that_is_killed_while_it_writes_leaves_a_usable_mirror(mirror: Mirror, repo: GitRepo) -> None:
    code = (
        "import sys, pathlib\n"
        "from runner.git.mirror import Mirror\n"
        "from runner.git.commit import *\n"
        f"m = Mirror.open(pathlib.Path({str(mirror.path)!r}), {mirror.url!r})\n"
        "print('ready', flush=True)\n"
        "for n in range(10_000):\n"
        f"    m.write_commit(CommitRequest(({repo.head!r},), None, 'x', Identity('a', 'b'), n,\n"
        "        files={'x': FileContent(data=b'1')}))\n"
    )
    root = Path(__file__).parents[2]
    for delay_seconds in (0.01, 0.03, 0.06):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=root) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(delay_seconds)
            writer.kill()
        sha, tip = state_commit(mirror, str(delay_seconds).encode())
        assert mirror.push(sha, STATE, tip).status is PushStatus.ACCEPTED


def test_a_new_mirror_is_fetched_without_a_look_at_what_it_has(remote: Path, tmp_path: Path, repo: GitRepo) -> None:
    head = repo.head
    with counted() as work:
        other = Mirror.open(tmp_path / "other.git", str(remote))
        assert other.catch_up(soon=("refs/heads/runner",)).ref("refs/heads/main") == head
    assert work.git() == ["init", "ls-remote", "fetch", "for-each-ref"]
    with counted() as work:
        other.catch_up()
    assert work.git() == ["ls-remote", "for-each-ref"]


def test_a_commit_without_files_is_the_same_however_it_is_written(mirror: Mirror, repo: GitRepo) -> None:
    author = Identity("Ada\n<x>", "ada@example.com")
    for parents in ((repo.head,), (repo.head, repo.head), ()):
        request = CommitRequest(parents, None, message="a claim of ü\n\n{}\n\n", author=author, time_epoch=7)
        with counted() as work:
            loose, packed = mirror.write_commit(request, pack=False), mirror.write_commit(request)
        assert loose == packed
        written = [word for word in work.git() if word != "cat-file"]  # which is asked whether parents are there
        assert written == [("hash-object" if parents else "fast-import"), "fast-import"]


def test_a_commit_on_what_is_not_there_is_not_written(mirror: Mirror) -> None:
    request = CommitRequest(("1" * 40,), None, message="a claim", author=ADA, time_epoch=7)
    with pytest.raises(HostError):
        mirror.write_commit(request, pack=False)


def test_a_branch_whose_commit_is_lost_is_fetched_again(mirror: Mirror, repo: GitRepo) -> None:
    mirror.follow(["main"], filtered=False)
    assert mirror.reader.exists(repo.head)
    for pack in (mirror.path / "objects").rglob("*"):
        if pack.is_file():
            pack.unlink()
    mirror.reader.close()
    assert not mirror.reader.exists(repo.head)
    mirror.follow(["main"], filtered=False)
    assert mirror.reader.exists(repo.head)


def test_a_claim_that_is_renewed_all_day_leaves_no_pack_here_nor_with_others(
    mirror: Mirror, remote: Path, repo: GitRepo, tmp_path: Path
) -> None:
    other = Mirror.open(tmp_path / "other.git", str(remote))
    other.fetch()
    packs = [mirror.path / "objects" / "pack", other.path / "objects" / "pack"]
    before = [sorted(folder.iterdir()) for folder in packs]
    for number in range(3):
        request = CommitRequest((repo.head,), None, message=f"claim {number}", author=ADA, time_epoch=number)
        sha = mirror.write_commit(request, pack=False)
        assert mirror.place(sha, "refs/runner/claims/x").status is PushStatus.ACCEPTED
        other.fetch_refs(["refs/runner/claims/x"])
        assert other.reader.commit(sha).message.strip() == f"claim {number}"
    other.close()
    assert [sorted(folder.iterdir()) for folder in packs] == before


def test_many_loose_objects_are_packed(mirror: Mirror) -> None:
    assert not mirror.tidy()
    folder = mirror.path / "objects" / "17"
    folder.mkdir(exist_ok=True)
    blobs = (b"blob %d\0%d" % (len(str(number)), number) for number in itertools.count())
    seventeen = (blob for blob in blobs if hashlib.sha1(blob).hexdigest().startswith("17"))
    for blob in itertools.islice(seventeen, 30):
        (folder / hashlib.sha1(blob).hexdigest()[2:]).write_bytes(zlib.compress(blob))
    assert mirror.tidy()
    assert not mirror.tidy()
