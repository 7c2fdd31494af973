"""A model folder becomes what may answer: read by allow-list, the fastest true way found, the example replayed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner import artefacts
from runner.artefacts import manifest
from runner.artefacts.formats import FORMATS
from runner.errors import InputError
from runner.serve.checks import Checks, arrays_of
from runner.serve.compiled import CompiledPredictor, NotCompiled, Surprise
from runner.serve.predictors import OnnxPredictor, Predictor, Said, TablePredictor
from runner.serve.refusals import Refused
from runner.values import dataclass

if TYPE_CHECKING:
    import numpy

    from runner.artefacts import Artefact
    from runner.serve.settings import Settings

_SAME = {"rtol": 1e-9, "atol": 1e-12}
"""Two orders of adding up the same numbers may differ so far."""
_AS_RECORDED = {"rtol": 1e-6, "atol": 1e-9}
"""Another processor may have made the recorded output."""
_AS_RECORDED_ONNX = {"rtol": 1e-4, "atol": 2e-5}
"""A graph counts in numbers of four bytes; what is recorded is of the model that it was made from."""
_FAR = 1e6
_MOST_ALONE = 100


@dataclass(frozen=True, slots=True)
class Model:
    """A model that may answer."""

    artefact: Artefact
    checks: Checks
    predictor: Predictor
    probable: bool
    """Whether it gives probabilities."""
    format: str
    notes: tuple[str, ...]
    """What whoever runs the server should know, such as that nothing was recorded to compare with."""


class Careful:
    """The compiled way, and for rows that are a surprise to it the model's own."""

    def __init__(self, fast: CompiledPredictor, own: TablePredictor) -> None:
        self._fast = fast
        self._own = own
        self.way = fast.way

    def predict(self, columns: Sequence[numpy.ndarray[Any, Any]], probabilities: bool) -> Said:
        """See `Predictor`."""
        try:
            return self._fast.predict(columns, probabilities)
        except Surprise:
            return self._own.predict(columns, probabilities)


def load(settings: Settings) -> Model:
    """The model of a folder, ready to answer; raises InputError for one that must not."""
    served = settings.served
    folder = Path(served.folder)
    form, _, _ = manifest.checked(folder, served.digest)
    if form not in served.formats:
        text = f"{folder}: it is in the format {form[:40]}, and allowed are: {', '.join(served.formats)}"
        raise InputError(text, _to_allow(form, served.about))
    artefact = artefacts.read(
        folder, trusted=served.trusted, allow_pickle="joblib" in served.formats, digest=served.digest
    )
    try:
        checks = Checks(artefact.signature, strict=served.strict, extra=served.extra, most_rows=settings.limits.rows)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"{folder}: its signature is none that a server can check: {error}", "train it again"
        ) from error
    _one_job(artefact.model)
    probable = artefact.classes is not None and hasattr(artefact.model, "predict_proba")
    own = TablePredictor(artefact)
    within = _AS_RECORDED_ONNX if form == "onnx" else _AS_RECORDED
    notes = list(_replayed(folder, artefact, checks, own, probable, within))
    predictor = _fastest(form, artefact, checks, own, probable, notes)
    if predictor is not own:
        _replayed(folder, artefact, checks, predictor, probable, within)
    return Model(artefact, checks, predictor, probable, form, tuple(notes))


def _to_allow(form: str, release: Mapping[str, Any]) -> str:
    """How a format gets among those that are allowed. release: that the model belongs to; empty of a folder."""
    if form not in FORMATS:
        return f"known are: {', '.join(FORMATS)}"
    how = f"name `{form}` in the `formats` of its Deployment" if release else f"say `--allow-format {form}`"
    return f"{how} where you know who made the model"


def _one_job(model: Any) -> None:
    """A few rows are not worth a pool of threads, and a server has other work for its cores."""
    try:
        jobs = [name for name in model.get_params() if name == "n_jobs" or name.endswith("__n_jobs")]
        model.set_params(**dict.fromkeys(jobs, 1))
    except Exception:  # noqa: BLE001, S110 - a model of any kind; how many threads it takes is a wish
        pass


def _replayed(
    folder: Path,
    artefact: Artefact,
    checks: Checks,
    predictor: Predictor,
    probable: bool,
    within: Mapping[str, float],
) -> Sequence[str]:
    """Hold what the model says of its example against what is recorded; raises InputError where it is another thing."""
    example = artefact.example
    try:
        rows = checks.split(example["columns"], example["data"], bounded=False)
    except (KeyError, TypeError, Refused) as error:
        raise InputError(f"{folder}: its example does not fit its signature: {error}", "train it again") from error
    if not rows.count:
        return ["the model has no example: nothing could be compared before it was served"]
    try:
        said = predictor.predict(arrays_of(checks.columns, rows.few or []), probable)
    except Exception as error:
        text = f"{folder}: it cannot predict its own example: {type(error).__name__}: {str(error)[:200]}"
        raise InputError(text, "train it again, with the versions in environment.txt") from error
    expected = artefact.expected
    for name, found in (("prediction", said.predictions), ("probabilities", said.probabilities)):
        if found is None:
            continue
        fits = found.ndim == (1 if name == "prediction" else 2) and len(found) == rows.count
        if not fits or not _all_finite(found):
            what = "no finite number" if fits else f"an array of shape {list(found.shape)} for {rows.count} rows"
            raise InputError(f"{folder}: of its own example it says {what} ({name})", "train it again")
        if expected is not None and not _close(found, expected.get(name), within):
            text = f"{folder}: what it says of its example is not what was recorded ({name})"
            raise InputError(text, "use the versions in environment.txt, or train it again")
    if expected is None:
        return ["the model folder holds no expected.json: its output could not be compared with a recorded one"]
    return []


