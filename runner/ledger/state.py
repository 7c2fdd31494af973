"""A recorded state: one commit of a state branch, answered through git objects."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from runner.core.digests import Member, md5_hex, parse_listing
from runner.core.nouns import Address
from runner.core.pretty import pretty_text
from runner.core.recorded import FRESH, Entry, Hit, Recorded, Verified
from runner.core.records import SCHEMA, BadRecord, Head, Record, parse_record
from runner.errors import Held, InputError, RunnerError
from runner.git.command import is_oid
from runner.ledger import layout
from runner.ledger.objects import Objects
from runner.ledger.standing import Row, Standing
from runner.ledger.verified import parse_verified_lines
from runner.values import dataclass

if TYPE_CHECKING:
    from runner.core.merkle import Frontier
    from runner.core.release_files import Files

_FILE_LIMIT_BYTES = 64 << 20
"""Of one file of a state; the runner writes none that is larger."""
_FIRST_RECORDS, _MOST_RECORDS = 200, 3200
"""How many records are asked for at first, and at most at a time."""
_STANDING = "stands"
_LOOKED_BACK = 4
"""So many commits before one may have what was remembered; more were made elsewhere."""


class Memo(Protocol):
    """A cache on disk that may be empty at any time."""

    def get(self, namespace: str, key: str) -> Any | None:
        """The value put under the key before, or None."""

    def put(self, namespace: str, key: str, value: Any, *, plain: bool = False) -> None:
        """Keep a JSON value; `plain` where it came out of JSON and is a list."""

    def get_lines(self, namespace: str, key: str) -> list[str] | None:
        """The lines of text put under the key before, or None."""

    def put_lines(self, namespace: str, key: str, lines: Sequence[str]) -> None:
        """Keep lines of text."""


Believes = Callable[[str, int, bytes], bool]
"""Whether a record's bytes may be believed, by the ref and the number under which they stand; may raise Held."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What `.runner/state.json` says."""

    desired: str
    """The newest desired commit that was recorded."""
    head: Head
    location: str = ""
    """Where the bytes of what stands are: the name of a DVC remote, or `this host`."""

    def as_bytes(self) -> bytes:
        """The bytes of the file."""
        facts = {"schema": SCHEMA, "desired": self.desired, "location": self.location}
        return pretty_bytes({**facts, "sequence": self.head.sequence, "digest": self.head.digest})


@dataclass(frozen=True, slots=True)
class End:
    """The end of a ledger, as far as the next record depends on it."""

    frontier: Frontier
    origin: str
    """Name of the ledger, as its checkpoint has it."""
    recorded_at: str
    """When the last record was appended."""


