"""Numbers that tell how good a model is, each as a function of the weights of rows.

All rows weigh 1 for the value itself, and as often as a row was drawn for a bootstrap sample. What depends on the rows
alone, such as their order by score, is computed once. Values are those of scikit-learn with `sample_weight`; what is
not defined for the rows at hand is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from runner.errors import InputError
from runner.stages.judging import Answers, Array
from runner.values import dataclass

Measure = Callable[[Array], dict[str, float]]
"""From the weight of each row to values by their names."""
NAN = math.nan


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to be measured: what is true, and what the model said."""

    truth: Array
    told: Answers
    size: int = 0
    """How many classes there are; 0 in a regression."""
    positive: int = -1
    """Of two classes the one that is looked for."""
    bins: int = 10
    quantile: float = 0.5
    groups: Array | None = None
    """Numbers of the groups, in a ranking."""
    top: int | None = None
    """How many rows of a group count, in a ranking."""

    def taken(self, mask: Array) -> Rows:
        """Some of the rows."""
        told = Answers(*(part if part is None else part[mask] for part in _parts(self.told)))
        groups = None if self.groups is None else self.groups[mask]
        return Rows(
            self.truth[mask], told, self.size, self.positive, self.bins, self.quantile, groups, self.top
        )  # fmt: skip


def _parts(told: Answers) -> tuple[Array | None, ...]:
    return told.predicted, told.shares, told.ranks


# ----- classes


def of_classes(rows: Rows) -> Measure:
    """Measures of a classifier; those that need probabilities or an order only where the model gives them."""
    cells = rows.truth * rows.size + rows.told.predicted
    more: list[Measure] = []
    if rows.told.ranks is not None:
        more.append(_of_order(rows, rows.told.ranks))
    if rows.told.shares is not None:
        more.append(_of_shares(rows, rows.told.shares))

    def measure(weights: Array) -> dict[str, float]:
        import numpy

        confusion = numpy.bincount(cells, weights, rows.size**2).reshape(rows.size, rows.size)
        found = of_confusion(confusion, rows.positive)
        for one in more:
            found |= one(weights)
        return found

    return measure


def of_confusion(confusion: Array, positive: int) -> dict[str, float]:
    """Measures of a table of counts, actual classes by predicted ones; of two classes those of the positive one."""
    import numpy

    actual, said, right, total = confusion.sum(1), confusion.sum(0), numpy.diag(confusion), confusion.sum()
    precision, recall, f1 = by_class(confusion)
    chosen = slice(positive, positive + 1) if positive >= 0 else (actual + said) > 0
    covariance = right.sum() * total - actual @ said
    spread = math.sqrt(total**2 - said @ said) * math.sqrt(total**2 - actual @ actual)
    return {
        "accuracy": float(right.sum() / total),
        "balanced_accuracy": float(recall[actual > 0].mean()),
        "precision": float(precision[chosen].mean()),
        "recall": float(recall[chosen].mean()),
        "f1": float(f1[chosen].mean()),
        "mcc": float(covariance / spread) if spread > 0 else 0.0,
    }


def by_class(confusion: Array) -> tuple[Array, Array, Array]:
    """Precision, recall and F1 of each class; 0 where nothing is divided by nothing, as in scikit-learn."""
    import numpy

    actual, said, right = confusion.sum(1), confusion.sum(0), numpy.diag(confusion)

    def shared(part: Array, whole: Array) -> Array:
        return numpy.divide(part, whole, out=numpy.zeros(len(part)), where=whole > 0)

    return shared(right, said), shared(right, actual), shared(2 * right, actual + said)


