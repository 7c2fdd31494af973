"""Pipelines of scikit-learn as plain functions of arrays: the same numbers without a table and without checks per call.

One row costs scikit-learn milliseconds of bookkeeping and microseconds of arithmetic. What is known exactly here, by
the very type of each step, is done by arithmetic alone; a pipeline with any other step is not compiled, and a row that
scikit-learn might refuse raises `Surprise`, so that the model itself decides. Whoever compiles has to compare the two
on rows before the first answer (`runner/serve/loading.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from runner.serve.predictors import Said

if TYPE_CHECKING:
    import numpy

Columns = Sequence[Any]
"""Arrays of one dimension, one for each column."""
_SCALERS = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")
_LINEAR_CLASSIFIERS = ("LogisticRegression", "LogisticRegressionCV")
_LINEAR_REGRESSORS = (
    "LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV", "BayesianRidge",
    "HuberRegressor", "Lars", "LassoLars", "ARDRegression", "TheilSenRegressor",
)  # fmt: skip

_NOWHERE, _UNKNOWN = -1, -2
"""Instead of a place among the columns of categories: none is set; the model itself has to say."""


class NotCompiled(Exception):
    """A step that is not known here; says which."""


class Surprise(Exception):
    """A row of which only the model itself can say what becomes of it."""


class CompiledPredictor:
    """A pipeline whose steps are all known; its last one is arithmetic (`arrays`) or the estimator's own (`matrix`)."""

    def __init__(self, model: Any, kinds: Sequence[str], names: Sequence[str]) -> None:
        """Raises NotCompiled."""
        steps = _steps(model)
        self._prepare = _prepared(steps[:-1], kinds, names)
        self.way, self._last = _final(steps[-1])
        self.score = _scored(self._prepare, steps[-1]) if self.way == "arrays" else None
        """Of a linear model: the sums that its answers are made of, a row for each, a column for each class."""

    def predict(self, columns: Sequence[numpy.ndarray[Any, Any]], probabilities: bool) -> Said:
        """See `Predictor`; raises Surprise."""
        return self._last(self._prepare(columns), probabilities)


def _steps(model: Any) -> list[Any]:
    if _is(model, "sklearn.pipeline", "Pipeline"):
        found = [step for _, step in model.steps if step is not None and not _passes(step)]
        return [inner for step in found for inner in _steps(step)]
    return [model]


def _is(step: Any, module: str, *names: str) -> bool:
    """Whether a step is of just this type: a subclass may do anything."""
    kind = type(step)
    return kind.__name__ in names and (kind.__module__ == module or kind.__module__.startswith(f"{module}."))


def _passes(step: Any) -> bool:
    """Whether a step leaves what it gets as it is; `passthrough` in a ColumnTransformer becomes a function of none."""
    if _is(step, "sklearn.preprocessing", "FunctionTransformer"):
        return step.func is None and not step.validate
    return isinstance(step, str) and step == "passthrough"


def _prepared(steps: Sequence[Any], kinds: Sequence[str], names: Sequence[str]) -> Callable[[Columns], Any]:
    """From columns to the matrix that the last step gets."""
    import numpy

    if any(getattr(step, "_sklearn_output_config", None) for step in steps):
        raise NotCompiled("set_output")
    if steps and _is(steps[0], "sklearn.compose", "ColumnTransformer"):
        first, rest = _of_columns(steps[0], kinds, names), steps[1:]
    elif steps and any(kind == "string" for kind in kinds):
        first, rest = _columnwise(steps, list(kinds))
    elif any(kind == "string" for kind in kinds):
        raise NotCompiled("texts without a step that reads them")
    else:
        first, rest = _stacked, steps
    later = [_of_matrix(step) for step in rest]

    def prepare(columns: Columns) -> Any:
        made = first(columns)
        for step in later:
            made = step(made)
        return numpy.ascontiguousarray(made)

    return prepare


def _stacked(columns: Columns) -> Any:
    import numpy

    made = numpy.empty((len(columns[0]) if columns else 0, len(columns)))
    for place, values in enumerate(columns):
        made[:, place] = values
    return made


