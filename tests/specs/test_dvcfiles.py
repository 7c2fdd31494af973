"""What DVC wrote into `.dvc` files and lock files is read as DVC means it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import chdir, closing
from pathlib import Path
from typing import Any

import pytest
from dvc.exceptions import DvcException
from dvc.repo import Repo

from runner.core.nouns import Address, LockOut, TrackedData
from tests.repositories import GitRepo
from tests.specs.readings import DVC_PROJECT, desired_of, findings_of

# DVC's own dependency pygtrie warns when DVC writes.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def with_dvc(root: Path, act: Callable[[Repo], Any]) -> None:
    with chdir(root), closing(Repo(str(root))) as repo:
        act(repo)


def tracked_by_dvc(root: Path) -> dict[str, tuple[Any, ...]]:
    """Path to (digest, hash, size, nfiles) of every `.dvc` file, as DVC reads them."""
    with chdir(root), closing(Repo(str(root))) as repo:
        return {
            str(Path(out.fs_path).relative_to(root)): (
                out.hash_info.value,
                out.hash_name,
                out.meta.size,
                out.meta.nfiles,
            )
            for stage in repo.index.stages
            if stage.is_data_source
            for out in stage.outs
        }


def test_files_folders_and_imports_are_tracked_as_dvc_says(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    (tmp_path / "elsewhere.csv").write_text("1\n")
    repo = git_repo({**DVC_PROJECT, "data/a.csv": "a\n", "folder/x/1": "1", "folder/2": "22", "deep/down/b": ""})
    repo.git("rm", "-r", "--quiet", "--cached", "data", "folder", "deep")

    def track(dvc: Repo) -> None:
        dvc.add(["data/a.csv", "folder", "deep/down/b"])
        dvc.imp_url(str(tmp_path / "elsewhere.csv"), "data/imported.csv")

    with_dvc(repo.path, track)
    repo.write(
        {
            "old.bin.dvc": f"md5: 0123\nouts:\n- md5: {EMPTY_MD5}\n  path: old.bin\n  cache: true\n",
            "moved.dvc": f"wdir: deep\nouts:\n- {{md5: {EMPTY_MD5}, hash: md5, size: 0, path: moved}}\n",
        }
    )
    repo.commit()

    tracked = desired_of(repo).tracked

    assert {
        path: (item.md5, "md5-dos2unix" if item.legacy else "md5", item.size, item.nfiles)
        for path, item in tracked.items()
    } == tracked_by_dvc(repo.path)
    assert tracked["folder"].is_dir
    assert tracked["deep/moved"] == TrackedData("deep/moved", EMPTY_MD5, "moved.dvc", size=0)
    assert tracked["data/imported.csv"].dvc_file == "data/imported.csv.dvc"


PARTIAL = "frozen: true\ndeps:\n- {path: /data/x, md5: null}\nouts:\n- {hash: md5, path: x}\n"


def test_an_import_without_its_bytes_is_a_finding_for_whoever_needs_it(
    git_repo: Callable[..., GitRepo], tmp_path: Path
) -> None:
    text = "stages:\n  a:\n    cmd: c\n    deps:\n    - {}\n"
    files = {"x.dvc": PARTIAL.replace("md5, path", f"md5, md5: {EMPTY_MD5}, path"), "data/.keep": "", "y": ""}
    repo = git_repo({**DVC_PROJECT, **files, "dvc.yaml": text.format("x")})
    cache = tmp_path / "cache"
    assert findings_of(repo, cache) == []

    repo.commit({"x.dvc": PARTIAL, "data/x.dvc": PARTIAL})
    for dep, part in [("x", "x"), ("x/inside", "x"), ("data", "data/x")]:
        repo.commit({"dvc.yaml": text.format(dep)})
        message = f"`{part}` was imported without its bytes, so no stage can read it"
        assert findings_of(repo, cache) == [f"dvc.yaml:5:7: {message} (`dvc update {part}.dvc` fetches them)"]
    repo.commit({"dvc.yaml": text.format("y")})
    assert findings_of(repo, cache) == []


def test_a_stage_in_a_dvc_file_is_refused_as_dvc_refuses_it(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({**DVC_PROJECT, "x.dvc": "deps:\n- {path: y}\ncmd: c\nouts:\n- {path: x}\n"})

    message = "the .dvc file holds a stage, as of a DVC before 1.0, which is not read (nor by DVC 3)"
    hint = "write the stage into a dvc.yaml, and remove this file"
    assert findings_of(repo) == [f"x.dvc:3:1: {message} ({hint})"]
    with pytest.raises(DvcException, match=r"x\.dvc"):
        with_dvc(repo.path, lambda dvc: dvc.stage.load_all("x.dvc"))


def test_an_import_without_its_bytes_that_nobody_needs_is_a_notice(git_repo: Callable[..., GitRepo]) -> None:
    files = {"x.dvc": PARTIAL, "dvc.yaml": "stages:\n  a: {cmd: c}\n"}

    desired = desired_of(git_repo({**DVC_PROJECT, **files}))

    assert [str(notice.message) for notice in desired.notices] == [
        "`x` was imported without its bytes; `dvc update x.dvc` fetches them"
    ]
    assert desired.tracked == {}


def test_an_import_that_is_not_frozen_is_a_notice_until_it_is(git_repo: Callable[..., GitRepo], tmp_path: Path) -> None:
    (tmp_path / "source").write_text("1\n")
    repo = git_repo({**DVC_PROJECT, "dvc.yaml": "stages:\n  a: {cmd: c, deps: [u]}\n"})

    def noticed(act: Callable[[Repo], Any]) -> list[str]:
        with_dvc(repo.path, act)
        repo.git("add", "u.dvc")
        repo.git("commit", "--quiet", "--message", "Import")
        desired = desired_of(repo, tmp_path / "cache")
        assert [*desired.tracked] == ["u"]
        assert [notice.message for notice in desired_of(repo, tmp_path / "cache").notices] == [
            notice.message for notice in desired.notices
        ]
        return [notice.message for notice in desired.notices]

    assert noticed(lambda dvc: dvc.imp_url(str(tmp_path / "source"), "u")) == []
    assert noticed(lambda dvc: dvc.unfreeze("u.dvc")) == [
        (
            "the import `u.dvc` is not frozen, and its source is not looked at; `dvc update u.dvc` brings what is new "
            "there, `dvc freeze u.dvc` leaves it so"
        )
    ]
    assert noticed(lambda dvc: dvc.freeze("u.dvc")) == []


def test_what_dvc_locked_is_evidence_from_the_root(git_repo: Callable[..., GitRepo]) -> None:
    text = """\
