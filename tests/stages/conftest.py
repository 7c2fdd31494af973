"""What the tests of stages that judge models share."""

from __future__ import annotations

from pathlib import Path

import pandas
import pytest

from tests.stages.data import customers
from tests.stages.models import made_models


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models and the table that they were made of."""
    path = tmp_path_factory.mktemp("models")
    made_models(path)
    return path


@pytest.fixture
def customers_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pandas.DataFrame:
    """A working folder with the table t.csv."""
    monkeypatch.chdir(tmp_path)
    made = customers()
    made.to_csv("t.csv", index=False)
    return made
