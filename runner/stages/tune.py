"""`tune`: the best of several estimators and of their parameters, under one cross-validation, kept as a folder."""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from itertools import accumulate
from pathlib import Path
from typing import Any

from runner.core.units import seconds_of
from runner.errors import InputError
from runner.stages import estimators, folds, train
from runner.stages.journal import Journal, opened
from runner.stages.program import Call, program
from runner.stages.search import Candidate, Choice, Search, candidates_of, importance_of
from runner.stages.tables import write_table
from runner.stages.written import write_json

_TRIALS = 50
_SAME = 1e-6
"""How far a score may be from itself: threads add up in any order."""
_NOT_OF_THE_SEARCH = {"trials", "time", "journal", "scoring", "confidence", "leakage", "unseen"}
"""Arguments that change no trial: a search with more trials goes on where one with fewer ended."""


@estimators.one_blas_thread()
def run(call: Call) -> None:
    """Search what `with` says; raises InputError where that cannot be."""
    estimators.import_code(call.get("code", ()))
    candidates = candidates_of(call.given["candidates"])
    tried = {candidate.name: _base(candidate, call.seed) for candidate in candidates}
    task = _task(call, candidates, tried)
    material = train.material_of(call, task)
    if not material.splits:
        raise InputError("`cv`: a search compares by a cross-validation", "say another kind than none")
    bench = Bench(call, material, {candidate.name: candidate for candidate in candidates}, tried)
    found = train.suspicions_of(call, material)
    search = Search(candidates, call.get("search", "tpe"), call.get("prune", "median"), call.seed)
    with opened(call.get("journal"), _digest(call, bench.metric)) as journal:
        lines = _searched(call, search, journal, bench)
    _write(call, search, bench, lines, found)


def _base(candidate: Candidate, seed: int) -> Any:
    """The estimator of a candidate, with the names of its space looked up."""
    estimator = estimators.made(candidate.estimator, candidate.params, seed)
    known = estimator.get_params() if hasattr(estimator, "get_params") else {}
    for parameter in candidate.space:
        if parameter not in known:
            estimators.refuse_parameter(candidate.estimator, parameter, known)
    return estimator


def _task(call: Call, candidates: Sequence[Candidate], tried: Mapping[str, Any]) -> str:
    tasks = {candidate.name: estimators.task_of(tried[candidate.name], call.get("task")) for candidate in candidates}
    if len(set(tasks.values())) > 1:
        told = ", ".join(f"{name} is for {task}" for name, task in tasks.items())
        raise InputError(f"`candidates` are for different tasks: {told}", "choose among estimators for one")
    return next(iter(tasks.values()))


class Bench:
    """Where trials are measured: one table, one set of folds, one score."""

    def __init__(
        self, call: Call, material: train.Material, candidates: Mapping[str, Candidate], tried: Mapping[str, Any]
    ) -> None:
        self.call, self.material, self.candidates = call, material, candidates
        self.plans = {name: train.prepared(call, material, estimator) for name, estimator in tried.items()}
        self.metric: str = call.get("metric") or _usual_metric(material, tried)

    def model(self, choice: Choice) -> Any:
        """The whole model of a choice, not fitted; raises InputError where the estimator refuses a value."""
        candidate = self.candidates[choice.candidate]
        estimator = estimators.made(candidate.estimator, candidate.params, self.call.seed)
        try:
            estimator.set_params(**{name: estimators.value_of(value) for name, value in choice.params.items()})
        except (ValueError, TypeError) as error:
            raise InputError(f"{candidate.name} refuses {dict(choice.params)}: {error}", "mend its `space`") from error
        estimators.seeded(estimator, self.call.seed)
        plan = self.plans[choice.candidate]
        return train.pipeline_of(plan, estimator, self.call.get("reduce"), self.material.task, self.call.seed)

    def score(self, model: Any, split: tuple[Any, Any]) -> float:
        """The score of a model on one fold; raises InputError where it cannot be trained or measured."""
        features, target = self.material.features, self.material.target
        return folds.scores_of(model, features, target, [split], [self.metric])[self.metric][0]


