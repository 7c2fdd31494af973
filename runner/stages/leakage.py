"""Whether a training table tells the answer: features that give the target away, and rows that are in two places.

A *leak* is what no honest feature does; `leakage: fail` ends the stage with it. A *notice* is worth a look: a column
that numbers the rows, rows that stand in the table twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.values import dataclass

if TYPE_CHECKING:
    import pandas

NEARLY_PERFECT = 0.995
"""Balanced accuracy (classes) or determination (numbers) that a single feature reaches on rows it was not fitted to."""
_LEAVES = 64
_FEW_ROWS = 20
"""Below it everything predicts everything."""
_MOST_ROWS = 20_000
"""Rows on which single features are tried, the first ones of a random order."""
_WORDS_OF_TEXT = 3
_MOST_WORDS = 200
"""Of a text that the target is looked for in: the most frequent ones, as a copy of a class is frequent."""
_NUMBER = r"([-+]?[0-9]+(?:[.,][0-9]+)?)"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One thing that was found."""

    kind: str
    column: str
    told: str
    leak: bool

    def as_json(self) -> dict[str, Any]:
        """For the facts of a model."""
        return {"kind": self.kind, "column": self.column, "told": self.told, "leak": self.leak}


def of_features(
    features: pandas.DataFrame, kinds: Mapping[str, str], target: pandas.Series, task: str, seed: int
) -> Iterator[Suspicion]:
    """What single features give away, in the order of the columns."""
    import numpy

    if len(features) < _FEW_ROWS or target.nunique() < 2:
        return
    rows = numpy.random.default_rng(seed).permutation(len(features))[:_MOST_ROWS]
    some, answers = features.iloc[rows], target.iloc[rows]
    for name, kind in kinds.items():
        found = _of_feature(name, some[name], kind, answers, task, seed)
        if found is not None:
            yield found
        elif _is_identifier(features[name], kind):
            yield Suspicion("identifier", name, f"`{name}` has another value in every row: it names rows", leak=False)


def _of_feature(
    name: str, values: pandas.Series, kind: str, target: pandas.Series, task: str, seed: int
) -> Suspicion | None:
    codes = _codes(values, kind)
    if len(set(codes)) < 2:
        return None
    if _is_copy(codes, target, task):
        return Suspicion("copy", name, f"`{name}` is a copy of the target, by another name or coding", leak=True)
    score = _alone(codes, target, task, seed)
    if score >= NEARLY_PERFECT:
        return Suspicion("predicts alone", name, f"`{name}` alone predicts the target ({score:.4f} of 1)", leak=True)
    if kind == "string" and _tells_in_words(values, target, task, seed):
        return Suspicion("words", name, f"the target stands in the text of `{name}`", leak=True)
    missing = values.isna().to_numpy()
    if 0 < missing.sum() < len(missing) and _is_copy(missing.astype(float), target, task):
        return Suspicion("missing", name, f"`{name}` is missing exactly where the target says so", leak=True)
    return None


def _codes(values: pandas.Series, kind: str) -> Any:
    """A feature as numbers: texts in the order of the alphabet, what is missing as a number of its own."""
    import numpy
    import pandas

    if kind == "string":
        return pandas.factorize(values, sort=True)[0].astype(float)
    numbers = values.to_numpy(dtype=float)
    present = numbers[numpy.isfinite(numbers)]
    return numpy.where(numpy.isfinite(numbers), numbers, (present.min() if len(present) else 0.0) - 1.0)


def _tells_in_words(values: pandas.Series, target: pandas.Series, task: str, seed: int) -> bool:
    """Whether the target can be read off a text: as the number in it, or as a word for each class.

    Many words that only together tell the class are what a text is for, so there may be two for each class at most.
    """
    import numpy

    texts = values.fillna("").map(str)
    found = texts.str.extract(_NUMBER, expand=False).str.replace(",", ".", regex=False)
    numbers = found.astype(float).fillna(-1.0).to_numpy()
    if len(set(numbers)) > 1 and (
        _is_copy(numbers, target, task) or _alone(numbers, target, task, seed) >= NEARLY_PERFECT
    ):
        return True
    if task != "classification":
        return False
    from sklearn.feature_extraction.text import CountVectorizer

    try:
        words = CountVectorizer(token_pattern=r"[^\W_]+", binary=True, max_features=_MOST_WORDS).fit_transform(texts)
    except ValueError:
        return False  # there is no word
    leaves = 2 * int(target.nunique())
    return _alone(words.toarray().astype(numpy.float32), target, task, seed, leaves) >= NEARLY_PERFECT


