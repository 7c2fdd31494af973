"""Runs one command, waits for every process it left behind, and writes what they all cost as JSON to a descriptor.

A process of its own, started without site packages, because Linux hands the peak memory of a parent on to the child it
starts: what is measured would never be seen to take less than the script that measures.

    python -I -S benchmarks/keeper.py DESCRIPTOR COMMAND [ARGUMENT...]
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
import time

PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Run, wait, write."""
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    # orphans of the command come to this process, so that their cost is counted too
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began = time.monotonic()
    child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
    _, status = os.waitpid(child, 0)
    wall_seconds = time.monotonic() - began
    _wait_for_orphans()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost = {
        "exit_code": os.waitstatus_to_exitcode(status),
        "wall_seconds": wall_seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
    }
    os.write(descriptor, json.dumps(cost).encode())


def _wait_for_orphans() -> None:
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()