def _of_columns(step: Any, kinds: Sequence[str], names: Sequence[str]) -> Callable[[Columns], Any]:
    """A ColumnTransformer: each of its parts, side by side."""
    import numpy

    if step.transformer_weights or getattr(step, "_sklearn_output_config", None):
        raise NotCompiled("ColumnTransformer with weights or set_output")
    places = {name: place for place, name in enumerate(names)}
    parts: list[tuple[list[int], Callable[[Columns], Any]]] = []
    for _, part, chosen in step.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        wanted = _chosen(chosen, places, len(names))
        if not wanted:
            continue
        made, rest = _columnwise([] if _passes(part) else _steps(part), [kinds[place] for place in wanted])
        later = [_of_matrix(inner) for inner in rest]
        parts.append((wanted, _chained(made, later)))

    def prepare(columns: Columns) -> Any:
        blocks = [part([columns[place] for place in wanted]) for wanted, part in parts]
        return blocks[0] if len(blocks) == 1 else numpy.hstack(blocks)

    return prepare


def _chosen(chosen: Any, places: dict[str, int], width: int) -> list[int]:
    """The places of the columns that a part reads."""
    import numpy

    if isinstance(chosen, str):
        raise NotCompiled("a part that reads one column as a list")
    if isinstance(chosen, slice):
        raise NotCompiled("a slice of columns")
    found = [value.item() if isinstance(value, numpy.generic) else value for value in chosen]
    if found and all(isinstance(value, bool) for value in found):
        found = [place for place, value in enumerate(found) if value]
    made = [places[value] if isinstance(value, str) else value for value in found]
    if not all(isinstance(place, int) and 0 <= place < width for place in made):
        raise NotCompiled("columns by an unknown rule")
    return made


def _chained(first: Callable[[Columns], Any], later: Sequence[Callable[[Any], Any]]) -> Callable[[Columns], Any]:
    if not later:
        return first

    def run(columns: Columns) -> Any:
        made = first(columns)
        for step in later:
            made = step(made)
        return made

    return run


def _columnwise(steps: Sequence[Any], kinds: list[str]) -> tuple[Callable[[Columns], Any], Sequence[Any]]:
    """The steps that read columns one by one, as one function to a matrix, and the steps that are left."""
    before: list[Callable[[Columns], Columns]] = []
    steps = list(steps)
    while steps and "string" in kinds and _is(steps[0], "sklearn.impute", "SimpleImputer"):
        before.append(_text_imputer(steps.pop(0), kinds))
    if steps and _is(steps[0], "sklearn.preprocessing", "OneHotEncoder"):
        last = _one_hot(steps.pop(0), kinds)
    elif steps and _is(steps[0], "sklearn.preprocessing", "OrdinalEncoder"):
        last = _ordinal(steps.pop(0), kinds)
    elif "string" in kinds:
        raise NotCompiled(type(steps[0]).__name__ if steps else "texts that pass through")
    else:
        last = _stacked

    def run(columns: Columns) -> Any:
        for step in before:
            columns = step(columns)
        return last(columns)

    return (run if before else last), steps


def _text_imputer(step: Any, kinds: Sequence[str]) -> Callable[[Columns], Columns]:
    statistics = list(step.statistics_)
    plain = step.missing_values != step.missing_values and not step.add_indicator
    if not plain or any(kind != "string" for kind in kinds) or not all(isinstance(one, str) for one in statistics):
        raise NotCompiled("SimpleImputer of texts in another way than usual")

    def run(columns: Columns) -> Columns:
        return [
            [value if value == value else filling for value in values]
            for values, filling in zip(columns, statistics, strict=True)
        ]

    return run


def _places(categories: Any) -> dict[Any, int]:
    """The number of each category; None stands for what is missing."""
    found = {}
    for place, value in enumerate(categories.tolist()):
        if value is not None and not isinstance(value, (str, int, float, bool)):
            raise NotCompiled("categories that are neither texts nor numbers")
        found[None if value != value else value] = place
    if len(found) != len(categories):
        raise NotCompiled("two kinds of what is missing")
    return found


def _keys(values: Any) -> list[Any]:
    listed = values if isinstance(values, list) else values.tolist()
    return [value if value == value else None for value in listed]


