"""Explanations add up, are Shapley values by their definition, and cost no more than they may."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OrdinalEncoder

from runner.errors import InputError
from runner.serve.checks import arrays_of
from runner.serve.explaining import Explained, Explainer
from runner.serve.loading import Model, load
from runner.serve.settings import ExplainSettings, Served, Settings
from runner.values import replace
from tests.serve.models import ROW, churn, customers, labels, pipeline, write_model
from tests.serve.servers import Server, serving

FEW = ExplainSettings(background=4, evaluations=200)
NAMES = list(ROW)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    home, table = tmp_path_factory.mktemp("models"), customers()
    forests = {"n_estimators": 5, "random_state": 0}
    three = table["city"].replace("Ulm", "Bonn") + labels(table)
    made = {
        "linear": churn(home / "linear"),
        "classes": write_model(home / "classes", pipeline(LogisticRegression()), three, "classification"),
        "regressor": write_model(
            home / "regressor",
            pipeline(RandomForestRegressor(**forests), encoder=OrdinalEncoder()),
            table["age"] * table["orders"],
            "regression",
        ),
        "forest": write_model(
            home / "forest",
            pipeline(RandomForestClassifier(**forests), encoder=OrdinalEncoder()),
            labels(table),
            "classification",
        ),
    }
    return {name: load(Settings(Served(str(folder), name))) for name, folder in made.items()}


def explained(model: Model, settings: ExplainSettings) -> tuple[Explainer, Explained, Any]:
    explainer = Explainer(model, settings)
    row = arrays_of(model.checks.columns, [model.checks.record(ROW, 0)])

    def ask(columns: Any) -> Any:
        return explainer.outputs(model.predictor.predict(columns, True))

    return explainer, explainer.explain(row, ask), (row, ask)


def by_definition(outputs: Any, row: Any, background: Any) -> Any:
    """Shapley values over all orders of the columns, each over all rows of the background, one step at a time."""
    width, count = len(row), len(background[0])
    known: dict[frozenset[int], Any] = {}

    def worth(columns: frozenset[int]) -> Any:
        if columns not in known:
            mixed = [row[at].repeat(count) if at in columns else background[at] for at in range(width)]
            known[columns] = outputs(mixed).mean(axis=0)
        return known[columns]

    total: Any = 0
    orders = list(itertools.permutations(range(width)))
    for order in orders:
        gained = numpy.empty((width, len(worth(frozenset()))))
        for step, column in enumerate(order):
            gained[column] = worth(frozenset(order[: step + 1])) - worth(frozenset(order[:step]))
        total = total + gained
    return total / len(orders)


@pytest.mark.parametrize(
    ("name", "method", "scale"),
    [
        ("linear", "linear", "log-odds"),
        ("classes", "linear", "score"),
        ("regressor", "exact", "value"),
        ("forest", "exact", "probability"),
    ],
)
def test_explanations_are_shapley_values_by_definition(
    models: dict[str, Model], name: str, method: str, scale: str
) -> None:
    model = models[name]
    explainer, found, (row, ask) = explained(model, FEW)
    assert (found.method, found.scale, found.errors) == (method, scale, None)
    outputs = explainer._linear._score if explainer._linear is not None else ask
    numpy.testing.assert_allclose(found.attributions, by_definition(outputs, row, explainer._rows), atol=1e-9)
    numpy.testing.assert_allclose(found.base + found.attributions.sum(axis=0), found.values, atol=1e-9)
    numpy.testing.assert_allclose(found.values, outputs(row)[0], atol=1e-9)


@pytest.mark.parametrize("name", ["classes", "regressor"])
def test_sampled_ones_add_up_and_are_as_near_as_they_say(models: dict[str, Model], name: str) -> None:
    model = models[name]
    few = replace(FEW, method="sampling", background=8)  # 8 rows by 32 subsets are more than 200
    explainer, found, (row, ask) = explained(model, few)
    assert (found.method, found.background) == ("sampling", 8)
    assert 8 * 9 < found.evaluations <= 200
    numpy.testing.assert_allclose(found.base + found.attributions.sum(axis=0), ask(row)[0], atol=1e-9)
    truth = by_definition(ask, row, explainer._rows)
    assert found.errors is not None
    assert found.errors.max() > 0
    assert (abs(found.attributions - truth) <= 5 * found.errors + 1e-9).all()
    again = explained(model, few)[1]
    assert (again.attributions == found.attributions).all()
    more = explained(model, replace(few, evaluations=250))[1]
    assert more.evaluations <= 250


def test_a_way_that_does_not_fit_the_model_is_refused(models: dict[str, Model]) -> None:
    with pytest.raises(InputError, match=r"explain\.method is linear, and the model is none"):
        Explainer(models["forest"], ExplainSettings("linear"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(churn(tmp_path_factory.mktemp("models") / "churn"), "--explain") as running:
        yield running


def added_up(told: dict[str, Any]) -> list[float]:
    return [one["base"] + sum(one["attributions"].values()) - one["value"] for one in told["outputs"]]


def test_all_protocols_explain(server: Server) -> None:
    kinds = {"age": "FP64", "income": "FP64", "orders": "INT64", "city": "BYTES", "paid": "BOOL"}
    tensors = [{"name": name, "shape": [1], "datatype": kinds[name], "data": [ROW[name]]} for name in ROW]
    answers = [
        server.told("/explain", {"dataframe_records": [ROW]}),
        server.told("/v1/models/churn:explain", {"instances": [ROW]}),
        server.told("/v2/models/churn/explain", {"inputs": tensors}),
        server.told("/v2/models/churn/versions/1/explain", {"inputs": tensors}),
    ]
    (one,) = answers[0]["explanations"]
    assert answers == [{"model_name": "churn", "model_version": "1", "explanations": [one]}] * 4
    assert (one["prediction"], one["method"], one["outputs"][0]["of"]) == ("yes", "linear", "yes")
    assert list(one["outputs"][0]["attributions"]) == NAMES
    assert added_up(one) == pytest.approx([0.0], abs=1e-6)
    assert "/explain" in server.told("/openapi.json")["paths"]


def test_explanations_are_checked_and_bounded(server: Server, tmp_path: Path) -> None:
    status, answer, _ = server.ask("/explain", {"dataframe_records": [{**ROW, "age": "x"}]})
    assert (status, json.loads(answer)["column"]) == (400, "age")
    status, answer, _ = server.ask("/explain", {"dataframe_records": [ROW] * 17})
    assert (status, json.loads(answer)["error"]) == (
        413,
        "expected at most 16 rows to explain in one request, found 17",
    )
    assert server.ask("/explain")[0] == 405
    assert server.told("/explain", {"dataframe_records": []})["explanations"] == []
    assert b"explanations_total 0" not in server.ask("/metrics")[1]


def test_a_long_explanation_ends_in_time_and_predictions_go_on_meanwhile(tmp_path: Path) -> None:
    folder = write_model(
        tmp_path / "churn",
        pipeline(RandomForestClassifier(n_estimators=5), encoder=OrdinalEncoder()),
        labels(customers()),
        "classification",
    )
    with serving(folder, "--explain") as server:
        answers: list[Any] = []
        asking = threading.Thread(
            target=lambda: answers.append(server.ask("/explain", {"dataframe_records": [ROW] * 3}))
        )
        asking.start()
        while asking.is_alive():
            assert server.told("/invocations", {"dataframe_records": [ROW]}) == {"predictions": ["yes"]}
        asking.join()
        assert answers[0][0] == 200, answers
        assert server.ask("/explain", {"dataframe_records": [ROW] * 16}, x_request_timeout="0.005")[0] == 504
        (one,) = server.told("/explain", {"dataframe_records": [ROW]})["explanations"]
        assert (one["method"], one["scale"]) == ("exact", "probability")
        assert added_up(one) == pytest.approx([0.0], abs=1e-9)
