"""Commits that a mirror writes for tests."""

from __future__ import annotations

from runner.git.commit import CommitRequest, FileContent, Identity
from runner.git.mirror import Mirror

ADA = Identity("Ada Tester", "ada@example.com")
STATE = "runner/state"


def request(mirror: Mirror, parents: tuple[str, ...], **files: bytes) -> CommitRequest:
    return CommitRequest(
        parents=parents,
        base_tree=mirror.reader.commit(parents[-1]).tree if parents else None,
        message="Record",
        author=ADA,
        time_epoch=1_700_000_000,
        files={name: FileContent(data=data) for name, data in files.items()},
    )


def state_commit(mirror: Mirror, content: bytes) -> tuple[str, str | None]:
    tip, main = mirror.tip(STATE), mirror.tip("main")
    assert main is not None
    return mirror.write_commit(request(mirror, (tip, main) if tip else (main,), record=content)), tip
