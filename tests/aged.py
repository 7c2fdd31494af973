"""Files that are old enough for the index of what was hashed to trust their times."""

from __future__ import annotations

import os
import time
from pathlib import Path

from runner.data.folders import is_settled

OLD_NS = 1_600_000_000_123_456_789
PATIENCE_SECONDS = 60.0


def age(*paths: Path) -> None:
    """Give files an old mtime, and wait until their ctime, which nobody can set, is past as well."""
    for path in paths:
        os.utime(path, ns=(OLD_NS, OLD_NS))
    given_up = time.monotonic() + PATIENCE_SECONDS
    while not all(is_settled(path.stat()) for path in paths):
        assert time.monotonic() < given_up, "the clock of this file system stands still"
        time.sleep(0.005)
