"""The full example: what its data is made of is what its reports find, from the contract to the gates."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.packaging.examples import Example


@pytest.fixture(scope="module")
def churn(tmp_path_factory: pytest.TempPathFactory) -> Example:
    return Example("churn", tmp_path_factory.mktemp("churn"))


@pytest.mark.slow
def test_the_faults_that_were_put_into_the_data_are_put_aside_and_no_other_row(churn: Example) -> None:
    churn.says("pull", "validate")
    bad = list(csv.DictReader(io.StringIO((churn.repo.path / "data/bad.csv").read_text())))
    faulty = [
        row
        for row in bad
        if row["plan"] == "Basic " or float(row["monthly_price"]) < 0 or int(row["tenure_months"]) == 1200
    ]
    assert 20 <= len(bad) == len(faulty)
    assert churn.metrics("reports/validation.json")["quarantined_rows"] == len(bad)


@pytest.mark.slow
def test_what_drives_customers_away_is_what_the_model_says(churn: Example) -> None:
    importance = {name: row["mean"] for name, row in churn.metrics("reports/explain.json")["importance"].items()}
    truth, noise = ("support_calls", "late_payments"), ("gender", "region", "income")
    assert min(importance[name] for name in truth) > 3 * max(abs(importance[name]) for name in noise)
    assert churn.metrics("reports/robustness.json")["noise"]["value"] < 0.05


@pytest.mark.slow
def test_every_gate_passes_and_the_sealed_rows_are_counted(churn: Example) -> None:
    assert set(churn.gates().values()) == {"pass"}
    assert len(churn.gates()) == 6
    (holdout,) = churn.json("gate")["holdouts"]
    assert (holdout["uses"], holdout["maxUses"]) == (2, 50)
    sealed = "with: {model: models/churn, data: data/holdout.csv"
    text = (churn.repo.path / "runner.yaml").read_text()
    (churn.repo.path / "runner.yaml").write_text(text.replace("data: data/train.csv", "data: data/holdout.csv"))
    assert sealed in text
    assert "hold-out" in churn.says("validate", "--json", code=1)
    (churn.repo.path / "runner.yaml").write_text(text)


@pytest.mark.slow
def test_nothing_is_to_do_the_second_time_and_another_purpose_writes_another_card_alone(churn: Example) -> None:
    assert set(churn.json("plan")["summary"]) == {"keep"}
    assert "purpose   Call customers before they leave." in churn.says("plan")
    churn.edit("target: 0.03", "target: 0.02")
    plan = churn.json("plan", code=2)
    assert [step["stage"] for step in plan["stages"] if step["action"] != "keep"] == ["card"]


@pytest.mark.slow
def test_the_cards_tell_the_purpose_and_what_was_measured_and_nothing_personal(churn: Example) -> None:
    churn.says("pull", "card")
    card, data = ((churn.repo.path / f"reports/{name}.md").read_text() for name in ("card", "data"))
    value = churn.metrics("reports/metrics.json")["roc_auc"]
    assert f"| roc&#95;auc | {value:.6g} |" in card
    assert "Call customers before they leave." in card
    assert "monthly churn" in card
    assert "C-0" not in card + data
    assert "Nothing that this card asks for." in data


@pytest.mark.slow
def test_what_the_example_lacks_is_a_place_for_its_data_a_key_and_a_lock_file(churn: Example) -> None:
    assert churn.lacks() <= {"storage", "environment", "signing"}
    assert json.loads(churn.says("doctor", "--json"))["declined"] == []
