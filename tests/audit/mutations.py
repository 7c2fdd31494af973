"""What somebody who may write to a state branch can do to a ledger, one by one; each has to be found."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from runner.core.canonical import plain_bytes
from runner.core.checkpoint import Checkpoint, origin_of
from runner.core.dsse import envelope_bytes
from runner.core.merkle import frontier_of, leaf_hash
from runner.core.records import Head
from runner.ledger import layout
from runner.ledger.state import Summary, pretty_bytes
from runner.record.ledger import Signer
from tests.audit.ledgers import COMMIT, KEY, OTHER, UNSIGNED, Snapshot, Story, story

Files = dict[str, bytes]
Attack = tuple[str, list[Files]]
"""Its name and the snapshots that it leaves."""


def records_of(snapshot: Snapshot) -> list[bytes]:
    """The bytes of all records, in order."""
    sealed = [snapshot[path] for path in sorted(snapshot) if path.startswith(layout.SEALED + "/")]
    lines = [line for data in sealed for line in data.splitlines(keepends=True)]
    return lines + [snapshot[path] for path in sorted(snapshot) if path.startswith(layout.RECORDS + "/")]


def with_records(snapshot: Snapshot, records: Sequence[bytes]) -> Files:
    """The same with these records as files, and nothing else changed."""
    files = {path: data for path, data in snapshot.items() if not path.startswith((layout.RECORDS, layout.SEALED))}
    return files | {layout.record_path(number): data for number, data in enumerate(records, 1)}


def ended(snapshot: Snapshot, records: Sequence[bytes], signer: Signer) -> Files:
    """The same with these records and an end that belongs to them, as far as this signer can make it."""
    frontier = frontier_of([leaf_hash(data) for data in records])
    checkpoint = Checkpoint(origin_of(records[0]), frontier.size, frontier.root())
    head = Head()
    for data in records:
        head = head.after(data)
    return with_records(snapshot, records) | {
        layout.CHECKPOINT: checkpoint.signed(*signer.sign_checkpoint(checkpoint)).as_bytes(),
        layout.FRONTIER: frontier.as_text().encode(),
        layout.STATE: Summary(COMMIT, head, "this host").as_bytes(),
    }


def chained(
    records: Sequence[bytes], first: int, signer: Signer, edit: Callable[[dict[str, Any]], None]
) -> list[bytes]:
    """Records numbered, chained and signed anew from `first` on; `edit` changes the part that is the runner's own."""
    kept = list(records[: first - 1])
    head = Head()
    for data in kept:
        head = head.after(data)
    for data in records[first - 1 :]:
        statement = json.loads(base64.b64decode(json.loads(data)["payload"]))
        own = statement["predicate"].get("gitopsrunner_record", statement["predicate"])
        own["sequence"], own["previous"] = head.sequence + 1, head.digest
        if head.sequence + 1 == first:
            edit(own)
        payload = plain_bytes(statement)
        made = envelope_bytes(payload, signer.sign(payload))
        kept.append(made)
        head = head.after(made)
    return kept


def list_edits(count: int, chance: random.Random | None) -> Iterator[tuple[str, Callable[[list[bytes]], list[bytes]]]]:
    """Deletions, insertions, swaps, replays and truncations of a list; all of them, or a few by chance."""
    places = range(count) if chance is None else sorted(chance.sample(range(count), min(count, 3)))
    for at in places:
        yield f"delete {at + 1}", lambda rows, at=at: rows[:at] + rows[at + 1 :]  # type: ignore[misc]
        yield f"replay {at + 1} at the end", lambda rows, at=at: [*rows, rows[at]]  # type: ignore[misc]
        yield f"cut off behind {at}", lambda rows, at=at: rows[:at]  # type: ignore[misc]
        for other in places:
            if other > at:
                yield f"swap {at + 1} and {other + 1}", lambda rows, at=at, other=other: _swapped(rows, at, other)  # type: ignore[misc]
            yield f"insert {at + 1} before {other + 1}", lambda rows, at=at, other=other: _inserted(rows, at, other)  # type: ignore[misc]