def _of_order(rows: Rows, ranks: Array) -> Measure:
    """ROC AUC and average precision; of more than two classes the mean of each against the rest."""
    import numpy

    chosen = [rows.positive] if rows.positive >= 0 else list(range(rows.size))
    # Rows with the same score are one step of the curve, the highest first.
    steps = [numpy.unique(-ranks[:, code], return_inverse=True)[1] for code in chosen]

    def measure(weights: Array) -> dict[str, float]:
        areas, precisions = [], []
        for code, step in zip(chosen, steps, strict=True):
            hit = numpy.bincount(step, weights * (rows.truth == code))
            miss = numpy.bincount(step, weights * (rows.truth != code))
            hits, misses = numpy.cumsum(hit), numpy.cumsum(miss)
            if not hits[-1] or not misses[-1]:
                areas.append(NAN)
                precisions.append(NAN)
                continue
            areas.append(float((miss * (hits - hit / 2)).sum() / (hits[-1] * misses[-1])))
            met = hits + misses
            precision = numpy.divide(hits, met, out=numpy.zeros(len(met)), where=met > 0)
            precisions.append(float((hit * precision).sum() / hits[-1]))
        return {"roc_auc": float(numpy.mean(areas)), "average_precision": float(numpy.mean(precisions))}

    return measure


def _of_shares(rows: Rows, shares: Array) -> Measure:
    """Log loss, Brier score and expected calibration error."""
    import numpy

    least = numpy.finfo(float).eps
    of_truth = shares[numpy.arange(len(rows.truth)), rows.truth]
    losses = -numpy.log(numpy.clip(of_truth, least, 1 - least))
    if rows.positive >= 0:
        squares = (shares[:, rows.positive] - (rows.truth == rows.positive)) ** 2
    else:
        squares = (shares**2).sum(1) - 2 * of_truth + 1
    told, hit = confidences(rows, shares)
    numbers = bins_of(told, rows.bins)

    def measure(weights: Array) -> dict[str, float]:
        total = weights.sum()
        gaps = numpy.bincount(numbers, weights * (told - hit), rows.bins)
        return {
            "log_loss": float(weights @ losses / total),
            "brier": float(weights @ squares / total),
            "ece": float(numpy.abs(gaps).sum() / total),
        }

    return measure


def confidences(rows: Rows, shares: Array) -> tuple[Array, Array]:
    """What is held against each other in a calibration: probabilities, and whether they came true.

    Of two classes those of the positive one, of more those of the likeliest.
    """
    if rows.positive >= 0:
        return shares[:, rows.positive], rows.truth == rows.positive
    return shares.max(1), shares.argmax(1) == rows.truth


def bins_of(told: Array, bins: int) -> Array:
    """The number of the bin of each probability, bins of equal width: those of scikit-learn's calibration_curve."""
    import numpy

    return numpy.searchsorted(numpy.linspace(0, 1, bins + 1)[1:-1], told)


# ----- numbers


