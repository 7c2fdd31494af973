"""How the columns of a table become numbers: a preprocessor that is trained with the model and travels inside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner.errors import InputError

if TYPE_CHECKING:
    import pandas

MOST_CATEGORIES = 50
MOST_WORDS = 1_000
_WORDS_OF_TEXT = 3
"""A text column with more categories than fit, and at least so many words to a value, is text."""
_SHARE_KEPT = 0.5
_ALL = 1_000_000_000


def columns_of(
    features: pandas.DataFrame,
    kinds: Mapping[str, str],
    stated: Mapping[str, Any],
    estimator: Any,
    *,
    reduced: bool,
    filled: bool,
) -> dict[str, dict[str, Any]]:
    """How each column is prepared, with everything that the spec left open decided: it stands in the facts of a model.

    filled: whether gaps are filled also where the estimator can do with them.
    Raises InputError: the spec prepares a column in a way that its kind does not allow.
    """
    # What can do with gaps is made of trees, which also need no scale; a selection cannot do with gaps.
    trees = _tags(estimator).allow_nan and not reduced
    plan: dict[str, dict[str, Any]] = {}
    for name, kind in kinds.items():
        said = stated.get(name, {})
        said = {"as": said} if isinstance(said, str) else dict(said)
        said.setdefault("as", _usual(features[name], kind))
        if said["as"] == "number" and kind == "string":
            hint = "use onehot, ordinal, text or drop, or clean the column in a stage before"
            raise InputError(f"`columns`: `{name}` holds text and cannot be a number", hint)
        if said["as"] == "text" and kind != "string":
            raise InputError(f"`columns`: `{name}` holds no text", "use number, onehot or ordinal")
        if said["as"] == "number":
            said.setdefault("impute", "none" if trees and not filled else "median")
            said.setdefault("scale", "none" if trees else "standard")
        plan[name] = said
    return plan


def _tags(estimator: Any) -> Any:
    from sklearn.utils import get_tags

    try:
        return get_tags(estimator).input_tags
    except Exception as error:
        text = f"a {type(estimator).__name__} is no estimator of scikit-learn's kind: {error}"
        raise InputError(text, "derive it from sklearn.base.BaseEstimator") from error


def _usual(values: pandas.Series, kind: str) -> str:
    present = values.dropna()
    if not len(present):
        return "drop"  # an empty column tells nothing, and some estimators cannot bear it
    if kind != "string":
        return "number"
    if (
        present.nunique() > MOST_CATEGORIES
        and present.map(lambda text: len(str(text).split())).mean() >= _WORDS_OF_TEXT
    ):
        return "text"
    return "onehot"


def preprocessor_of(plan: Mapping[str, Mapping[str, Any]], estimator: Any, *, reduced: bool) -> Any:
    """A ColumnTransformer for such a plan; columns that are prepared alike go through one transformer."""
    from sklearn.compose import ColumnTransformer

    alike: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for name, said in plan.items():
        if said["as"] == "text":  # one column each: a text has words of its own
            alike[f"text_{len(alike)}"] = (said, [name])
        elif said["as"] != "drop":
            key = repr(sorted(said.items()))
            known = next((label for label, (other, _) in alike.items() if repr(sorted(other.items())) == key), None)
            label = known or f"{said['as']}_{len(alike)}"
            alike.setdefault(label, (said, []))[1].append(name)
    if not alike:
        raise InputError("there is no feature left to train with", "name columns in `features`, or drop fewer of them")
    rows = [(label, _transformer(said), names) for label, (said, names) in alike.items()]
    return ColumnTransformer(rows, sparse_threshold=0.3 if _tags(estimator).sparse and not reduced else 0)


def _transformer(said: Mapping[str, Any]) -> Any:
    way, most = said["as"], said.get("most")
    if way == "keep":
        return "passthrough"
    if way == "number":
        return _chain([_imputer(said), _scaler(said.get("scale", "none"))])
    if way == "onehot":
        from sklearn.preprocessing import OneHotEncoder

        categories = most or MOST_CATEGORIES
        encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=categories, sparse_output=False)
        return _chain([_imputer(said), encoder])
    if way == "ordinal":
        from sklearn.preprocessing import OrdinalEncoder

        return _chain(
            [
                _imputer(said),
                OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
            ]
        )
    return _of_text(most or MOST_WORDS)


def _of_text(most: int) -> Any:
    """Words of one column; a missing text has none."""
    import numpy
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import FunctionTransformer

    flat = FunctionTransformer(numpy.ravel, feature_names_out="one-to-one")
    return _chain([SimpleImputer(strategy="constant", fill_value=""), flat, TfidfVectorizer(max_features=most)])


def _chain(steps: list[Any]) -> Any:
    from sklearn.pipeline import make_pipeline

    real = [step for step in steps if step is not None]
    return "passthrough" if not real else real[0] if len(real) == 1 else make_pipeline(*real)


def _imputer(said: Mapping[str, Any]) -> Any:
    from sklearn.impute import SimpleImputer

    strategy = said.get("impute", "none")
    if strategy == "none":
        return None
    fill = said.get("fill", "missing" if said["as"] != "number" else 0)
    options = {"fill_value": fill} if strategy == "constant" else {}
    return SimpleImputer(strategy=strategy, keep_empty_features=True, **options)


def _scaler(scale: str) -> Any:
    from sklearn import preprocessing

    scalers = {
        "standard": preprocessing.StandardScaler,
        "minmax": preprocessing.MinMaxScaler,
        "robust": preprocessing.RobustScaler,
    }
    return scalers[scale]() if scale in scalers else None


def reducer_of(said: Mapping[str, Any], task: str, seed: int) -> Any:
    """A selection of features as a step of a pipeline, to be fitted in each fold anew."""
    from sklearn import decomposition, feature_selection
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    by, keep = said["by"], said.get("keep", _SHARE_KEPT)
    count = int(keep) if keep >= 1 else None
    trees = (ExtraTreesClassifier if task == "classification" else ExtraTreesRegressor)(50, random_state=seed)
    if by == "variance":
        return feature_selection.VarianceThreshold()
    if by == "pca":
        return decomposition.PCA(n_components=count or float(keep), random_state=seed, svd_solver="full")
    if by in ("recursive", "model"):
        # All at once is a ranking by one model; a tenth at a time asks again each time.
        return feature_selection.RFE(
            trees, n_features_to_select=count or float(keep), step=_ALL if by == "model" else 0.1
        )
    test = feature_selection.f_classif if task == "classification" else feature_selection.f_regression
    if count is None:
        return feature_selection.SelectPercentile(test, percentile=100 * keep)
    return feature_selection.SelectKBest(test, k=count)