def _is_copy(codes: Any, target: pandas.Series, task: str) -> bool:
    """Each value belongs to one value of the target, and the other way round; or a number is a line through it."""
    import numpy
    import pandas

    answers = pandas.factorize(target)[0]
    own = pandas.factorize(pandas.Series(codes))[0]
    count = int(answers.max()) + 1
    if own.max() == answers.max() and len({*zip(own.tolist(), answers.tolist(), strict=True)}) == count:
        # In a regression every numbering of rows is one-to-one; a copy there has the order of the target as well.
        return task == "classification" or _ranks_agree(codes, target)
    if task == "classification":
        return False
    numbers = target.to_numpy(dtype=float)
    return bool(abs(numpy.corrcoef(codes, numbers)[0, 1]) > 1 - 1e-9) if codes.std() and numbers.std() else False


def _ranks_agree(codes: Any, target: pandas.Series) -> bool:
    from scipy import stats

    return bool(abs(stats.spearmanr(codes, target.to_numpy(dtype=float)).statistic) > 1 - 1e-9)


def _alone(codes: Any, target: pandas.Series, task: str, seed: int, leaves: int = _LEAVES) -> float:
    """How well a small tree on this feature alone does on rows that it was not fitted to."""
    from sklearn.metrics import balanced_accuracy_score, r2_score
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind = DecisionTreeClassifier if task == "classification" else DecisionTreeRegressor
    tree = kind(max_leaf_nodes=leaves if task == "classification" else None, random_state=seed)
    guess = cross_val_predict(
        tree, codes.reshape(len(codes), -1), target.to_numpy(), cv=KFold(3, shuffle=True, random_state=seed)
    )
    if task != "classification":
        return float(r2_score(target, guess))
    known = set(guess.tolist())
    if not set(target.tolist()) <= known:
        return 0.0  # a class that it never guesses: far from perfect, and no case for a warning
    return float(balanced_accuracy_score(target, guess))


def _is_identifier(values: pandas.Series, kind: str) -> bool:
    if kind not in ("string", "integer") or len(values) < _FEW_ROWS or values.isna().any():
        return False
    if values.nunique() < len(values):
        return False
    return kind == "integer" or values.map(lambda text: len(str(text).split())).mean() < _WORDS_OF_TEXT


def of_rows(
    features: pandas.DataFrame, target: pandas.Series, splits: Sequence[tuple[Any, Any]]
) -> Iterator[Suspicion]:
    """Rows that stand in the table twice, and so in the training and the test part of a fold."""
    import numpy

    names = _hashes(features, target)
    shared = sum(int(numpy.isin(names[test], names[train]).sum()) for train, test in splits)
    if shared:
        tested = sum(len(test) for _, test in splits)
        text = f"{shared} of {tested} test rows of the folds are also in the part that the model was trained with"
        yield Suspicion("duplicates", "", text, leak=False)


def of_unseen(
    features: pandas.DataFrame, target: pandas.Series, other: pandas.DataFrame, answers: pandas.Series, path: str
) -> Iterator[Suspicion]:
    """Rows of the training table that are also in the one that must not have been seen."""
    import numpy

    shared = int(numpy.isin(_hashes(other, answers), _hashes(features, target)).sum())
    if shared:
        yield Suspicion("seen", "", f"{shared} of {len(other)} rows of {path} are in the training table", leak=True)


def _hashes(features: pandas.DataFrame, target: pandas.Series) -> Any:
    from pandas.util import hash_pandas_object

    table = features.astype({name: float for name in features.columns if features[name].dtype != object})
    return hash_pandas_object(table.assign(**{"": target.astype(str)}), index=False).to_numpy()
