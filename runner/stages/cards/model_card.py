"""The model card: what a model is and is for, how it was made and judged, and what nobody said of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.stages.cards.curves import curves_of
from runner.stages.cards.data_card import HIDDEN, contract_parts, size_table
from runner.stages.cards.figures import (
    figure_table,
    has_intervals,
    has_slices,
    named_table,
    share,
    shown,
    slice_table,
    tables_by_name,
)
from runner.stages.cards.hyperparameters import hyperparameters, last_of
from runner.stages.cards.material import Material
from runner.stages.cards.parts import Card, Code, Items, Part, Section, Table, Text, table
from runner.stages.cards.sources import Figures

_MOST_CATEGORIES = 10
_GATES = (
    "Gates are judged after this card was made, from the same recorded metrics. This prints each with its "
    "verdict and its numbers:"
)


def model_card(material: Material) -> Card:
    """The card of a model."""
    about = material.said("description")
    sections = [
        _description(material),
        _uses(material),
        _objective(material),
        _people(material),
        _training(material),
        _data(material),
        _evaluation(material),
        _fairness(material),
        _robustness(material),
        _explanation(material),
        *_plots(material),
        Section("Gates", (Text(_GATES), Code("runner gate"))),
        Section("What is missing", (_missing(material),)),
    ]
    return Card(f"Model card: {material.title}", (Text(about),) if about else (), tuple(sections))


# ----- what it is


def _description(material: Material) -> Section:
    model, facts = material.model, material.model.facts
    rows = [
        ("task", model.task),
        ("what it predicts", model.target),
        ("estimator", str(facts.get("estimator") or type(last_of(model.model)).__name__)),
        ("format", material.format),
        ("columns that it needs", str(len(model.features))),
        ("rows that it was trained with", shown(model.reference.get("rows"))),
    ]
    features = facts.get("features")
    if isinstance(features, Mapping):
        rows += [(f"features, {name}", shown(features[name])) for name in ("prepared", "kept") if name in features]
    parts: list[Part] = [Table(("what", "value"), tuple(rows))]
    if model.classes is not None:
        named = HIDDEN if model.target in material.hidden else ", ".join(map(shown, model.classes))
        parts.append(Text(f"Its {len(model.classes)} classes: {named}."))
    inputs = Section("Inputs", (_inputs(material),), (material.of_model,))
    return Section("Model description", tuple(parts), (material.of_model,), inner=(inputs,))


def _inputs(material: Material) -> Table:
    """The columns that the model needs, with what was seen of them in training."""
    rows = []
    plan = material.model.facts.get("columns")
    for name, told in material.model.signature["input"]["properties"].items():
        kinds = [told["type"]] if isinstance(told["type"], str) else told["type"]
        seen = told.get("x-seen", {})
        prepared = plan.get(name) if isinstance(plan, Mapping) else None
        prepared = prepared.get("as") if isinstance(prepared, Mapping) else prepared
        values = HIDDEN if name in material.hidden else _seen(seen)
        rows.append((str(name), str(kinds[0]), share(seen.get("missing")), values, str(prepared or "")))
    return table(("column", "type", "missing in training", "seen in training", "prepared as"), rows)


def _seen(seen: Mapping[str, Any]) -> str:
    if "minimum" in seen:
        return f"{shown(seen['minimum'])} to {shown(seen['maximum'])}"
    names = seen.get("categories")
    if isinstance(names, list):
        more = f" and {len(names) - _MOST_CATEGORIES} more" if len(names) > _MOST_CATEGORIES else ""
        return ", ".join(map(shown, names[:_MOST_CATEGORIES])) + more
    return f"{shown(seen['distinct'])} different values" if "distinct" in seen else ""


# ----- what it is for


def _uses(material: Material) -> Section:
    intended, beyond = material.said("intended_use"), material.said("out_of_scope")
    limits = material.said("limitations", [])
    parts: list[Part] = [Text(intended or "No intended use is stated.")]
    parts += [Text("Not meant for:"), Text(beyond)] if beyond else []
    parts += [Text("Limitations:"), Items(tuple(limits))] if limits else [Text("No limitations are stated.")]
    return Section("Intended uses & limitations", tuple(parts))


def _objective(material: Material) -> Section:
    parts: list[Part] = [Text(material.said("objective") or "No objective is stated.")]
    rows = [
        tuple(shown(kpi[key]) if key in kpi else "" for key in ("name", "source", "target", "unit", "direction"))
        for kpi in material.said("kpis", [])
    ]
    head = ("KPI", "source", "target", "unit", "better")
    parts.append(Table(head, tuple(rows)) if rows else Text("No KPIs are stated."))
    return Section("Objective", tuple(parts))


def _people(material: Material) -> Section:
    owners = material.said("owners", [])
    return Section("Model Card Contact", (Items(tuple(owners)) if owners else Text("No owners are stated."),))


# ----- how it was made


def _training(material: Material) -> Section:
    facts = material.model.facts
    asked = facts.get("params")
    parts: list[Part] = [Text(f"The seed of all that is random was {shown(facts['seed'])}.")] if "seed" in facts else []
    if isinstance(asked, Mapping) and asked:
        parts.append(Text("Parameters that were asked for: " + ", ".join(sorted(map(str, asked))) + "."))
    leaks = facts.get("leakage")
    if isinstance(leaks, list):
        found = [one for one in leaks if isinstance(one, Mapping)]
        bad = sum(1 for one in found if one.get("leak"))
        parts.append(Text(f"The search for leakage found {bad} leaks, and gave {len(found) - bad} notices."))
    inner = [
        Section("Hyperparameters", (hyperparameters(material.model.model),), (material.of_model,), folded=True),
        *_validated(material),
        Section("Versions", _versions(material.pins), (material.of_model,), folded=True),
    ]
    return Section("Training Procedure", tuple(parts), (material.of_model,), inner=tuple(inner))


def _versions(pins: tuple[str, ...]) -> tuple[Part, ...]:
    notes = [line.removeprefix("# ") for line in pins if line.startswith("#")]
    rows = [(name, version) for name, equals, version in (line.partition("==") for line in pins) if equals]
    return (*(Text(note) for note in notes), table(("package", "version"), rows))


def _validated(material: Material) -> list[Section]:
    cv = material.model.facts.get("cv")
    if not isinstance(cv, Mapping) or not isinstance(scores := cv.get("scores"), Mapping) or not scores:
        return []
    told = named_table("score", scores, hides=False, columns=("mean", "std", "low", "high"))
    about = f"{shown(cv.get('folds'))} folds ({shown(cv.get('kind'))}), intervals of {share(cv.get('confidence'))}."
    parts: list[Part] = [Text(about), *([told] if told is not None else [])]
    return [Section("Cross-validation", tuple(parts), (material.of_model,))]


def _data(material: Material) -> Section:
    parts: list[Part] = [size_table(material.profile)] if material.profile else [Text("No training data was given.")]
    parts += contract_parts(material)
    named = [material.profile.source] if material.profile else []
    named += [material.contract[0]] if material.contract else []
    return Section("Training Data", tuple(parts), tuple(named))


# ----- how it was judged


def _evaluation(material: Material) -> Section:
    if not material.evaluation:
        return Section("Evaluation Results", (Text("No evaluation was given."),))
    return Section("Evaluation Results", inner=tuple(_judged(material, one) for one in material.evaluation))


def _judged(material: Material, one: Figures) -> Section:
    parts = figure_table(one.value) or [Text("The file holds no figure.")]
    parts += tables_by_name(one.value, hides=material.model.target in material.hidden)
    slices = slice_table(one.value, material.hidden)
    inner = (Section(f"Slices of {one.source.path}", (slices,), (one.source,)),) if slices is not None else ()
    return Section(one.source.path, tuple(parts), (one.source,), inner=inner)


def _fairness(material: Material) -> Section:
    if not material.fairness:
        return Section("Fairness", (Text("No evaluation of fairness was given."),))
    return Section("Fairness", inner=tuple(_compared(material, one) for one in material.fairness))


def _compared(material: Material, one: Figures) -> Section:
    """The measures between groups; names of groups are values of the sensitive columns."""
    columns = one.value.get("sensitive")
    named = [str(name) for name in columns] if isinstance(columns, list) else []
    hides = bool(material.hidden & set(named))
    parts: list[Part] = [Text(f"Groups by {', '.join(named)}.")] if named else []
    parts += figure_table(one.value)
    groups = one.value.get("groups")
    told = named_table("group", groups, hides=hides) if isinstance(groups, Mapping) else None
    parts += [told] if told is not None else []
    small = one.value.get("left_out")
    if isinstance(small, Mapping) and small:
        text = f"{len(small)} groups were too small to be compared"
        parts.append(Text(text + ("." if hides else f": {', '.join(map(str, small))}.")))
    return Section(one.source.path, tuple(parts), (one.source,))


def _robustness(material: Material) -> Section:
    if not material.robustness:
        return Section("Robustness", (Text("No evaluation of robustness was given."),))
    about = Text("By how much the score falls, and which share of answers changes, when the data is spoilt a little.")
    files = [Section(one.source.path, (about, *figure_table(one.value)), (one.source,)) for one in material.robustness]
    return Section("Robustness", inner=tuple(files))


def _explanation(material: Material) -> Section:
    if material.explain is None:
        return Section("Explanation", (Text("No explanation was given."),))
    told = material.explain.value
    importance = told.get("importance")
    found = (
        named_table("column", importance, hides=False, columns=("mean", "low", "high"))
        if isinstance(importance, Mapping)
        else None
    )
    if told.get("method") == "shap":
        about = Text("By how much each column moves an answer: the mean absolute Shapley value.")
    else:
        about = Text(f"By how much {shown(told.get('scoring'))} falls when a column is shuffled.")
    parts = (about, found) if found is not None else (Text("The file holds no importance of columns."),)
    return Section("Explanation", parts, (material.explain.source,))


def _plots(material: Material) -> list[Section]:
    drawn = [
        Section(source.path, curves_of(plot, material.hidden, material.model.target), (source,))
        for source, plot in material.plots
    ]
    return [Section("Plots", inner=tuple(drawn))] if drawn else []


# ----- what is missing


def _missing(material: Material) -> Part:
    judged = [one.value for one in material.evaluation]
    lacks = [
        (not material.said("objective"), "No objective is stated (objective of the Project): what is it for?"),
        (not material.said("kpis"), "No KPIs are stated (kpis of the Project): which figures is it to move?"),
        (not material.said("owners"), "No owners are stated (owners of the Project): who answers for it?"),
        (not material.said("intended_use"), "No intended use is stated."),
        (not material.said("limitations"), "No limitations are stated."),
        (material.profile is None, "No training data was given, and so no data card can be made."),
        (material.contract is None, "No data contract was given."),
        (not judged, "No evaluation was given."),
        (bool(judged) and not any(map(has_intervals, judged)), "No measure has an interval: chance may have made it."),
        (bool(judged) and not any(map(has_slices, judged)), "No slices were measured: some rows may fare worse."),
        (not material.fairness, "No evaluation of fairness was given."),
        (not material.robustness, "No evaluation of robustness was given."),
        (material.explain is None, "No explanation was given."),
        (material.format != "skops", f"The model is kept as {material.format}, not as skops."),
    ]  # fmt: skip
    told = [sentence for is_lacking, sentence in lacks if is_lacking]
    return Items(tuple(told)) if told else Text("Nothing that this card asks for.")
