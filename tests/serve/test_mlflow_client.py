"""MLflow's own client gets what the model says: `make mlflow-client` installs it and says in WITH_MLFLOW where."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from runner import artefacts
from tests.serve.models import ROW, churn, customers
from tests.serve.servers import PATIENCE, serving

PYTHON = os.environ.get("WITH_MLFLOW")
CLIENT = """
import json, sys
import numpy, pandas
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
port, rows = sys.argv[1:]
client = ScoringServerClient("127.0.0.1", int(port))
client.wait_server_ready(timeout=30)
client.ping()
table = pandas.read_json(rows, orient="split", dtype=False)
matrix = table.to_numpy(dtype=object)
told = [client.invoke(given)["predictions"] for given in (table, matrix, matrix.tolist())]
shares = client.invoke(table, params={"probabilities": True})["probabilities"]
try:
    client.invoke(table.assign(age="old"))
except Exception as error:
    refused = str(error)
print(json.dumps({"version": client.get_version(), "told": told, "shares": shares, "refused": refused}))
"""


@pytest.mark.skipif(PYTHON is None, reason="make mlflow-client")
def test_the_client_of_mlflow_gets_what_the_model_says(tmp_path: Path) -> None:
    folder, table, rows = churn(tmp_path / "churn"), customers().dropna(), tmp_path / "rows.json"
    rows.write_text(table.to_json(orient="split"))
    assert list(table.columns) == list(ROW)
    with serving(folder) as server:
        done = subprocess.run(
            [str(PYTHON), "-c", CLIENT, str(server.port), str(rows)],
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            stdout=subprocess.PIPE, check=True, timeout=PATIENCE,
        )  # fmt: skip
    said, model = json.loads(done.stdout), artefacts.read(folder)
    assert said["told"] == [model.predict(table).tolist()] * 3
    assert said["shares"] == [pytest.approx(row) for row in model.predict_proba(table).tolist()]
    assert "error code 400" in said["refused"]
    assert "column `age`, row 0: expected a number, found" in said["refused"]
