"""The Project at a commit, remembered by tree: every command asks for the watched branch's, few for its stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
            return Project(**{**known, "owners": tuple(known["owners"])})
        except (TypeError, KeyError):
            pass  # a cache may hold anything; it is read again
    from runner.specs.desired import read_project  # imported late: start-up

    project = read_project(reader, commit, cache)
    cache.put(_NAMESPACE, tree, {name: getattr(project, name) for name in Project.__match_args__})
    return project