def _all_finite(found: Any) -> bool:
    import numpy

    return found.dtype.kind not in "fc" or bool(numpy.isfinite(found).all())


def same(one: Said, other: Said) -> bool:
    """Whether the same was said of the same rows, up to rounding."""
    if not _close(one.predictions, other.predictions, _SAME):
        return False
    return other.probabilities is None or (
        one.probabilities is not None and _close(one.probabilities, other.probabilities, _SAME)
    )


def _close(found: Any, other: Any, within: Mapping[str, float]) -> bool:
    """Whether two outputs are the same: numbers up to rounding, all else exactly."""
    import numpy

    if other is None:
        return False
    wanted = other if isinstance(other, numpy.ndarray) else numpy.asarray(other)
    if found.shape != wanted.shape:
        return False
    if found.dtype.kind in "f":
        return wanted.dtype.kind in "fiu" and bool(numpy.allclose(found, wanted, equal_nan=True, **within))
    return [str(value) for value in found.ravel().tolist()] == [str(value) for value in wanted.ravel().tolist()]


def _fastest(
    form: str, artefact: Artefact, checks: Checks, own: TablePredictor, probable: bool, notes: list[str]
) -> Predictor:
    """The compiled way where it is known and says the same of all rows that there are; else the model's own."""
    chosen: Predictor
    try:
        if form == "onnx":
            chosen = OnnxPredictor(artefact)
        else:
            kinds = [column.kind for column in checks.columns]
            chosen = Careful(CompiledPredictor(artefact.model, kinds, checks.names), own)
    except NotCompiled as error:
        notes.append(f"predictions go through a table: {error} is not compiled")
        return own
    except Exception as error:  # noqa: BLE001 - a model of any kind: what is not understood is not compiled
        notes.append(f"predictions go through a table: {type(error).__name__}: {str(error)[:100]}")
        return own
    try:
        for columns in _trials(artefact, checks):
            if not _agree_on(own, chosen, columns, probable):
                notes.append("predictions go through a table: compiled, they came out otherwise")
                return own
    except Exception as error:  # noqa: BLE001 - as above
        notes.append(f"predictions go through a table: compiled, {type(error).__name__}: {str(error)[:100]}")
        return own
    return chosen


def _agree_on(own: Predictor, fast: Predictor, columns: Sequence[Any], probable: bool) -> bool:
    """Whether two ways say the same of rows; row by row where the model refuses some of them."""
    count = len(columns[0])
    try:
        own.predict(columns, False)
    except Exception:  # noqa: BLE001 - rows that the model itself refuses
        return count <= _MOST_ALONE and all(
            _agree(own, fast, [values[row : row + 1] for values in columns], probable) for row in range(count)
        )
    return _agree(own, fast, columns, probable)


def _agree(own: Predictor, fast: Predictor, columns: Sequence[Any], probable: bool) -> bool:
    try:
        wanted = own.predict(columns, probable)
    except Exception:  # noqa: BLE001 - rows that the model itself refuses
        try:
            fast.predict(columns, probable)
        except Exception:  # noqa: BLE001 - so does the other one
            return True
        return False
    return same(fast.predict(columns, probable), wanted)


def _trials(artefact: Artefact, checks: Checks) -> list[list[Any]]:
    """Rows to compare two ways on: the sample of the training data, each single row of the example, and odd rows."""
    sample = artefact.reference.get("sample", {}).get("features", {})
    rows: list[list[Any]] = []
    for part in (artefact.example, sample):
        if isinstance(part, dict) and part.get("data"):
            rows += checks.split(part["columns"], part["data"], bounded=False).few or []
    odd_rows = [
        [*rows[0][:place], odd, *rows[0][place + 1 :]]
        for place, column in enumerate(checks.columns[:_MOST_ALONE])
        for odd in _odd_values(column)
        if rows
    ]
    trials = [
        rows,
        *([row] for row in rows[:3]),
        *(odd_rows[at : at + _MOST_ALONE] for at in range(0, len(odd_rows), _MOST_ALONE)),
    ]
    return [arrays_of(checks.columns, trial) for trial in trials if trial]


def _odd_values(column: Any) -> list[Any]:
    """Values that a column takes and training may not have seen."""
    odd: list[Any] = [0.0, -_FAR, _FAR]
    if column.kind == "string":
        odd = ["", "\x00 never seen"]
    elif column.kind == "boolean":
        odd = [0.0, 1.0]
    elif column.kind == "integer":
        odd = [-1, 10**6]
    return [*odd, math.nan] if column.nullable else odd