def attacks(good: Story, chance: random.Random | None) -> Iterator[Attack]:
    """Everything that is done to the records, at the tip or throughout; all of it, or a sample."""
    snapshots = good.snapshots
    records = records_of(good.tip)
    for name, edit in list_edits(len(records), chance):
        changed = edit(list(records))
        if changed == records or not changed:
            continue
        for signer, whose in ((OTHER, "another key"), (UNSIGNED, "no key")):
            tip = ended(good.tip, changed, signer)
            yield f"{name}, ended by {whose}, in the last commit", [*snapshots[:-1], tip]
            yield f"{name}, ended by {whose}, in a new commit", [*snapshots, tip]
        bare = with_records(good.tip, changed)
        yield f"{name}, nothing else, in the last commit", [*snapshots[:-1], bare]
        yield f"{name}, nothing else, in a new commit", [*snapshots, bare]
        anew = chained(changed, 1, OTHER, lambda own: None) if changed else []
        yield f"{name}, all signed by another key, alone", [ended(good.tip, anew, OTHER)]
    yield from _forks(good, chance)
    yield from _old_commits(good, chance)


def _forks(good: Story, chance: random.Random | None) -> Iterator[Attack]:
    records = records_of(good.tip)
    count = len(records)
    for first in range(1, count + 1) if chance is None else chance.sample(range(1, count + 1), min(3, count)):
        fork = chained(records, first, OTHER, _other_actor)
        yield f"fork from {first}, re-signed by another key, alone", [ended(good.tip, fork, OTHER)]
        yield (
            f"fork from {first}, re-signed by another key, new commit",
            [*good.snapshots, ended(good.tip, fork, OTHER)],
        )
        same = chained(records, first, KEY, _other_actor)
        yield f"fork from {first}, re-signed by the key, new commit", [*good.snapshots, ended(good.tip, same, KEY)]
        if first > 1:
            back = chained(records, first, KEY, _back_dated)
            yield f"record {first} back-dated and re-signed, alone", [ended(good.tip, back, KEY)]


def _old_commits(good: Story, chance: random.Random | None) -> Iterator[Attack]:
    snapshots = good.snapshots
    places = range(len(snapshots) - 1)
    for at in places if chance is None else chance.sample(places, min(2, len(places))):
        yield f"back to commit {at} in a new commit", [*snapshots, dict(snapshots[at])]
        if at:
            yield (
                f"commit {at} has the tree of the one before",
                [*snapshots[:at], snapshots[at - 1], *snapshots[at + 1 :]],
            )
        first, *rest = records_of(snapshots[at])
        broken = with_records(snapshots[at], [first.replace(b"a", b"b"), *rest])
        yield f"commit {at} had another record 1", [*snapshots[:at], broken, *snapshots[at + 1 :]]


def bit_flips(good: Story, chance: random.Random | None, count: int = 200) -> Iterator[Attack]:
    """Every bit of every record turned, in the last commit; all of them, or so many by chance."""
    paths = sorted(path for path in good.tip if path.startswith((layout.RECORDS, layout.SEALED)))
    if chance is None:
        places = ((path, bit) for path in paths for bit in range(len(good.tip[path]) * 8))
    else:
        chosen = [chance.choice(paths) for _ in range(count)]
        places = ((path, chance.randrange(len(good.tip[path]) * 8)) for path in chosen)
    for path, bit in places:
        yield f"bit {bit} of {path}", [*good.snapshots[:-1], {**good.tip, path: flipped(good.tip[path], bit)}]


def other_bit_flips(good: Story, chance: random.Random, count: int) -> Iterator[Attack]:
    """The same of the files beside the records: index, what stands, state, checkpoint, frontier."""
    paths = sorted(path for path in good.tip if not path.startswith((layout.RECORDS, layout.SEALED)))
    for _ in range(count):
        path = chance.choice(paths)
        bit = chance.randrange(len(good.tip[path]) * 8)
        yield f"bit {bit} of {path}", [*good.snapshots[:-1], {**good.tip, path: flipped(good.tip[path], bit)}]


