"""The guards of the production code, each of them taken out: the simulator has to notice that it is missing."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from runner.record import ledger, publish
from runner.record.journal import Journal
from runner.record.publish import Publisher
from runner.record.standing import WithRuns
from tests.simulator.disk import SimulatedCache, SimulatedFile, SimulatedFolder
from tests.simulator.remote import SimulatedCopy
from tests.simulator.world import Plot, Rules, plot_of


class WithoutCompareAndSwap(SimulatedCopy):
    """Pushes by force, without a lease."""

    def swap(self, branch: str, expected: str | None, sha: str) -> bool:
        self.remote.move(branch, sha)
        return True


class WithoutHashing(SimulatedCache):
    """Takes what comes from the DVC remote for what it was asked for."""

    def is_sound(self, data: bytes, md5: str) -> bool:
        return True


class WithoutCacheSync(SimulatedCache):
    """Leaves it to the operating system when objects reach the disk."""

    def sync(self) -> None:
        return None


class WithoutFolderSync(SimulatedFolder):
    """Syncs a journal, and not that it is there."""

    def sync(self) -> None:
        return None


class WithoutFileSync(SimulatedFolder):
    """Writes journals and does not wait for the disk."""

    def open(self, name: str) -> SimulatedFile:
        file = super().open(name)
        file.sync = lambda: None  # type: ignore[method-assign]
        return file


class WithoutJournal(Journal):
    """Keeps nothing."""

    def add(self, run: Any) -> None:
        return None


class NamesBeforeBytes(Publisher):
    """Pushes the commit, then what it names."""

    def publish(self, runs: Any) -> Any:
        published = super().publish(runs)
        Publisher._push_bytes(self, runs)
        return published

    def _push_bytes(self, runs: Any) -> None:
        return None


class WithoutALook(SimulatedCache):
    """Believes that an object is whole where there is one."""

    def missing(self, md5: str, legacy: bool = False) -> list[str]:
        return [] if self.has(md5) else [md5]


WEAKER = {
    "compare-and-swap": Rules(copy=WithoutCompareAndSwap),
    "the journal": Rules(journal=WithoutJournal),
    "bytes before names": Rules(publisher=NamesBeforeBytes),
    "hashing what comes from the DVC remote": Rules(cache=WithoutHashing),
    "hashing what a dead runner left": Rules(cache=WithoutALook),
    "syncing the journal": Rules(folder=WithoutFileSync),
    "syncing the journal's folder": Rules(folder=WithoutFolderSync),
    "syncing the cache": Rules(cache=WithoutCacheSync),
}
"""Guards that a port keeps, and worlds without them."""

Cut = tuple[list[tuple[Any, str]], str, str]
"""Where a function is bound (module or class, name), a part of its text, and what stands there instead."""

CUT: dict[str, Cut] = {
    "one accepted result for a key": (
        [(ledger, "append_runs"), (publish, "append_runs")],
        'known[1] and (late or run.reason != "remade")',
        "False",
    ),
    "recording a run once": (
        [(ledger, "unrecorded"), (publish, "unrecorded")],
        "base is None or not _is_recorded(base, run)",
        "True",
    ),
    "looking for the own commit": (
        [(Publisher, "_publish")],
        "(result.status is PushStatus.UNKNOWN and self._arrived(commit))",
        "False",
    ),
    "the line end after a line that was cut": ([(Journal, "_append")], "self._is_cut = True", "self._is_cut = False"),
    "standing by the result that is accepted": (
        [(WithRuns, "__init__")],
        'run.key not in self._runs or run.reason == "remade"',
        "True",
    ),
    "leaving others' journals alone": ([(Journal, "_others")], "and not self._folder.is_held(name)", ""),
}
"""Guards that are lines of production code, and these lines without them."""


@contextmanager
def without(guard: str) -> Iterator[Rules]:
    """A runner without one of its guards, while the block lasts."""
    if guard in WEAKER:
        yield WEAKER[guard]
        return
    places, old, new = CUT[guard]
    real = getattr(*places[0])
    weaker = _rewritten(real, old, new)
    for owner, name in places:
        setattr(owner, name, weaker)
    try:
        yield Rules()
    finally:
        for owner, name in places:
            setattr(owner, name, real)


def _rewritten(function: Callable[..., Any], old: str, new: str) -> Any:
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, f"{function.__qualname__} does not say {old!r} any more: mend this mutation"
    names = dict(vars(sys.modules[function.__module__]))
    exec(compile("from __future__ import annotations\n" + source.replace(old, new), "<weaker>", "exec"), names)
    return names[function.__name__]


TROUBLES = {
    "hashing what comes from the DVC remote": ("damage", "empty cache"),
    "recording a run once": ("kill", "fail"),
    "hashing what a dead runner left": ("power loss",),
    "the line end after a line that was cut": ("disk full", "kill"),
    "standing by the result that is accepted": ("power loss", "refuse"),
    "leaving others' journals alone": ("kill", "refuse"),
}
"""What a guard is for, where ordinary lives seldom need it: it is looked for in large worlds with such troubles."""


def plots(guard: str, count: int) -> Iterator[Plot]:
    """So many plots in which the guard may be missed."""
    if guard in TROUBLES:
        return (plot_of(seed, TROUBLES[guard]) for seed in range(19, 19 + 20 * count, 20))
    return (plot_of(seed) for seed in range(count))


GUARDS = (*WEAKER, *CUT)
