"""Which stages a person names whose recorded results are nowhere any more: nothing else would ever ask for them."""

from __future__ import annotations

from collections.abc import Iterable

from runner.core.nouns import Address
from runner.core.recorded import OutFact
from runner.data.cache import Cache
from runner.data.faults import DamagedObjects, MissingObjects
from runner.data.remotes import Remotes
from runner.observe.observation import Observation


def lost_stages(
    observation: Observation, named: Iterable[Address], cache: Cache, remotes: Remotes
) -> frozenset[Address]:
    """Those of the stages that stand and have a cached output whose bytes are neither here nor on a DVC remote.

    What a remote has is brought here on the way. Raises HostError where a remote cannot be asked.
    """
    state = observation.state
    entries = {address: state.current(address) for address in named} if state is not None else {}
    lost: set[Address] = set()
    for address, entry in entries.items():
        for out in entry.outs if entry is not None else ():
            if out.cached and _is_lost(out, cache, remotes):
                lost.add(address)
    return frozenset(lost)


def _is_lost(out: OutFact, cache: Cache, remotes: Remotes) -> bool:
    if not cache.missing(out.md5, legacy=out.legacy):
        return False
    name = out.remote or remotes.default_name()
    if name is None or not out.push:
        return True
    try:
        remotes.pull([out.md5], name, legacy=out.legacy)
    except MissingObjects:
        return True
    except DamagedObjects:
        remotes.doubt([out.md5], name)  # so that the bytes that are made take the place of those there
        return True
    return False
