"""What is recorded: what stands for each stage now, what ever ran under which key, and how to ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from runner.core.digests import Member
from runner.core.nouns import Address
from runner.values import dataclass, field

SMALL_BYTES = 1 << 20
"""Largest uncached output, and largest file that is kept because a plan looks into it (DESIGN §4)."""

MOST_TIMES = 5
"""Earlier runs of a stage whose times are kept beside what stands, the newest."""
FRESH = -1
"""Record number of a run that has none yet."""

RUNNER = "runner"
"""Provenance of results that the runner made itself; anything else is evidence by others."""


@dataclass(frozen=True, slots=True)
class OutFact:
    """One output as a run left it."""

    path: str
    md5: str
    """DVC's digest, `.dir` at the end for a folder."""
    size_bytes: int | None = None
    nfiles: int | None = None
    isexec: bool = False
    cached: bool = True
    """False: its bytes are in git, on the state branch."""
    git_id: str | None = None
    """Blob or tree id of the bytes on the state branch, where `cached` is false."""
    legacy: bool = False
    push: bool = True
    """False: its bytes never go to a DVC remote."""
    remote: str | None = None
    """The DVC remote its bytes go to; None means the default one."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON without what is at its default."""
        row: dict[str, Any] = {"path": self.path, "md5": self.md5}
        row |= {"size": self.size_bytes} if self.size_bytes is not None else {}
        row |= {"nfiles": self.nfiles} if self.nfiles is not None else {}
        row |= {"isexec": True} if self.isexec else {}
        row |= {"cache": False} if not self.cached else {}
        row |= {"git": self.git_id} if self.git_id else {}
        row |= {"legacy": True} if self.legacy else {}
        row |= {"push": False} if not self.push else {}
        row |= {"remote": self.remote} if self.remote else {}
        return row

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> OutFact:
        """The inverse of `as_json`; raises ValueError for what it never gives."""
        path, md5 = row["path"], row["md5"]
        if not (isinstance(path, str) and isinstance(md5, str)) or "/" in md5:
            raise ValueError(f"not an output: {path!r:.100}")
        size, nfiles = row.get("size"), row.get("nfiles")
        if not ((size is None or type(size) is int) and (nfiles is None or type(nfiles) is int)):
            raise ValueError(f"not the size of an output: {path!r:.100}")
        return OutFact(
            path=path,
            md5=md5,
            size_bytes=size,
            nfiles=nfiles,
            isexec=row.get("isexec", False),
            cached=row.get("cache", True),
            git_id=row.get("git"),
            legacy=row.get("legacy", False),
            push=row.get("push", True),
            remote=row.get("remote"),
        )


InputSizes = Mapping[str, Mapping[str, Any]]
"""Path of an input to its `size` in bytes, `nfiles` and `isexec`, as far as they are known; for `dvc.lock` alone.

Of one that counts by what it says also the `md5` of its bytes, which the material does not hold.
"""


class Took(NamedTuple):
    """What a run of a stage took, for estimates: nothing is decided by it."""

    record: int
    """Number of the record that states it."""
    seconds: float
    host: str
    """Class of the host, as `host_class` names it."""

    @staticmethod
    def from_json(row: Any) -> Took:
        """One from plain JSON; raises ValueError for what is none."""
        record, seconds, host = row
        is_time = type(seconds) in (int, float) and 0 <= seconds < MOST_SECONDS
        if not (type(record) is int and is_time and isinstance(host, str)):
            raise ValueError("not what a run took")
        return Took(record, seconds, host)


MOST_SECONDS = 1e9
"""Seconds that no run takes."""


def times_with(took: Took | None, before: Iterable[Took]) -> tuple[Took, ...]:
    """The times of a stage's runs once one more counts, the newest first."""
    if took is None:
        return tuple(before)
    others = [row for row in before if row.record != took.record]
    return tuple(sorted([took, *others], key=_age)[:MOST_TIMES])


def _age(took: Took) -> tuple[bool, int]:
    return took.record != FRESH, -took.record


