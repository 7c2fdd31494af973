"""The graph of stages: who makes what a stage reads, in which order, and how long the way to the end is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

from runner.core.nouns import Address, Stage, is_external
from runner.values import dataclass

_Makers = Callable[[str], tuple[Address, ...]]


class CycleError(Exception):
    """Stages that wait for each other; `path` names them in order, the first one again at the end."""

    def __init__(self, path: Sequence[Address]) -> None:
        super().__init__(" → ".join(str(address) for address in path))
        self.path = tuple(path)


@dataclass(frozen=True, slots=True)
class Graph:
    """Stages with their direct upstream and downstream neighbours."""

    stages: Mapping[Address, Stage]
    upstream: Mapping[Address, tuple[Address, ...]]
    downstream: Mapping[Address, tuple[Address, ...]]
    producers: Mapping[str, Address]
    """Output path to the stage that makes it."""
    outputs: OutputIndex
    """The same, to be asked of paths above and below."""
    order: tuple[Address, ...]
    """Every stage after all that it reads from; ties in the order of the specs."""

    def heights(self) -> dict[Address, int]:
        """For each stage the number of stages on the longest way from it to an end; the higher, the more urgent."""
        result: dict[Address, int] = {}
        for address in reversed(self.order):
            result[address] = 1 + max((result[next_] for next_ in self.downstream[address]), default=0)
        return result

    def ancestors(self, targets: Iterable[Address]) -> set[Address]:
        """The targets and everything that they need."""
        found: set[Address] = set()
        pending = list(targets)
        while pending:
            address = pending.pop()
            if address not in found:
                found.add(address)
                pending.extend(self.upstream[address])
        return found


def build_graph(stages: Sequence[Stage]) -> Graph:
    """The graph of these stages; raises CycleError. Outputs must have one owner each (specs see to that)."""
    producers = {out.path: stage.address for stage in stages for out in stage.outs}
    index = OutputIndex(producers)
    owners = functools.cache(index.owners)
    makers = functools.cache(lambda path: () if is_external(path) else owners(path))
    upstream = {stage.address: _needs(stage, makers, owners) for stage in stages}
    downstream: dict[Address, list[Address]] = {stage.address: [] for stage in stages}
    for address, needs in upstream.items():
        for need in needs:
            downstream[need].append(address)
    return Graph(
        stages={stage.address: stage for stage in stages},
        upstream=upstream,
        downstream={address: tuple(next_) for address, next_ in downstream.items()},
        producers=producers,
        outputs=index,
        order=_topological([stage.address for stage in stages], upstream, downstream),
    )


def depth_first(graph: Graph) -> list[Address]:
    """Every stage right after what it needs, in the order in which DVC runs stages and first writes them down.

    DVC's is the post-order of a depth-first search (`dfs_postorder_nodes` of networkx) along what stages read, without
    what frozen stages read.
    """
    order: list[Address] = []
    seen: set[Address] = set()
    for start in graph.stages:
        pending: list[tuple[Address, bool]] = [(start, False)]
        while pending:
            address, is_done = pending.pop()
            if is_done:
                order.append(address)
            elif address not in seen:
                seen.add(address)
                needs = () if graph.stages[address].frozen else graph.upstream[address]
                pending.append((address, True))
                pending.extend((need, False) for need in reversed(needs))
    return order


class OutputIndex:
    """Which outputs overlap a path: the same path, an output above it, or outputs below it."""

    def __init__(self, producers: Mapping[str, Address]) -> None:
        self._producers = producers
        self._below: dict[str, list[str]] = {}
        for path in producers:
            for folder in ancestors_of(path):
                self._below.setdefault(folder, []).append(path)

    def at_or_above(self, path: str) -> str | None:
        """The output that is the path or holds it."""
        producers = self._producers
        above = path
        while above not in producers:
            above, slash, _ = above.rpartition("/")
            if not slash:
                return "." if "." in producers else None
        return above

    def below(self, path: str) -> list[str]:
        """Outputs inside the folder of this path."""
        return self._below.get(path, [])

    def overlapping(self, path: str) -> list[str]:
        """Every output that shares bytes with the path."""
        above = self.at_or_above(path)
        return [above] if above is not None else self.below(path)

    def owners(self, path: str) -> tuple[Address, ...]:
        """The stages that make these outputs."""
        return tuple([self._producers[out] for out in self.overlapping(path)])


def ancestors_of(path: str) -> list[str]:
    """Folders above a path, nearest first, `.` (the root) last."""
    if "/" not in path:
        return ["."]
    found = []
    above = path.rpartition("/")[0]
    while above:
        found.append(above)
        above = above.rpartition("/")[0]
    return [*found, "."]


def _needs(stage: Stage, makers: _Makers, owners: _Makers) -> tuple[Address, ...]:
    """The stages that make what a stage reads: `makers` of a dep, `owners` of a parameter file."""
    found: dict[Address, None] = {}
    for path in stage.deps:
        for maker in makers(path):
            found[maker] = None
    for param in stage.params:
        for maker in owners(param.file):
            found[maker] = None
    found.pop(stage.address, None)
    return tuple(found)


def _topological(
    addresses: Sequence[Address],
    upstream: Mapping[Address, tuple[Address, ...]],
    downstream: Mapping[Address, Sequence[Address]],
) -> tuple[Address, ...]:
    missing = {address: len(upstream[address]) for address in addresses}
    ready = [address for address in addresses if not missing[address]]
    order: list[Address] = []
    for address in ready:  # grows while it is walked: Kahn's algorithm with the list as its own queue
        order.append(address)
        for next_ in downstream[address]:
            missing[next_] -= 1
            if not missing[next_]:
                ready.append(next_)
    if len(order) < len(addresses):
        raise CycleError(_cycle([a for a in addresses if missing[a]], upstream, missing))
    return tuple(order)


def _cycle(
    stuck: Sequence[Address], upstream: Mapping[Address, tuple[Address, ...]], missing: Mapping[Address, int]
) -> list[Address]:
    path = [stuck[0]]
    while True:
        path.append(next(need for need in upstream[path[-1]] if missing[need]))
        if path[-1] in path[:-1]:
            return path[path.index(path[-1]) :][::-1]
