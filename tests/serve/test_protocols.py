"""One server, four protocols: real clients get the numbers of the model, and wrong requests are told what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
import tritonclient.http
from prometheus_client.parser import text_string_to_metric_families

from runner import artefacts
from tests.serve.models import ROW, churn, customers
from tests.serve.servers import Server, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return churn(tmp_path_factory.mktemp("models") / "churn")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder, "--log", str(folder.parent / "log"), "--log-drop", "age", "--log-files", "3") as running:
        yield running


@pytest.fixture(scope="module")
def expected(folder: Path) -> Any:
    """What the model says of `customers()`, by scikit-learn alone."""
    model, table = artefacts.read(folder), customers()
    return model.predict(table).tolist(), model.predict_proba(table)


def records() -> list[dict[str, Any]]:
    return json.loads(customers().to_json(orient="records"))


def test_all_forms_of_mlflow_give_what_the_model_says(server: Server, expected: Any) -> None:
    labels, _ = expected
    split = json.loads(customers().to_json(orient="split"))
    columns = {name: [row[name] for row in records()] for name in records()[0]}
    backwards = [dict(reversed(row.items())) for row in records()]
    for body in (
        {"dataframe_split": split},
        {"dataframe_records": backwards},
        {"instances": [list(row.values()) for row in records()]},
        {"inputs": columns},
    ):
        assert server.told("/invocations", body) == {"predictions": labels}
    table = customers().to_csv(index=False)
    status, answer, _ = server.ask("/invocations", table, content_type="text/csv; charset=utf-8")
    assert (status, json.loads(answer)) == (200, {"predictions": labels})
    assert [server.ask(path)[0] for path in ("/ping", "/health", "/version")] == [200, 200, 200]


def test_probabilities_come_where_they_are_asked_for(server: Server, expected: Any) -> None:
    told = server.told("/invocations", {"dataframe_records": records(), "params": {"probabilities": True}})
    numpy.testing.assert_allclose(told["probabilities"], expected[1], rtol=1e-9)


def test_v1_gives_what_the_model_says(server: Server, expected: Any) -> None:
    assert server.told("/v1/models/churn:predict", {"instances": records()}) == {"predictions": expected[0]}
    told = server.told("/v1/models/churn")
    assert (told["ready"], told["model_version_status"][0]["state"]) == (True, "AVAILABLE")


@pytest.mark.parametrize("binary", [True, False])
def test_the_client_of_triton_gets_what_the_model_says(server: Server, expected: Any, binary: bool) -> None:
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("churn", "1")
    table = customers().dropna() if not binary else customers()
    tensors = []
    for told in client.get_model_metadata("churn")["inputs"]:
        values = table[told["name"]].to_numpy()
        values = values.astype(object) if told["datatype"] == "BYTES" else values
        tensor = tritonclient.http.InferInput(told["name"], [len(values), 1], told["datatype"])
        tensor.set_data_from_numpy(values.reshape(-1, 1), binary_data=binary)
        tensors.append(tensor)
    names = ("prediction", "probabilities")
    outputs = [tritonclient.http.InferRequestedOutput(name, binary_data=binary) for name in names]
    kept = customers()["income"].notna().to_numpy() | binary
    for asked in (outputs, None):
        found = client.infer("churn", tensors, outputs=asked, request_id="a1")
        assert found.get_response()["id"] == "a1"
        texts = [text.decode() if isinstance(text, bytes) else text for text in found.as_numpy("prediction")]
        assert texts == numpy.array(expected[0])[kept].tolist()
        numpy.testing.assert_allclose(found.as_numpy("probabilities"), expected[1][kept], rtol=1e-9)
    client.close()


WRONG = [
    ({**ROW, "age": "old"}, 'column `age`, row 0: expected a number, found "old"'),
    ({**ROW, "age": None}, "column `age`, row 0: expected a number, found null"),
    ({**ROW, "age": True}, "column `age`, row 0: expected a number, found true"),
    ({**ROW, "orders": 1.5}, "column `orders`, row 0: expected a whole number, found 1.5"),
    ({**ROW, "orders": 1 << 70}, "column `orders`, row 0: expected a whole number, found 1.1805916207174113e+21"),
    ({**ROW, "city": 7}, "column `city`, row 0: expected a text, found 7"),
    ({**ROW, "paid": "yes"}, 'column `paid`, row 0: expected true or false, found "yes"'),
    ({**ROW, "income": [1]}, "column `income`, row 0: expected a number, or null, found a list"),
    ({**ROW, "town": "Ulm"}, "column `town`: the model does not know it; it knows"),
    ({**ROW, "paids": True}, "column `paids`: the model does not know it; did you mean `paid`?"),
    ({name: ROW[name] for name in ROW if name != "city"}, "row 0: column `city` is missing, a text"),
    (
        {"CITY" if name == "city" else name: ROW[name] for name in ROW},
        "row 0: column `city` is missing, a text; there is `CITY`",
    ),
    ([1, 2], "row 0: expected 5 values, one for each of `age`, `income`, `orders`, `city`, `paid`, found 2 values"),
    ("x", "row 0: expected an object with the columns of the model"),
]


@pytest.mark.parametrize(("row", "message"), WRONG, ids=[message[:60] for _, message in WRONG])
def test_a_wrong_row_is_told_column_row_and_what_was_expected(server: Server, row: Any, message: str) -> None:
    for path, body in (
        ("/v1/models/churn:predict", {"instances": [row]}),
        ("/invocations", {"instances": [row]}),
    ):
        status, answer, headers = server.ask(path, body, x_request_id="mine-7")
        told = json.loads(answer)
        assert status == 400
        assert told["error"].startswith(message)
        assert (told["message"], told["request_id"], headers["x-request-id"]) == (told["error"], "mine-7", "mine-7")
        if "column `" in message:
            assert told["column"] in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"datatype": "FP16X"}, "`datatype` has to be one of"),
        ({"shape": [2]}, "its shape [2] has 2 values, found 1"),
        ({"shape": [1, 1, 1]}, "of shape [n] or [n, 1], found [1, 1, 1]"),
        ({"data": ["a"]}, "input `age`, value 0: it is no FP64"),
        ({"data": [[[1.0], 2]]}, "nested unevenly"),
        ({"parameters": {"binary_data_size": 8}}, "`binary_data_size` has to be the number of its bytes"),
        ({"name": "ages"}, "column `age` is missing"),
    ],
)
def test_a_wrong_tensor_is_told_what_is_wrong(server: Server, change: dict[str, Any], message: str) -> None:
    kinds = {"age": "FP64", "income": "FP64", "orders": "INT64", "city": "BYTES", "paid": "BOOL"}
    inputs = [{"name": name, "shape": [1], "datatype": kinds[name], "data": [ROW[name]]} for name in kinds]
    assert server.told("/v2/models/churn/infer", {"inputs": inputs})["outputs"][0]["shape"] == [1]
    inputs[0] |= change
    status, answer, _ = server.ask("/v2/models/churn/infer", {"inputs": inputs})
    assert status == 400
    assert message in json.loads(answer)["error"]


def test_what_is_no_request_gets_its_own_status(server: Server) -> None:
    row = json.dumps({"dataframe_records": [ROW]})
    for path, body, headers, status in (
        ("/invocations", "{", {}, 400),
        ("/invocations", row[:-1] + ', "inputs": 1}', {}, 400),
        ("/invocations", row, {"content_type": "text/html"}, 415),
        ("/invocations", row, {"content_encoding": "gzip"}, 415),
        ("/invocations", row, {"x_request_timeout": "soon"}, 400),
        ("/invocations", None, {}, 405),
        ("/v2/models/other/infer", row, {}, 404),
        ("/nothing", None, {}, 404),
        ("/status", row, {}, 405),
    ):
        found, answer, _ = server.ask(path, body, **headers)
        assert (path, found) == (path, status), answer
        assert json.loads(answer)["error"]


def test_status_metrics_and_pages_tell_what_is_served(server: Server, folder: Path) -> None:
    server.told("/invocations", {"dataframe_records": [ROW]})
    told = server.told("/status")
    assert (told["model"], told["version"], told["state"]) == ("churn", "1", "serving")
    assert told["digest"] == artefacts.read(folder).manifest
    families = {family.name: family for family in text_string_to_metric_families(server.ask("/metrics")[1].decode())}
    assert {"http_request_duration_seconds", "model_info", "prediction_batch_rows", "prediction_queue_depth"} <= set(
        families
    )
    answered = {tuple(sample.labels.values()): sample.value for sample in families["http_requests"].samples}
    assert answered["POST", "/invocations", "200"] >= 1
    api = server.told("/openapi.json")
    assert api["components"]["schemas"]["Row"]["properties"].keys() == ROW.keys()
    example = api["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert server.told("/invocations", example)["predictions"]
    page = server.ask("/docs")[1].decode()
    assert "<script" not in page
    assert "curl" in page


def test_the_log_has_each_row_without_the_columns_that_may_not_be_kept(server: Server, folder: Path) -> None:
    server.told("/invocations", {"dataframe_records": [ROW, {**ROW, "income": None}]}, x_request_id="logged")
    lines: list[dict[str, Any]] = []

    def written() -> bool:
        texts = [path.read_text() for path in (folder.parent / "log").glob("*.jsonl*")]
        lines[:] = [json.loads(line) for text in texts for line in text.splitlines(keepends=True) if line[-1] == "\n"]
        return any(line["id"] == "logged/1" for line in lines)

    until(written)
    found = {line["id"]: line for line in lines}
    assert found["logged/0"]["inputs"] == {"income": 3.2, "orders": 4, "city": "Ulm", "paid": 1.0}
    assert found["logged/1"]["inputs"]["income"] is None
    assert (found["logged/0"]["model"], found["logged/0"]["prediction"]) == ("churn", "yes")


def until(true: Any) -> None:
    """Wait for a condition, with patience."""
    import time

    from tests.serve.servers import PATIENCE

    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_table_of_pandas_with_gaps_is_the_same_by_row_and_by_column(server: Server) -> None:
    table = pandas.DataFrame([ROW, {**ROW, "income": None}])
    one = server.told("/invocations", {"dataframe_split": json.loads(table.to_json(orient="split"))})
    other = server.told(
        "/invocations", {"inputs": {name: [ROW[name], ROW[name]] for name in ROW} | {"income": [3.2, None]}}
    )
    assert one == other
