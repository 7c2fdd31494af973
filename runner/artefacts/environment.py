"""The versions of the packages that a model needs to be loaded, as pins that pip reads."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata

_ALWAYS = ("joblib", "numpy", "pandas", "scikit-learn", "scipy", "skops", "threadpoolctl")
_OURS = "runner"
_KNOWN = {
    "sklearn": "scikit-learn",
    "numpy": "numpy",
    "scipy": "scipy",
    "pandas": "pandas",
    "builtins": "",
    "operator": "",
}


def environment_of(types: Iterable[str]) -> bytes:
    """Pins of what types (by their full names) come from, and of what loads them; the Python stands in a comment.

    A module that belongs to no installed package, such as one of the repository, has a comment, too.
    """
    modules = {name.partition(".")[0] for name in types} - {_OURS}
    unknown = sorted(modules - _KNOWN.keys())
    owners = metadata.packages_distributions() if unknown else {}
    packages = {*_ALWAYS, *(_KNOWN[module] for module in modules & _KNOWN.keys())} - {""}
    packages |= {owner for module in unknown for owner in owners.get(module, ())}
    lines = [f"# Python {platform.python_version()}"]
    lines += [
        f"# the module {module} is in no package: it comes with the project"
        for module in unknown
        if not owners.get(module)
    ]
    lines += [f"{name}=={version}" for name in sorted(packages) if (version := _version(name))]
    return "".join(f"{line}\n" for line in lines).encode()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None  # an optional part of a library that is not installed: nothing to pin
