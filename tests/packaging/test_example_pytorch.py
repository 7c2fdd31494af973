"""A network of one's own is trained and gated, by a Python that has PyTorch (`make example-pytorch`)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.packaging.examples import Example

PYTHON = os.environ.get("WITH_TORCH", "")
"""A Python that has PyTorch and safetensors."""


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON, reason="no Python with PyTorch; `make example-pytorch` finds one")
def test_a_network_is_trained_to_the_same_bytes_and_its_gates_pass(tmp_path: Path) -> None:
    example = Example("pytorch", tmp_path, PYTHON)
    assert set(example.gates().values()) == {"pass"}
    assert example.metrics("metrics.json")["accuracy"]["successes"] > 370
    example.says("verify", "train", "--no-record")
    assert not {"metrics", "gates", "seed", "format", "objective"} & example.lacks()
