"""Models as skops files: the same bytes for the same model, and read by a list of allowed types.

skops names members and objects by their addresses in memory and dates members by the clock. `dump()` writes the same
content with numbers in their place and a fixed date.
"""

from __future__ import annotations

import importlib
import inspect
import io
import json
import sys
import zipfile
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from runner.artefacts.trees import fault_in
from runner.errors import InputError

ALLOWED = (
    "numpy.dtype",
    "numpy.ravel",
    "scipy.interpolate._interpolate.interp1d",
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.RationalQuadratic",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)
"""Types of scikit-learn, NumPy and SciPy that models are made of, beside those that skops itself trusts.

None of them runs code when it is made. skops leaves trees out since a forged one can point beside its own array; here
each is looked at before it is made.
"""
_NOT_PUBLIC = {"tests", "externals", "setup", "conftest", "experimental", "estimator_checks"}
"""Parts of scikit-learn whose classes are none of its estimators, as its own `all_estimators` has them."""
_SCHEMA = "schema.json"
_ADDRESSES = {"_stop_words_id"}
"""Attributes in which scikit-learn keeps an address, to know an object again; any number that is none does."""
_DATE = (1980, 1, 1, 0, 0, 0)


def dump(model: Any) -> bytes:
    """A model as a skops file; raises InputError for one that holds what skops cannot keep, such as a function."""
    import skops.io

    try:
        raw: bytes = skops.io.dumps(model)
    except Exception as error:
        hint = "leave out what is no estimator, or ask for `format: joblib`, which its readers have to allow again"
        raise InputError(f"the model cannot be kept as skops: {str(error)[:300]}", hint) from error
    return _canonical(raw)


def load(data: bytes, trusted: Sequence[str], where: str) -> Any:
    """The model in a skops file; raises InputError that names each type that is not allowed, before one is imported."""
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        unknown = set(_untrusted(data, where)) - {*ALLOWED, *trusted}
        known = estimators_among(unknown)
        allowed, refused = sorted({*ALLOWED, *trusted, *known}), sorted(unknown - known)
        if refused:
            raise InputError(_refusal(where, refused), _trust_hint(refused))
        _check_trees(data, where)
        return skops.io.loads(data, trusted=allowed)
    except UntrustedTypesFoundException as error:
        raise InputError(f"{where}: {str(error)[:300]}", _trust_hint(())) from error
    except InputError:
        raise
    except Exception as error:
        text = f"{where}: it cannot be loaded: {type(error).__name__}: {str(error)[:200]}"
        raise InputError(text, "use the versions in environment.txt, or train the model again") from error


def import_lightly() -> None:
    """Import skops without all of scikit-learn, which it imports for the names of the estimators.

    For a process that is ours alone, and where half a second matters: `load()` looks estimators up one by one, but
    whoever calls skops itself would have to name them.
    """
    import sklearn.utils

    all_estimators = sklearn.utils.all_estimators
    sklearn.utils.all_estimators = list
    trees = "sklearn.ensemble"  # for the name of one type, which stands in ALLOWED as well
    hidden = sys.modules.setdefault(trees, None) is None  # type: ignore[arg-type]
    try:
        import skops.io
    finally:
        sklearn.utils.all_estimators = all_estimators
        if hidden:
            del sys.modules[trees]
    del skops


def estimators_among(names: Collection[str]) -> set[str]:
    """Those that name an estimator of scikit-learn, as skops trusts them without being told."""
    ours = {name for name in names if name.startswith("sklearn.")}
    found = {name for name in ours if _is_estimator(name)}
    if ours - found:  # nearly never, but for what is forged
        from sklearn.utils import all_estimators

        found |= ours & {f"{kind.__module__}.{kind.__name__}" for _, kind in all_estimators()}
    return found


def _is_estimator(name: str) -> bool:
    """Whether the package that is meant for the public shows an estimator of just this name."""
    from sklearn.base import BaseEstimator

    module, _, own = name.rpartition(".")
    public = module.partition("._")[0]
    if own.startswith("_") or _NOT_PUBLIC & set(public.split(".")):
        return False
    try:
        shown = getattr(importlib.import_module(public), own, None)
    except (ImportError, ValueError):
        return False
    return (
        isinstance(shown, type)
        and issubclass(shown, BaseEstimator)
        and shown is not BaseEstimator
        and not inspect.isabstract(shown)
        and f"{shown.__module__}.{shown.__name__}" == name
    )


def types(data: bytes) -> list[str]:
    """The full names of all types in a skops file, sorted."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
    return sorted({f"{node['__module__']}.{node['__class__']}" for node in _nodes(schema)})


def untrusted(data: bytes) -> list[str]:
    """The types in a file of our own that `load()` would refuse without further trust."""
    return sorted(set(_untrusted(data, "the model")) - set(ALLOWED))


def _untrusted(data: bytes, where: str) -> list[str]:
    import skops.io

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        # Ours are stored as they are; a compressed member could be a thousand times what its digest was made of.
        packed = [member.filename for member in archive.infolist() if member.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise InputError(f"{where}: its member {packed[0]} is compressed, and the runner writes none", "train it again")
    names: list[str] = skops.io.get_untrusted_types(data=data)
    return names


def _check_trees(data: bytes, where: str) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        fault = fault_in(json.loads(archive.read(_SCHEMA)), archive.read)
    if fault is not None:
        raise InputError(f"{where}: {fault}: it was forged or damaged", "train it again, and ask where it came from")


def _refusal(where: str, refused: Sequence[str]) -> str:
    named = ", ".join(refused[:10]) + (f" and {len(refused) - 10} more" if len(refused) > 10 else "")
    return f"{where}: the model holds types that nobody allowed: {named}"


def _trust_hint(refused: Sequence[str]) -> str:
    if not refused:
        return "name the types that you know in `trusted`"
    return f"name those in `trusted` whose code you know, as in `trusted: [{refused[0]}]`"


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every node of a schema, the outer ones first, in the order of the document."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            if "__class__" in found:
                yield found
            waiting.extend(reversed(found.values()))
        elif isinstance(found, list):
            waiting.extend(reversed(found))


def _canonical(raw: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        _sort_sets(schema)
        numbers: dict[int, int] = {}
        members: dict[str, str] = {}
        for node in _nodes(schema):
            _renumber(node, numbers, members)
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as target:
            target.writestr(_member(_SCHEMA), json.dumps(schema, ensure_ascii=True))
            for old, new in members.items():
                target.writestr(_member(new), archive.read(old))
    return made.getvalue()


def _renumber(node: dict[str, Any], numbers: dict[int, int], members: dict[str, str]) -> None:
    """Addresses become numbers in the order of the document; plain values, which need no identity, lose theirs.

    Whether two equal strings are one object depends on the interpreter's mood; whether two arrays are, on the model.
    """
    if node.get("__loader__") in ("JsonNode", "TypeNode"):
        node.pop("__id__", None)
    elif "__id__" in node:
        node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
    content = node.get("content")
    if isinstance(content, dict):
        for name in _ADDRESSES & content.keys():
            content[name]["content"] = "0"
    if isinstance(node.get("file"), str):
        suffix = node["file"].rpartition(".")[2]
        node["file"] = members.setdefault(node["file"], f"{len(members) + 1:06d}.{suffix}")


def _sort_sets(schema: Any) -> None:
    """The order of a set of texts changes from process to process."""
    for node in _nodes(schema):
        if node.get("__loader__") == "SetNode" and isinstance(node.get("content"), list):
            node["content"].sort(key=lambda item: json.dumps([item.get("__loader__"), _plain(item)], sort_keys=True))


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if key not in ("__id__", "file")}
    return [_plain(item) for item in node] if isinstance(node, list) else node


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _DATE)
    member.create_system = 3  # else it says on which system it was written
    member.external_attr = 0o644 << 16
    return member
