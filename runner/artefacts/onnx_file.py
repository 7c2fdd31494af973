"""Models as ONNX graphs: operators on numbers and texts, so that opening one runs no code of its maker.

scikit-learn is turned into ONNX by skl2onnx, which does not know every estimator and computes some in other steps. So a
model is only kept if the graph says the same as the model did, for rows of its training and for odd ones.
"""

from __future__ import annotations

import copy
import json
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from runner.artefacts import columns
from runner.errors import InputError

if TYPE_CHECKING:
    import pandas

_FACTS = "runner"
"""The key of the graph's metadata below which stand kinds of columns, task and classes."""
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_REFUSED = ("Loop",)
"""Operators that could go on for ever."""
_MOST_A_BYTE = 8
"""Numbers in one byte of an array; the smallest have a bit."""
_CHECKED = 10_000
_ODD = 50
_CLOSE = 1e-5
"""How far probabilities may be apart, and numbers in relation to their size: graphs count in 32 bits."""
_UNSEEN = "\x1fnever seen"
_SERVED = ("onnx.ModelProto", "onnxruntime.InferenceSession")


def dump(model: Any, seen: pandas.DataFrame) -> bytes:
    """A model as an ONNX graph; raises InputError where that cannot be, or says otherwise than the model.

    seen: rows of its training in the form in which it saw them.
    """
    _packages(convert=True)
    try:
        data = _converted(_plainer(model), seen)
        fault = next(_faults(model, load(data, (), "the graph"), seen), None)
    except InputError as error:
        fault = str(error).splitlines()[0]
    if fault is not None:
        raise InputError(f"the model cannot be kept as ONNX: {fault}", "leave `format` out: skops keeps it as it is")
    return data


def load(data: bytes, _trusted: Sequence[str], where: str) -> Any:
    """The model in a graph; raises InputError for one that is damaged, or asks for more than to compute."""
    _packages(convert=False)
    import onnx

    from runner.artefacts.onnx_model import OnnxClassifier, OnnxRegressor

    try:
        proto = onnx.load_model_from_string(data)
        facts = json.loads(next(prop.value for prop in proto.metadata_props if prop.key == _FACTS))
        kind = OnnxClassifier if facts["task"] == "classification" else OnnxRegressor
        fault = _fault_in(proto)
        model = kind(data, facts) if fault is None else None
    except Exception as error:
        text = f"{where}: it cannot be loaded: {type(error).__name__}: {str(error)[:200]}"
        raise InputError(text, "use the versions in environment.txt, or train the model again") from error
    if fault is not None:
        raise InputError(f"{where}: the graph {fault}", "train it again, and ask where it came from")
    return model


def types(_data: bytes) -> Sequence[str]:
    """What has to be installed to open such a file, by types of it."""
    return _SERVED


def _packages(*, convert: bool) -> None:
    """Raises InputError where a package is not there. convert: whether a model is to become a graph."""
    try:
        import onnx
        import onnxruntime

        if convert:
            import skl2onnx

            del skl2onnx
    except ImportError as error:
        hint = "pip install 'gitops-runner[onnx]', or leave `format` out"
        raise InputError(f"models in the format onnx need a package that is not there: {error}", hint) from error
    del onnx, onnxruntime


def _plainer(model: Any) -> Any:
    """The same model, said so that skl2onnx knows it: without rare categories, unknown ones are simply left out."""
    from sklearn.preprocessing import OneHotEncoder

    plain = copy.deepcopy(model)
    for part in _parts(plain):
        if isinstance(part, OneHotEncoder) and part.handle_unknown == "infrequent_if_exist":
            rare = getattr(part, "infrequent_categories_", [None])
            if all(names is None for names in rare):
                part.set_params(handle_unknown="ignore", max_categories=None, min_frequency=None)
                part._infrequent_enabled = False
    return plain


def _parts(value: Any) -> Iterator[Any]:
    """An estimator and those inside of it."""
    if hasattr(value, "get_params"):
        yield value
        value = [inner for name, inner in vars(value).items() if not name.startswith("__")]
    if isinstance(value, (list, tuple)):
        for inner in value:
            if hasattr(inner, "get_params") or isinstance(inner, (list, tuple)):
                yield from _parts(inner)


