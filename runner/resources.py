"""Where the files that are not code are found: schemas, templates and examples, in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path

from runner.errors import HostError, InputError

_PACKAGE = Path(__file__).parent


def schema_file(kind: str) -> Path:
    """The JSON Schema of a spec kind, such as `Pipeline`; the kind's case does not matter.

    Raises InputError if there is no such kind, naming those there are.
    """
    return _named(schemas_folder(), kind.lower(), ".schema.json", "kind")


def template_file(name: str) -> Path:
    """A Jinja2 template by its file name, such as `plan.md.j2`.

    Raises InputError if there is no such template, naming those there are.
    """
    return _named(templates_folder(), name, "", "template")


def schemas_folder() -> Path:
    """The folder of the JSON Schemas; raises HostError if the installation lost it."""
    return _folder("schemas")


def templates_folder() -> Path:
    """The folder of the templates; raises HostError if the installation lost it."""
    return _folder("templates")


def example_folder(name: str) -> Path:
    """The folder of an example that travels with the package; raises HostError if the installation lost it."""
    folder = _folder("examples") / name
    if not folder.is_dir():
        raise HostError(f"{_PACKAGE}: the example {name} is missing", "install gitops-runner again")
    return folder


def _folder(name: str) -> Path:
    # In a wheel the folder is inside the package; in a checkout it is beside it.
    for folder in (_PACKAGE / f"_{name}", _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise HostError(f"{_PACKAGE}: the folder of {name} is missing", "install gitops-runner again")


def _named(folder: Path, name: str, suffix: str, what: str) -> Path:
    names = sorted(file.name.removesuffix(suffix) for file in folder.iterdir() if file.name.endswith(suffix))
    # Only names that are listed are opened, so a name can never lead out of the folder.
    if name not in names:
        raise InputError(f"{name!r} is not a {what}", f"there are: {', '.join(names)}")
    return folder / f"{name}{suffix}"