stages:
  a:
    cmd: [mkdir -p out, echo 1 > out/x, 'echo 2 > m.json']
    wdir: w
    deps: [in.txt, ../top.txt]
    params: [lr, {../conf.toml: }]
    outs: [out]
    metrics: [{m.json: {cache: false}}]
  b:
    cmd: cat ../w/out/x > y
    wdir: sub
    deps: [../w/out]
    outs: [y]
  never:
    cmd: exit 1
    outs: [z]
"""
    inputs = {"w/in.txt": "1", "top.txt": "2", "w/params.yaml": "lr: 0.5\n", "conf.toml": "a = 1\n", "sub/.keep": ""}
    repo = git_repo({**DVC_PROJECT, ".dvcignore": "", "dvc.yaml": text, **inputs})
    with_dvc(repo.path, lambda dvc: dvc.reproduce(["a", "b"]))
    repo.git("add", "--all", "--", "dvc.lock")
    repo.git("commit", "--quiet", "--message", "Lock")

    desired = desired_of(repo)
    first, second = desired.locks[Address("dvc.yaml", "a")], desired.locks[Address("dvc.yaml", "b")]

    assert set(desired.locks) == {Address("dvc.yaml", "a"), Address("dvc.yaml", "b")}
    assert first.cmd_is_list
    assert first.cmd == ("mkdir -p out", "echo 1 > out/x", "echo 2 > m.json")
    assert first.deps == {
        "w/in.txt": "md5:c4ca4238a0b923820dcc509a6f75849b",
        "top.txt": "md5:c81e728d9d4c2f636f067f89cc14862c",
    }
    assert first.params == {"w/params.yaml": {"lr": 0.5}, "conf.toml": {"a": 1}}
    assert [out.path for out in first.outs] == ["w/m.json", "w/out"]
    assert (second.cmd, second.cmd_is_list) == (("cat ../w/out/x > y",), False)
    assert second.deps == {"w/out": f"md5:{first.outs[1].md5}"}
    assert second.raw["deps"][0]["path"] == "../w/out"
    assert second.outs[0].path == "sub/y"


def test_a_lock_of_dvc_1_is_evidence_in_the_old_hash(git_repo: Callable[..., GitRepo]) -> None:
    lock = f"""\
