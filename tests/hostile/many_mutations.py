"""Very many mutations at random (FUZZ of them, from SEED on); what fails is left in `tests/hostile/corpus/`."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.hostile.fuzzing import CORPUS, mutated, saved, tried

_COUNT = int(os.environ.get("FUZZ", "1000"))
_SEED = int(os.environ.get("SEED", "1"))
_PARTS = 16


@pytest.mark.parametrize("part", range(_PARTS))
def test_very_many_mutations(part: int, tmp_path: Path) -> None:
    failed = []
    for number in range(part, _COUNT, _PARTS):
        files = mutated(random.Random(f"{_SEED}-{number}"))
        folder = tmp_path / "ground"
        try:
            tried(files, folder)
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is what is looked for
            name = f"found-{_SEED}-{number}.json"
            (CORPUS / name).write_text(saved(files, f"{type(problem).__name__}: {str(problem)[:300]}"))
            failed.append(name)
        shutil.rmtree(folder)
    assert failed == []
