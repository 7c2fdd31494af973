"""What lies below `.runner/` at one commit: record files and segments, checkpoint, index, and what stands.

Everything is held against what the records say, byte for byte wherever the bytes follow from them. Works on a mapping
of paths to bytes, wherever that comes from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from runner.audit.chain import Chain, Examiner, check_checkpoint
from runner.audit.findings import Breach, Breakage
from runner.audit.releases import release_breaks
from runner.core.checkpoint import BadCheckpoint, parse_checkpoint
from runner.core.digests import md5_hex
from runner.core.nouns import Address
from runner.core.predicates import ENDING, RECONCILE, RUN, VERIFICATION
from runner.core.recorded import Entry, Took, Verified
from runner.core.records import BadRecord, Head, Record, RunFacts, parse_record
from runner.core.verification import verified_after
from runner.ledger import layout
from runner.ledger.state import Summary, key_lines, parse_key_lines, pretty_bytes
from runner.ledger.verified import parse_verified_lines, verified_lines
from runner.values import dataclass

Files = Mapping[str, bytes]
"""Path to the bytes of every file below `.runner/` that an audit reads."""

SEGMENT = re.compile(re.escape(layout.SEALED) + r"/([0-9]{9})-([0-9]{9})\.jsonl")
READ = (
    layout.STATE,
    layout.CHECKPOINT,
    layout.FRONTIER,
    layout.RECORDS,
    layout.SEALED,
    layout.KEYS,
    layout.SEALED_KEYS,
    layout.VERIFIED,
    layout.RECORDED,
    layout.OBJECTS,
    layout.RELEASES,
    layout.RELEASED,
    layout.DEPLOYED,
)
"""Files and folders that an audit reads."""


def records_in(files: Files) -> tuple[list[bytes], list[Breakage]]:
    """The bytes of all records in order, segments before files, as far as none is missing."""
    found: list[Breakage] = []
    records: list[bytes] = []
    for path in sorted(files):
        if not path.startswith((layout.RECORDS + "/", layout.SEALED + "/")):
            continue
        match = SEGMENT.fullmatch(path)
        if match is None:
            continue
        lines = [line + b"\n" for line in files[path].split(b"\n")]
        tail = lines.pop()
        first, last = int(match[1]), int(match[2])
        if tail != b"\n" or first != len(records) + 1 or last - first + 1 != len(lines):
            found.append(Breakage(Breach.ROLLBACK, path, "does not hold the records that its name says"))
        records += lines
    sealed = len(records)
    numbers: dict[int, str] = {}
    for path in files:
        if path.startswith((layout.RECORDS + "/", layout.SEALED + "/")) and SEGMENT.fullmatch(path) is None:
            number = layout.record_number(path)
            if number is None:
                found.append(Breakage(Breach.ROLLBACK, path, "is no file that the runner writes"))
            else:
                numbers[number] = path
    for number in sorted(numbers):
        if number != len(records) + 1:
            what = f"record {len(records) + 1} is missing" if number > sealed else "this record is sealed already"
            found.append(Breakage(Breach.ROLLBACK, numbers[number], what))
        records.append(files[numbers[number]])
    return records, found


@dataclass(frozen=True, slots=True)
class Before:
    """What was verified before, where a chain does not begin with the first record."""

    records: Sequence[bytes]
    """All records, whose bytes were found to be those that were verified."""
    files: Files
    """The index and what stands, as they were at the last state commit that was verified."""

    @property
    def sealed(self) -> int:
        """How many records were in segments."""
        return max((layout.segment_range(path)[1] for path in self.files if SEGMENT.fullmatch(path)), default=0)

    def record(self, number: int) -> Record | None:
        """One record; None where it is none."""
        try:
            return parse_record(self.records[number - 1]) if 0 < number <= len(self.records) else None
        except BadRecord:
            return None


def check_tip(files: Files, chain: Chain, examiner: Examiner, before: Before | None = None) -> list[Breakage]:
    """Hold everything beside the records against them; with `before` what changed since."""
    return [
        *_end_breaks(files, chain, examiner, before),
        *key_breaks(files, chain, before),
        *_verified_breaks(files, chain, before),
        *release_breaks(files, chain, before),
        *standing_breaks(files, chain, before),
        *object_breaks(files),
    ]


def summary_after(chain: Chain, size: int, before: Before | None = None) -> Summary | None:
    """What `state.json` says after the first `size` records; None where the last of them ends no commit."""
    end = chain.at(size)
    last = end.valid if end is not None else None
    if end is None or last is None or last.kind not in ENDING:
        return None
    desired = location = None
    for number in range(size, 0, -1):
        examined = chain.at(number)
        record = examined.valid if examined is not None else before.record(number) if before is not None else None
        if record is not None and record.kind is RECONCILE:
            stated = record.own["reconcile"]
            desired = stated["desired"]
            location = stated["location"] if location is None else location
            if not stated["late"]:
                break
    return Summary(desired or "", Head(size, end.digest), location or "")


def _end_breaks(files: Files, chain: Chain, examiner: Examiner, before: Before | None) -> Iterator[Breakage]:
    size = chain.size
    summary = summary_after(chain, size, before)
    if summary is None:
        yield Breakage(Breach.ROLLBACK, f"record {size}", "is the last one, and ends no commit")
    elif files.get(layout.STATE) != summary.as_bytes():
        yield Breakage(Breach.ROLLBACK, layout.STATE, f"does not say what follows from {size} records")
    if files.get(layout.FRONTIER) != chain.frontiers[-1].as_text().encode():
        yield Breakage(Breach.ROLLBACK, layout.FRONTIER, f"is not that of {size} records")
    try:
        checkpoint = parse_checkpoint(files.get(layout.CHECKPOINT, b""))
    except BadCheckpoint as error:
        yield Breakage(Breach.ROLLBACK, layout.CHECKPOINT, str(error))
        return
    if checkpoint.size < size:
        message = f"names {checkpoint.size} records, and there are {size}"
        yield Breakage(Breach.ROLLBACK, layout.CHECKPOINT, message)
    yield from check_checkpoint(checkpoint, chain, examiner, layout.CHECKPOINT)


def key_breaks(files: Files, chain: Chain, before: Before | None) -> Iterator[Breakage]:
    """Both indexes name, for every key, the record that counts; and no line names another key's."""
    wanted = _indexed(before.files) if before is not None else {}
    runs = {number: (key, succeeded) for key, (number, succeeded) in wanted.items()}
    for number, record in chain.records():
        if record.kind is RUN:
            key, succeeded = record.own["run"]["key"], record.own["run"]["outcome"]["succeeded"]
            runs[number] = key, succeeded
            if key not in wanted or succeeded or not wanted[key][1]:
                wanted[key] = number, succeeded
    live_from = max((int(m[2]) for m in map(SEGMENT.fullmatch, files) if m), default=0) + 1
    counted: dict[str, tuple[int, bool]] = {}
    for folder, live in ((layout.SEALED_KEYS, False), (layout.KEYS, True)):  # what is live counts before what is sealed
        for path, data in sorted(files.items()):
            if path.startswith(folder + "/"):
                rows = _index(path, data)
                if rows is None:
                    yield Breakage(Breach.BYTES, path, "is not an index in its one form")
                    continue
                for key, (number, succeeded) in rows.items():
                    placed = key[:2] == path.rpartition("/")[2] and (number >= live_from) == live
                    if not placed or runs.get(number) != (key, succeeded):
                        yield Breakage(Breach.BYTES, path, f"names record {number} for {key[:12]}, which is not so")
                    counted[key] = number, succeeded
    for key in sorted(wanted.keys() | counted.keys()):
        if counted.get(key) != wanted.get(key) and (key in wanted or counted[key][0] in runs):
            said = f"does not name record {wanted[key][0]}" if key in wanted else f"names record {counted[key][0]}"
            more = "" if key in wanted else ", which has another"
            yield Breakage(Breach.BYTES, layout.KEYS, f"the index {said} for the key {key[:12]}{more}")


