"""Finished runs of this host on their way to the remote: those a dead reconcile left, and their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from runner.core.records import RunFacts
from runner.data.remotes import Transferred
from runner.failpoints import reached
from runner.record.journal import Journal


class Objects(Protocol):
    """The bytes this host has: `runner.data.cache.Cache`, or the simulator's."""

    def missing(self, md5: str) -> list[str]:
        """What is not there, or damaged, of a file, or of a folder and its members."""

    def sync(self) -> None:
        """Wait until every byte is on the disk."""


class Sender(Protocol):
    """The DVC remotes: `runner.data.remotes.Remotes`."""

    def default_name(self) -> str | None:
        """Name of the default remote; None where there is none."""

    def push(self, md5s: Sequence[str], name: str) -> Transferred:
        """Bring files and folders there; when it returns, every byte of them is there."""


def left_over(journal: Journal, cache: Objects) -> tuple[list[RunFacts], list[RunFacts]]:
    """What reconciles that are gone never published: runs to publish, and runs whose bytes are lost.

    The latter are forgotten: they count as not having run. A host that lost its power may have names of objects and not
    their bytes: these count as lost.
    """
    runs = journal.left_over()
    lost = [run for run in runs if any(cache.missing(out.md5) for out in run.outs if not out.legacy)]
    journal.remove(lost)
    return [run for run in runs if run not in lost], lost


def send(wanted: Sequence[tuple[str, str | None]], cache: Objects, remotes: Sender) -> dict[str, Transferred]:
    """Have the bytes of (digest, name of the remote or None) where they belong; returns what went to each remote.

    They are safe on this host first: where there is no remote, it is the only place that has them.
    """
    cache.sync()
    reached("cache-synced")
    by_remote: dict[str, list[str]] = {}
    for md5, named in wanted:
        remote = named or remotes.default_name()
        if remote is not None:
            by_remote.setdefault(remote, []).append(md5)
    return {remote: remotes.push(md5s, remote) for remote, md5s in by_remote.items()}
