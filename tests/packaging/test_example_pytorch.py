"""A network of one's own is trained and gated, where PyTorch is installed (`make example-pytorch`)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.packaging.examples import Example

is_there = all(importlib.util.find_spec(name) for name in ("torch", "safetensors"))


@pytest.mark.slow
@pytest.mark.skipif(not is_there, reason="PyTorch is not installed; `make example-pytorch` installs it")
def test_a_network_is_trained_to_the_same_bytes_and_its_gates_pass(tmp_path: Path) -> None:
    example = Example("pytorch", tmp_path)
    assert set(example.gates().values()) == {"pass"}
    assert example.metrics("metrics.json")["accuracy"]["successes"] > 370
    example.says("verify", "train", "--no-record")
    assert not {"metrics", "gates", "seed", "format", "objective"} & example.lacks()
