"""What the tests of stages that judge models share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stages.models import made_models


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models and the table that they were made of."""
    path = tmp_path_factory.mktemp("models")
    made_models(path)
    return path
