"""Sealing: records move into segments byte for byte, every key is still found, and a state stays small."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.core.nouns import Address
from runner.core.records import Head, RunFacts
from runner.git.commit import CommitRequest, FileContent, Identity
from runner.git.mirror import Mirror
from runner.ledger import layout
from runner.ledger.state import State
from runner.record.ledger import NoSigner, append_reconcile, append_runs, begin, write_checkpoint, write_index
from runner.record.sealing import seal
from runner.record.tree import state_file
from tests.repositories import GitRepo

COMMIT = "c" * 40


@pytest.fixture
def mirror(tmp_path: Path, git_repo: Callable[..., GitRepo]) -> Iterator[Mirror]:
    """A mirror of a repository with one commit."""
    repo = git_repo({"a": "1"})
    made = Mirror.open(tmp_path / "mirror.git", str(repo.path))
    made.fetch()
    yield made
    made.close()


def _run(number: int, *, succeeded: bool = True, key: str | None = None) -> RunFacts:
    return RunFacts(
        run_id=f"r{number}",
        address=Address("dvc.yaml", "train"),
        key=key or hashlib.sha256(str(number).encode()).hexdigest(),
        material={"cmd": str(number)},
        succeeded=succeeded,
        reason="ok" if succeeded else "failed",
        message="",
        desired=COMMIT,
        started_at="2026-01-01T00:00:00+00:00",
        seconds=1.0,
    )


def _append(mirror: Mirror, base: State | None, runs: list[RunFacts]) -> State:
    batch = begin(base, 1.0, NoSigner())
    append_runs(base, batch, runs, {})
    append_reconcile(batch, {"id": "x"}, COMMIT)
    seal(base, batch, kept=10, segment=5)
    write_index(batch)
    write_checkpoint(batch)
    files = {**batch.files, layout.STATE: state_file(COMMIT, batch.head, "this host")}
    tip = mirror.tip("main")
    assert tip is not None
    commit = mirror.write_commit(
        CommitRequest(
            parents=(base.commit if base else tip,),
            base_tree=mirror.reader.commit(base.commit if base else tip).tree,
            message="State",
            author=Identity("runner", "runner@localhost"),
            time_epoch=1,
            deletes=tuple(batch.deletes),
            files={path: FileContent(data=data) for path, data in files.items()},
        )
    )
    return State(mirror.reader, commit)


def test_every_record_and_key_is_found_after_many_sealings(mirror: Mirror) -> None:
    state: State | None = None
    for number in range(40):
        state = _append(mirror, state, [_run(number)])
    assert state is not None
    assert len(state.record_files()) < 10 + 5
    assert len(state.segments()) == 14
    for number in range(40):
        hit = state.find(_run(number).key)
        assert hit is not None
        assert hit.material == {"cmd": str(number)}
    assert [record.sequence for record in state.records()] == list(range(80, 0, -1))


def test_the_chain_of_digests_runs_through_segments(mirror: Mirror) -> None:
    state: State | None = None
    for number in range(20):
        state = _append(mirror, state, [_run(number)])
    assert state is not None
    head = Head()
    for sequence in range(1, state.summary.head.sequence + 1):
        data = state.record_bytes(sequence)
        record = state.record(sequence)
        assert data is not None
        assert record is not None
        assert (record.sequence, record.previous) == (head.sequence + 1, head.digest)
        head = Head(sequence, hashlib.sha256(data).hexdigest())
    assert head == state.summary.head


def test_a_sealed_success_is_not_run_or_recorded_again(mirror: Mirror) -> None:
    state = _append(mirror, None, [_run(0)])
    for number in range(1, 20):
        state = _append(mirror, state, [_run(number)])
    assert _run(0).key not in state.shard(_run(0).key)
    batch = begin(state, 1.0, NoSigner())
    append_runs(state, batch, [_run(99, key=_run(0).key)], {})
    assert batch.appended == []
    assert batch.dropped == [{"key": _run(0).key, "runId": "r99", "acceptedRecord": 1}]


def test_a_success_counts_before_a_sealed_failure_of_its_key(mirror: Mirror) -> None:
    state = _append(mirror, None, [_run(0, succeeded=False)])
    for number in range(1, 20):
        state = _append(mirror, state, [_run(number)])
    state = _append(mirror, state, [_run(50, key=_run(0).key)])
    hit = state.find(_run(0).key)
    assert hit is not None
    assert hit.succeeded