def _indexed(files: Files) -> dict[str, tuple[int, bool]]:
    """What both indexes say; what is live counts before what is sealed."""
    found: dict[str, tuple[int, bool]] = {}
    for folder in (layout.SEALED_KEYS, layout.KEYS):
        for path, data in sorted(files.items()):
            if path.startswith(folder + "/"):
                found |= _index(path, data) or {}
    return found


def _verified_breaks(files: Files, chain: Chain, before: Before | None) -> Iterator[Breakage]:
    """The index of verifications says, byte for byte, what follows from the records of them."""
    wanted = _verified_rows(before.files) if before is not None else {}
    for number, record in chain.records():
        for row in record.own["verification"]["runs"] if record.kind is VERIFICATION else ():
            if _key_of(row["record"], chain, before) != row["key"]:
                yield Breakage(Breach.CHAIN, f"record {number}", f"verifies record {row['record']}, of another key")
            rows = wanted.setdefault(layout.verified_path(row["key"]), {})
            rows[row["key"]] = verified_after(rows.get(row["key"]), number, row["result"])
    found = {path: data for path, data in files.items() if path.startswith(layout.VERIFIED + "/")}
    for path in sorted(wanted.keys() | found.keys()):
        if found.get(path) != (verified_lines(wanted[path]) if path in wanted else None):
            yield Breakage(Breach.BYTES, path, "does not say what the verifications say")


def _verified_rows(files: Files) -> dict[str, dict[str, Verified]]:
    """What the index of verifications said when it was verified."""
    found = {path: data for path, data in files.items() if path.startswith(layout.VERIFIED + "/")}
    try:
        return {path: dict(parse_verified_lines(data.decode())) for path, data in found.items()}
    except ValueError:
        return {}  # nobody verified that: it is no index