a:
  cmd: x
  deps:
  - path: i
    md5: {EMPTY_MD5}
  - path: s3://b/k
    etag: '"E"'
  outs:
  - path: o
    md5: {EMPTY_MD5.upper()}
    isexec: true
"""
    stages = "stages:\n  a: {cmd: x, deps: [i, 's3://b/k'], outs: [o]}\n"

    locks = desired_of(git_repo({**DVC_PROJECT, "dvc.yaml": stages, "dvc.lock": lock, "i": ""})).locks

    entry = locks[Address("dvc.yaml", "a")]
    assert entry.deps == {"i": f"md5-dos2unix:{EMPTY_MD5}", "s3://b/k": 'etag:"E"'}
    assert entry.outs == (LockOut("o", EMPTY_MD5, isexec=True, legacy=True),)


def test_a_listing_in_place_of_a_digest_has_the_digest_of_the_folder(git_repo: Callable[..., GitRepo]) -> None:
    files = {"folder/x/1": "1", "folder/2": "22"}
    repo = git_repo({**DVC_PROJECT, **files})
    repo.git("rm", "-r", "--quiet", "--cached", "folder")
    with_dvc(repo.path, lambda dvc: dvc.add("folder"))
    repo.commit()
    plain = desired_of(repo).tracked["folder"]
    listing = """\
outs:
- path: folder
  hash: md5
  size: 3
  nfiles: 2
  files:
  - {relpath: x/1, md5: c4ca4238a0b923820dcc509a6f75849b, size: 1}
  - {relpath: '2', md5: b6d767d2f8ed5d21a44b0e5886680cb9, size: 2}
"""
    repo.commit({"folder.dvc": listing})

    assert desired_of(repo).tracked["folder"] == plain


def test_lock_files_are_not_read_when_the_project_ignores_them(git_repo: Callable[..., GitRepo]) -> None:
    project = "apiVersion: runner/v1\nkind: Project\nspec: {trust: {dvcLock: ignore}}\n"
    files = {"dvc.yaml": "stages:\n  a: {cmd: x}\n", "dvc.lock": "broken: [\n", "runner.yaml": project}

    desired = desired_of(git_repo({**DVC_PROJECT, **files}))

    assert desired.locks == {}
    assert not desired.project.accept_dvc_lock


@pytest.mark.parametrize(
    ("lock", "finding"),
    [
        ("[]\n", "the lock file is no mapping"),
        ("schema: '2.0'\nstages: []\n", "`stages` of the lock file is no mapping"),
        ("schema: '2.0'\nstages: {a: 1}\n", "the entry `a` of the lock file is broken"),
    ],
)
def test_a_lock_of_another_shape_is_a_finding(lock: str, finding: str, git_repo: Callable[..., GitRepo]) -> None:
    files = {"dvc.yaml": "stages:\n  a: {cmd: x}\n", "dvc.lock": lock}

    assert findings_of(git_repo({**DVC_PROJECT, **files})) == [
        f"dvc.lock: {finding} (restore it from git, or delete it: it is written again)"
    ]
