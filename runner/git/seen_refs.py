"""Refs as one command sees them: asked for once, in as few processes as may be, and the same until it ends."""

from __future__ import annotations

from collections.abc import Mapping

from runner.git.read import Reader


class SeenRefs:
    """The refs of a repository; what `soon` names is asked for along with the first question.

    `known` are refs that were asked for just now, all there are below these folders.
    """

    def __init__(
        self, reader: Reader, soon: tuple[str, ...] = (), known: tuple[Mapping[str, str], tuple[str, ...]] = ({}, ())
    ) -> None:
        self._reader = reader
        self._soon = soon
        self._known = dict(known[0])
        self._asked = {prefix.rstrip("/") for prefix in known[1]}

    def refs(self, *prefixes: str) -> dict[str, str]:
        """As `Reader.refs`: refs below folders (`refs/heads/`) or of exactly these names."""
        wanted = [prefix.rstrip("/") for prefix in prefixes]
        missing = [prefix for prefix in wanted if not any(_covers(known, prefix) for known in self._asked)]
        if missing:
            asked = dict.fromkeys([*missing, *(prefix.rstrip("/") for prefix in self._soon)])
            self._known |= self._reader.refs(*asked)
            self._asked |= asked.keys()
            self._soon = ()
        return {name: oid for name, oid in self._known.items() if any(_covers(prefix, name) for prefix in wanted)}

    def ref(self, full_name: str) -> str | None:
        """What a ref points at; None when it does not exist."""
        return self.refs(full_name).get(full_name)


def _covers(prefix: str, name: str) -> bool:
    return name == prefix or name.startswith(prefix + "/")
