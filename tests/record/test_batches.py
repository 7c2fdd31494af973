"""What a batch of runs leaves on the ledger, where runs come late, twice, or with damaged bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from runner.core.nouns import Address
from runner.core.recorded import Entry, Hit, OutFact
from runner.core.records import RunFacts
from runner.data.cache import Cache
from runner.data.hash_index import HashIndex
from runner.git.commit import CommitRequest, FileContent, Identity
from runner.ledger import layout
from runner.ledger.state import Nothing, State
from runner.record.journal import Journal
from runner.record.journal_folder import DiskFolder
from runner.record.ledger import Batch, NoSigner, append_runs, begin, unrecorded, write_checkpoint, write_index
from runner.record.outbox import left_over
from runner.record.standing import WithRuns, entry_of
from runner.record.tree import state_file
from tests.simulator.repository import Repository, Store

KEY = "ab" * 32
DESIRED = "c" * 40


def run(run_id: str, md5: str = "1" * 32, *, reason: str = "ok", cached: bool = True) -> RunFacts:
    facts = RunFacts(
        run_id, Address("p", "s"), KEY, {}, reason != "failed", reason, "", DESIRED, "2026-01-01T00:00:00+00:00", 1.0
    )
    return facts if reason == "failed" else replace(facts, outs=(OutFact("out", md5, 3, cached=cached),))


def batch_of(base: State | None, runs: list[RunFacts]) -> Batch:
    batch = begin(base, 0.0, NoSigner())
    append_runs(base, batch, runs, {})
    return batch


def state_with(*batches: list[RunFacts]) -> State:
    """A state on which these batches were published one after the other."""
    repository, base = Repository(Store()), None
    for runs in batches:
        batch = batch_of(base, runs)
        write_index(batch)
        write_checkpoint(batch)
        batch.files[layout.STATE] = state_file(DESIRED, batch.head, "")
        files = {path: FileContent(data=data) for path, data in batch.files.items()}
        trees = {layout.ROOT: base.root_tree} if base else {}
        parents = (base.commit,) if base else ()
        sha = repository.store.make(CommitRequest(parents, None, "x", Identity("a", "b"), 0, (), trees, files))
        repository.receive(sha)
        base = State(repository, sha)
    assert base is not None
    return base


def test_of_two_results_of_one_batch_the_accepted_one_stands() -> None:
    first, second = run("first", "1" * 32), run("second", "2" * 32)
    batch = batch_of(None, [first, second])
    assert [row["runId"] for row in batch.dropped] == ["second"]
    hit = WithRuns(Nothing(), [first, second]).find(KEY)
    assert hit is not None
    assert hit.outs == first.outs


class _Stands(Nothing):
    """A state in which a run stands for its stage and is what is accepted for its key."""

    def __init__(self, run_: RunFacts) -> None:
        self._run = run_

    def current(self, _address: Address) -> Entry | None:
        return replace(entry_of(self._run), record=1)

    def find(self, key: str) -> Hit | None:
        here = self._run
        return Hit(key, True, "", 1, here.address, here.outs, here.provenance, {}) if key == here.key else None


def test_of_two_versions_that_were_made_again_each_has_its_own_bytes() -> None:
    again, older = run("again", "2" * 32, reason="remade"), run("older", "3" * 32, reason="remade")
    older = replace(older, key="f" * 64)
    for standing, other in ((again, older), (older, again)):
        before = replace(standing, run_id="first", reason="ok", outs=(OutFact("out", "1" * 32, 3),))
        found = WithRuns(_Stands(before), [standing, other])
        current, hit, others = found.current(standing.address), found.find(standing.key), found.find(other.key)
        assert current is not None
        assert hit is not None
        assert others is not None
        assert (current.key, current.outs, hit.outs) == (standing.key, standing.outs, standing.outs)
        assert others.outs == other.outs


def test_a_failure_that_is_published_already_is_not_recorded_again_after_another_one() -> None:
    mine, other = run("mine", reason="failed"), run("other", reason="failed")
    base = state_with([mine], [other])
    assert unrecorded(base, [mine, other, run("new", reason="failed")]) == [run("new", reason="failed")]


def test_a_result_made_again_that_is_published_already_does_not_come_back() -> None:
    again, later = run("again", "2" * 32, reason="remade"), run("later", "3" * 32, reason="remade")
    base = state_with([run("first")], [again], [later])
    assert unrecorded(base, [again]) == []


def test_a_result_made_again_that_comes_late_leaves_what_stands_and_what_was_accepted() -> None:
    base = state_with([run("first", "1" * 32)])
    batch = begin(base, 0.0, NoSigner())
    append_runs(base, batch, [run("again", "2" * 32, reason="remade")], {}, late=True)
    assert [row["runId"] for row in batch.dropped] == ["again"]
    assert (batch.appended, batch.numbers) == ([], {})


def test_what_stands_keeps_its_record_where_a_batch_touches_the_index_of_its_key() -> None:
    base = state_with([run("first", "1" * 32)])
    failed = replace(run("other", reason="failed"), key=KEY[:62] + "cd")
    batch = batch_of(base, [failed, run("late", "3" * 32)])
    assert batch.numbers == {}


def test_what_a_loss_of_power_left_half_written_counts_as_not_having_run(tmp_path: Path) -> None:
    index = HashIndex(tmp_path / "hashes.sqlite")
    cache, folder = Cache(tmp_path / "cache", index), DiskFolder(tmp_path / "journal")
    kept, torn = (run(data.decode(), cache.put_bytes(data), cached=False) for data in (b"kept", b"torn"))
    dead = Journal(folder, "dead")
    dead.add(kept)
    dead.add(torn)
    dead.close()
    path = cache.object_path(torn.outs[0].md5)
    path.chmod(0o644)
    path.write_bytes(b"")
    index.close()
    index = HashIndex(tmp_path / "hashes.sqlite")
    runs, lost = left_over(Journal(folder, "next"), Cache(tmp_path / "cache", index))
    assert ([run.run_id for run in runs], [run.run_id for run in lost]) == (["kept"], ["torn"])
    assert left_over(Journal(folder, "after"), Cache(tmp_path / "cache", index)) == ([kept], [])
    index.close()
