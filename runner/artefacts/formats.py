"""The formats in which a model is kept: skops by default, ONNX where a model says the same in it, joblib for those who
ask for it in writing and in reading.

Each is a row of `FORMATS`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.artefacts import onnx_file, skops_file
from runner.errors import InputError
from runner.values import dataclass

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class Format:
    """One format: the name of its file, and how a model gets there and back."""

    file: str
    runs_code: bool
    """Whether reading a file of this format can run what its maker wanted; then the reader has to allow it."""
    dump: Callable[[Any, pandas.DataFrame], bytes]
    """From the model, and rows of its training in the form in which it saw them."""
    load: Callable[[bytes, Sequence[str], str], Any]
    """From the bytes, the types that the reader trusts beside the usual ones, and the file's name for messages."""
    types: Callable[[bytes], Sequence[str]]
    """The full names of the types in a file that we made ourselves."""


def format_of(name: str, where: str) -> Format:
    """A format by its name; raises InputError for one that is not known."""
    if name not in FORMATS:
        raise InputError(f"{where}: no model format is called `{name[:40]}`", f"known are: {', '.join(FORMATS)}")
    return FORMATS[name]


def _skops_dump(model: Any, _seen: pandas.DataFrame) -> bytes:
    return skops_file.dump(model)


def _joblib_dump(model: Any, _seen: pandas.DataFrame) -> bytes:
    import joblib

    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return buffer.getvalue()


def _joblib_load(data: bytes, _trusted: Sequence[str], where: str) -> Any:
    import joblib

    try:
        return joblib.load(io.BytesIO(data))
    except Exception as error:
        raise InputError(f"{where}: it cannot be loaded: {error}", "use the versions in environment.txt") from error


def _joblib_types(_data: bytes) -> Sequence[str]:
    return ()


FORMATS: Mapping[str, Format] = {
    "skops": Format("model.skops", False, _skops_dump, skops_file.load, skops_file.types),
    "onnx": Format("model.onnx", False, onnx_file.dump, onnx_file.load, onnx_file.types),
    "joblib": Format("model.joblib", True, _joblib_dump, _joblib_load, _joblib_types),
}
