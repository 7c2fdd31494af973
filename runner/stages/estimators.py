"""Estimators by their import paths: imported, made with their parameters and the seed, before any data is read."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import inspect
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from runner.errors import InputError
from runner.specs.guesses import nearest

_NESTED = {"estimator", "params"}
_MARKS = ("fit", "get_params", "get_n_splits")
"""What a class has that may stand in a spec: an estimator, a part of one, a way to cut folds."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Sums of linear algebra in one order, however many cores there are; on tables that is also the faster way."""
    # What is loaded later is not limited: NumPy and SciPy bring a library each.
    for name in ("numpy", "scipy.linalg"):
        importlib.import_module(name)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def import_code(files: Sequence[str]) -> None:
    """Make modules of the repository importable under the names that their paths have, and no other file of it.

    Raises InputError: a file is missing, cannot be imported, or would stand in the way of a library.
    """
    for file in files:
        _import_file(file, PurePosixPath(file).with_suffix("").parts)


def _import_file(file: str, parts: Sequence[str]) -> None:
    if not Path(file).is_file():
        raise InputError(f"`code`: {file}: there is no such file", "name a file of the repository, from `wdir` on")
    is_ours = hasattr(sys.modules.get(parts[0]), "__runner_code__")
    if not is_ours and (parts[0] in sys.modules or _is_installed(parts[0])):
        raise InputError(f"`code`: {file} has the name of an installed module, `{parts[0]}`", "rename the file")
    for count in range(1, len(parts)):
        name = ".".join(parts[:count])
        if name not in sys.modules:
            package = types.ModuleType(name)
            package.__path__ = []  # a package whose modules are those that `code` names, and nothing beside them
            package.__dict__["__runner_code__"] = True
            sys.modules[name] = package
    name = ".".join(parts)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # noqa: PT018 - one statement about one call
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__runner_code__"] = True
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        text = f"`code`: {file} cannot be imported: {type(error).__name__}: {error}"
        raise InputError(text, "name the modules that it needs before it in `code`, or install them") from error
    if len(parts) > 1:
        setattr(sys.modules[".".join(parts[:-1])], parts[-1], module)


def _is_installed(name: str) -> bool:
    """Whether a module of this name is found elsewhere than in the working folder."""
    here = Path.cwd()
    elsewhere = [folder for folder in sys.path if folder and Path(folder).resolve() != here]
    return name in sys.stdlib_module_names or importlib.machinery.PathFinder.find_spec(name, elsewhere) is not None


def imported(path: str) -> Any:
    """What an import path names; raises InputError where there is nothing, with a name that is close."""
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        hint = "install its package into the environment of the stage, or name its file in `code`"
        raise InputError(f"`{path}`: the module {module_name} cannot be imported: {error}", hint) from error
    if not hasattr(module, name):
        close = nearest(name, [known for known in dir(module) if not known.startswith("_")])
        hint = f"did you mean `{module_name}.{close}`?" if close else f"look at what {module_name} holds"
        raise InputError(f"`{path}`: {module_name} holds no `{name}`", hint)
    return getattr(module, name)


def made(path: str, params: Mapping[str, Any], seed: int) -> Any:
    """An estimator with these parameters, nested ones too, and the seed wherever something is random.

    Raises InputError: it cannot be imported, is no estimator, or a parameter is none of its own or of a wrong value.
    """
    kind = imported(path)
    if inspect.isclass(kind) and not (hasattr(kind, "fit") and hasattr(kind, "predict")):
        _refuse_estimator(path)
    estimator = _made(path, params)
    if not hasattr(estimator, "fit") or not hasattr(estimator, "predict"):
        _refuse_estimator(path)
    seeded(estimator, seed)
    return estimator


def _refuse_estimator(path: str) -> NoReturn:
    raise InputError(f"`{path}` is no estimator: it has no `fit` and `predict`", "name a class of scikit-learn's kind")