def _one_hot(step: Any, kinds: Sequence[str]) -> Callable[[Columns], Any]:
    import numpy

    if step.handle_unknown not in ("error", "ignore", "infrequent_if_exist"):
        raise NotCompiled(f"OneHotEncoder with handle_unknown={step.handle_unknown}")
    none = [None] * len(step.categories_)
    dropped = step.drop_idx_ if step.drop_idx_ is not None else none
    rare = step.infrequent_categories_ if getattr(step, "_infrequent_enabled", False) else none
    tables: list[dict[Any, int]] = []
    unknown: list[int] = []
    width = 0
    for categories, together, left_out in zip(step.categories_, rare, dropped, strict=True):
        table, count, gathered = _columns_of_one(categories, together, left_out)
        tables.append({value: place if place == _NOWHERE else width + place for value, place in table.items()})
        # What nobody has seen counts as rare, where anything is.
        is_rare = step.handle_unknown == "infrequent_if_exist" and gathered >= 0
        unknown.append(width + gathered if is_rare else _UNKNOWN if step.handle_unknown == "error" else _NOWHERE)
        width += count

    def run(columns: Columns) -> Any:
        made = numpy.zeros((len(columns[0]), width))
        for values, table, other in zip(columns, tables, unknown, strict=True):
            for row, value in enumerate(_keys(values)):
                place = table.get(value, other)
                if place >= 0:
                    made[row, place] = 1.0
                elif place == _UNKNOWN:
                    raise Surprise
        return made

    return run


def _columns_of_one(categories: Any, together: Any, left_out: int | None) -> tuple[dict[Any, int], int, int]:
    """Of a one-hot column: which category sets which place, how many places there are, and that of the rare ones.

    together: the rare categories, which share the last place; None where none are.
    left_out: a category whose place, with all that share it, is dropped.
    """
    places = _places(categories)
    rare = set() if together is None else set(_keys(together))
    usual = [value for value in places if value not in rare]
    numbers = {value: number for number, value in enumerate(usual)} | dict.fromkeys(rare, len(usual))
    count = len(usual) + bool(rare)
    if left_out is not None:
        gone = next(numbers[value] for value, place in places.items() if place == left_out)
        numbers = {value: _NOWHERE if number == gone else number - (number > gone) for value, number in numbers.items()}
        count -= 1
    return numbers, count, numbers[next(iter(rare))] if rare else _NOWHERE


def _ordinal(step: Any, kinds: Sequence[str]) -> Callable[[Columns], Any]:
    import numpy

    if getattr(step, "_infrequent_enabled", False):
        raise NotCompiled("OrdinalEncoder with rare categories")
    tables = [{value: float(place) for value, place in _places(one).items()} for one in step.categories_]
    for table in tables:
        if None in table:
            table[None] = float(step.encoded_missing_value)
    unknown = float(step.unknown_value) if step.handle_unknown == "use_encoded_value" else None

    def run(columns: Columns) -> Any:
        made = numpy.empty((len(columns[0]), len(tables)))
        for place, (values, table) in enumerate(zip(columns, tables, strict=True)):
            for row, value in enumerate(_keys(values)):
                number = table.get(value, unknown)
                if number is None:
                    raise Surprise
                made[row, place] = number
        return made

    return run


def _of_matrix(step: Any) -> Callable[[Any], Any]:
    """A step that gets a matrix of numbers and gives one."""
    import numpy

    if _is(step, "sklearn.preprocessing", *_SCALERS):
        return _scaler(step)
    if _is(step, "sklearn.impute", "SimpleImputer"):
        statistics = numpy.asarray(step.statistics_, dtype=float)
        if step.missing_values == step.missing_values or step.add_indicator or numpy.isnan(statistics).any():
            raise NotCompiled("SimpleImputer in another way than usual")
        return lambda matrix: numpy.where(numpy.isnan(matrix), statistics, matrix)
    if _is(step, "sklearn.decomposition", "PCA") and not step.whiten:
        mean, components = step.mean_, step.components_.T
        return lambda matrix: _finite(matrix - mean) @ components
    if _is(step, "sklearn.feature_selection") or type(step).__module__.startswith("sklearn.feature_selection."):
        chosen = step.get_support(indices=True)
        return lambda matrix: matrix[:, chosen]
    raise NotCompiled(type(step).__name__)