def _key_of(number: int, chain: Chain, before: Before | None) -> str | None:
    """The run key of a record; None where it is of no run."""
    examined = chain.at(number)
    record = examined.valid if examined is not None else before.record(number) if before is not None else None
    return str(record.own["run"]["key"]) if record is not None and record.kind is RUN else None


def _index(path: str, data: bytes) -> dict[str, tuple[int, bool]] | None:
    try:
        rows = dict(parse_key_lines(data.decode()))
    except ValueError:
        return None
    return rows if key_lines(rows) == data and rows else None


Stands = tuple[str, int | None, str, Mapping[str, Any]]
"""Key, record, provenance, and inputs that have another form than in the record."""


def standing_after(chain: Chain, before: Before | None = None) -> dict[str, Stands]:
    """What stands for each stage once every reconcile has said what it changed."""
    entries = standing_addresses(before.files) if before is not None else {}
    standing = {str(address): _stands(entry) for address, entry in entries.items()}
    for _, record in chain.records():
        if record.kind is RECONCILE:
            stated = record.own["reconcile"]
            for row in stated["standing"]:
                standing[row["stage"]] = row["key"], row["record"], row["provenance"], row.get("forms", {})
            for stage in stated["removed"]:
                standing.pop(stage, None)
    return standing


def _stands(entry: Entry) -> Stands:
    return entry.key, entry.record, entry.provenance, {path: dict(form) for path, form in entry.forms.items()}


def standing_breaks(files: Files, chain: Chain, before: Before | None) -> Iterator[Breakage]:
    """What stands is what the reconciles say, and each entry says what its record says."""
    wanted = standing_after(chain, before)
    runs = {number: record.own["run"] for number, record in chain.records() if record.kind is RUN}
    for path in sorted(files):
        if not path.startswith(layout.RECORDED + "/"):
            continue
        entry = read_entry(files[path])
        if entry is None or layout.recorded_path(entry.address) != path:
            yield Breakage(Breach.BYTES, path, "is not an entry in its one form")
            continue
        if wanted.pop(str(entry.address), None) != _stands(entry):
            yield Breakage(Breach.BYTES, path, "is not what the reconciles say stands for the stage")
        elif entry.record is not None and not agrees(entry, runs.get(entry.record) or _run(before, entry.record)):
            yield Breakage(Breach.BYTES, path, f"does not say what record {entry.record} says")
        else:
            for took in entry.times:
                if not _took(took, runs.get(took.record) or _run(before, took.record)):
                    yield Breakage(Breach.BYTES, path, f"does not say what record {took.record} took")
    for stage in sorted(wanted):
        yield Breakage(Breach.BYTES, layout.RECORDED, f"has no entry for {stage}, which stands")


def _run(before: Before | None, number: int) -> Mapping[str, Any] | None:
    record = before.record(number) if before is not None else None
    return record.own["run"] if record is not None and record.kind is RUN else None


def read_entry(data: bytes) -> Entry | None:
    """What stands for a stage, from the bytes of its file; None unless they are in their one form."""
    try:
        entry = Entry.from_json(json.loads(data))
        return entry if pretty_bytes(entry.as_json()) == data else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def agrees(entry: Entry, run: Mapping[str, Any] | None) -> bool:
    """Whether what stands is what a successful run came to."""
    if run is None or not run["outcome"]["succeeded"]:
        return False
    # Where the bytes of an uncached output lie in git may become known after its run was recorded.
    outs = [{name: value for name, value in out.items() if name != "git"} for out in run["outs"]]
    said = [{name: value for name, value in out.as_json().items() if name != "git"} for out in entry.outs]
    inputs = {path: dict(sizes) for path, sizes in entry.inputs.items()}
    stated = run["key"], run["material"], run.get("inputs", {}), outs
    return (entry.key, dict(entry.material), inputs, said) == stated


def _took(took: Took, run: Mapping[str, Any] | None) -> bool:
    return run is not None and RunFacts.from_json(run).took(took.record) == took


def object_breaks(files: Files) -> Iterable[Breakage]:
    """Kept objects have the bytes that their names say."""
    for path in sorted(files):
        name = path.removeprefix(layout.OBJECTS + "/")
        if name != path and md5_hex(files[path]) != name.removesuffix(".dir"):
            yield Breakage(Breach.BYTES, path, "has other bytes than its name says")


def standing_addresses(files: Files) -> dict[Address, Entry]:
    """The entries that can be read, by stage."""
    found = (read_entry(data) for path, data in files.items() if path.startswith(layout.RECORDED + "/"))
    return {entry.address: entry for entry in found if entry is not None}


def desired_of(files: Files) -> str | None:
    """The desired commit that `state.json` names; None where it names none."""
    try:
        desired = json.loads(files.get(layout.STATE, b""))["desired"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return desired if isinstance(desired, str) and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", desired) else None
