"""What a run wrote where it should not, in words for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.core.nouns import Stage

_SHOWN = 3


def stray_words(stage: Stage, undeclared: Iterable[str]) -> list[str]:
    """A sentence about the inputs that a run changed, and one about all else that it does not declare.

    `undeclared` as in Outcome: a removed path stands there like a written one, a folder with a slash at its end.
    """
    inputs = {*stage.deps, *(param.file for param in stage.params)}
    touched: list[str] = []
    others: list[str] = []
    for path in undeclared:
        (touched if _is_of(path, inputs) else others).append(path)
    said = []
    if touched:
        listed = _listed(touched)
        said.append(
            f"wrote to {listed}, an input; undone" if len(touched) == 1 else f"wrote to {listed}, inputs; undone"
        )
    if others:
        said.append(f"wrote {_listed(others)}, which it does not declare; dropped")
    return said


def _is_of(path: str, inputs: Iterable[str]) -> bool:
    plain = path.rstrip("/")
    return any(plain == name or plain.startswith(f"{name}/") or name.startswith(f"{plain}/") for name in inputs)


def _listed(paths: Sequence[str]) -> str:
    more = len(paths) - _SHOWN
    return ", ".join(paths[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
