"""`train`: an estimator trained with its preprocessing, cross-validated, searched for leakage, kept as a folder."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import artefacts
from runner.artefacts import columns as kinds_of_columns
from runner.errors import InputError
from runner.stages import estimators, folds, leakage, preparation
from runner.stages.program import Call, program
from runner.stages.tables import column, read_table
from runner.stages.written import write_json
from runner.values import dataclass

if TYPE_CHECKING:
    import pandas

_SEEDS = 1 << 32


@dataclass(frozen=True, slots=True)
class Material:
    """What a model is trained with."""

    path: str
    table: pandas.DataFrame
    """As it was read, with all columns."""
    features: pandas.DataFrame
    """The columns that the model may use, in the form in which it sees them."""
    kinds: dict[str, str]
    """The kind of each feature, by its name, in order."""
    raw: pandas.DataFrame
    """The same columns as they were read, for the signature."""
    target: pandas.Series
    task: str
    design: folds.Design
    splits: list[tuple[Any, Any]]


@estimators.one_blas_thread()
def run(call: Call) -> None:
    """Train what `with` says; raises InputError where that cannot be."""
    estimators.import_code(call.get("code", ()))
    estimator = estimators.made(call.given["estimator"], call.get("params", {}), call.seed)
    material = material_of(call, estimators.task_of(estimator, call.get("task")))
    plan = prepared(call, material, estimator)
    for name in material.features.columns[material.features.isna().all()]:
        sys.stderr.write(f"{call.name}: notice: the column `{name}` is empty and tells nothing\n")
    model = pipeline_of(plan, estimator, call.get("reduce"), material.task, call.seed)
    found = suspicions_of(call, material)
    scorers = scorers_of(call, estimator, material)
    scores = (
        folds.scores_of(model, material.features, material.target, material.splits, scorers) if material.splits else {}
    )
    seeds = _under_seeds(call, material, plan, scores)
    fitted(model, material)
    facts = {
        "estimator": call.given["estimator"],
        "params": call.get("params", {}),
        "seed": call.seed,
        **facts_of(model, material, plan),
        "cv": told_scores(scores, material, call.get("confidence", 0.95)),
        "leakage": [suspicion.as_json() for suspicion in found],
    }
    write_model(call, call.outs[0], model, material, facts)
    write_json(call.metrics, metrics_of(facts, scores) | ({"seeds": seeds} if seeds else {}))


def _under_seeds(call: Call, material: Material, plan: Any, scores: Mapping[str, list[float]]) -> dict[str, Any]:
    """The mean of each score under the stage's own seed and those that follow it, folds and all; none without `seeds`.

    It is what the stage would come to with another `seed`: the noise that a gate has to bear.
    """
    count = call.get("seeds", 1)
    if count == 1:
        return {}
    found = {name: [sum(values) / len(values)] for name, values in scores.items()}
    for seed in range(call.seed + 1, call.seed + count):
        estimator = estimators.made(call.given["estimator"], call.get("params", {}), seed % _SEEDS)
        model = pipeline_of(plan, estimator, call.get("reduce"), material.task, seed % _SEEDS)
        target = material.target.to_numpy()
        splits = folds.splits_of(material.design, material.table, target, material.path, seed % _SEEDS)
        for name, values in folds.scores_of(model, material.features, target, splits, list(scores)).items():
            found[name].append(sum(values) / len(values))
    return {name: [kinds_of_columns.plain(value) for value in values] for name, values in found.items()}


def prepared(call: Call, material: Material, estimator: Any) -> dict[str, dict[str, Any]]:
    """How each column is prepared for an estimator; raises InputError where the spec asks for what cannot be."""
    return preparation.columns_of(
        material.features,
        material.kinds,
        call.get("columns", {}),
        estimator,
        reduced="reduce" in call.given,
        filled=call.get("format") == "onnx",
    )


def material_of(call: Call, task: str) -> Material:
    """The training table, its features and its target; raises InputError where something in it cannot be used."""
    path = call.given["data"]
    table = read_table(path)
    target = _target(column(table, call.given["target"], path), call.given["target"], task, path)
    design = folds.design_of(call.get("cv", {}), task)
    names = _feature_names(call, table, design, path)
    raw = table[names]
    kinds = kinds_of_columns.kinds_of(raw)
    features = kinds_of_columns.aligned(raw, kinds, path)
    splits = folds.splits_of(design, table, target.to_numpy(), path, call.seed)
    return Material(path, table, features, kinds, raw, target, task, design, splits)


def _feature_names(call: Call, table: pandas.DataFrame, design: folds.Design, path: str) -> list[str]:
    stated = call.get("columns", {})
    for name in (*call.get("features", ()), *stated):
        column(table, name, path)
    dropped = {name for name, said in stated.items() if (said if isinstance(said, str) else said["as"]) == "drop"}
    left_out = {call.given["target"], *dropped, *(() if "features" in call.given else design.columns)}
    names = [str(name) for name in call.get("features", list(table.columns)) if name not in left_out]
    for name in set(stated) - set(names) - dropped:
        raise InputError(f"`columns` prepares `{name}`, which is no feature", "take it out, or name it in `features`")
    if not names:
        raise InputError(f"{path}: there is no feature to train with", "name columns in `features`, or drop fewer")
    return names


def _target(values: pandas.Series, name: str, task: str, path: str) -> pandas.Series:
    """The target without gaps; classes as bools, whole numbers or texts, numbers as floats."""
    import pandas

    if not len(values):
        raise InputError(f"{path}: the table has no rows", "give rows to train with")
    missing = values.isna()
    if missing.any():
        row = int(missing.to_numpy().argmax()) + 1
        text = f"{path}: the target `{name}` is missing in {int(missing.sum())} rows, first in row {row}"
        raise InputError(text, "leave such rows out in a stage before")
    kind = kinds_of_columns.kind_of(values)
    if task == "regression" or kind == "number":
        numbers = kinds_of_columns.aligned(pandas.DataFrame({name: values}), {name: "number"}, path)[name]
        if task == "regression":
            return numbers
    if kind in ("number", "integer"):
        _check_labels(values, name, path)
    values = values.map(str) if kind == "string" else values
    if values.nunique() < 2:
        raise InputError(
            f"{path}: the target `{name}` has one value only, `{values.iloc[0]}`", "give rows of two classes"
        )
    if kind == "number" and not bool((values == values.round()).all()):
        text = f"{path}: the target `{name}` holds fractions, and the estimator classifies"
        raise InputError(text, "use an estimator for regression, or make classes in a stage before")
    types: dict[str, Any] = {"boolean": bool, "integer": "int64", "number": "int64", "string": str}
    return values.astype(types[kind]).astype(object if kind == "string" else types[kind])


def _check_labels(values: pandas.Series, name: str, path: str) -> None:
    """Raise InputError for a number that is no exact label: a float from 2^53 on, and what int64 cannot hold."""
    limit = 1 << (63 if kinds_of_columns.kind_of(values) == "integer" else 53)
    large = ((values >= limit) | (values < -limit)).to_numpy()
    if large.any():
        row = int(large.argmax())
        text = f"{path}: the target `{name}` holds `{values.iloc[row]}` in row {row + 1}, too large to be a class"
        raise InputError(text, "use an estimator for regression, or make classes in a stage before")


def suspicions_of(call: Call, material: Material) -> list[leakage.Suspicion]:
    """What looks like leakage; told on stderr. Raises InputError for a leak, where `leakage` is `fail`."""
    found = list(leakage.of_features(material.features, material.kinds, material.target, material.task, call.seed))
    found += leakage.of_rows(material.features, material.target, material.splits)
    if "unseen" in call.given:
        path = call.given["unseen"]
        other = read_table(path)
        answers = _target(column(other, call.given["target"], path), call.given["target"], material.task, path)
        unseen = kinds_of_columns.aligned(other, material.kinds, path)
        found += leakage.of_unseen(material.features, material.target, unseen, answers, path)
    for suspicion in found:
        sys.stderr.write(f"{call.name}: {'leakage' if suspicion.leak else 'notice'}: {suspicion.told}\n")
    leaks = [suspicion for suspicion in found if suspicion.leak]
    if leaks and call.get("leakage", "fail") == "fail":
        told = "\n  ".join(suspicion.told for suspicion in leaks)
        named = next((leak.column for leak in leaks if leak.column), None)
        drop = f"drop it: `columns: {{{named}: drop}}`" if named else "take such rows out"
        raise InputError(f"{material.path}: leakage:\n  {told}", f"{drop}; or say `leakage: warn` if it is meant so")
    return found


def pipeline_of(plan: Any, estimator: Any, reduce: Any, task: str, seed: int) -> Any:
    """Preprocessing, selection and estimator as one model, not fitted yet."""
    from sklearn.pipeline import Pipeline

    steps = [("columns", preparation.preprocessor_of(plan, estimator, reduced=reduce is not None))]
    if reduce is not None:
        steps.append(("reduce", preparation.reducer_of(reduce, task, seed)))
    return Pipeline([*steps, ("model", estimator)])


def scorers_of(call: Call, estimator: Any, material: Material) -> list[str]:
    """What is measured: what the spec says, else what is usual."""
    classes = material.target.nunique() if material.task == "classification" else 0
    return list(call.get("scoring", folds.usual_scorers(material.task, estimator, classes)))


def fitted(model: Any, material: Material) -> Any:
    """The model, trained with all rows; raises InputError where it cannot be."""
    try:
        return model.fit(material.features, material.target.to_numpy())
    except Exception as error:
        text = f"the estimator cannot be trained: {type(error).__name__}: {str(error)[:300]}"
        raise InputError(text, "see whether estimator, parameters and columns fit the data") from error


def facts_of(model: Any, material: Material, plan: Any) -> dict[str, Any]:
    """What is known of a fitted model: rows, columns, and the features that stayed."""
    names = [str(name) for name in model.named_steps["columns"].get_feature_names_out()]
    reducer = model.named_steps.get("reduce")
    kept = [str(name) for name in reducer.get_feature_names_out(names)] if reducer is not None else names
    return {
        "task": material.task,
        "rows": len(material.features),
        "columns": plan,
        "features": {"columns": len(material.kinds), "prepared": len(names), "kept": len(kept)},
        "kept": kept,
    }


def told_scores(scores: Any, material: Material, confidence: float) -> dict[str, Any]:
    """The design of the cross-validation, its scores fold by fold, and their intervals."""
    design = material.design
    told: dict[str, Any] = {"kind": design.kind, "folds": len(material.splits), "confidence": confidence}
    told |= {key: value for key, value in (("groups", design.groups), ("time", design.time)) if value is not None}
    told["scores"] = {
        name: {
            **folds.interval_of(values, material.splits, confidence, name),
            "folds": [kinds_of_columns.plain(value) for value in values],
        }
        for name, values in scores.items()
    }
    return told


def metrics_of(facts: Any, scores: Any) -> dict[str, Any]:
    """The metrics file: what gates and comparisons look at."""
    told = facts["cv"]["scores"]
    return {
        "cv": {name: {key: told[name][key] for key in ("mean", "std", "low", "high", "level")} for name in scores},
        "folds": {name: told[name]["folds"] for name in scores},
        "rows": facts["rows"],
        "features": facts["features"],
        "leakage": {
            "leaks": sum(1 for suspicion in facts["leakage"] if suspicion["leak"]),
            "notices": sum(1 for suspicion in facts["leakage"] if not suspicion["leak"]),
        },
    }


def write_model(call: Call, folder: Path, model: Any, material: Material, facts: Any) -> None:
    """The folder of a fitted model."""
    artefacts.write(
        folder,
        model,
        features=material.raw,
        target=call.given["target"],
        outputs=material.target,
        task=material.task,
        seed=call.seed,
        format=call.get("format", "skops"),
        facts=facts,
    )


main = program("train", run)

if __name__ == "__main__":
    raise SystemExit(main())
