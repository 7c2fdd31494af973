"""Tags of releases, in the grammar of gto: `NAME@vN.0.0` registers a version, `NAME#ENVIRONMENT#N` puts one there.

A version is registered where its model was first released: at the commit of the state branch whose `dvc.lock` has it.
What is served somewhere is a tag at the commit of the version it is of, since that is how gto tells which one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.core.release_files import RELEASE
from runner.values import dataclass


@dataclass(frozen=True, slots=True)
class Stated:
    """What the record of a release says that tags rest on."""

    deployment: str
    environment: str
    version: int
    record: int
    event: str
    md5: str
    is_own: bool
    """Whether the model was made for the commit that it was released at: the state has its files."""
    at: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tag:
    """An annotated tag that should be there."""

    name: str
    record: int
    """It is at the state commit that has this record as its newest release."""
    message: str
    at: str
    """When it was released, which makes the same tag on every host."""


def tags_of(first: str, rows: Sequence[Stated]) -> list[Tag]:
    """The tags of the releases of one deployment; `first` is the environment in which its versions are registered."""
    found: list[Tag] = []
    registered: dict[str, Stated] = {}
    for row in sorted(rows, key=lambda one: one.record):
        if row.environment == first and row.event == RELEASE and row.is_own:
            registered[row.md5] = row
            name = f"{row.deployment}@v{row.version}.0.0"
            found.append(Tag(name, row.record, f"{row.deployment} v{row.version}: {row.reason}", row.at))
        origin = registered.get(row.md5)
        if origin is not None:
            name = f"{row.deployment}#{row.environment}#{row.version}"
            what = f"{row.environment} v{row.version} serves the model of v{origin.version}: {row.reason}"
            found.append(Tag(name, origin.record, what, row.at))
    return found


def missing(wanted: Mapping[str, str], listed: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Tags (name to commit) that a remote lacks, and those that somebody else has put elsewhere, by `git ls-remote`."""
    place = "refs/tags/"
    there = {name.removeprefix(place): oid for name, oid in listed.items() if name.startswith(place)}
    apart = [name for name, oid in wanted.items() if name in there and there.get(f"{name}^{{}}", there[name]) != oid]
    return {name: oid for name, oid in wanted.items() if name not in there}, apart
