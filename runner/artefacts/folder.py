"""A model folder, written whole and read by allow-list."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.artefacts import columns, manifest, mlmodel
from runner.artefacts.documents import document
from runner.artefacts.environment import environment_of
from runner.artefacts.formats import format_of
from runner.artefacts.reference import reference_of, rows_of
from runner.artefacts.signature import signature_of
from runner.errors import InputError
from runner.values import dataclass

if TYPE_CHECKING:
    import numpy
    import pandas

SIGNATURE, EXAMPLE, EXPECTED, ENVIRONMENT, REFERENCE, FACTS = (
    "signature.json",
    mlmodel.EXAMPLE,
    "expected.json",
    "environment.txt",
    "reference.json",
    "facts.json",
)
_EXAMPLE_ROWS = 5


@dataclass(frozen=True, slots=True)
class Artefact:
    """A model that was read, with what is known of it."""

    model: Any
    signature: Mapping[str, Any]
    """Columns in and out, with types, ranges and categories: signature.json."""
    reference: Mapping[str, Any]
    """What the training data looked like: reference.json."""
    facts: Mapping[str, Any]
    """What its maker wrote down: facts.json."""
    task: str
    """`classification` or `regression`."""
    target: str
    classes: tuple[Any, ...] | None
    """Of a classifier, in the order of the columns of `predict_proba`; else None."""
    features: tuple[str, ...]
    """Names of the columns that it needs, in its order."""
    example: Mapping[str, Any]
    """Rows of input, as pandas calls it `split`: example.json."""
    expected: Mapping[str, Any] | None
    """What the model said of the example when it was written: expected.json; None in an older folder."""
    manifest: str
    """The SHA-256 of manifest.json, which names the whole folder."""

    def aligned(self, table: pandas.DataFrame, where: str = "the table") -> pandas.DataFrame:
        """The columns that the model needs, as it saw them in training; raises InputError where that cannot be."""
        return columns.aligned(table, kinds_in(self.signature), where)

    def predict(self, table: pandas.DataFrame) -> numpy.ndarray[Any, Any]:
        """The model's prediction for each row; raises InputError for a table that it cannot read."""
        import numpy

        return numpy.asarray(self.model.predict(self.aligned(table)))

    def predict_proba(self, table: pandas.DataFrame) -> numpy.ndarray[Any, Any]:
        """The probability of each class for each row.

        Raises InputError: the model gives none, or cannot read the table.
        """
        import numpy

        if not hasattr(self.model, "predict_proba"):
            text = f"the model, a {type(self.model).__name__}, gives no probabilities"
            raise InputError(
                text, "use a classifier that does, or wrap it in sklearn.calibration.CalibratedClassifierCV"
            )
        return numpy.asarray(self.model.predict_proba(self.aligned(table)))


def kinds_in(signature: Mapping[str, Any]) -> dict[str, str]:
    """The kind of each input column of a signature, in order."""
    kinds = {}
    for name, told in signature["input"]["properties"].items():
        kinds[name] = told["type"] if isinstance(told["type"], str) else told["type"][0]
    return kinds


