"""The generator is only worth something if DVC itself runs what it makes and finds nothing to do afterwards."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.oracle.answers import dvc_answers
from tests.oracle.checkouts import Checkout
from tests.oracle.edits import EDITS, apply_edits
from tests.oracle.repositories import AXES, generate
from tests.oracle.seeds import seeds

pytestmark = pytest.mark.filterwarnings("ignore")  # DVC's own


@pytest.mark.parametrize("seed", seeds(one_in=8))
def test_dvc_runs_every_generated_stage_once_and_is_clean_afterwards(seed: int, tmp_path: Path) -> None:
    checkout = Checkout.create(seed, tmp_path)
    assert sorted(checkout.reproduce()) == sorted(checkout.model.tokens())
    checkout.commit("Record")
    answers = dvc_answers(checkout.clone("clean"))
    assert answers.keys() == checkout.model.addresses()
    assert {status for answer in answers.values() for status in answer.status} <= {"always changed"}


@pytest.mark.parametrize("seed", seeds(one_in=8))
def test_dvc_runs_every_edited_repository(seed: int, tmp_path: Path) -> None:
    checkout = Checkout.create(seed, tmp_path)
    checkout.reproduce()
    checkout.commit("Record")
    apply_edits(checkout.model, random.Random(seed), 10)
    checkout.commit("Edit")
    checkout.reproduce()
    checkout.commit("Record again")
    assert dvc_answers(checkout.clone("clean")).keys() == checkout.model.addresses()


def test_the_same_seed_makes_the_same_repository(tmp_path: Path) -> None:
    texts = [generate(3, tmp_path / "trace", tmp_path / "remote").texts() for _ in range(2)]
    assert texts[0] == texts[1]


def test_eight_seeds_cover_every_axis(tmp_path: Path) -> None:
    covered = {axis for seed in range(8) for axis in generate(seed, tmp_path, tmp_path).axes}
    assert covered == set(AXES)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_every_edit_finds_something_to_do_within_eight_seeds(edit: object, tmp_path: Path) -> None:
    assert callable(edit)
    models = [generate(seed, tmp_path, tmp_path) for seed in range(8)]
    for model in models:
        model.settle()
    assert any(edit(model, random.Random(model.seed)) for model in models)