def beside(tip: Snapshot) -> Iterator[tuple[str, Files]]:
    """What can be done to the files beside the records: taken away, exchanged, doubled, and said of something else."""
    first = next(path for path in sorted(tip) if path.startswith(layout.KEYS + "/"))
    for path in sorted(tip):
        if path.startswith((layout.KEYS, layout.SEALED_KEYS)):
            lines = tip[path].splitlines(keepends=True)
            key, number, word = lines[0].split()
            other = b"failed" if word == b"ok" else b"ok"
            edits = {
                "emptied": b"",
                "its first line doubled": lines[0] + tip[path],
                "turned around": b"".join(lines[::-1]) if len(lines) > 1 else b"\n" + tip[path],
                "with another outcome": b"%b %b %b\n" % (key, number, other) + b"".join(lines[1:]),
                "with another record": b"%b %d %b\n" % (key, int(number) + 1, word) + b"".join(lines[1:]),
                "with a number in another form": b"%b 0%b %b\n" % (key, number, word) + b"".join(lines[1:]),
                "with a key that never ran": tip[path] + b"f" * 64 + b" 1 ok\n",
                "without a line": b"".join(lines[1:]),
            }
            yield f"{path} gone", {name: data for name, data in tip.items() if name != path}
            yield from ((f"{path} {name}", {**tip, path: data}) for name, data in edits.items())
            yield f"{path} elsewhere", {**tip, path[:-2] + "zz": tip[path]}
        elif path.startswith(layout.RECORDED):
            entry = json.loads(tip[path])
            changes: dict[str, dict[str, Any]] = {
                "with another key": {"key": "0" * 64},
                "with another record": {"record": (entry["record"] or 0) + 1},
                "with no record": {"record": None},
                "of others": {"provenance": "run-cache"},
                "with other material": {"material": {"cmd": "evil"}},
                "with another output": {"outs": [{"path": "out", "md5": "0" * 32}]},
                "without outputs": {"outs": []},
                "with other sizes of inputs": {"inputs": {"in": {"size": 7}}},
                "of another stage": {"stage": "else"},
                "with a field more": {"more": 1},
            }
            yield from ((f"{path} {name}", {**tip, path: pretty_bytes(entry | row)}) for name, row in changes.items())
            yield f"{path} written otherwise", {**tip, path: plain_bytes(entry)}
            yield f"{path} elsewhere", {**tip, path.replace(".json", "x.json"): tip[path]}
            yield f"{path} gone", {name: data for name, data in tip.items() if name != path}
    yield "a record beside the others", {**tip, f"{layout.RECORDS}/x.json": b"x"}
    yield "a segment beside the others", {**tip, f"{layout.SEALED}/000000900-000000901.jsonl": b"x\ny\n"}
    yield "a file of the ledger that is none", {**tip, ".runner/ledger/x": b"x"}
    yield "another desired commit", {**tip, layout.STATE: tip[layout.STATE].replace(b"cccc", b"dddd", 1)}
    yield "no state", {name: data for name, data in tip.items() if name != layout.STATE}
    yield "no frontier", {name: data for name, data in tip.items() if name != layout.FRONTIER}
    yield "another index", {**tip, first: b"x"}


def own_of(data: bytes) -> dict[str, Any]:
    """The runner's own part of a record."""
    statement = json.loads(base64.b64decode(json.loads(data)["payload"]))
    found: dict[str, Any] = statement["predicate"].get("gitopsrunner_record", statement["predicate"])
    return found


def typed(records: Sequence[bytes], predicate_type: str) -> list[bytes]:
    """The same with another predicate type in the last of them, signed by the key."""
    statement = json.loads(base64.b64decode(json.loads(records[-1])["payload"]))
    payload = plain_bytes(statement | {"predicateType": predicate_type})
    return [*records[:-1], envelope_bytes(payload, KEY.sign(payload))]


def is_found_alike(ours: int, theirs: int) -> bool:
    """Whether both verifiers found a damaged record, and agree of which kind the finding is.

    A value that only a schema forbids is `chain` for the first; the second, which has no schemas, finds the signature
    wrong, or what hangs on the value.
    """
    return ours != 0 and (ours == theirs or (ours == 10 and theirs in (11, 12, 13)))


def flipped(data: bytes, bit: int) -> bytes:
    """The bytes with one bit turned."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _swapped(rows: list[bytes], at: int, other: int) -> list[bytes]:
    rows[at], rows[other] = rows[other], rows[at]
    return rows


def _inserted(rows: list[bytes], at: int, other: int) -> list[bytes]:
    return [*rows[:other], rows[at], *rows[other:]]


def _other_actor(own: dict[str, Any]) -> None:
    (own.get("run") or own.get("reconcile") or own["verification"])["actor"] = "mallory"


def _back_dated(own: dict[str, Any]) -> None:
    own["recordedAt"] = "2025-12-31T23:59:59.000Z"


__all__ = ["Attack", "attacks", "bit_flips", "other_bit_flips", "records_of", "story"]
