"""What is remembered on disk: bounded, and never changed by a commit that nobody trusts."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from runner.observe.memo import DigestMemo
from runner.specs.parse_cache import ParseCache, _size_on_disk
from tests.cli.command import call
from tests.counted import calls
from tests.hostile.catalogue import MECHANISMS
from tests.hostile.ground import Ground
from tests.hostile.kinds import HEAD, Case

TRUSTED = {
    "runner.yaml": HEAD + "  stages:\n    a: {cmd: 'x ${rate}', deps: [in, d], params: [params: [a]], outs: [o]}\n",
    "params": "a: 1\n",
    "params.yaml": "rate: 1\n",
    "in": "1\n",
    "d/x": "1",
    ".dvcignore": "*.tmp\n",
}
"""A commit of the watched branch that uses everything that is remembered."""


def _plan(ground: Ground, home: Path, rev: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setenv("RUNNER_HOME", str(home))
    answer = call(ground.clone, "plan", "--json", rev)
    return answer.code, answer.out


def _ground(folder: Path) -> Ground:
    ground = Ground.create(folder)
    commit = ground.store.commit(ground.store.tree(TRUSTED), parents=[ground.base])
    ground.store.ref("refs/heads/main", commit)
    ground.base = commit
    return ground


def _content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def _rows(file: Path) -> set[tuple[str, str]]:
    db = sqlite3.connect(file)
    try:
        return set(db.execute("select name, digest from known"))
    finally:
        db.close()


STRANGERS: dict[str, dict[str | bytes, str]] = {
    # The same bytes are something else to a reader that goes by another name.
    "a name that says Python": {".py": "a: 1\n", "runner.yaml": HEAD + "  stages: {a: {cmd: x, params: [.py: [a]]}}\n"},
    "a name that says JSON": {".json": "a: 1\n", "runner.yaml": HEAD + "  stages: {a: {cmd: x, params: [.json: [a]]}}\n"},
    "a name that says TOML": {"params.toml": "a: 1\n", "dvc.yaml": "vars: [params.toml]\nstages: {a: {cmd: x}}\n"},
    "the same files elsewhere": {f"pipelines/{name}": text for name, text in TRUSTED.items()},
    "another root": {**TRUSTED, "sub/.dvc/config": "", "runner.yaml": TRUSTED["runner.yaml"] + "---\napiVersion: runner/v1\nkind: Project\nspec: {dvcRoot: sub}\n"},
    "other parameters": {**TRUSTED, "params.yaml": "rate: 2\n"},
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGERS)
@pytest.mark.parametrize("first", ["the stranger", "the watched branch"])
def test_a_stranger_changes_nothing_that_a_trusted_plan_reads(
    name: str, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = _ground(tmp_path / "ground")
    stranger = ground.commit(Case(name, {**TRUSTED, **STRANGERS[name]}, plain=True))
    expected = _plan(ground, tmp_path / "untouched", ground.base, monkeypatch)
    shared = tmp_path / "shared"
    order = [stranger, ground.base, stranger, ground.base]
    for rev in order if first == "the stranger" else order[1:]:
        found = _plan(ground, shared, rev, monkeypatch)
        if rev == ground.base:
            assert found == expected


def test_what_a_stranger_leaves_lies_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ground = _ground(tmp_path / "ground")
    home = tmp_path / "home"
    _plan(ground, home, ground.base, monkeypatch)
    parsed, digests = _content(home / "parsed"), _rows(home / "digests.sqlite")
    stranger = ground.commit(Case("x", {**TRUSTED, "in": "other\n", "params.yaml": "rate: 3\n"}, plain=True))
    assert _plan(ground, home, stranger, monkeypatch)[0] == 2
    assert _content(home / "parsed") == parsed
    assert _rows(home / "digests.sqlite") == digests
    assert _content(home / "apart" / "parsed")
    assert _rows(home / "apart" / "digests.sqlite") - digests


def test_no_hostile_case_changes_what_a_trusted_plan_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trusted = _ground(tmp_path / "trusted")
    expected = _plan(trusted, tmp_path / "untouched", trusted.base, monkeypatch)
    shared = tmp_path / "shared"
    for position, mechanism in enumerate(MECHANISMS.values()):
        ground = Ground.create(tmp_path / str(position))
        _plan(ground, shared, ground.prepared(mechanism.cases()[0]), monkeypatch)
    assert _plan(trusted, shared, trusted.base, monkeypatch) == expected


def test_an_object_under_a_name_that_is_not_its_own_is_never_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, forged = _ground(tmp_path / "honest"), _ground(tmp_path / "forged")
    expected = _plan(honest, tmp_path / "untouched", honest.base, monkeypatch)
    name = honest.store.put("blob", TRUSTED["runner.yaml"].encode())
    forged.store.put("blob", TRUSTED["runner.yaml"].replace("cmd: 'x", "cmd: 'evil").encode(), name=name)
    shared = tmp_path / "shared"
    assert _plan(forged, shared, forged.base, monkeypatch)[0] == 4
    assert _plan(honest, shared, honest.base, monkeypatch) == expected


def test_the_parse_cache_stays_within_its_bound_within_one_process(tmp_path: Path) -> None:
    cache = ParseCache(tmp_path, bound_bytes=400_000)
    for number in range(400):
        cache.put("params", f"{number:040x}", "x" * 3_000)
    # Looked through whenever an eighth was added.
    assert sum(file.stat().st_blocks * 512 for file in tmp_path.rglob("*.json")) <= 400_000 * 9 / 8 + 8_192
    assert cache.get("params", f"{399:040x}") is not None
    assert cache.get("params", f"{0:040x}") is None


def test_an_entry_that_would_push_out_the_others_is_not_kept(tmp_path: Path) -> None:
    cache = ParseCache(tmp_path, bound_bytes=100_000)
    cache.put("params", "a", "small")
    cache.put("params", "b", "x" * 50_000)
    assert cache.get("params", "a") == "small"
    assert cache.get("params", "b") is None


def test_a_cache_that_reads_another_never_writes_there(tmp_path: Path) -> None:
    trusted = ParseCache(tmp_path / "trusted")
    trusted.put("params", "a", 1)
    apart = ParseCache(tmp_path / "apart", reads=trusted)
    apart.put("params", "b", 2)
    assert [apart.get("params", key) for key in "ab"] == [1, 2]
    assert [trusted.get("params", key) for key in "ab"] == [1, None]


def test_digests_are_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    memo = DigestMemo(tmp_path / "digests.sqlite", bound_rows=100)
    for number in range(300):
        memo.put_many({f"{number:040x}": "d", f"{7:040x}": "kept"})
    memo.close()
    again = DigestMemo(tmp_path / "digests.sqlite", bound_rows=100)
    known = again.get_many([f"{number:040x}" for number in range(300)])
    again.close()
    assert len(known) <= 100
    assert {f"{7:040x}", f"{299:040x}"} <= known.keys()
    assert len(_rows(tmp_path / "digests.sqlite")) <= 100


def test_digests_apart_are_read_from_both_and_written_to_one(tmp_path: Path) -> None:
    trusted = DigestMemo(tmp_path / "trusted.sqlite")
    trusted.put_many({"a": "1"})
    apart = DigestMemo(tmp_path / "apart.sqlite", reads=DigestMemo(tmp_path / "trusted.sqlite"))
    apart.put_many({"b": "2"})
    assert apart.get_many(["a", "b"]) == {"a": "1", "b": "2"}
    apart.close()
    trusted.close()
    assert _rows(tmp_path / "trusted.sqlite") == {("a", "1")}


def test_a_process_that_adds_little_does_not_look_through_all_entries(tmp_path: Path) -> None:
    for number in range(30):
        ParseCache(tmp_path).put("params", f"{number:040x}", "x")
    with calls(_size_on_disk) as called:
        ParseCache(tmp_path).put("params", "f" * 40, "x")
    assert not called
    (tmp_path / "added").unlink()
    with calls(_size_on_disk) as called:
        ParseCache(tmp_path).put("params", "e" * 40, "x")
    assert called == {"_size_on_disk": 32}
