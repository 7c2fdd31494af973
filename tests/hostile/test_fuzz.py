"""Mutations at random: a plan, or an error that was raised on purpose, and nothing else.

`make fuzz` tries very many, and leaves what fails in `tests/hostile/corpus/`.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.fuzzing import CORPUS, kept, mutated, tried

_EXAMPLES = 40


@settings(
    max_examples=_EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32))
def test_mutations_end_in_a_plan_or_in_words(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    tried(mutated(random.Random(seed)), tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("file", sorted(CORPUS.glob("*.json")), ids=lambda file: file.stem)
def test_what_was_found_once_is_not_found_again(file: Path, tmp_path: Path) -> None:
    tried(kept(file), tmp_path / "ground")
