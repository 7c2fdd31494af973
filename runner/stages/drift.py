"""How far a table is from what a model was trained with, by the sketch that travels with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner import artefacts
from runner.errors import InputError

if TYPE_CHECKING:
    import pandas

_LEAST = 1e-4
"""The share that a bin without rows counts with, so that the index is finite."""


def drift_of(artefact: artefacts.Artefact, table: pandas.DataFrame, path: str) -> dict[str, Any]:
    """The population stability index of each feature, and the greatest of them.

    Raises InputError where the table lacks a column or a value is of another kind.
    """
    if not len(table):
        raise InputError(f"{path}: the table has no rows", "give rows that were served")
    seen = artefact.aligned(table, path)
    found = {name: _of_feature(seen[name], artefact.reference["features"][name]) for name in artefact.features}
    indices = [told["psi"] for told in found.values() if told["psi"] is not None]
    return {"features": found, "psi": max(indices, default=None), "served_rows": len(table)}


def _of_feature(values: pandas.Series, sketch: Mapping[str, Any]) -> dict[str, Any]:
    present = values.dropna()
    trained, served = (
        _counts_of_numbers(present, sketch) if "histogram" in sketch else _counts_of_names(present, sketch)
    )
    return {
        "psi": psi(trained, served),
        "missing_trained": sketch["missing"] / sketch["count"] if sketch["count"] else None,
        "missing_served": float(values.isna().mean()),
    }


def _counts_of_numbers(present: pandas.Series, sketch: Mapping[str, Any]) -> tuple[list[int], list[int]]:
    """Rows by the bins of the sketch; what lies outside of them counts with the first or the last one."""
    import numpy

    edges, counts = sketch["histogram"]["edges"], list(sketch["histogram"]["counts"])
    if len(edges) < 2:  # one value in training
        same = int((present == edges[0]).sum())
        return [*counts, 0], [same, len(present) - same]
    clipped = numpy.clip(present.to_numpy(dtype=float), edges[0], edges[-1])
    return counts, numpy.histogram(clipped, edges)[0].tolist()


def _counts_of_names(present: pandas.Series, sketch: Mapping[str, Any]) -> tuple[list[int], list[int]]:
    """Rows by the categories that the sketch names; all others are one."""
    named = sketch.get("counts", {})
    known = present.map(str).value_counts()
    served = [int(known.get(name, 0)) for name in named]
    return [*named.values(), sketch.get("others", 0)], [*served, len(present) - sum(served)]


def psi(trained: list[int], served: list[int]) -> float | None:
    """The population stability index of two lists of counts; None where one of them counts nothing."""
    if not sum(trained) or not sum(served):
        return None
    shares = [
        (max(one / sum(trained), _LEAST), max(other / sum(served), _LEAST))
        for one, other in zip(trained, served, strict=True)
    ]
    return sum((other - one) * math.log(other / one) for one, other in shares)
