"""What the runner makes of specs alone is the same bytes until `RENDER_VERSION` says that it is not."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from runner.core.lock import lock_entry
from runner.git.read import Reader
from runner.ledger.layout import RENDER_VERSION
from runner.specs.desired import read_specs
from runner.specs.parse_cache import ParseCache
from runner.wiring.added import made_of
from tests.repositories import new_repository
from tests.specs.corpus import CORPUS
from tests.specs.readings import DVC_PROJECT
from tests.specs.test_render import PLAIN_NAMES_ONLY, pipeline_of

GOLDEN = Path(__file__).parent / "rendering.json"
"""The version, and the SHA-256 of what is made of each entry of the corpus. `UPDATE_GOLDEN=1` writes it anew."""
SPELLED = """\
stages:
  odd: {wdir: sub, cmd: cp ../in a, deps: [./../in, ../sub/], outs: [./a, ../b/: {cache: false}]}
  split:
    uses: split
    with: {data: in, parts: [0.8, 0.2]}
    outs: [train.csv, test.csv]
    seed: 7
"""
MORE = {
    "two spellings": {"dvc.yaml": "stages:\n  a: {cmd: cp in a, deps: [in, ./in], outs: [a]}\n", "in": ""},
    "with a library": {"dvc.yaml": SPELLED, "in": "", "sub/x": ""},
    "without DVC": {"dvc.yaml": SPELLED, "in": "", "sub/x": "", ".gitignore": "*.tmp", ".dvcignore": "x"},
}


def test_what_is_made_of_specs_changes_with_the_version_of_rendering_alone(tmp_path: Path) -> None:
    made = {name: digest_of(tmp_path / str(number), name) for number, name in enumerate(sorted(CORPUS.keys() | MORE))}
    old = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {"version": 0, "made": {}}
    if os.environ.get("UPDATE_GOLDEN") and (old["version"] < RENDER_VERSION or old["made"].items() <= made.items()):
        old = {"version": RENDER_VERSION, "made": made}
        GOLDEN.write_text(json.dumps(old, indent=1, ensure_ascii=False) + "\n")
    changed = sorted(name for name in old["made"] if old["made"][name] != made.get(name))
    assert not changed, "raise RENDER_VERSION in runner/ledger/layout.py, then run this with UPDATE_GOLDEN=1"
    assert old == {"version": RENDER_VERSION, "made": made}, "run this with UPDATE_GOLDEN=1"


def digest_of(folder: Path, name: str) -> str:
    """SHA-256 over all that is made of one entry of the corpus, as a Pipeline where its names allow that."""
    files = {**CORPUS, **MORE}[name]
    if name not in PLAIN_NAMES_ONLY:
        files = {"pipelines/p.yaml": pipeline_of(files["dvc.yaml"]), **files}
        del files["dvc.yaml"]
    repo = new_repository(folder, files if name == "without DVC" else {**DVC_PROJECT, **files})
    with Reader.discover(repo.path) as reader:
        cache = ParseCache(folder / ".git" / "parsed")
        desired = read_specs(reader, repo.head, cache).desired
        made = made_of(reader, cache, desired)
    rows = [
        lock_entry(stage, {"cmd": stage.cmd, "wdir": stage.wdir, "dep": dict.fromkeys(stage.deps, "0" * 32)}, None)
        | {"outs": lock_entry(stage, {"cmd": "", "wdir": stage.wdir, "out": dict.fromkeys(stage.out_paths)}, None)}
        for stage in desired.stages()
    ]
    parts = [sorted((path, data.decode()) for path, data in made.files.items()), sorted(made.locks.items()), rows]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
