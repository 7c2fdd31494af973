"""`robustness`: faults stay within what was seen in training, more of them cost more, and gates find the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas
import pytest

from runner import artefacts
from runner.core.measures import MetricName, found
from runner.stages.robustness import _CHECKS, main
from tests.stages.models import caller, told

robustness = caller(main)


@pytest.fixture(autouse=True)
def table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> pandas.DataFrame:
    monkeypatch.chdir(folder)
    Path("m.json").unlink(missing_ok=True)
    made = pandas.read_csv("t.csv")
    made.assign(city="Bonn").to_csv("same.csv", index=False)
    return made


def test_a_model_loses_more_the_more_is_spoilt_and_gates_find_it(table: pandas.DataFrame) -> None:
    falls, flips = [], []
    for size in (0.01, 5):
        checks = {"noise": {"size": size}, "swap": {"columns": ["city"]}}
        assert robustness({"model": "two", "checks": checks}) == 0
        falls.append(told()["noise"]["value"])
        flips.append(told()["noise"]["flips"])
    assert falls[0] < falls[1]
    assert 0 <= flips[0] < flips[1] < 0.6
    assert told()["noise"]["columns"] == ["age", "orders"]
    (measure,) = found({"m.json": told()}, MetricName("m.json", ("swap",))).values()
    interval = measure.interval(0.95)  # type: ignore[union-attr]
    assert interval[0] < told()["swap"]["value"] < interval[1]
    assert measure.support == len(table)  # type: ignore[union-attr]


@pytest.mark.parametrize("model", ["two", "number"])
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(model: str) -> None:
    def written(seed: int) -> list[bytes]:
        assert robustness({"model": model, "repeats": 2}, "--plots=p.json", seed=seed) == 0
        return [Path(name).read_bytes() for name in ("m.json", "p.json")]

    first, again, other = written(1), written(1), written(2)
    assert first == again
    assert first != other
    assert {"noise", "missing", "swap"} <= told().keys()


def test_faults_stay_within_what_was_seen(table: pandas.DataFrame) -> None:
    import numpy

    model = artefacts.read(Path("two"))
    seen, columns = model.aligned(table), model.signature["input"]["properties"]
    chance = numpy.random.default_rng(0)
    orders = _CHECKS["noise"][1](seen["orders"], columns["orders"], {"size": 9}, chance)
    assert orders.dtype == seen["orders"].dtype
    ends = columns["orders"]["x-seen"]
    assert (orders.min(), orders.max()) == (ends["minimum"], ends["maximum"])
    cities = _CHECKS["swap"][1](seen["city"], columns["city"], {"share": 1}, chance)
    assert set(cities.dropna()) == {"Bonn", "Köln", "Ulm"}
    assert not (cities == seen["city"]).any()
    assert cities.isna().equals(seen["city"].isna())
    assert _CHECKS["swap"][1](seen["paid"], columns["paid"], {"share": 1}, chance).equals(1 - seen["paid"])
    assert _CHECKS["missing"][1](seen["orders"], columns["orders"], {"share": 1}, chance).isna().all()


def test_beyond_what_was_seen_and_what_must_not_matter_is_judged_where_it_is_asked_for(table: pandas.DataFrame) -> None:
    import numpy

    checks: dict[str, Any] = {
        "outside": {"share": 1},
        "unseen": {"share": 1},
        "invariance": {"columns": ["city", "paid"]},
    }
    assert robustness({"model": "two", "checks": checks}) == 0
    result = told()
    assert result["outside"]["columns"] == ["age", "orders"]
    assert result["unseen"]["columns"] == ["city"]
    assert result["unseen"]["value"] > 0
    invariance = result["invariance"]
    assert invariance["value"] == pytest.approx(invariance["flips"])
    assert 0 < invariance["low"] < invariance["value"] < invariance["high"] < 1
    model = artefacts.read(Path("two"))
    seen, columns = model.aligned(table), model.signature["input"]["properties"]
    chance = numpy.random.default_rng(0)
    ends = columns["orders"]["x-seen"]
    orders = _CHECKS["outside"][1](seen["orders"], columns["orders"], {"share": 1}, chance)
    assert set(orders) == {ends["minimum"] - 15, ends["maximum"] + 15}
    assert not set(_CHECKS["unseen"][1](seen["city"], columns["city"], {"share": 1}, chance).dropna()) & {"Bonn", "Ulm"}
    moved = _CHECKS["invariance"][1](seen["city"], columns["city"], {}, chance)
    assert moved.value_counts(dropna=False).equals(seen["city"].value_counts(dropna=False))


def test_a_model_that_ignores_a_column_is_invariant_to_it() -> None:
    assert robustness({"model": "two", "checks": {"invariance": {"columns": ["age", "orders", "city", "paid"]}}}) == 0
    assert told()["invariance"]["value"] > 0.2
    assert robustness({"model": "two", "data": "same.csv", "checks": {"invariance": {"columns": ["city"]}}}) == 0
    assert told()["invariance"]["value"] == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"checks": {"noise": {"columns": ["city"]}}},
            "`noise` is not for the column `city`\n  it is for: age, orders",
        ),
        ({"checks": {"nose": {}}}, "nose"),
        ({"checks": {"invariance": {}}}, "the key `columns` is missing in `invariance`"),
        ({"checks": {"missing": {"share": 2}}}, "share"),
        ({"scoring": "neg_mean_poisson_deviance"}, "cannot be scored by neg_mean_poisson_deviance"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    given: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert robustness({"model": "two"} | given) == 1
    assert message in capsys.readouterr().err
    assert not Path("m.json").exists()
