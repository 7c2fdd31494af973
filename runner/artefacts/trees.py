"""Decision trees in a skops file, looked at before one is made: none may point beside its own arrays, or in a circle.

scikit-learn follows the indices of a tree without a check, so a forged one could crash or hang whoever predicts with
it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

_TREE, _PREDICTOR = "TreeNode", "TreePredictor"
_SAME_WIDTH = (
    "sklearn.tree._classes",
    "sklearn.ensemble._forest",
    "sklearn.ensemble._gb",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting",
)
"""Modules of estimators that hand rows to their trees as they are, after a look at the number of columns."""
_HOLDERS = ("tree_", "estimators_", "_predictors")
_DIFFERENT = -1
"""The width of a tree whose ensemble and whose own estimator do not agree."""


def fault_in(schema: Any, member: Callable[[str], bytes]) -> str | None:
    """What is wrong with the first tree that is not sound; None where all are, or there is none.

    schema: that of a skops file; member: reads a member of the archive. Raises KeyError, TypeError or ValueError for a
    tree of another shape than scikit-learn writes.
    """
    for node, width in _trees(schema, None):
        fault = _of_tree(node, width, member) if node.get("__loader__") == _TREE else _of_predictor(node, width, member)
        if fault is not None:
            return fault
    return None


def _trees(value: Any, width: int | None) -> Iterator[tuple[Mapping[str, Any], int | None]]:
    """Every tree, and the number of columns that its estimator lets pass."""
    waiting = [(value, width)]
    while waiting:
        found, known = waiting.pop()
        if isinstance(found, list):
            waiting.extend((item, known) for item in found)
        if not isinstance(found, dict):
            continue
        if found.get("__loader__") == _TREE or found.get("__class__") == _PREDICTOR:
            yield found, known
            continue
        attributes = _attributes(found)
        own = _number(attributes.get("n_features_in_")) if found.get("__module__") in _SAME_WIDTH else None
        if own is not None and known is not None and own != known:
            own = _DIFFERENT
        for name, inner in attributes.items():
            waiting.append((inner, own if own is not None and name in _HOLDERS else known))
        if not attributes:
            waiting.extend((inner, known) for inner in found.values())


def _attributes(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes of an object, by name; empty for what has none."""
    content = node.get("content")
    inner = content.get("content") if node.get("__loader__") == "ObjectNode" and isinstance(content, dict) else None
    return inner if isinstance(inner, dict) else {}


def _number(node: Any) -> int | None:
    value = json.loads(node["content"]) if isinstance(node, dict) and node.get("__loader__") == "JsonNode" else None
    return value if type(value) is int else None


def _array(node: Mapping[str, Any], member: Callable[[str], bytes]) -> numpy.ndarray[Any, Any]:
    import numpy

    loaded: numpy.ndarray[Any, Any] = numpy.load(io.BytesIO(member(node["file"])), allow_pickle=False)
    return loaded


def _of_tree(node: Mapping[str, Any], width: int | None, member: Callable[[str], bytes]) -> str | None:
    state = node["content"]["content"]
    nodes, values = _array(state["nodes"], member), _array(state["values"], member)
    columns = _number(node["__reduce__"]["args"]["content"][0])
    if columns is None or _number(state["node_count"]) != len(nodes) or len(values) != len(nodes) or nodes.ndim != 1:
        return "a decision tree has another number of nodes than it says"
    if width is not None and columns != width:
        return "a decision tree has another number of columns than its estimator"
    return _of_nodes(nodes["left_child"], nodes["right_child"], nodes["left_child"] == -1, nodes["feature"], columns)


def _of_predictor(node: Mapping[str, Any], width: int | None, member: Callable[[str], bytes]) -> str | None:
    state = node["content"]["content"]
    nodes = _array(state["nodes"], member)
    if width is None or width == _DIFFERENT or nodes.ndim != 1:
        return "a decision tree stands outside of its estimator"
    split = (nodes["is_categorical"] != 0) & (nodes["is_leaf"] == 0)
    sets = min(len(_array(state[f"{name}_left_cat_bitsets"], member)) for name in ("raw", "binned"))
    if bool((nodes["bitset_idx"][split] >= sets).any()):
        return "a decision tree points beside its categories"
    return _of_nodes(nodes["left"], nodes["right"], nodes["is_leaf"] != 0, nodes["feature_idx"], width)


def _of_nodes(left: Any, right: Any, leaf: Any, feature: Any, columns: int) -> str | None:
    """Children stand behind their parents, inside the array; so no walk goes on for ever."""
    import numpy

    count, inner = len(leaf), ~leaf
    if not count:
        return "a decision tree has no node"
    for child in (left.astype(numpy.int64)[inner], right.astype(numpy.int64)[inner]):
        if bool((child <= numpy.arange(count)[inner]).any()) or bool((child >= count).any()):
            return "a decision tree points beside its nodes, or back"
    looked = feature.astype(numpy.int64)[inner]
    if bool((looked < 0).any()) or bool((looked >= columns).any()):
        return "a decision tree looks at a column that there is not"
    return None
