"""The first `runner.yaml` of a repository: the fewest lines that adopt what is there, or a template to start from."""

from __future__ import annotations

from collections.abc import Iterable

from runner.specs.layout import PROJECT_FILE

_SINGLE_LINES = 5
"""More `dvc.yaml` files than this are adopted by a glob."""

_TEMPLATE = """\
# A pipeline: stages in DVC's grammar, run by the runner when something they read has changed.
# Remove the leading # of the example, put in your own commands and commit the file.
apiVersion: runner/v1
kind: Project
# ---
# apiVersion: runner/v1
# kind: Pipeline
# metadata: {name: train}
# spec:
#   stages:
#     prepare:
#       cmd: python src/prepare.py
#       deps: [src/prepare.py, data/raw.csv]
#       outs: [data/train.csv]
#     train:
#       cmd: python src/train.py
#       deps: [src/train.py, data/train.csv]
#       params: [train]               # keys of params.yaml
#       outs: [models/model.pkl]
#       metrics: [{metrics.json: {cache: false}}]
#       resources: {cpu: 1, memory: 1Gi}
#       timeout: 1h
"""


def initial_specs(tree_paths: Iterable[str]) -> str:
    """Text of a `runner.yaml` that adopts every `dvc.yaml` among the paths; a commented template where there is none.

    Sub-projects of DVC (folders with a `.dvc` of their own) are left alone.
    """
    paths = sorted(set(tree_paths))
    found = [path for path in paths if path.rpartition("/")[2] == "dvc.yaml" and not _is_foreign(path, paths)]
    if not found:
        return _TEMPLATE
    globs = found if len(found) <= _SINGLE_LINES else ["**/dvc.yaml"]
    lines = "".join(f"  - {_quoted(glob)}\n" for glob in globs)
    return f"apiVersion: runner/v1\nkind: Project\nspec:\n  specs:\n{lines}"


def has_specs(tree_paths: Iterable[str]) -> bool:
    """Whether the repository has a `runner.yaml` already."""
    return PROJECT_FILE in set(tree_paths)


def _is_foreign(path: str, paths: list[str]) -> bool:
    """Whether a `dvc.yaml` belongs to a project below another, or to the runner's or DVC's own folders."""
    parts = path.split("/")[:-1]
    if ".runner" in parts or ".dvc" in parts:
        return True
    roots = {found.split("/.dvc/")[0] for found in paths if "/.dvc/" in found}
    has_main = any(found.startswith(".dvc/") for found in paths)
    outermost = {root for root in roots if not any(root.startswith(other + "/") for other in roots)}
    foreign = roots if has_main else roots - outermost if len(outermost) == 1 else set()
    return any(path.startswith(root + "/") for root in foreign)


def _quoted(glob: str) -> str:
    plain = all(character.isalnum() or character in "/._-" for character in glob) and glob[0] not in "-."
    escaped = glob.replace("'", "''")
    return glob if plain else f"'{escaped}'"