def write(
    folder: Path,
    model: Any,
    *,
    features: pandas.DataFrame,
    target: str,
    outputs: pandas.Series | pandas.DataFrame,
    task: str,
    seed: int,
    format: str = "skops",
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write the folder of a fitted model: everything is put together first, then written at once.

    features, outputs: what it was trained with, for signature, example and reference. facts: plain JSON.
    An earlier model in the folder is replaced; raises InputError where something else lies there, or the model does
    not fit into the format.
    """
    _check_free(folder)
    data = files_of(
        model, features=features, target=target, outputs=outputs, task=task, seed=seed, format=format, facts=facts or {}
    )
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name, content in data.items():
        (folder / name).write_bytes(content)


def files_of(
    model: Any,
    *,
    features: pandas.DataFrame,
    target: str,
    outputs: pandas.Series | pandas.DataFrame,
    task: str,
    seed: int,
    format: str,
    facts: Mapping[str, Any],
) -> dict[str, bytes]:
    """The files of a model folder, the manifest last; the same model and tables give the same bytes."""
    import pandas

    chosen = format_of(format, "the model")
    table: Any = outputs.to_frame(target) if isinstance(outputs, pandas.Series) else outputs
    told = signature_of(features, table, task=task, target=target, classes=_classes(model, task))
    seen = columns.aligned(features, kinds_in(told))
    saved = chosen.dump(model, seen)
    files = {
        chosen.file: saved,
        SIGNATURE: document(told),
        EXAMPLE: document(rows_of(features.head(_EXAMPLE_ROWS))),
        EXPECTED: document(said_of(model, seen.head(_EXAMPLE_ROWS), task)),
        ENVIRONMENT: environment_of([*chosen.types(saved), f"{type(model).__module__}.{type(model).__name__}"]),
        REFERENCE: document(reference_of(seen, table, seed)),
        FACTS: document(facts),
        mlmodel.NAME: mlmodel.mlmodel_of(told, saved),
    }
    return {**files, manifest.NAME: manifest.manifest_of(files, format)}


def read(
    folder: Path, *, trusted: Sequence[str] = (), allow_pickle: bool = False, digest: str | None = None
) -> Artefact:
    """The model in a folder, whose every byte was compared first.

    trusted: full names of types that may be made beside those of scikit-learn. allow_pickle: whether a model in a
    format that can run code is read at all. digest: the SHA-256 that manifest.json must have, where a record tells it.
    Raises InputError: a file is missing or other than recorded, or the model holds a type that is not allowed.
    """
    name, files, own = manifest.checked(folder, digest)
    chosen = format_of(name, str(folder / manifest.NAME))
    if chosen.runs_code and not allow_pickle:
        text = f"{folder / chosen.file}: the format {name} can run code when it is loaded, and nobody allowed that"
        raise InputError(text, "train it with `format: skops`, or allow it where you know who made it")
    signature, reference, facts = (_json(folder, files, part) for part in (SIGNATURE, REFERENCE, FACTS))
    if chosen.file not in files:
        raise InputError(f"{folder / manifest.NAME}: it names no {chosen.file}", "train the model again")
    model = chosen.load(files[chosen.file], trusted, str(folder / chosen.file))
    classes = _classes(model, signature["task"])
    return Artefact(
        model=model,
        signature=signature,
        reference=reference,
        facts=facts,
        task=signature["task"],
        target=signature["target"],
        classes=None if classes is None else tuple(classes),
        features=tuple(signature["features"]),
        example=_json(folder, files, EXAMPLE),
        expected=_json(folder, files, EXPECTED) if EXPECTED in files else None,
        manifest=own,
    )


def said_of(model: Any, table: pandas.DataFrame, task: str) -> dict[str, Any]:
    """What a model says of rows that it can read: the document that whoever serves it later compares with."""
    import numpy

    told: dict[str, Any] = {"version": 1, "prediction": _rounded(numpy.asarray(model.predict(table)))}
    if task == "classification" and hasattr(model, "predict_proba"):
        told["probabilities"] = _rounded(numpy.asarray(model.predict_proba(table)))
    return told


def _rounded(values: numpy.ndarray[Any, Any]) -> list[Any]:
    """As JSON has it, with twelve digits: the last ones are another processor's."""
    if values.ndim > 1:
        return [_rounded(row) for row in values]
    told = [columns.plain(value) for value in values.tolist()]
    return [float(f"{value:.12g}") if isinstance(value, float) else value for value in told]


def _classes(model: Any, task: str) -> list[Any] | None:
    known = getattr(model, "classes_", None)
    if task != "classification" or known is None:
        return None
    return [columns.plain(value) for value in known]


def _json(folder: Path, files: Mapping[str, bytes], name: str) -> Any:
    if name not in files:
        raise InputError(f"{folder / manifest.NAME}: it names no {name}", "train the model again")
    try:
        value = json.loads(files[name])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{folder / name}: it is no JSON", "train the model again") from error
    needed = ("task", "target", "features", "input") if name == SIGNATURE else ()
    if not isinstance(value, dict) or not all(key in value for key in needed):
        raise InputError(f"{folder / name}: it is not what a model folder holds by this name", "train the model again")
    return value


def _check_free(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and not (folder / manifest.NAME).is_file():
        raise InputError(f"{folder}: something else lies here", "name a folder of its own for the model")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: this is a file, and a model is a folder", "name a folder for the model")