def _converted(model: Any, seen: pandas.DataFrame) -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common import data_types
    from sklearn.base import is_classifier

    kinds = {name: "text" if seen[name].dtype == object else "number" for name in seen.columns}
    inputs = [
        (name, (data_types.StringTensorType if kind == "text" else data_types.FloatTensorType)([None, 1]))
        for name, kind in kinds.items()
    ]
    classifies = is_classifier(model)
    options = {id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of how skl2onnx calls its own libraries
            proto = to_onnx(model, initial_types=inputs, options=options, name="model")
    except Exception as error:
        raise InputError(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", "use skops") from error
    facts: dict[str, Any] = {"task": "classification" if classifies else "regression", "columns": kinds}
    if classifies:
        facts["classes"] = [columns.plain(value) for value in model.classes_]
        facts["probabilities"] = hasattr(model, "predict_proba")
    # They come out of a set, whose order changes from process to process.
    operators = sorted((one.domain, one.version) for one in proto.opset_import)
    del proto.opset_import[:]
    for domain, version in operators:
        proto.opset_import.add(domain=domain, version=version)
    prop = proto.metadata_props.add()
    prop.key, prop.value = _FACTS, json.dumps(facts, sort_keys=True)
    return bytes(proto.SerializeToString(deterministic=True))


def _fault_in(proto: Any) -> str | None:
    """What a graph asks for beside computing."""
    for graph in _graphs(proto):
        for tensor in _kept(graph):
            if tensor.external_data or tensor.data_location:
                return "reads a file beside it"
            if math.prod(tensor.dims) > _MOST_A_BYTE * (tensor.ByteSize() + 1):
                return "names an array that is larger than what it holds"
        for node in graph.node:
            if node.domain not in _DOMAINS or node.op_type in _REFUSED:
                return f"holds the operator {node.domain or 'ai.onnx'}.{node.op_type}, which nobody allowed"
    return None


def _kept(graph: Any) -> Iterator[Any]:
    """The arrays in a graph or function, outside of those that are inside of it."""
    yield from getattr(graph, "initializer", ())
    sparse = list(getattr(graph, "sparse_initializer", ()))
    for attribute in [*getattr(graph, "attribute_proto", ()), *(one for node in graph.node for one in node.attribute)]:
        yield from (attribute.t, *attribute.tensors)
        sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
    for one in sparse:
        yield from (one.values, one.indices)


def _graphs(proto: Any) -> Iterator[Any]:
    """The graph, those inside its nodes, and functions."""
    waiting = [proto.graph, *proto.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting.extend([attribute.g] if attribute.HasField("g") else [])
                waiting.extend(attribute.graphs)


def _faults(model: Any, graph: Any, seen: pandas.DataFrame) -> Iterator[str]:
    """Where a graph says otherwise than its model."""
    step = max(1, len(seen) // _CHECKED)
    rows = seen.iloc[::step]
    yield from _difference(model, graph, rows, "rows of the training")
    for what, odd in _odd(seen.head(_ODD)):
        if _answers(model, odd):
            yield from _difference(model, graph, odd, f"rows {what}")


def _answers(model: Any, rows: pandas.DataFrame) -> bool:
    """Whether a model takes such rows at all; where it refuses them there is nothing to compare."""
    try:
        model.predict(rows)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return False
    return True


def _odd(seen: pandas.DataFrame) -> Iterator[tuple[str, pandas.DataFrame]]:
    """Rows with a gap, and with a text that was not there in training, column by column."""
    import numpy

    for name in seen.columns:
        yield f"without `{name}`", seen.assign(**{name: _whole(seen[name], numpy.nan)})
        if seen[name].dtype == object:
            yield f"with another text in `{name}`", seen.assign(**{name: _whole(seen[name], _UNSEEN)})


def _whole(values: pandas.Series, value: Any) -> pandas.Series:
    import pandas

    return pandas.Series(value, index=values.index, dtype=object if values.dtype == object else float)


def _difference(model: Any, graph: Any, rows: pandas.DataFrame, what: str) -> Iterator[str]:
    import numpy

    said, told = model.predict(rows), graph.predict(rows)
    if hasattr(graph, "classes_"):
        apart = numpy.asarray(said).astype(str) != numpy.asarray(told).astype(str)
        if hasattr(model, "predict_proba"):
            shares = model.predict_proba(rows)
            first, second = numpy.sort(shares, axis=1)[:, [-1, -2]].T
            apart &= first - second > _CLOSE  # where two classes are as likely, either may be said
            apart |= numpy.abs(shares - graph.predict_proba(rows)).max(axis=1) > _CLOSE
    else:
        spread = float(numpy.std(said))
        apart = ~(numpy.abs(said - told) <= _CLOSE * numpy.maximum(numpy.abs(said), spread))
    if apart.any():
        yield f"as ONNX it says otherwise in {int(apart.sum())} of {len(rows)} {what}"
