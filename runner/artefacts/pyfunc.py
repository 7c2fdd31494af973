"""What MLflow imports to open a model folder: `mlflow.pyfunc.load_model(FOLDER)` ends up here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.artefacts.folder import Artefact, read

if TYPE_CHECKING:
    import pandas


class Pyfunc:
    """A model as MLflow calls one."""

    def __init__(self, artefact: Artefact) -> None:
        self.artefact = artefact

    def predict(self, model_input: pandas.DataFrame, params: dict[str, Any] | None = None) -> Any:
        """The predictions for the rows of a table; there are no parameters."""
        return self.artefact.predict(model_input)


def _load_pyfunc(path: str) -> Pyfunc:
    """The name is MLflow's. Raises InputError where `read()` does."""
    return Pyfunc(read(Path(path)))