def _check_kind(path: str, kind: Any) -> None:
    """Raise InputError for what makes no estimator, before it is called: a call of any function may do anything.

    Parameters of estimators are such, too: transformers, kernels, and ways to cut folds.
    """
    if inspect.isclass(kind):
        if any(hasattr(kind, name) for name in _MARKS):
            return
        text = f"`{path}` is no class of an estimator: it has none of {', '.join(f'`{name}`' for name in _MARKS)}"
        raise InputError(text, "name a class of scikit-learn's kind")
    module = sys.modules.get(str(getattr(kind, "__module__", "")))
    if not (inspect.isfunction(kind) and hasattr(module, "__runner_code__")):
        text = f"`{path}` is no class, and no function of a file that `code` names"
        raise InputError(text, "name the class of the estimator, or write a function that makes it, and name its file")


def _made(path: str, params: Mapping[str, Any]) -> Any:
    kind = imported(path)
    _check_kind(path, kind)
    given = {name: value_of(value) for name, value in params.items()}
    _check_names(path, kind, given)
    try:
        estimator = kind(**given)
        # scikit-learn looks at values only in `fit`, after the data was read and the first folds were trained.
        check = getattr(estimator, "_validate_params", None)
        if check is not None:
            check()
    except Exception as error:
        raise InputError(
            f"`{path}` cannot be made: {error}", "see its documentation for the values it takes"
        ) from error
    return estimator


def value_of(value: Any) -> Any:
    """A parameter as it is meant: a mapping with `estimator` is one, at any depth; raises InputError like `made()`."""
    if isinstance(value, Mapping):
        if "estimator" in value and value.keys() <= _NESTED and isinstance(value["estimator"], str):
            return _made(value["estimator"], value.get("params") or {})
        return {name: value_of(inner) for name, inner in value.items()}
    if isinstance(value, list):
        items = [value_of(item) for item in value]
        # Steps of a pipeline and the like are pairs of a name and an estimator, which scikit-learn wants as tuples.
        is_step = len(items) >= 2 and isinstance(items[0], str) and any(hasattr(item, "fit") for item in items[1:])
        return tuple(items) if is_step else items
    return value


def _check_names(path: str, kind: Any, given: Mapping[str, Any]) -> None:
    try:
        known = inspect.signature(kind).parameters
    except (ValueError, TypeError):
        return  # written in C: it says itself what it takes
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return
    for name in given:
        if name not in known:
            refuse_parameter(path, name, known)


def refuse_parameter(path: str, name: str, known: Iterable[str]) -> NoReturn:
    """Raise the InputError for a parameter that an estimator does not have, with one that is close."""
    names = list(known)
    close = next((other for other in names if other.lower() == name.lower()), None) or nearest(name, names)
    hint = f"did you mean `{close}`?" if close else f"it has: {', '.join(names)}"
    raise InputError(f"`{path}` has no parameter `{name}`", hint)


def seeded(estimator: Any, seed: int) -> None:
    """Set every `random_state`, also of nested estimators, that nobody set."""
    if not hasattr(estimator, "get_params"):
        return
    params = estimator.get_params(deep=True)
    unset = {
        name: seed for name, value in params.items() if name.rpartition("__")[2] == "random_state" and value is None
    }
    if unset:
        estimator.set_params(**unset)


def task_of(estimator: Any, stated: str | None) -> str:
    """Classification or regression, as the estimator says; raises InputError where neither it nor the spec does."""
    from sklearn.base import is_classifier, is_regressor

    known = "classification" if is_classifier(estimator) else "regression" if is_regressor(estimator) else None
    if stated is not None and known is not None and stated != known:
        text = f"`task` is {stated}, and a {type(estimator).__name__} is for {known}"
        raise InputError(text, "leave `task` out, or choose another estimator")
    task = stated or known
    if task is None:
        text = f"a {type(estimator).__name__} does not say whether it classifies"
        raise InputError(text, "say `task: classification` or `task: regression`")
    return task
