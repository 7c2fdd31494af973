"""JSON of the built-in stages, and points of plots: one form, so that equal results are equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.artefacts.documents import document
from runner.stages.tables import write_table


def write_json(paths: Iterable[Path], value: Any) -> None:
    """Write a value, finite numbers only, to each of the files, and the folders they lie in."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(document(value))


def write_points(path: Path, points: Sequence[Mapping[str, Any]]) -> None:
    """Write the points of a plot, as JSON or as a table by the ending of its name."""
    import pandas

    if path.suffix.lower() == ".json":
        write_json([path], points)
    else:
        write_table(pandas.DataFrame(points), path)
