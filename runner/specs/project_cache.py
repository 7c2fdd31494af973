"""The Project at a commit, remembered by tree: every command asks for the watched branch's, few for its stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runner.core.nouns import Project
from runner.specs.parse_cache import ParseCache

if TYPE_CHECKING:
    from runner.git.read import Reader

_NAMESPACE = "project"


def project_at(reader: Reader, commit: str, cache: ParseCache) -> Project:
    """What `runner.specs.desired.read_project` reads, from the cache where it was read before; raises SpecError."""
    tree = reader.tree(commit).oid
    known = cache.get(_NAMESPACE, tree)
    if isinstance(known, dict):
        try:
            return _project(known)
        except (TypeError, KeyError, ValueError):
            pass  # a cache may hold anything; it is read again
    from runner.specs.desired import read_project  # imported late: start-up

    project = read_project(reader, commit, cache)
    row = {name: getattr(project, name) for name in Project.__match_args__}
    cache.put(_NAMESPACE, tree, row | {"purpose": project.purpose and project.purpose.as_json()})
    return project


def _project(known: dict[str, Any]) -> Project:
    if known["purpose"] is None:
        return Project(**known)
    from runner.core.purpose import Purpose  # imported late: start-up, and few declare one

    return Project(**known | {"purpose": Purpose.from_json(known["purpose"])})
