"""All parameters of a fitted estimator, also those that nobody asked for, in words that are the same on every host."""

from __future__ import annotations

import math
from typing import Any

from runner.stages.cards.figures import shown
from runner.stages.cards.parts import Part, Text, table

_LONGEST = 80


def hyperparameters(model: Any) -> Part:
    """The parameters of the last step of a pipeline, or of the model itself."""
    estimator = last_of(model)
    asked = getattr(estimator, "get_params", None)
    if asked is None:
        return Text(f"A {type(estimator).__name__} tells no parameters.")
    rows = [(str(name), _told(value)) for name, value in sorted(asked(deep=True).items())]
    return table(("parameter", "value"), rows) if rows else Text("It has no parameters.")


def last_of(model: Any) -> Any:
    """The last step of a pipeline, or the model itself."""
    while getattr(model, "steps", None):
        model = model.steps[-1][1]
    return model


def _told(value: Any) -> str:
    """A value without an address in memory; an object by its type."""
    if value is None or isinstance(value, (bool, int)):
        return "none" if value is None else shown(value)
    if isinstance(value, float):
        return shown(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else value[: _LONGEST - 3] + "..."
    if isinstance(value, (list, tuple)) and len(value) <= 10:
        return f"[{', '.join(map(_told, value))}]"
    named = value if callable(value) and hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"
