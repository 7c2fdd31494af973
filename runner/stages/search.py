"""A search: candidates with their spaces, and which trial comes next.

A trial depends on the seed, its number and the trials before it, and on nothing that a process keeps in memory: each
has a sampler of its own, seeded by (seed, number). So a search that was killed ends as if it had not been.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from runner.specs.stage_rules import is_whole, name_of, step_of, steps_of
from runner.values import dataclass

_CANDIDATE = "candidate"
_STARTUP = 10
"""Random trials before one is learnt from, and before one is ended early."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An estimator to choose."""

    name: str
    estimator: str
    params: Mapping[str, Any]
    space: Mapping[str, Any]
    """Parameters to what `range` of the schema says of them."""

    def key(self, parameter: str) -> str:
        """How a parameter is called among those of all candidates."""
        return f"{self.name}.{parameter}"


@dataclass(frozen=True, slots=True)
class Choice:
    """What one trial tries."""

    candidate: str
    params: Mapping[str, Any]


def candidates_of(said: Sequence[Mapping[str, Any]]) -> tuple[Candidate, ...]:
    """The candidates of a spec."""
    return tuple(
        Candidate(name_of(item), item["estimator"], item.get("params", {}), item.get("space", {})) for item in said
    )


def distributions_of(candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Every parameter of every candidate as optuna knows it; values of a list stand in JSON, as they may be any."""
    from optuna import distributions as kinds

    found: dict[str, Any] = {}
    if len(candidates) > 1:
        found[_CANDIDATE] = kinds.CategoricalDistribution([candidate.name for candidate in candidates])
    for candidate in candidates:
        for parameter, span in sorted(candidate.space.items()):
            if isinstance(span, list):
                made: Any = kinds.CategoricalDistribution([json.dumps(value, sort_keys=True) for value in span])
            elif is_whole(span):
                made = kinds.IntDistribution(span["low"], _last(span), span.get("log", False), span.get("step", 1))
            else:
                low, high = float(span["low"]), float(_last(span))
                made = kinds.FloatDistribution(low, high, span.get("log", False), span.get("step"))
            found[candidate.key(parameter)] = made
    return found


def _last(span: Mapping[str, Any]) -> Any:
    """The greatest value of a range that its steps come to; `high` itself without steps."""
    return span["high"] if span.get("step") is None else _stepped(span, steps_of(span) - 1)


def _stepped(span: Mapping[str, Any], number: int) -> Any:
    """A value of a range, computed in decimals: 0.1 and three steps of 0.3 are 1.0, and not nearly so."""
    value = Decimal(str(span["low"])) + number * Decimal(str(step_of(span)))
    return int(value) if is_whole(span) else float(value)


class Search:
    """The trials of a search so far, and the next one."""

    def __init__(self, candidates: Sequence[Candidate], way: str, prune: str, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.candidates = {candidate.name: candidate for candidate in candidates}
        self.distributions = distributions_of(candidates)
        self._way, self._seed = way, seed
        self.study = optuna.create_study(direction="maximize", pruner=_pruner(way, prune))
        self._points = list(_points(candidates)) if way == "grid" else []

    @property
    def most(self) -> int | None:
        """How many trials there can be; None where there is no end."""
        return len(self._points) if self._way == "grid" else None

    def replay(self, line: Mapping[str, Any]) -> None:
        """Take over a trial that a journal tells of."""
        from optuna.trial import TrialState, create_trial

        state = TrialState[line["state"]]
        self.study.add_trial(
            create_trial(
                state=state,
                value=line["value"],
                params=line["params"],
                distributions={name: self.distributions[name] for name in line["params"]},
                system_attrs=line["system"],
                intermediate_values={int(step): value for step, value in line["reported"].items()},
            )
        )

    def ask(self, number: int) -> tuple[Any, Choice]:
        """Trial `number` of optuna, and what it tries."""
        if self._way == "grid":
            self.study.enqueue_trial(self._points[number])
        self.study.sampler = self._sampler(number)
        trial = self.study.ask()
        names = list(self.candidates)
        name = names[0] if len(names) == 1 else trial.suggest_categorical(_CANDIDATE, names)
        candidate, params = self.candidates[name], {}
        for parameter, span in sorted(candidate.space.items()):
            key = candidate.key(parameter)
            value = _suggested(trial, key, self.distributions[key])
            params[parameter] = json.loads(value) if isinstance(span, list) else value
        return trial, Choice(name, params)

    def _sampler(self, number: int) -> Any:
        import numpy
        from optuna import samplers

        seed = int(numpy.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        if self._way == "tpe":
            return samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP, multivariate=False)
        return samplers.RandomSampler(seed=seed)

    def line_of(
        self, number: int, choice: Choice, scores: Sequence[float], told: str, seconds: float
    ) -> dict[str, Any]:
        """A finished trial as the journal has it."""
        trial = self.study.get_trials(deepcopy=False)[number]
        return {
            "number": number,
            "state": trial.state.name,
            "value": trial.value,
            "params": trial.params,
            "system": {name: value for name, value in trial.system_attrs.items() if name != "fixed_params"},
            "reported": {str(step): value for step, value in trial.intermediate_values.items()},
            "candidate": choice.candidate,
            "choice": dict(choice.params),
            "scores": list(scores),
            "told": told,
            "seconds": seconds,
        }


def _suggested(trial: Any, key: str, kind: Any) -> Any:
    from optuna import distributions as kinds

    if isinstance(kind, kinds.CategoricalDistribution):
        return trial.suggest_categorical(key, kind.choices)
    suggest = trial.suggest_int if isinstance(kind, kinds.IntDistribution) else trial.suggest_float
    return suggest(key, kind.low, kind.high, step=kind.step, log=kind.log)


def _pruner(way: str, prune: str) -> Any:
    from optuna import pruners

    if way == "halving":
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    if way == "grid" or prune == "none":
        return pruners.NopPruner()
    return pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=1)


def _points(candidates: Sequence[Candidate]) -> Iterator[dict[str, Any]]:
    """Every combination, one candidate after the other, the last parameter changing fastest."""
    for candidate in candidates:
        first = {_CANDIDATE: candidate.name} if len(candidates) > 1 else {}
        names = sorted(candidate.space)
        for values in itertools.product(*(_values(candidate, name) for name in names)):
            yield {**first, **{candidate.key(name): value for name, value in zip(names, values, strict=True)}}


def _values(candidate: Candidate, parameter: str) -> list[Any]:
    span = candidate.space[parameter]
    if isinstance(span, list):
        return [json.dumps(value, sort_keys=True) for value in span]
    return [_stepped(span, number) for number in range(steps_of(span))]


def importance_of(search: Search, lines: Sequence[Mapping[str, Any]], seed: int) -> list[dict[str, Any]]:
    """How much of the spread of the scores each parameter explains, candidate by candidate, the greatest first.

    A candidate with fewer than four finished trials, or with equal scores in all, has none.
    """
    import optuna

    rows: list[dict[str, Any]] = []
    for candidate in search.candidates.values():
        done = [line for line in lines if line["candidate"] == candidate.name and line["state"] == "COMPLETE"]
        if len(done) < 4 or len({line["value"] for line in done}) < 2 or not candidate.space:
            continue
        study = optuna.create_study(direction="maximize")
        keys = [candidate.key(parameter) for parameter in candidate.space]
        for line in done:
            chosen = {key: line["params"][key] for key in keys}
            own = {key: search.distributions[key] for key in keys}
            study.add_trial(optuna.trial.create_trial(value=line["value"], params=chosen, distributions=own))
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
        ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        rows += [
            {"candidate": candidate.name, "parameter": key.partition(".")[2], "importance": float(value)}
            for key, value in ranked
        ]
    return rows