def _usual_metric(material: train.Material, tried: Mapping[str, Any]) -> str:
    if material.task == "regression":
        return "neg_root_mean_squared_error"
    ranks = all(hasattr(one, "predict_proba") or hasattr(one, "decision_function") for one in tried.values())
    return "roc_auc" if ranks and material.target.nunique() == 2 else "balanced_accuracy"


def _digest(call: Call, metric: str) -> str:
    """What a search depends on, as the name of its journal."""
    files = [call.given["data"], *call.get("code", ())]
    told = {
        "stage": call.name,
        "given": {key: value for key, value in call.given.items() if key not in _NOT_OF_THE_SEARCH},
        "metric": metric,
        "seed": call.seed,
        "files": [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files],
        "versions": {name: metadata.version(name) for name in ("numpy", "optuna", "pandas", "scikit-learn", "scipy")},
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _searched(call: Call, search: Search, journal: Journal, bench: Bench) -> list[Any]:
    """Every trial of the budget, those of the journal first."""
    wanted = call.get("trials", search.most or _TRIALS)
    wanted = min(wanted, search.most or wanted)
    limit = seconds_of(call.given["time"]) if "time" in call.given else None
    for line in journal.lines[:wanted]:
        search.replay(line)
    if journal.lines:
        sys.stderr.write(f"{call.name}: the journal has {len(journal.lines)} trials already\n")
    for number in range(min(len(journal.lines), wanted), wanted):
        spent = sum(line["seconds"] for line in journal.lines)
        if limit is not None and number and spent >= limit:
            sys.stderr.write(f"{call.name}: the time is up after {number} of {wanted} trials\n")
            break
        journal.add(_tried(number, search, journal.lines, bench))
        _tell(call.name, number, wanted, journal.lines)
    return journal.lines[:wanted]


def _tried(number: int, search: Search, lines: Sequence[Any], bench: Bench) -> Any:
    """One trial, fold by fold, until it is done, ended early, or failed."""
    from optuna.trial import TrialState

    started = time.monotonic()
    trial, choice = search.ask(number)
    wanted = (choice.candidate, choice.params)
    same = next((line for line in lines if (line["candidate"], line["choice"]) == wanted), None)
    scores: list[float] = []
    told, state = "", TrialState.COMPLETE
    try:
        model = bench.model(choice)
        for step, split in enumerate(bench.material.splits, 1):
            # The same choice as an earlier trial has the same scores: nothing is trained twice.
            known = same["scores"][step - 1] if same is not None and len(same["scores"]) >= step else None
            scores.append(bench.score(model, split) if known is None else known)
            trial.report(sum(scores) / step, step)
            if step < len(bench.material.splits) and trial.should_prune():
                state = TrialState.PRUNED
                break
    except InputError as error:
        told, state = str(error).splitlines()[0], TrialState.FAIL
    if state is TrialState.COMPLETE and any(score != score for score in scores):
        told, state = "a fold has no score", TrialState.FAIL
    search.study.tell(trial, sum(scores) / len(scores) if state is TrialState.COMPLETE else None, state=state)
    return search.line_of(number, choice, scores, told, time.monotonic() - started)


def best_of(lines: Sequence[Any]) -> Any:
    """The trial with the highest mean; the first of them among equals, None where none was finished."""
    done = [line for line in lines if line["state"] == "COMPLETE"]
    return max(done, key=lambda line: (line["value"], -line["number"]), default=None)


def _tell(name: str, number: int, wanted: int, lines: Sequence[Any]) -> None:
    line, best = lines[-1], best_of(lines)
    words = {"COMPLETE": "", "PRUNED": ", ended early", "FAIL": f", failed: {line['told']}"}[line["state"]]
    score = f" {line['value']:.6g}" if line["state"] == "COMPLETE" else ""
    leader = f"; best is {best['value']:.6g} of trial {best['number']}" if best is not None else ""
    sys.stderr.write(f"{name}: trial {number} of {wanted}: {line['candidate']}{score}{words}{leader}\n")


def _write(call: Call, search: Search, bench: Bench, lines: Sequence[Any], found: Any) -> None:
    best, material = best_of(lines), bench.material
    if best is None:
        told = next((line["told"] for line in lines if line["told"]), "")
        raise InputError(f"none of {len(lines)} trials was finished: {told}", "mend `candidates` or their `space`")
    choice = Choice(best["candidate"], best["choice"])
    model = bench.model(choice)
    scorers = list(dict.fromkeys([bench.metric, *train.scorers_of(call, model, material)]))
    scores = folds.scores_of(model, material.features, material.target, material.splits, scorers)
    again = sum(scores[bench.metric]) / len(material.splits)
    if not math.isclose(again, best["value"], rel_tol=_SAME, abs_tol=_SAME):
        text = f"trial {best['number']} had {bench.metric} {best['value']!r}, and has {again!r} when it is repeated"
        raise InputError(text, "give the estimator a seed of its own; if the journal was changed, remove it")
    train.fitted(model, material)
    confidence = call.get("confidence", 0.95)
    facts = {
        "estimator": bench.candidates[choice.candidate].estimator,
        "params": {**bench.candidates[choice.candidate].params, **choice.params},
        "seed": call.seed,
        **train.facts_of(model, material, bench.plans[choice.candidate]),
        "cv": train.told_scores(scores, material, confidence),
        "leakage": [suspicion.as_json() for suspicion in found],
        "search": _told_search(call, bench, lines, best, confidence),
    }
    rows = _rows(search, lines, bench, confidence)
    importance = importance_of(search, lines, call.seed)
    train.write_model(call, call.outs[0], model, material, facts)
    _write_trials(call.outs[1:], rows)
    write_json(call.metrics, train.metrics_of(facts, scores) | facts["search"])
    for path, value in zip(call.plots, (importance, _history(lines)), strict=False):
        write_json([path], value)


def _told_search(call: Call, bench: Bench, lines: Sequence[Any], best: Any, confidence: float) -> dict[str, Any]:
    ranked = {}
    for name in bench.candidates:
        own = [line for line in lines if line["candidate"] == name]
        top = best_of(own)
        splits = bench.material.splits
        told = folds.interval_of(top["scores"], splits, confidence, bench.metric) if top is not None else {}
        ranked[name] = {"trials": len(own), **told, **({"trial": top["number"]} if top is not None else {})}
    order = sorted(ranked, key=lambda name: (-(ranked[name].get("mean") or float("-inf")), name))
    states = [line["state"] for line in lines]
    return {
        "metric": bench.metric,
        "best": {"trial": best["number"], "candidate": best["candidate"], "params": best["choice"]},
        "candidates": {name: ranked[name] for name in order},
        "trials": {
            "complete": states.count("COMPLETE"),
            "pruned": states.count("PRUNED"),
            "failed": states.count("FAIL"),
        },
    }


def _rows(search: Search, lines: Sequence[Any], bench: Bench, confidence: float) -> list[dict[str, Any]]:
    """The table of trials: a row each, a column for each parameter of each candidate."""
    keys = [(name, key) for name, one in search.candidates.items() for key in sorted(one.space)]
    rows = []
    for line in lines:
        is_whole = line["state"] == "COMPLETE"
        splits = bench.material.splits
        whole = folds.interval_of(line["scores"], splits, confidence, bench.metric) if is_whole else {}
        row = {"trial": line["number"], "candidate": line["candidate"], "state": line["state"].lower()}
        row |= {name: whole.get(name) for name in ("mean", "low", "high")}
        row |= {"folds": json.dumps(line["scores"]), "told": line["told"]}
        for name, key in keys:
            value = line["choice"].get(key) if line["candidate"] == name else None
            row[f"{name}.{key}"] = json.dumps(value) if isinstance(value, (list, dict)) else value
        rows.append(row)
    return rows


def _write_trials(paths: Sequence[Path], rows: Sequence[Mapping[str, Any]]) -> None:
    import pandas

    for path in paths:
        # As objects: a column of whole numbers with gaps would come out as floats otherwise.
        write_table(pandas.DataFrame(rows, dtype=object), path)


def _history(lines: Sequence[Any]) -> list[dict[str, Any]]:
    """The score of each finished trial, and the best so far."""
    done = [line for line in lines if line["state"] == "COMPLETE"]
    tops = accumulate((line["value"] for line in done), max)
    return [
        {"trial": line["number"], "score": line["value"], "best": top} for line, top in zip(done, tops, strict=True)
    ]


main = program("tune", run)

if __name__ == "__main__":
    raise SystemExit(main())
