"""Resolving the names of secrets to their values, at run time and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from runner.errors import HostError, InputError

FOLDER = "RUNNER_SECRETS_DIR"
"""Names a folder with one file for each secret, as container platforms mount them."""
_MOST_STAGES = 5
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def resolve(
    names: Iterable[str],
    environ: Mapping[str, str],
    folder: Path | None = None,
    *,
    needed_by: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """The values of secrets by name: from the environment, or else from the file of that name in the folder.

    One line end at the end of a file is not part of the value. An empty value counts as missing (it is what CI systems
    give for a secret that a run may not see). The folder is `RUNNER_SECRETS_DIR` if none is given.

    Raises InputError naming every secret that is missing, with the stages that `needed_by` has for it, or that has a
    name that no variable can have; HostError when a file of the folder cannot be read.
    """
    if folder is None and environ.get(FOLDER):
        folder = Path(environ[FOLDER])
    wanted = sorted(set(names))
    unusable = [name for name in wanted if not NAME.match(name)]
    if unusable:
        raise InputError(f"not the name of a secret: {', '.join(map(repr, unusable))}", "use letters, digits and _")
    values = {name: environ.get(name) or _from_folder(name, folder) for name in wanted}
    missing = [name for name, value in values.items() if not value]
    if missing:
        word = "secret is" if len(missing) == 1 else "secrets are"
        told = ", ".join(_with_stages(name, (needed_by or {}).get(name, ())) for name in missing)
        place = f"the folder {folder}" if folder else f"a folder that {FOLDER} names"
        raise InputError(
            f"{len(missing)} {word} missing: {told}",
            f"put each into the environment of the runner (`{missing[0]}=...`), or a file of its name into {place}",
        )
    return values


def _with_stages(name: str, stages: Sequence[str]) -> str:
    more = f" and {len(stages) - _MOST_STAGES} more" if len(stages) > _MOST_STAGES else ""
    return f"{name} (needed by {', '.join(stages[:_MOST_STAGES])}{more})" if stages else name


def _from_folder(name: str, folder: Path | None) -> str:
    if folder is None:
        return ""
    path = folder / name
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: the secret is not UTF-8 text", "encode it, in base64 for example") from error
    except OSError as error:
        raise HostError(f"{path}: {error.strerror}", "the runner must be able to read its secrets") from error
    if "\0" in text:
        raise InputError(f"{path}: the secret has a NUL byte", "encode it, in base64 for example")
    return text.removesuffix("\n").removesuffix("\r")