class State:
    """The recorded state at one commit; every answer is read once."""

    def __init__(
        self,
        reader: Objects,
        commit: str,
        *,
        ref: str = "",
        memo: Memo | None = None,
        believes: Believes | None = None,
    ) -> None:
        self._reader = reader
        self.commit = commit
        self.ref = ref
        """Name for people and for `adoptedFrom`; empty for the ledger at hand."""
        self.doubted: frozenset[Address] = frozenset()
        """Stages for which something stands that nobody who is trusted vouches for: it does not count."""
        self._memo = memo
        self._believes = believes
        root = reader.tree(commit).folder(layout.ROOT)
        if root is None:
            raise Held(
                f"{ref or commit[:12]} is not a state of the runner: it has no {layout.ROOT}/",
                "a state branch belongs to the runner alone; restore it, or name another one in `record.branch`",
            )
        self.root_tree = root
        self._standing: Standing | None = None
        self._shards: dict[str, dict[str, tuple[int, bool]]] = {}
        self._sealed_texts: dict[str, bytes] = {}
        self._hits: dict[str, Hit | None] = {}
        self._verified: dict[str, dict[str, Verified]] = {}
        self.summary = self._summary()

    def current(self, address: Address) -> Entry | None:
        """What stands for the stage now."""
        with self._believed("what stands"):
            return None if address in self.doubted else self.standing().get(address)

    def addresses(self) -> Iterable[Address]:
        """Every stage something stands for."""
        return self.standing().addresses()

    def entries(self) -> dict[Address, Entry]:
        """Everything that stands, by stage."""
        with self._believed("what stands"):
            return self.standing().entries()

    def standing(self) -> Standing:
        """The same, to be asked for one stage; raises Held where any of it is damaged."""
        if self._standing is None:
            with self._believed("what stands"):
                self._standing = self._read_standing()
        return self._standing

    def find(self, key: str) -> Hit | None:
        """The accepted run under this key, else the last failed one; None where it never ran."""
        if key not in self._hits:
            found = self.known(key)
            self._hits[key] = self._hit(key, *found) if found else None
        return self._hits[key]

    def find_here(self, key: str) -> Hit | None:
        """The same: there is no other ledger."""
        return self.find(key)

    def verified(self, key: str) -> Verified | None:
        """What verifications of this key came to."""
        return self.verified_shard(key).get(key)

    def verified_shard(self, key: str) -> dict[str, Verified]:
        """The same for all keys that share this one's first two digits."""
        path = layout.verified_path(key)
        if path not in self._verified:
            with self._believed(path):
                self._verified[path] = dict(parse_verified_lines((self._file(path) or b"").decode()))
        return self._verified[path]

    def verifications(self) -> dict[str, Verified]:
        """The same for every key that ever was verified, in one reading."""
        tree = self._reader.tree(self.root_tree)
        paths = tree.below(layout.VERIFIED.removeprefix(layout.ROOT + "/"))
        blobs = self._reader.blobs([tree.files[path].oid for path in paths], _FILE_LIMIT_BYTES)
        found: dict[str, Verified] = {}
        with self._believed(layout.VERIFIED):
            for path in paths:
                found |= parse_verified_lines(blobs[tree.files[path].oid].decode())
        return found

    def has_releases(self) -> bool:
        """Whether anything was ever released, or refused."""
        return self._reader.tree(self.root_tree).folder(layout.RELEASED.removeprefix(layout.ROOT + "/")) is not None

    def release_files(self, deployment: str, environment: str) -> Files:
        """What stands of a deployment in an environment, and what is remembered of it."""
        from runner.core.release_files import Files, live_from, memory_from  # imported late: few release anything

        paths = layout.release_path(deployment, environment), layout.released_path(deployment, environment)
        with self._believed(paths[0]):
            found = [None if (data := self._file(path)) is None else json.loads(data) for path in paths]
            memory_from(found[1]), live_from(found[0])
        return Files(*found)

    def released(self) -> list[tuple[str, str]]:
        """Deployment and environment of every release that stands, sorted."""
        return self._places(layout.RELEASES)

    def _places(self, folder: str) -> list[tuple[str, str]]:
        tree = self._reader.tree(self.root_tree)
        paths = tree.below(folder.removeprefix(layout.ROOT + "/"))
        blobs = self._reader.blobs([tree.files[path].oid for path in paths], _FILE_LIMIT_BYTES)
        with self._believed(folder):
            rows = [json.loads(blobs[tree.files[path].oid]) for path in paths]
            return sorted((str(row["deployment"]), str(row["environment"])) for row in rows)

    def deployed(self, deployment: str, environment: str) -> Mapping[str, Any] | None:
        """The last outcome of the command of an environment; None where none ever ended."""
        from runner.core.targets import deployed_from  # imported late: few deploy anything

        path = layout.deployed_path(deployment, environment)
        with self._believed(path):
            found: Any = None if (data := self._file(path)) is None else json.loads(data)
            deployed_from(found)
        return found  # type: ignore[no-any-return]

    def all_deployed(self) -> list[tuple[str, str]]:
        """Deployment and environment of every command that ever ended, sorted."""
        return self._places(layout.DEPLOYED)

    def listing(self, md5: str) -> tuple[Member, ...] | None:
        """Members of a folder whose listing the state keeps."""
        data = self.small(md5)
        if data is None:
            return None
        with self._believed(f"the listing {md5}"):
            return parse_listing(data)

    def small(self, md5: str) -> bytes | None:
        """Bytes the state keeps because a plan looks into them; raises Held where they are not what their name says."""
        data = self._file(layout.object_path(md5))
        if data is not None and md5_hex(data) != md5.removesuffix(".dir"):
            raise self._damaged(f"the object {md5}", "its bytes have another digest")
        return data

    def objects(self) -> list[str]:
        """Digests of the objects that the state keeps because a plan looks into them."""
        names = self._reader.tree(self.root_tree).below(layout.OBJECTS.removeprefix(layout.ROOT + "/"))
        return [name.rpartition("/")[2] for name in names]

    def known(self, key: str) -> tuple[int, bool] | None:
        """The record that counts for a key, and whether it succeeded."""
        return self.shard(key).get(key) or self.sealed(key)

    def shard(self, key: str) -> dict[str, tuple[int, bool]]:
        """Keys that share this one's first two digits, each with its record and whether that succeeded."""
        return self._index(layout.keys_path(key))

    def sealed_shard(self, key: str) -> dict[str, tuple[int, bool]]:
        """The same for records that are sealed."""
        return self._index(layout.sealed_keys_path(key))

    def sealed(self, key: str) -> tuple[int, bool] | None:
        """The sealed record that counts for a key, and whether it succeeded; without reading the other keys' lines,
        of which there are thousands after some years."""
        path = layout.sealed_keys_path(key)
        if path not in self._sealed_texts:
            self._sealed_texts[path] = b"\n" + (self._file(path) or b"")
        text = self._sealed_texts[path]
        place = text.rfind(f"\n{key} ".encode())
        if place < 0:
            return None
        with self._believed(path):
            return dict(parse_key_lines(text[place + 1 :].partition(b"\n")[0].decode()))[key]

    def _index(self, path: str) -> dict[str, tuple[int, bool]]:
        if path not in self._shards:
            with self._believed(path):
                self._shards[path] = dict(parse_key_lines((self._file(path) or b"").decode()))
        return self._shards[path]

    def record(self, sequence: int) -> Record | None:
        """The record with this sequence number; raises BadRecord where its bytes are not canonical."""
        data = self.record_bytes(sequence)
        return None if data is None else parse_record(data)

    def record_bytes(self, sequence: int) -> bytes | None:
        """The raw bytes of a record."""
        data = self._file(layout.record_path(sequence)) if sequence >= 0 else None
        if data is not None:
            return data
        with self._believed(f"record {sequence}"):
            for path in self.segments():
                first, last = layout.segment_range(path)
                if first <= sequence <= last:
                    return self._segment(path)[sequence - first]
        return None

    def record_range(self, first: int, last: int) -> list[bytes]:
        """The raw bytes of some records in a row; raises Held where one of them is missing."""
        names = {number: layout.record_path(number) for number in range(first, last + 1)}
        tree = self._reader.tree(self.commit)
        oids = {number: entry.oid for number, path in names.items() if (entry := tree.get(path)) is not None}
        blobs = self._reader.blobs(oids.values(), _FILE_LIMIT_BYTES)
        found = {number: blobs[oid] for number, oid in oids.items()}
        with self._believed(layout.SEALED):
            for path in self.segments() if len(found) < len(names) else []:
                begin, end = layout.segment_range(path)
                if begin <= last and first <= end:
                    found |= dict(enumerate(self._segment(path), begin))
            return [found[number] for number in names]

    def records_told(self, numbers: Sequence[int]) -> list[bytes]:
        """The records with these numbers that are files of their own, in this order, unread."""
        tree = self._reader.tree(self.commit)
        oids = [entry.oid for number in numbers if (entry := tree.get(layout.record_path(number))) is not None]
        blobs = self._reader.blobs(oids, _FILE_LIMIT_BYTES)
        return [blobs[oid] for oid in oids]

    def end(self) -> End:
        """The end of the ledger; raises Held where state, checkpoint, frontier and last record do not agree."""
        from runner.core.checkpoint import BadCheckpoint, parse_checkpoint  # imported late: only to append
        from runner.core.merkle import Frontier

        head = self.summary.head
        try:
            frontier = Frontier.parse((self._reader.file(self.commit, layout.FRONTIER) or b"").decode())
            checkpoint = parse_checkpoint(self._reader.file(self.commit, layout.CHECKPOINT) or b"")
            record = self.record(head.sequence)
        except (BadRecord, BadCheckpoint, ValueError) as error:
            raise self._not_ours(str(error)) from error
        sizes = {head.sequence, frontier.size, checkpoint.size, record.sequence if record else None}
        if record is None or len(sizes) != 1 or frontier.root() != checkpoint.root:
            raise self._not_ours("state, checkpoint and last record are of different ledgers")
        return End(frontier, checkpoint.origin, record.recorded_at)

    @functools.cached_property
    def is_signed(self) -> bool:
        """Whether the last record carries a signature; whether it is a good one, `runner audit verify` tells."""
        try:
            record = self.record(self.summary.head.sequence)
        except BadRecord:
            return False
        return record is not None and record.signed

    def _not_ours(self, why: str) -> Held:
        return Held(
            f"the ledger of {self.ref or self.commit[:12]} does not end as the runner left it: {why}",
            "`runner audit verify` says what is wrong; reset the branch to its last good commit",
        )

    def record_files(self) -> list[int]:
        """Numbers of the records that are files of their own, sorted."""
        tree = self._reader.tree(self.root_tree)
        names = tree.below(layout.RECORDS.removeprefix(layout.ROOT + "/"))
        with self._believed(layout.RECORDS):
            return [int(name.rpartition("/")[2].removesuffix(".json")) for name in names]

    def segments(self) -> list[str]:
        """Paths of the segments of sealed records, the oldest first."""
        tree = self._reader.tree(self.root_tree)
        return [f"{layout.ROOT}/{name}" for name in tree.below(layout.SEALED.removeprefix(layout.ROOT + "/"))]

    def _segment(self, path: str) -> list[bytes]:
        data = self._file(path) or b""
        return [line + b"\n" for line in data.split(b"\n")[:-1]]

    def records(self) -> Iterator[Record]:
        """Records of the ledger, the newest first; few are read as long as few are asked for."""
        tree = self._reader.tree(self.root_tree)
        paths = tree.below(layout.RECORDS.removeprefix(layout.ROOT + "/"))[::-1]
        begin, size = 0, _FIRST_RECORDS
        while batch := paths[begin : begin + size]:
            blobs = self._reader.blobs([tree.files[path].oid for path in batch], _FILE_LIMIT_BYTES)
            for path in batch:
                yield parse_record(blobs[tree.files[path].oid])
            begin, size = begin + size, min(4 * size, _MOST_RECORDS)
        for segment in reversed(self.segments()):
            yield from map(parse_record, reversed(self._segment(segment)))

    def shares_record(self, other: State, sequence: int) -> bool:
        """Whether both ledgers have the same record under a number, as a file of its own."""
        path = layout.record_path(sequence)
        one, two = (self._reader.tree(state.commit).get(path) for state in (self, other))
        return one is not None and two is not None and one.oid == two.oid

    def records_beyond(self, other: State) -> Iterator[Record]:
        """Records, the newest first; of a ledger that began as a copy of another one only what it has beyond that."""
        tree, theirs = self._reader.tree(self.root_tree), self._reader.tree(other.root_tree).files
        paths = tree.below(layout.RECORDS.removeprefix(layout.ROOT + "/"))[::-1]
        own = [path for path in paths if path not in theirs or theirs[path].oid != tree.files[path].oid]
        if len(own) == len(paths):  # it is no copy, or one of long ago
            yield from self.records()
            return
        blobs = self._reader.blobs([tree.files[path].oid for path in own], _FILE_LIMIT_BYTES)
        for path in own:
            yield parse_record(blobs[tree.files[path].oid])

    def _summary(self) -> Summary:
        try:
            row = json.loads(self._file(layout.STATE) or b"")
            schema = row["schema"]
            if schema > SCHEMA:
                raise InputError(
                    f"the state at {self.commit[:12]} has schema {schema}, this runner knows {SCHEMA}",
                    "update the runner; an older one never writes to a newer state",
                )
            summary = Summary(row["desired"], Head(row["sequence"], row["digest"]), row.get("location", ""))
            if not is_oid(summary.desired) or not _is_head(summary.head) or not isinstance(summary.location, str):
                raise ValueError("a value is none that the runner writes")
            return summary
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Held(
                f"{layout.STATE} of {self.commit[:12]} cannot be read: {str(error)[:200]}",
                "somebody else wrote to the state branch; reset it to the last commit of the runner",
            ) from error

    def _read_standing(self) -> Standing:
        folder = self._reader.tree(self.commit).folder(layout.RECORDED)
        if folder is None:
            return Standing(())
        remembered = self._remembered(folder)
        if remembered is not None:
            return remembered
        oids = [entry.oid for entry in self._reader.tree(folder).files.values()]
        known = self._rows_before()
        blobs = self._reader.blobs([oid for oid in oids if oid not in known], _FILE_LIMIT_BYTES)
        standing = Standing.of([known[oid] if oid in known else blobs[oid] for oid in oids])
        if self._memo:
            self._memo.put_lines(_STANDING, folder, standing.lines())
        return standing

    def _remembered(self, folder: str) -> Standing | None:
        lines = self._memo.get_lines(_STANDING, folder) if self._memo else None
        return None if lines is None else Standing.from_lines(lines)

    def _rows_before(self) -> dict[str, Row]:
        """What stood at the newest commit before this one that is remembered, by the ids of its files: most of it still
        stands."""
        commit = self.commit
        for _ in range(_LOOKED_BACK if self._memo else 0):
            try:
                commit = next(iter(self._reader.commit(commit).parents))
                folder = self._reader.tree(commit).folder(layout.RECORDED)
                before = self._remembered(folder) if folder is not None else None
                files = self._reader.tree(folder).files if folder is not None and before is not None else {}
            except (StopIteration, RunnerError):
                break  # the first one, or a clone that does not go back so far
            if before is not None and len(before.rows) == len(files):
                return {entry.oid: row for entry, row in zip(files.values(), before.rows, strict=True)}
        return {}

    def _file(self, path: str) -> bytes | None:
        return self._reader.file(self.commit, path, _FILE_LIMIT_BYTES)

    @contextlib.contextmanager
    def _believed(self, what: str) -> Iterator[None]:
        """Around the reading of what only the runner writes: where it is something else, a person has to look."""
        try:
            yield
        except (ValueError, KeyError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise self._damaged(what, str(error)[:200]) from error

    def _damaged(self, what: str, why: str) -> Held:
        return Held(
            f"{what} of {self.ref or self.commit[:12]} is damaged: {why}",
            "compare the state branch with a clone that is known to be good",
        )

    def _hit(self, key: str, sequence: int, succeeded: bool) -> Hit | None:
        with self._believed(f"record {sequence}"):
            data = self.record_bytes(sequence)
            run = parse_record(data).run if data is not None else None
        if data is None or run is None or run.key != key:
            return None
        if self._believes is not None and not self._believes(self.ref, sequence, data):
            return None
        return Hit(
            key=key,
            succeeded=succeeded,
            ref=self.ref,
            record=sequence,
            address=run.address,
            outs=run.outs,
            provenance=run.provenance,
            material=run.material,
            inputs=run.inputs,
            why="" if succeeded else f"failed before: {run.message} (record {sequence})",
            took=run.took(FRESH if self.ref else sequence),
        )


class Nothing:
    """The recorded state before the first reconcile."""

    def current(self, address: Address) -> Entry | None:
        """Nothing stands."""
        return None

    def addresses(self) -> Iterable[Address]:
        """No stages."""
        return ()

    def find(self, key: str) -> Hit | None:
        """Nothing ran."""
        return None

    def find_here(self, key: str) -> Hit | None:
        """Nothing ran."""
        return None

    def verified(self, key: str) -> Verified | None:
        """Nothing was verified."""
        return None

    def listing(self, md5: str) -> tuple[Member, ...] | None:
        """Nothing is kept."""
        return None

    def small(self, md5: str) -> bytes | None:
        """Nothing is kept."""
        return None


class Chain:
    """One state that is at hand, others whose runs may be taken over, and a cache that may know bytes."""

    def __init__(
        self, own: Recorded, others: Sequence[Recorded], object_bytes: Callable[[str], bytes | None] | None = None
    ) -> None:
        self.own = own
        self.others = others
        self._object_bytes = object_bytes

    def current(self, address: Address) -> Entry | None:
        """What stands in the state at hand."""
        return self.own.current(address)

    def addresses(self) -> Iterable[Address]:
        """The stages of the state at hand."""
        return self.own.addresses()

    def find(self, key: str) -> Hit | None:
        """A success at hand, a success elsewhere, a failure at hand; failures elsewhere do not count."""
        own = self.own.find(key)
        if own is not None and own.succeeded:
            return own
        for other in self.others:
            try:
                hit = other.find(key)
            except Held:
                continue  # it could only be taken over; where it cannot be read there is nothing to take
            if hit is not None and hit.succeeded:
                return hit
        return own

    def find_here(self, key: str) -> Hit | None:
        """What is at hand, and nothing that ran elsewhere."""
        return self.own.find(key)

    def verified(self, key: str) -> Verified | None:
        """What is known at hand; a mark from elsewhere counts as well, for a proposal began before it was found."""
        own = self.own.verified(key)
        if own is not None and own.is_marked:
            return own
        for other in self.others:
            try:
                found = other.verified(key)
            except Held:
                continue  # where it cannot be read nothing is taken over from it either
            if found is not None and (found.is_marked or own is None):
                return found
        return own

    def listing(self, md5: str) -> tuple[Member, ...] | None:
        """Members of a folder, from wherever they are known."""
        data = self.small(md5)
        try:
            return None if data is None else parse_listing(data)
        except ValueError:
            return None  # the bytes have this digest, and yet are no listing: what is inside cannot be known

    def small(self, md5: str) -> bytes | None:
        """Small bytes, from wherever they are known."""
        for state in (self.own, *self.others):
            try:
                data = state.small(md5)
            except Held:
                if state is self.own:
                    raise
                continue
            if data is not None:
                return data
        return self._object_bytes(md5) if self._object_bytes else None


def _is_head(head: Head) -> bool:
    is_digest = head.digest is None or isinstance(head.digest, str)
    return type(head.sequence) is int and 0 <= head.sequence < 10**12 and is_digest


def pretty_bytes(value: Any) -> bytes:
    """The one form of a JSON file below `.runner/` that people may read, too."""
    return (pretty_text(value) + "\n").encode("utf-8", "surrogatepass")


def parse_key_lines(text: str) -> Iterator[tuple[str, tuple[int, bool]]]:
    """The lines of one file of the key index; raises ValueError where one is none."""
    for line in text.splitlines():
        key, sequence, outcome = line.split(" ")
        yield key, (int(sequence), outcome == "ok")


def key_lines(rows: dict[str, tuple[int, bool]]) -> bytes:
    """The bytes of one file of the key index."""
    return "".join(f"{key} {seq} {'ok' if ok else 'failed'}\n" for key, (seq, ok) in sorted(rows.items())).encode()
