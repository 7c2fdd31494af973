"""Many lives, on every core: `python -m tests.simulator.torture`.

`SIM_SEED` is the first seed (0), `SIM_SCHEDULES` how many lives (1,000,000), `SIM_CORES` on how many cores (all of
them), `SIM_SECONDS` when to stop at the latest.
Prints the story of every life that breaks something, then one line that says what was done. Each life has a seed of its
own, one after the other, so a long run may be done in pieces.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time

from tests.simulator.world import broken, plot_of, seldom_collected, shrunk, story

_BATCH = 500
_SAID_EVERY = 10_000


def main() -> int:
    """Live them all; 1 where something is broken."""
    first = int(os.environ.get("SIM_SEED", "0"))
    wanted = int(os.environ.get("SIM_SCHEDULES", "1000000"))
    seconds = float(os.environ.get("SIM_SECONDS", "inf"))
    cores = int(os.environ.get("SIM_CORES", os.cpu_count() or 1))
    began, lived, failed = time.monotonic(), 0, []
    starts = range(first, first + wanted, _BATCH)
    batches = ((range(start, min(start + _BATCH, first + wanted)), began + seconds) for start in starts)
    with multiprocessing.Pool(cores) as pool:
        for count, found in pool.imap_unordered(_batch, batches):
            if lived // _SAID_EVERY < (lived + count) // _SAID_EVERY:
                print(f"{time.monotonic() - began:7.0f} s  {lived + count:,} lives", file=sys.stderr, flush=True)
            lived += count
            for seed, text in found:
                failed.append(seed)
                print(text, flush=True)
    took = time.monotonic() - began
    print(
        f"{lived:,} schedules from seed {first} in {took:.0f} s on {cores} core{'s' if cores > 1 else ''}: "
        + (f"{len(failed)} broken, seeds {failed[:20]}" if failed else "nothing broken")
    )
    return 1 if failed else 0


def _batch(task: tuple[range, float]) -> tuple[int, list[tuple[int, str]]]:
    seeds, until = task
    if time.monotonic() > until:
        return 0, []
    with seldom_collected():
        return len(seeds), [(seed, story(shrunk(plot_of(seed)))) for seed in seeds if broken(plot_of(seed))]


if __name__ == "__main__":
    sys.exit(main())