def of_numbers(rows: Rows) -> Measure:
    """Measures of a regression."""
    import numpy

    errors = rows.told.predicted - rows.truth
    sizes = numpy.abs(errors)
    order = numpy.argsort(sizes, kind="stable")
    ordered = sizes[order]
    is_zero = rows.truth == 0
    relative = sizes / numpy.where(is_zero, 1, numpy.abs(rows.truth))
    pinballs = numpy.maximum(-rows.quantile * errors, (1 - rows.quantile) * errors)

    def measure(weights: Array) -> dict[str, float]:
        total = weights.sum()
        middle = weights @ rows.truth / total
        spread = weights @ (rows.truth - middle) ** 2
        counted = weights * ~is_zero
        reached = numpy.cumsum(weights[order])
        halves = ordered[numpy.searchsorted(reached, [(total - 1) // 2, total // 2], side="right")]
        return {
            "mae": float(weights @ sizes / total),
            "rmse": math.sqrt(weights @ errors**2 / total),
            "r2": float(1 - weights @ errors**2 / spread) if spread > 0 else NAN,
            "mape": float(counted @ relative / counted.sum()) if counted.sum() else NAN,
            "median_ae": float(halves.mean()),
            "max_error": float(ordered[weights[order] > 0][-1]),
            "pinball": float(weights @ pinballs / total),
            "bias": float(weights @ errors / total),
        }

    return measure


# ----- order within groups


def of_groups(rows: Rows) -> Measure:
    """Measures of a ranking: means over groups. The weight of a group is that of its first row.

    Groups without a relevant row say nothing of an order, and are left out. Raises InputError for negative relevance.
    """
    import numpy

    assert rows.groups is not None
    relevance, score = _relevance(rows)
    order = numpy.argsort(rows.groups, kind="stable")
    _, starts = numpy.unique(rows.groups[order], return_index=True)
    first, gains, precisions, ranks = [], [], [], []
    for part in numpy.split(order, starts[1:]):
        if relevance[part].max() > 0:
            gain, precision, rank = _of_group(relevance[part], score[part], rows.top)
            first.append(part[0])
            gains.append(gain)
            precisions.append(precision)
            ranks.append(rank)
    table = numpy.array([gains, precisions, ranks]).reshape(3, -1)

    def measure(weights: Array) -> dict[str, float]:
        share = weights[numpy.array(first, dtype=int)]
        values = table @ share / share.sum() if share.sum() else [NAN] * 3
        return {name: float(value) for name, value in zip(("ndcg", "map", "mrr"), values, strict=True)}

    return measure


def _relevance(rows: Rows) -> tuple[Array, Array]:
    """How relevant each row is, and how high the model puts it."""
    if not rows.size:
        if rows.truth.min() < 0:
            raise InputError("a ranking cannot have a negative relevance", "let the target be 0 or more")
        return rows.truth, rows.told.predicted
    if rows.positive < 0 or rows.told.ranks is None:
        text = "a ranking needs a regression, or a classifier of two classes that gives probabilities"
        raise InputError(text, "say no `task`, or judge another model")
    return (rows.truth == rows.positive).astype(float), rows.told.ranks[:, rows.positive]


def _of_group(relevance: Array, score: Array, top: int | None) -> tuple[float, float, float]:
    """NDCG, average precision and reciprocal rank of one group."""
    from sklearn.metrics import average_precision_score, ndcg_score

    gain = 1.0 if len(score) == 1 else float(ndcg_score([relevance], [score], k=top))
    best = score[relevance > 0].max()
    # Rows of the same score come in any order: the middle of their places is taken.
    place = 1 + float((score > best).sum()) + (float((score == best).sum()) - 1) / 2
    return gain, float(average_precision_score(relevance > 0, score)), 1 / place


# ----- intervals


def intervals(
    measure: Measure, draw: Callable[[], Array], *, samples: int, level: float
) -> Mapping[str, tuple[float, float]]:
    """The middle part of what bootstrap samples come to, each of which is a draw of weights.

    A measure that less than half of the samples define has no interval. Memory is a number for each measure and sample.
    """
    import numpy

    drawn: dict[str, list[float]] = {}
    for _ in range(samples):
        for name, value in measure(draw()).items():
            drawn.setdefault(name, []).append(value)
    tail = 100 * (1 - level) / 2
    found = {}
    for name, values in drawn.items():
        finite = [value for value in values if math.isfinite(value)]
        if len(finite) * 2 > samples:
            low, high = numpy.percentile(finite, [tail, 100 - tail])
            found[name] = (float(low), float(high))
    return found


def of_units(units: Array, seed: int) -> Callable[[], Array]:
    """Draws of units, each with all of its rows: how often a row comes."""
    import numpy

    chance, count = numpy.random.default_rng(seed), int(units.max()) + 1

    def draw() -> Array:
        return numpy.bincount(chance.integers(0, count, count), minlength=count).astype(float)[units]

    return draw


def within(groups: Array, seed: int) -> Callable[[], Array]:
    """Draws of rows within their groups, which stay as large as they are."""
    import numpy

    chance, members = numpy.random.default_rng(seed), [numpy.flatnonzero(groups == one) for one in numpy.unique(groups)]

    def draw() -> Array:
        weights = numpy.zeros(len(groups))
        for rows in members:
            weights[rows] = numpy.bincount(chance.integers(0, len(rows), len(rows)), minlength=len(rows))
        return weights

    return draw