def _scaler(step: Any) -> Callable[[Any], Any]:
    import numpy

    kind = type(step).__name__
    if kind == "MinMaxScaler":
        if step.clip:
            raise NotCompiled("MinMaxScaler that clips")
        factor, offset = step.scale_, step.min_
        return lambda matrix: matrix * factor + offset
    if kind == "MaxAbsScaler":
        if getattr(step, "clip", False):
            raise NotCompiled("MaxAbsScaler that clips")
        scale = step.scale_
        return lambda matrix: matrix / scale
    if kind == "RobustScaler":
        centre, scale = (step.center_ if step.with_centering else 0.0), (step.scale_ if step.with_scaling else 1.0)
    else:
        centre = step.mean_ if step.with_mean else 0.0
        scale = step.scale_ if step.with_std and step.scale_ is not None else 1.0
    centre, scale = numpy.asarray(centre), numpy.asarray(scale)
    return lambda matrix: (matrix - centre) / scale


def _finite(matrix: Any) -> Any:
    """The matrix; raises Surprise where scikit-learn would look whether a number is missing and refuse it."""
    total = matrix.sum()
    if total - total != 0.0:
        raise Surprise
    return matrix


def _final(step: Any) -> tuple[str, Callable[[Any, bool], Said]]:
    if _is(step, "sklearn.linear_model", *_LINEAR_CLASSIFIERS):
        return "arrays", _linear_classifier(step)
    if _is(step, "sklearn.linear_model", *_LINEAR_REGRESSORS):
        return "arrays", _linear_regressor(step)
    if not type(step).__module__.startswith("sklearn.") or getattr(step, "feature_names_in_", None) is not None:
        raise NotCompiled(type(step).__name__)
    return "matrix", _own(step)


def _linear_classifier(step: Any) -> Callable[[Any, bool], Said]:
    import numpy

    weights, offset, classes = step.coef_.T.copy(), step.intercept_, step.classes_
    if getattr(step, "solver", "") == "liblinear" and len(classes) > 2:
        raise NotCompiled("LogisticRegression of more than two classes by liblinear")
    binary = len(classes) == 2

    def run(matrix: Any, probabilities: bool) -> Said:
        scores = _finite(matrix) @ weights + offset
        if binary:
            score = scores[:, 0]
            predictions = classes[(score > 0).astype(numpy.intp)]
            if not probabilities:
                return Said(predictions, None)
            shares = numpy.empty((len(score), 2))
            # as scipy's expit has it, without an overflow at either end
            small = numpy.exp(-numpy.abs(score))
            shares[:, 1] = numpy.where(score >= 0, 1.0, small) / (1.0 + small)
            shares[:, 0] = 1.0 - shares[:, 1]
            return Said(predictions, shares)
        predictions = classes[scores.argmax(axis=1)]
        if not probabilities:
            return Said(predictions, None)
        shares = numpy.exp(scores - scores.max(axis=1, keepdims=True))
        return Said(predictions, shares / shares.sum(axis=1, keepdims=True))

    return run


def _linear_regressor(step: Any) -> Callable[[Any, bool], Said]:
    weights, offset = step.coef_.T.copy(), step.intercept_
    return lambda matrix, _: Said(_finite(matrix) @ weights + offset, None)


def _scored(prepare: Callable[[Columns], Any], step: Any) -> Callable[[Columns], Any]:
    import numpy

    weights, offset = numpy.atleast_2d(step.coef_).T.copy(), numpy.atleast_1d(step.intercept_)
    return lambda columns: _finite(prepare(columns)) @ weights + offset


def _own(step: Any) -> Callable[[Any, bool], Said]:
    """The estimator's own prediction, without the checks of parameters that stay as they were."""
    import numpy
    import sklearn

    probable = hasattr(step, "predict_proba")

    def run(matrix: Any, probabilities: bool) -> Said:
        with sklearn.config_context(skip_parameter_validation=True):
            shares = step.predict_proba(matrix) if probabilities and probable else None
            return Said(numpy.asarray(step.predict(matrix)), None if shares is None else numpy.asarray(shares))

    return run