@dataclass(frozen=True, slots=True)
class Entry:
    """The accepted result that stands for a stage: what `dvc.lock` says, and why we believe it."""

    address: Address
    key: str
    provenance: str
    """`runner`, `dvc.lock@<commit>` or `run-cache`."""
    material: Mapping[str, Any]
    """What entered the key, as `Material.as_json` gives it."""
    outs: tuple[OutFact, ...]
    record: int | None = None
    """Sequence number of the run record on this ledger; None for evidence."""
    adopted_from: str | None = None
    """`<ref>@<sequence>` where the result was recorded first, when it came from another ref."""
    inputs: InputSizes = field(default_factory=dict)
    """As the run found them."""
    forms: InputSizes = field(default_factory=dict)
    """Those inputs that say the same as when it ran, and have other bytes since."""
    times: tuple[Took, ...] = ()
    """What the newest runs of the stage took, the newest first."""

    @property
    def sizes(self) -> InputSizes:
        """The inputs as they are written now."""
        return {**self.inputs, **self.forms} if self.forms else self.inputs

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; the address is in the file's name and repeated inside."""
        row: dict[str, Any] = {
            "pipeline": self.address.pipeline,
            "stage": self.address.stage,
            "key": self.key,
            "provenance": self.provenance,
            "record": self.record,
            "material": self.material,
            "outs": [out.as_json() for out in self.outs],
        }
        row |= {"inputs": {path: dict(sizes) for path, sizes in self.inputs.items()}} if self.inputs else {}
        row |= {"forms": {path: dict(sizes) for path, sizes in self.forms.items()}} if self.forms else {}
        row |= {"times": [list(took) for took in self.times]} if self.times else {}
        return row | ({"adoptedFrom": self.adopted_from} if self.adopted_from else {})

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Entry:
        """The inverse of `as_json`; raises ValueError for what it never gives."""
        texts = (row["pipeline"], row["stage"], row["key"], row["provenance"], row.get("adoptedFrom") or "")
        record, inputs, forms = row.get("record"), row.get("inputs", {}), row.get("forms", {})
        is_sized = _are_sizes(inputs) and _are_sizes(forms)
        is_whole = (record is None or type(record) is int) and type(row["outs"]) is list
        if not (_all_are(texts, str) and is_sized and is_whole):
            raise ValueError("not what stands for a stage")
        if not isinstance(row["material"], dict):
            raise ValueError("not the material of a run")
        return Entry(
            address=Address(row["pipeline"], row["stage"]),
            key=row["key"],
            provenance=row["provenance"],
            material=row["material"],
            outs=tuple([OutFact.from_json(out) for out in row["outs"]]),
            record=record,
            adopted_from=row.get("adoptedFrom"),
            inputs=inputs,
            forms=forms,
            times=tuple([Took.from_json(took) for took in row.get("times", ())]),
        )


def _are_sizes(value: Any) -> bool:
    return type(value) is dict and _all_are(value.values(), dict)


def _all_are(values: Iterable[Any], kind: type) -> bool:
    return {kind}.issuperset(map(type, values))  # they come from JSON; this is asked of every stage of every plan


@dataclass(frozen=True, slots=True)
class Hit:
    """A run found by its key."""

    key: str
    succeeded: bool
    ref: str
    """Ref whose ledger holds the record; empty for the ledger at hand."""
    record: int
    address: Address
    """The stage it ran as."""
    outs: tuple[OutFact, ...] = ()
    provenance: str = RUNNER
    material: Mapping[str, Any] = field(default_factory=dict)
    inputs: InputSizes = field(default_factory=dict)
    why: str = ""
    """For a failure: how it failed, for people."""
    took: Took | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """What verifications of a run key came to."""

    newest: int
    """Number of the newest record of one."""
    differed: int | None = None
    """Number of the newest record of one that found other bytes; None while none did."""

    @property
    def is_marked(self) -> bool:
        """Whether the key is known not to determine its result."""
        return self.differed is not None


class Recorded(Protocol):
    """Questions to the recorded state; every answer comes from immutable git objects."""

    def current(self, address: Address) -> Entry | None:
        """What stands for the stage now."""

    def addresses(self) -> Iterable[Address]:
        """Every stage something stands for."""

    def find(self, key: str) -> Hit | None:
        """The best run under this key: a success before a failure, our own ledger before others."""

    def find_here(self, key: str) -> Hit | None:
        """The same in our own ledger alone."""

    def verified(self, key: str) -> Verified | None:
        """What verifications of this key came to, wherever they were recorded; None where it never was verified."""

    def listing(self, md5: str) -> tuple[Member, ...] | None:
        """Members of a recorded folder, where the state kept them or the cache has them."""

    def small(self, md5: str) -> bytes | None:
        """Bytes of a small recorded file, where the state kept them or the cache has them."""


class Inputs(Protocol):
    """Questions to the desired commit; every answer comes from immutable git objects."""

    def file_digest(self, path: str) -> str | None:
        """MD5 of a file in git; None where there is none."""

    def folder(self, path: str) -> tuple[Member, ...] | None:
        """Members of a folder in git as DVC would list them; None where there is none."""

    def folder_digest(self, path: str) -> str | None:
        """Digest of the same, remembered by tree id; None where there is none."""

    def params(self, file: str) -> Mapping[str, Any] | None:
        """The parsed parameter file; None where there is none."""

    def parse_params(self, file: str, data: bytes) -> Mapping[str, Any]:
        """Parse bytes that a stage made as the parameter file of this name."""

    def lookup(self, params: Mapping[str, Any], key: str) -> tuple[bool, Any]:
        """Whether the dotted key is there, and its value."""

    def environment_digest(self, stage_lock: str, python: str | None) -> str | None:
        """Digest of a declared environment; None where the lock file is missing."""

    def meaning(self, path: str, kind: str) -> tuple[str, int] | None:
        """The digest of what a file in git says as `code` or `notebook`, and its size in bytes.

        None where it counts by its bytes all the same: it cannot be read as that, or there is none.
        """

    def is_executable(self, path: str) -> bool:
        """Whether a file in git may be executed."""

    def is_ignored(self, path: str) -> bool:
        """Whether DVC leaves a file out of the folders it lists."""

    def ignored_in(self, out: str) -> Callable[[str, bool], bool] | None:
        """What DVC leaves out of an output that is a folder: asked with a path below it, and whether that is a folder.

        None where no `.dvcignore` can leave anything out, so that DVC's built-in rules alone count.
        """

    def probe(self, path: str) -> str | None:
        """Digest of an input outside the repository; None where nobody has looked yet."""

    def learn(self, path: str, digest: str) -> None:
        """Somebody looked at an input outside the repository and found this digest."""
