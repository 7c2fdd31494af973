"""Places the folder that a `.dvc` file names by the runner's own cache, and does nothing else: what `dvc checkout` and
`cp -rl` do, beside which `benchmarks/data.py` measures it.

    python benchmarks/check_out.py INDEX CACHE FILE.dvc TARGET
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from runner.data.cache import Cache
from runner.data.hash_index import HashIndex
from runner.specs.yaml12 import load


def main() -> None:
    """Check out by link, as for a stage that may not write to its inputs."""
    index, cache, file, target = map(Path, sys.argv[1:])
    [out] = load(file.read_bytes(), file=str(file))["outs"]
    Cache(cache, HashIndex(index)).materialise(out["md5"], target, writable=False)


if __name__ == "__main__":
    main()
